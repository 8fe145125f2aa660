/**
 * The documents against the code: every option and flag is in docs/options.md with its default, links lead somewhere,
 * and command lines can be typed.
 */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { COMMANDS } from "../cli/commands.ts";
import { flagName, type Flags, parseFlags } from "../cli/flags.ts";
import { ReferenceDevice } from "../kernels/mod.ts";
import { type Decoder, defineConfig, defineOptimizer, generate, Model, Sampler, Trainer } from "../titans/mod.ts";
import { readOptions } from "./bench/flags.ts";
import { withFolder } from "./cli/scratch.ts";
import {
  anchors,
  codeBlocks,
  codeIn,
  links,
  prose,
  type ShellCommand,
  shellCommands,
  type TableRow,
  tableRows,
  taskCommand,
} from "./markdown.ts";
import { describeOptions, optionsPage } from "./options_page.ts";
import { OWN } from "./titans/option_cases.ts";

const OPTIONS = await Deno.readTextFile("docs/options.md");
const ROWS = tableRows(OPTIONS);

/** The flags of the program's commands. */
const FLAGS: Readonly<Record<string, Flags>> = Object.fromEntries(
  Object.entries(COMMANDS).map(([name, { flags }]) => [name, flags]),
);

/** The one piece of code in a cell. */
function codeOf(cell: string | undefined): string {
  const codes = codeIn(cell ?? "");
  assertEquals(codes.length, 1, `one name is expected in ${cell}`);
  return codes[0];
}

/** The value that a cell states; undefined where it has words. */
function valueOf(cell: string | undefined): string | undefined {
  return /^`[^`]+`$/.exec(cell ?? "")?.[0].slice(1, -1);
}

/** The rows of options whose heading names an interface, or one of several headings. */
function optionRows(...headings: readonly string[]): Map<string, TableRow> {
  const rows = ROWS.filter(({ heading, cells }) => "Option" in cells && headings.includes(heading));
  const byName = new Map(rows.map((row) => [codeOf(row.cells.Option), row]));
  assertEquals(byName.size, rows.length, `an option stands twice under ${headings}`);
  return byName;
}

Deno.test("docs: the tables of docs/options.md are what the code says, those of every command among them", async () => {
  assertEquals(OPTIONS, await optionsPage(OPTIONS), "docs/options.md is not what deno task docs:options writes");
  const tables = [...OPTIONS.matchAll(/<!-- table: (.*) -->/g)].map(([, name]) => name);
  for (
    const name of [
      "model",
      "optimizer",
      "tasks",
      "sampling",
      ...Object.keys(FLAGS).map((command) => `flags ${command}`),
    ]
  ) {
    assert(tables.includes(name), `docs/options.md has no table ${name}`);
  }
  await assertRejects(() => optionsPage("<!-- table: modle -->\n<!-- end -->"), Error, "a table modle");
});

Deno.test("docs: a row of a table of options is a row of the page", () => {
  assertEquals(
    tableRows(describeOptions(OWN)).map((
      { cells: { Option, Flag, Default, Meaning } },
    ) => [Option, Flag, Default, Meaning]),
    [
      ["`depth`", "`--depth`", "`2`", "how deep it is (an integer from 1 to 4)"],
      ["`turns`", "`--n`", "`0`", "how often it turns (an integer of at least 0); idle with `spins` `false`"],
      ["`rate`", "`--rate`", "`0.5`", "how fast it is (above 0 and below 1)"],
      ["`offset`", "`--offset`", "`-1`", "where it starts"],
      ["`spins`", "`--no-spins`", "`true`", "spinning; without: it stands"],
      ["`isLoud`", "`--is-loud`", "`false`", "it makes noise with `turns`"],
      ["`shape`", "`--shape`", "`round`", "its form: `round`, like a ball of `depth`; `flat`, like a `disc`"],
      ["`name`", "`--name`", "none", "what it is called"],
      ["`secret`", "", "`3`", "rows of a block (an integer from 0 to 9); cost only"],
    ],
  );
});

Deno.test("docs: the defaults of sampling, writing and training are those in docs/options.md", async () => {
  const sampling = Object.fromEntries(
    [...optionRows("`SamplingOptions`")].map(([name, { cells }]) => [name, Number(valueOf(cells.Default))]),
  );
  const logits = Float32Array.from({ length: 40 }, (_, i) => Math.sin(7 * i));
  const draws = (options: object): unknown[] => {
    const sampler = new Sampler(options);
    return [sampler.candidates(logits), ...Array.from({ length: 20 }, (_, n) => sampler.choose(logits, n))];
  };
  assertEquals(draws({}), draws(sampling));
  for (const [name, other] of Object.entries({ temperature: 0.5, topK: 3, topP: 0.5, minP: 0.5, seed: 1 })) {
    assertThrows(
      () => assertEquals(draws({}), draws({ ...sampling, [name]: other })),
      Error,
      undefined,
      `${name} makes a difference here`,
    );
  }
  const read: number[][] = [];
  const decoder = {
    model: { maxLength: Infinity },
    tokensRead: 0,
    logits: undefined,
    read: (tokens: number[]) => (read.push(tokens), Promise.resolve(logits)),
  } as unknown as Decoder;
  for await (const _ of generate(decoder, [], { maxTokens: 1 }));
  assertStringIncludes(
    optionRows("`GenerateOptions`").get("start")!.cells.Meaning,
    `Default: ${read[0][0]}, the newline`,
  );
  const model = new Model(
    defineConfig({ model: "lmm", width: 4, heads: 1, blocks: 1, mlpHidden: 4, vocabulary: 4, miniBatch: 2 }),
  );
  const trainer = await Trainer.create(new ReferenceDevice(), {
    model,
    optimizer: defineOptimizer(),
    shape: { batch: 1, length: 2 },
    seed: 0,
  });
  const { Meaning } = optionRows("`TrainingShape`").get("accumulate")!.cells;
  assertStringIncludes(Meaning, `Default: ${trainer.shape.accumulate}.`);
  trainer.dispose();
});

/** The documents, by path. */
async function documents(): Promise<Map<string, string>> {
  const paths = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
  for await (const { name } of Deno.readDir("docs")) if (name.endsWith(".md")) paths.push(`docs/${name}`);
  return new Map(
    await Promise.all(paths.map(async (path): Promise<[string, string]> => [path, await Deno.readTextFile(path)])),
  );
}

Deno.test("docs: every link inside the documents leads somewhere, and README.md leads to every page", async () => {
  const texts = await documents();
  const pages = new Set<string>();
  for (const [path, text] of texts) {
    for (const link of links(text).filter((link) => !/^[a-z]+:/.test(link))) {
      const [target, anchor] = link.split("#"),
        file = target === "" ? path : new URL(target, `file:///${path}`).pathname.slice(1);
      assert(await Deno.stat(file).then(() => true, () => false), `${path} links to ${link}: there is no ${file}`);
      if (anchor !== undefined) {
        assert(
          anchors(texts.get(file) ?? await Deno.readTextFile(file)).has(anchor),
          `${path} links to ${link}: no such heading`,
        );
      }
      if (path === "README.md") pages.add(file);
    }
  }
  for (const path of texts.keys()) {
    assert(path === "README.md" || pages.has(path), `README.md does not lead to ${path}: add a link`);
  }
});

Deno.test("docs: every command line in the documents names a task or file that is there, with flags that it has", async () => {
  const config = await Deno.readTextFile("deno.json");
  let count = 0;
  for (const [path, text] of await documents()) {
    const blocks = codeBlocks(text).filter(({ language }) => language === "sh").flatMap((block) =>
      shellCommands(block.text)
    );
    for (const command of blocks) count += await checkLine(command, config, path) ? 1 : 0;
    // Lines within a sentence may have words in place of values.
    const inline = codeIn(prose(text)).filter((code) => code.startsWith("deno task ")).flatMap(shellCommands);
    for (const { line, words: [, , name, ...rest] } of inline) {
      assert(name === "COMMAND" || taskCommand(name, config), `${path}: deno.json has no task ${name}: ${line}`);
      const known = FLAGS[name] && [...Object.keys(FLAGS[name]).map(flagName), "--help"];
      for (const word of rest.filter((word) => known && word.startsWith("--"))) {
        assert(known.includes(word.split("=")[0]), `${path}: ${name} has no ${word}: ${line}`);
      }
    }
    count += inline.length;
  }
  assert(count > 40, `${count} command lines were found`);
});

/** Checks a line as far as that is possible without running it. @returns whether it is one of ours. */
async function checkLine({ line, words }: ShellCommand, config: string, path: string): Promise<boolean> {
  const [program, ...rest] = words[0] === "npx" ? words.slice(2) : words;
  if (program !== "deno" && !/^deno@/.test(program)) return false;
  if (rest[0] === "task") {
    const [, name, ...args] = rest;
    assert(taskCommand(name, config), `${path}: deno.json has no task ${name}: ${line}`);
    if (name === "bench") readOptions(args);
    else if (Object.hasOwn(FLAGS, name)) {
      parseFlags(
        name === "fetch" && !args[0].startsWith("-") ? ["--place", ...args] : args,
        FLAGS[name],
        `${path}: ${line}`,
      );
    }
  } else {
    const file = rest.slice(1).find((word) => !word.startsWith("-"));
    assert(
      file !== undefined && await Deno.stat(file).then(({ isFile }) => isFile, () => false),
      `${path}: no file ${file}: ${line}`,
    );
  }
  return true;
}

Deno.test("docs: deno task doc:html writes pages of all entry points", () =>
  withFolder(async (folder) => {
    const task = taskCommand("doc:html", await Deno.readTextFile("deno.json"))!;
    const args = task.words.slice(1).map((word) => word.replace(/^--output=.*/, `--output=${folder}/html`));
    const { code, stderr } = await new Deno.Command("deno", { args, env: { NO_COLOR: "1" } }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    const exports = Object.keys(JSON.parse(await Deno.readTextFile("deno.json")).exports).length;
    const search = await Deno.readTextFile(`${folder}/html/all_symbols.html`);
    for (const symbol of ["compile", "matmul", "requestCpuDevice", "Trainer", "multiHeadAttention"]) {
      assert(search.includes(`>${symbol}<`), `all_symbols.html has no ${symbol}`);
    }
    const modules = (await Array.fromAsync(Deno.readDir(`${folder}/html`))).filter(({ isDirectory }) => isDirectory);
    assertEquals(modules.length, exports);
  }));
