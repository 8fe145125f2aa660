/** Markdown as far as tests of the documents read it: blocks of code, tables, headings, links, and command lines. */

/** A fenced block of code. */
export interface CodeBlock {
  readonly language: string;
  readonly text: string;
}

/** A row of a table, and where it stands. */
export interface TableRow {
  /** The heading above, without its `#`. */
  readonly heading: string;
  /** By the titles of the columns. */
  readonly cells: Readonly<Record<string, string>>;
}

/** A command of a shell. */
export interface ShellCommand {
  /** As it is written, without its comment. */
  readonly line: string;
  readonly env: Readonly<Record<string, string>>;
  readonly words: readonly string[];
}

/** The fenced blocks of a document. */
export function codeBlocks(markdown: string): CodeBlock[] {
  return [...markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, text]) => ({ language, text }));
}

/** A document without its fenced blocks. */
export function prose(markdown: string): string {
  return markdown.replace(/^```[\s\S]*?^```$/gm, "");
}

/** The rows of all tables, without their heads. */
export function tableRows(markdown: string): TableRow[] {
  const rows: TableRow[] = [];
  let heading = "", titles: string[] | undefined;
  for (const line of prose(markdown).split("\n")) {
    const found = /^#+ (.*)$/.exec(line);
    if (found) heading = found[1];
    if (!line.startsWith("|")) titles = undefined;
    else {
      const cells = line.replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
      if (titles === undefined) titles = cells;
      else if (!cells.every((cell) => /^:?-+:?$/.test(cell))) {
        rows.push({ heading, cells: Object.fromEntries(titles.map((title, i) => [title, cells[i]])) });
      }
    }
  }
  return rows;
}

/** What stands between backticks. */
export function codeIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code);
}

/** The anchors that links may name: of headings, as GitHub makes them. */
export function anchors(markdown: string): Set<string> {
  const titles = [...prose(markdown).matchAll(/^#+ (.*)$/gm)].map(([, title]) => title);
  return new Set(titles.map((title) => title.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-")));
}

/** Where links lead. */
export function links(markdown: string): string[] {
  return [...prose(markdown).replace(/`[^`]*`/g, "").matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target);
}

/**
 * The commands in a block of shell: what stands between pipes and `&&`, without comments and without the files that
 * output goes to.
 */
export function shellCommands(block: string): ShellCommand[] {
  return block.replaceAll("\\\n", " ").split("\n").flatMap((line): ShellCommand[] => {
    const found = shellWords(line), commands: string[][] = [[]];
    for (const [i, word] of found.entries()) {
      if (word === "|" || word === "&&") commands.push([]);
      else if (word !== ">" && found[i - 1] !== ">") commands.at(-1)!.push(word);
    }
    return commands.filter((command) => command.length > 0).map((command) => {
      const first = command.findIndex((word) => !/^[A-Z_]+=/.test(word));
      const env = Object.fromEntries(
        command.slice(0, first).map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]),
      );
      return { line: line.replace(/\s+#.*/, "").trim(), env, words: command.slice(first) };
    });
  });
}

/** The words of a line, up to its comment; quotes hold words together. */
function shellWords(line: string): string[] {
  const words = line.match(/(?:[^\s"'#]|"[^"]*"|'[^']*'|(?<=\S)#)+|#.*/g) ?? [];
  return words.filter((word) => !word.startsWith("#")).map((word) =>
    word.replace(/"([^"]*)"|'([^']*)'/g, (_, double, single) => double ?? single)
  );
}

/** The first command of a task of `deno.json` that runs Deno. */
export function taskCommand(name: string, config: string): ShellCommand | undefined {
  const { tasks } = JSON.parse(config) as { readonly tasks: Readonly<Record<string, { readonly command: string }>> };
  return Object.hasOwn(tasks, name)
    ? shellCommands(tasks[name].command).find(({ words }) => words[0] === "deno")
    : undefined;
}
