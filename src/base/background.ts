/**
 * The one place where a promise is started and not awaited: its failure is counted by the given reporter, never lost.
 */
export function background(work: Promise<unknown>, failed: (error: Error) => void): void {
  work.catch((cause: unknown) => failed(asError(cause)));
}

/** Whatever was thrown, as an Error. */
export function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}

/** What went wrong, in words; where several addresses of a name have failed, Node gives only a code. */
export function errorText(error: Error): string {
  return error.message === "" ? ((error as NodeJS.ErrnoException).code ?? error.name) : error.message;
}
