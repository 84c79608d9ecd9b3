/** How commands fail: a sentence on standard error and an exit code. 1: it did not work; 2: it was asked wrongly. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}
