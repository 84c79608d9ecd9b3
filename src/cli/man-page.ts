/** The manual's page, in the language of man(7), from the definitions of the commands. */
import type { Command } from "commander";

/** The page. `date` as in 2026-11-26. */
export function manPage(
  program: Command,
  { version, date }: { readonly version: string; readonly date: string },
): string {
  const sections = program.commands.map((command) => {
    const parameters = command.registeredArguments.map((argument) => {
      const name = argument.variadic ? `${argument.name()}...` : argument.name();
      return argument.required ? name : `[${name}]`;
    });
    const options = command.options.map(({ flags, description }) => `.TP\n.B ${escaped(flags)}\n${lines(description)}`);
    return `.SS ${escaped([command.name(), ...parameters].join(" "))}\n${lines(command.description())}\n${options.join("\n")}`;
  });
  return `.TH GYRE 1 "${date}" "gyre ${version}" "User Commands"
.SH NAME
gyre \\- an HTTP cache that clusters itself
.SH SYNOPSIS
.B gyre
.I command
[\\fIoptions\\fR]
.SH DESCRIPTION
${lines(program.description())}
.PP
Each setting can be given as a flag, as an environment variable (GYRE_ and the name in capitals, with _ for each dash), or in the file that
.B \\-\\-config
names; flags count before variables, variables before the file.
.SH COMMANDS
${sections.join("\n")}
.SH EXIT STATUS
0 done, 1 failed, 2 asked wrongly.
.SH SIGNALS
TERM and INT drain and end a member, a second one ends it at once. HUP takes up its configuration, USR1 opens the access log's file anew.
.SH FILES
.TP
.I $GYRE_RUN_DIR, $XDG_RUNTIME_DIR/gyre, /run/gyre
records of the members that run on this machine
`;
}

function lines(text: string): string {
  return escaped(text).replace(/\n+/g, "\n.br\n");
}

/** Nothing that begins a request of its own, and dashes that can be copied. */
function escaped(text: string): string {
  return text
    .replace(/\\/g, "\\e")
    .replace(/-/g, "\\-")
    .replace(/^([.'])/gm, "\\&$1");
}
