import { describe, expect, it } from "vitest";
import { ownerIn, ownerPattern } from "./owner.ts";

const passwd = "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n";
const group = "root:x:0:\nwww-data:x:33:\nadm:x:4:syslog\n";

describe("an owner", () => {
  it.each([
    ["www-data", 33, -1],
    ["www-data:adm", 33, 4],
    [":adm", -1, 4],
    ["1000:1001", 1000, 1001],
    ["root:0", 0, 0],
  ])("%s", (owner, uid, gid) => {
    expect(ownerPattern.test(owner)).toBe(true);
    expect(ownerIn(owner, passwd, group)).toEqual({ uid, gid });
  });

  it("who is not there is named; what is no owner is not taken", () => {
    expect(() => ownerIn("nobody-here", passwd, group)).toThrow("no user nobody-here");
    expect(() => ownerIn("root:nobodies", passwd, group)).toThrow("no group nobodies");
    for (const number of ["4294967295", "99999999999:0", "0:4294967296"])
      expect(() => ownerIn(number, passwd, group)).toThrow("is no number of a");
    for (const wrong of ["", ":", "a:b:c", "a b", "a:"]) expect(ownerPattern.test(wrong), wrong).toBe(false);
  });
});
