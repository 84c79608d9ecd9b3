/** One thing wrong with a configuration, and where: a file with its line, a variable, a flag. */
export interface ConfigProblem {
  readonly where: string;
  readonly what: string;
}
