/** What a member shows other members beside the secret, where its configuration names certificates. */
import { readFileSync } from "node:fs";
import type { Config } from "../config/schema.ts";
import { PeerIdentity } from "../peer/identity.ts";
import { StartError } from "./start-error.ts";

/** Null where there are none. @throws StartError where they cannot be used. */
export function peerIdentityOf(config: Config, name: string): PeerIdentity | null {
  const [cert, key, ca] = [config["peer-tls-cert"], config["peer-tls-key"], config["peer-tls-ca"]];
  if (cert === undefined || key === undefined || ca === undefined) return null;
  const read = (file: string): string => readFileSync(file, "utf8");
  try {
    return new PeerIdentity(name, config["peer-tls-require"], () => ({
      cert: read(cert),
      key: read(key),
      ca: read(ca),
    }));
  } catch (error) {
    throw new StartError(`--peer-tls-cert ${cert} cannot be used: ${(error as Error).message}`);
  }
}
