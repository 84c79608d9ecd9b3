/** Why a member cannot start, in a sentence for the operator: no stack trace helps here. */
export class StartError extends Error {
  override readonly name = "StartError";
}
