/** `completions`: what shells need to complete commands, flags and their words, printed from the tables of flags. */
import { UsageError } from "./errors.ts";
import { type Flag, flagName, suggestion } from "./flags.ts";
import type { Command, Commands } from "./help.ts";
import type { Terminal } from "./terminal.ts";

/** What stands for the name of a file or a folder in a help text. */
const PATHS = ["FILE", "DIR", "PATH", "PLACE"];

/** How each shell is told. */
const SHELLS: Readonly<Record<string, (commands: Commands) => string[]>> = { bash, zsh, fish };

/** The command `completions`. @param commands All commands, which are known once it is one of them. */
export function completionsCommand(commands: () => Commands): Command {
  return {
    summary: "print completions for bash, zsh or fish",
    description: "Prints a script with which a shell completes commands, flags and their words, of the program mneme.",
    examples: [
      ["deno task completions bash", "for bash: source it from ~/.bashrc"],
      ["deno task completions zsh", "for zsh: a file _mneme in a folder of $fpath"],
      ["deno task completions fish", "for fish: ~/.config/fish/completions/mneme.fish"],
    ],
    flags: {},
    run: (args, terminal) => Promise.resolve(print(args, terminal, commands())),
  };
}

function print([shell = "", ...more]: readonly string[], terminal: Terminal, commands: Commands): number {
  const names = Object.keys(SHELLS);
  if (!Object.hasOwn(SHELLS, shell) || more.length > 0) {
    const near = suggestion(shell, names), asked = [shell, ...more].join(" ");
    throw new UsageError(
      `completions needs one shell, ${names.join(", ")}${asked === "" ? "" : `, not ${JSON.stringify(asked)}`}${near}`,
    );
  }
  terminal.out(`${SHELLS[shell](commands).join("\n")}\n`);
  return 0;
}

/** The words that a flag takes, if they are a list. */
function wordsOf({ placeholder = "", words }: Flag<unknown>): readonly string[] {
  return words ? Object.keys(words) : placeholder.includes("|") ? placeholder.split("|").filter(isWord) : [];
}

/** Not `N` of `N|LIST`, which stands for something. */
function isWord(word: string): boolean {
  return /^[a-z]/.test(word);
}

function takesPath({ placeholder = "" }: Flag<unknown>): boolean {
  return PATHS.includes(placeholder);
}

function bash(commands: Commands): string[] {
  const names = Object.keys(commands);
  const reply = (words: readonly string[]): string => `COMPREPLY=($(compgen -W ${quoted(words.join(" "))} -- "$cur"))`;
  const values = names.flatMap((name) =>
    Object.entries(commands[name].flags).flatMap(([key, flag]) => {
      if (flag.placeholder === undefined) return [];
      const words = wordsOf(flag);
      const action = words.length > 0
        ? `${reply(words)}; `
        : takesPath(flag)
        ? `COMPREPLY=($(compgen -f -- "$cur")); `
        : "";
      return [`    ${quoted(`${name} ${flagName(key)}`)}) ${action}return ;;`];
    })
  );
  return [
    "_mneme() {",
    '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD - 1]}"',
    "  COMPREPLY=()",
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    ${reply(["help", ...names])}`,
    "    return",
    "  fi",
    '  case "${COMP_WORDS[1]} $prev" in',
    `    "help help") ${reply(names)}; return ;;`,
    ...values,
    "  esac",
    '  case "${COMP_WORDS[1]}" in',
    ...names.map((name) => `    ${name}) ${reply(flagsOf(commands[name]))} ;;`),
    "  esac",
    "}",
    "complete -F _mneme mneme",
  ];
}

function flagsOf({ flags }: Command): string[] {
  return [...Object.keys(flags).map(flagName), "--help"];
}

function zsh(commands: Commands): string[] {
  const spec = ([key, flag]: [string, Flag<unknown>]): string => {
    const help = flag.help.replaceAll("`", "").replaceAll(/[\[\]:\\]/g, (letter) => `\\${letter}`);
    const words = wordsOf(flag), repeats = flag.repeats ? "*" : "";
    const action = words.length > 0 ? `(${words.join(" ")})` : takesPath(flag) ? "_files" : " ";
    return quoted(`${repeats}${flagName(key)}[${help}]${flag.placeholder === undefined ? "" : `:value:${action}`}`);
  };
  return [
    "#compdef mneme",
    "if (( CURRENT == 2 )); then",
    `  compadd help ${Object.keys(commands).join(" ")}`,
    "  return",
    "fi",
    'local command="$words[2]"',
    "shift words",
    "(( CURRENT -= 1 ))",
    'case "$command" in',
    ...Object.entries(commands).map(([name, { flags }]) =>
      [`  ${name}) _arguments`, ...Object.entries(flags).map(spec), `'--help[show the help]' ;;`].join(" ")
    ),
    "esac",
  ];
}

function fish(commands: Commands): string[] {
  const start = `complete -c mneme -f -n "__fish_use_subcommand" -a`;
  return Object.entries(commands).flatMap(([name, { summary, flags }]) => [
    `${start} ${name} -d ${quoted(summary, "\\'")}`,
    ...Object.entries(flags).map(([key, flag]) => {
      const words = wordsOf(flag), value = flag.placeholder === undefined ? "" : takesPath(flag) ? " -r -F" : " -x";
      const list = words.length > 0 ? ` -a ${quoted(words.join(" "))}` : "", help = flag.help.replaceAll("`", "");
      return `complete -c mneme -n "__fish_seen_subcommand_from ${name}" -l ${
        flagName(key).slice(2)
      }${value}${list} -d ${quoted(help, "\\'")}`;
    }),
  ]);
}

/** A text in single quotes. @param quote What a single quote within is written as. */
function quoted(text: string, quote = `'\\''`): string {
  return `'${text.replaceAll("'", quote)}'`;
}
