/** Settings as they may be shown: a URL without what proves who asks. */

/** Text with `***` for each password in a URL, and for a user without one, which is then a token. */
export function concealed(text: string): string {
  return text.replace(
    /(?<=\b[a-z][a-z\d+.-]*:\/\/)(?:([^/?#@:\s]*):)?[^/?#\s]*@/gi,
    (_, user: string | undefined) => `${user === undefined ? "" : `${user}:`}***@`,
  );
}
