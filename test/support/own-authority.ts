/** A certificate authority of a test's own: OpenSSL's. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./member.ts";

export interface OwnAuthority {
  /** File with its certificate. */
  readonly ca: string;
  /** Makes a certificate for a name, in files that are written over where they are there. */
  issue(name: string): { readonly cert: string; readonly key: string };
}

const openssl = (...parameters: string[]): void => void execFileSync("openssl", parameters, { stdio: "ignore" });
const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"] as const;

/** One more, that nobody else trusts. */
export function ownAuthority(): OwnAuthority {
  const folder = temporaryFolder();
  const [ca, caKey] = [join(folder, "ca.pem"), join(folder, "ca-key.pem")];
  openssl("req", "-x509", ...newKey, "-days", "2", "-subj", "/CN=authority", "-keyout", caKey, "-out", ca);
  return {
    ca,
    issue: (name) => {
      const [cert, key, asked, more] = ["pem", "key", "csr", "cnf"].map((kind) => join(folder, `${name}.${kind}`));
      writeFileSync(more!, `subjectAltName=DNS:${name}\n`);
      openssl("req", "-new", ...newKey, "-subj", `/CN=${name}`, "-keyout", key!, "-out", asked!);
      const signed = ["-CA", ca, "-CAkey", caKey, "-CAcreateserial", "-days", "2", "-extfile", more!];
      openssl("x509", "-req", "-in", asked!, ...signed, "-out", cert!);
      return { cert: cert!, key: key! };
    },
  };
}

/** A certificate for a name that nobody has signed but itself, in files of its own. */
export function selfSigned(name: string): { readonly cert: string; readonly key: string } {
  const folder = temporaryFolder();
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  openssl("req", "-x509", ...newKey, "-days", "2", "-subj", `/CN=${name}`, "-keyout", key, "-out", cert);
  return { cert, key };
}
