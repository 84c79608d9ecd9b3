/** What outlives a member of its certificates: files that only its user can read, each replaced as a whole. */
import { chmodSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "../base/folder.ts";
import { jsonOf } from "../base/json.ts";
import { certificateOf, type Certificate } from "./certificate.ts";

const accountFile = "acme-account.pem";
const ending = ".json";

/** A folder of one member. */
export class StateFolder {
  readonly #folder: string;

  /** @throws Error where it cannot be made or used. */
  constructor(folder: string) {
    this.#folder = folder;
    makeFolder(join(folder, "certificates"), 0o700);
    chmodSync(folder, 0o700);
  }

  /** The key of the account with the authority, or null. */
  get account(): string | null {
    try {
      return readFileSync(join(this.#folder, accountFile), "utf8");
    } catch {
      return null; // There is none yet.
    }
  }

  keepAccount(key: string): void {
    this.#write(join(this.#folder, accountFile), key);
  }

  /** Those that can be read; what cannot is left alone. */
  certificates(): Certificate[] {
    return readdirSync(join(this.#folder, "certificates"))
      .filter((file) => file.endsWith(ending))
      .map((file) => certificateOf(jsonOf(readFileSync(join(this.#folder, "certificates", file), "utf8"))))
      .filter((certificate) => certificate !== null);
  }

  keep(certificate: Certificate): void {
    const { name, cert, key, authority } = certificate;
    // Names of hosts are names of files: letters, digits, dots and dashes.
    this.#write(join(this.#folder, "certificates", `${name}${ending}`), JSON.stringify({ name, cert, key, authority }));
  }

  #write(path: string, text: string): void {
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
}
