/** How commands fail: a sentence on standard error and an exit code. 1: it did not work; 2: it was asked wrongly. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly exitCode: 1 | 2;
  /** That of a member's answer, where that is what failed. */
  readonly status: number | null;

  constructor(message: string, exitCode: 1 | 2 = 1, status: number | null = null) {
    super(message);
    this.exitCode = exitCode;
    this.status = status;
  }
}
