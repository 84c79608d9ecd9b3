/** Both stores keep the contract: the one that members use, and the simple one that tests may compare it with. */
import { PageStore } from "../../src/store/pages/page-store.ts";
import { SimpleStore } from "../support/simple-store.ts";
import { storeContract } from "./store.ts";

storeContract("pages", (bytesMax, copiesBytesMax = 0) => new PageStore(bytesMax, { copiesBytesMax, seed: 1 }));
storeContract("simple", (bytesMax, copiesBytesMax = 0) => new SimpleStore(bytesMax, copiesBytesMax));
