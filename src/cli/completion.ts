/** `gyre completion`: what a shell completes, from the definitions of the commands. */
import type { Command } from "commander";
import { Failure } from "./failure.ts";
import { say } from "./terminal.ts";

/** Shells that scripts can be made for. */
export const shells: readonly string[] = ["bash", "zsh", "fish"];

interface Completed {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly { readonly flag: string; readonly description: string }[];
}

/** Prints the script for a shell. @throws Failure for a shell that is not known. */
export function completion(program: Command, shell: string): void {
  const commands = program.commands.map((command): Completed => ({
    name: command.name(),
    description: command.description(),
    flags: command.options.flatMap(({ long, description }) =>
      long === null || long === undefined ? [] : [{ flag: long, description }],
    ),
  }));
  switch (shell) {
    case "bash":
      return say(bash(commands));
    case "zsh":
      return say(`#compdef gyre\nautoload -U +X bashcompinit && bashcompinit\n${bash(commands)}`);
    case "fish":
      return say(fish(commands));
  }
  throw new Failure(`${shell} is not known: ${shells.join(", ")} are`, 2);
}

function bash(commands: readonly Completed[]): string {
  const cases = commands.map(
    ({ name, flags }) => `    ${name}) words="${flags.map(({ flag }) => flag).join(" ")} --help" ;;`,
  );
  return `_gyre() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
    *) words="" ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${commands.map(({ name }) => name).join(" ")} --help --version"
  fi
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    *)
      if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "$words" -- "$current"))
      else COMPREPLY=($(compgen -f -- "$current"))
      fi ;;
  esac
}
complete -o filenames -F _gyre gyre`;
}

function fish(commands: readonly Completed[]): string {
  const lines = commands.flatMap(({ name, description, flags }) => [
    `complete -c gyre -n __fish_use_subcommand -f -a ${name} -d '${plain(description)}'`,
    ...flags.map(
      (one) =>
        `complete -c gyre -n '__fish_seen_subcommand_from ${name}' -l ${one.flag.slice(2)} -d '${plain(one.description)}'`,
    ),
  ]);
  return lines.join("\n");
}

/** Within single quotes. */
function plain(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/'/g, "\\'");
}
