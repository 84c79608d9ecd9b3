/** The memory store keeps the store's contract. */
import { MemoryStore } from "../../src/store/memory-store.ts";
import { storeContract } from "./store.ts";

storeContract("memory", (bytesMax, copiesBytesMax = 0) => new MemoryStore(bytesMax, { copiesBytesMax }));
