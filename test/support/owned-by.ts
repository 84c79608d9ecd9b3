import type { TestMember } from "./member.ts";

/** The first of some paths at the host `h` that a member owns. */
export async function ownedBy(
  members: readonly Pick<TestMember, "admin">[],
  owner: string,
  paths: readonly string[],
): Promise<string> {
  const query = paths.map((path) => `url=${encodeURIComponent(`http://h${path}`)}`).join("&");
  const located = (await (await fetch(`http://${members[0]!.admin}/api/locate?${query}`)).json()) as {
    urls: { url: string; owner: string }[];
  };
  return located.urls.find((one) => one.owner === owner)!.url.slice("http://h".length);
}
