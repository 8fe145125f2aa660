/** `man`: the manual page of the program, in roff, from the commands and their tables of flags. */
import { UsageError } from "./errors.ts";
import { type Flag, flagName, shownDefault, shownPlaceholder } from "./flags.ts";
import { type Command, type Commands, EXIT_CODES } from "./help.ts";
import { asCalled } from "./program.ts";
import type { Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

/** The command `man`. @param commands All commands, which are known once it is one of them. */
export function manCommand(commands: () => Commands): Command {
  return {
    summary: "print the manual page",
    description: "Prints the manual page of the program mneme, in roff.",
    examples: [
      ["deno task man > ~/.local/share/man/man1/mneme.1", "install it, for: man mneme"],
      ["deno task man | man -l -", "read it"],
    ],
    flags: {},
    run: (args, terminal) => Promise.resolve(print(args, terminal, commands())),
  };
}

function print([stray]: readonly string[], terminal: Terminal, commands: Commands): number {
  if (stray !== undefined) throw new UsageError(`man takes no argument ${JSON.stringify(stray)}: leave it out`);
  terminal.out(`${manualPage(commands).join("\n")}\n`);
  return 0;
}

/** The lines of the page. */
export function manualPage(commands: Commands): string[] {
  return [
    `.TH MNEME 1 "" "mneme ${VERSION}" "User Commands"`,
    ".SH NAME",
    "mneme \\- train and run sequence models with a memory that keeps learning while it reads",
    ".SH SYNOPSIS",
    ".B mneme",
    ".I command",
    "[flags]",
    ".SH COMMANDS",
    ...Object.entries(commands).flatMap(([name, command]) => sectionOf(name, command)),
    ".SH EXIT STATUS",
    plain(EXIT_CODES),
  ];
}

function sectionOf(name: string, { summary, description, examples, flags }: Command): string[] {
  return [
    `.SS ${name}`,
    plain(`${summary[0].toUpperCase()}${summary.slice(1)}.`),
    ".PP",
    ...called(description).split("\n").map(plain),
    ...Object.entries(flags).flatMap(([key, flag]) => [".TP", ...flagLines(key, flag)]),
    ".PP",
    "Examples:",
    ...examples.flatMap(([line, effect]) => [".TP", `.B ${plain(called(line))}`, plain(called(effect))]),
  ];
}

function flagLines(key: string, flag: Flag<unknown>): string[] {
  const value = flag.placeholder === undefined ? "" : ` \\fI${plain(shownPlaceholder(flag))}\\fR`;
  const words = Object.entries(flag.words ?? {}).flatMap((word) => [".br", plain(called(word.join(": ")))]);
  return [`\\fB${plain(flagName(key))}\\fR${value}`, plain(called(`${flag.help}${shownDefault(flag)}`)), ...words];
}

/** A text as the executable's users are told it, without the marks of code. */
function called(text: string): string {
  return asCalled(text, true).replaceAll("`", "");
}

/** A text that roff prints as it is: no escapes, no requests, and hyphens that can be copied. */
function plain(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll(/^([.'])/gm, "\\&$1");
}
