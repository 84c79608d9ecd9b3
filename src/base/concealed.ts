/** Settings as they may be shown: without what proves who asks. */

/** Text with `***` for each password in a URL, and for a user without one, which is then a token. */
export function concealed(text: string): string {
  return text.replace(
    /(?<=\b[a-z][a-z\d+.-]*:\/\/)(?:([^/?#@:\s]*):)?[^/?#\s]*@/gi,
    (_, user: string | undefined) => `${user === undefined ? "" : `${user}:`}***@`,
  );
}

/** Fields that origins are sent, by name alone: each of them may prove who asks. */
export function concealedFields(fields: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.keys(fields).map((name) => [name, "***"]));
}
