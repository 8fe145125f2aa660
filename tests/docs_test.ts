/**
 * The documents against the code: every option and flag is in docs/options.md with its default, links lead somewhere,
 * and command lines can be typed.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { DEFAULT_RECIPE } from "../cli/data/recipe.ts";
import { fetchCommand } from "../cli/fetch.ts";
import { type Flag, flagName, type Flags, parseFlags } from "../cli/flags.ts";
import { generateCommand } from "../cli/generate.ts";
import { infoCommand } from "../cli/info.ts";
import { inspectCommand } from "../cli/inspect.ts";
import { MODEL_FLAGS, type ModelFlags, modelOptions } from "../cli/model_flags.ts";
import { rememberCommand } from "../cli/remember.ts";
import { trainCommand } from "../cli/train.ts";
import { ReferenceDevice } from "../kernels/mod.ts";
import {
  defineConfig,
  defineOptimizer,
  generate,
  Model,
  PRESETS,
  type Reader,
  Sampler,
  Trainer,
} from "../titans/mod.ts";
import { BENCH_FLAGS, readOptions } from "./bench/flags.ts";
import { runMain } from "./cli/run_main.ts";
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

const OPTIONS = await Deno.readTextFile("docs/options.md");
const ROWS = tableRows(OPTIONS);

/** The commands of the program. */
const COMMANDS: Readonly<Record<string, Flags>> = {
  train: trainCommand.flags,
  generate: generateCommand.flags,
  remember: rememberCommand.flags,
  inspect: inspectCommand.flags,
  fetch: fetchCommand.flags,
  info: infoCommand.flags,
};

/** Interfaces of options beside the model's, which has themes for headings. */
const INTERFACES: Readonly<Record<string, readonly string[]>> = {
  "titans/mod.ts": [
    "TrainerOptions",
    "TrainingShape",
    "TrainingBatch",
    "SamplingOptions",
    "GenerateOptions",
    "InspectorOptions",
  ],
  "kernels/mod.ts": ["WebGpuOptions", "CpuOptions", "CompileWatch"],
  "mod.ts": ["DeviceOptions", "CompileOptions"],
  "cli/run_config.ts": ["RunConfig"],
};

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

/** Fails unless a cell states a value. */
function assertStates(cell: string | undefined, value: unknown, what: string): void {
  const stated = valueOf(cell);
  assert(stated !== undefined, `docs/options.md says no default of ${what}, which is ${value}`);
  // Formatting takes the spaces at the end of a code span away.
  const same = typeof value === "number" ? Number(stated) === value : stated === String(value).trim();
  assert(same, `docs/options.md says that ${what} is ${stated} by default; the code says ${value}`);
}

/** The rows of options whose heading names an interface, or one of several headings. */
function optionRows(...headings: readonly string[]): Map<string, TableRow> {
  const rows = ROWS.filter(({ heading, cells }) => "Option" in cells && headings.includes(heading));
  const byName = new Map(rows.map((row) => [codeOf(row.cells.Option), row]));
  assertEquals(byName.size, rows.length, `an option stands twice under ${headings}`);
  return byName;
}

const MODEL_ROWS = optionRows(...new Set(ROWS.filter(({ cells }) => "nano" in cells).map(({ heading }) => heading)));

Deno.test("docs: every option of a model is in docs/options.md, with its defaults in both presets", () => {
  assertEquals([...MODEL_ROWS.keys()].sort(), Object.keys(PRESETS.nano).sort());
  for (const [name, { cells: { nano, small } }] of MODEL_ROWS) {
    const key = name as keyof typeof PRESETS.nano;
    assertStates(nano, PRESETS.nano[key], name);
    if (PRESETS.small[key] === PRESETS.nano[key]) assertEquals(small, "", `${name} in small is as in nano`);
    else assertStates(small, PRESETS.small[key], `${name} in small`);
  }
});

Deno.test("docs: every flag of a model stands beside its option", () => {
  const expected = new Map([["model", "--model"], ["vocabulary", "--vocabulary"]]);
  for (const [key, { placeholder }] of Object.entries(MODEL_FLAGS)) {
    const [field] = Object.keys(
      modelOptions({ [key]: placeholder === undefined ? true : "x" } as unknown as ModelFlags),
    );
    expected.set(field, flagName(key));
    assertNamesWords(MODEL_ROWS.get(field)!, MODEL_FLAGS[key as keyof typeof MODEL_FLAGS]);
  }
  for (const [name, { cells }] of MODEL_ROWS) {
    assertEquals(codeIn(cells.Flag)[0], expected.get(name), `the flag of ${name}`);
  }
});

/** Fails unless a row names every word that a flag takes. */
function assertNamesWords({ cells }: TableRow, { placeholder = "" }: Flag<unknown>): void {
  const named = Object.values(cells).flatMap(codeIn);
  for (const word of placeholder.includes("|") ? placeholder.split("|") : []) {
    assert(named.includes(word), `docs/options.md does not say what ${word} is: ${Object.values(cells).join(" | ")}`);
  }
}

Deno.test("docs: every option of the optimizer is in docs/options.md, with its default", () => {
  const defaults = defineOptimizer(), rows = optionRows("The optimizer");
  assertEquals([...rows.keys()].sort(), Object.keys(defaults).sort());
  for (const [name, { cells }] of rows) assertStates(cells.Default, defaults[name as keyof typeof defaults], name);
});

Deno.test("docs: every field of the other options is in docs/options.md", async () => {
  for (const [file, names] of Object.entries(INTERFACES)) {
    const { code, stdout } = await new Deno.Command("deno", { args: ["doc", "--json", file] }).output();
    assertEquals(code, 0);
    const fields = fieldsByInterface(JSON.parse(new TextDecoder().decode(stdout)));
    for (const name of names) {
      assertEquals([...optionRows(`\`${name}\``).keys()].sort(), [...fields(name)].sort(), `the fields of ${name}`);
    }
  }
});

interface Declaration {
  readonly def: {
    readonly extends?: readonly {
      readonly repr: string;
      readonly value: { readonly typeParams?: readonly { readonly value: { readonly string?: string } }[] };
    }[];
    readonly properties?: readonly {
      readonly name: string;
      readonly jsDoc?: { readonly tags?: readonly { readonly kind: string }[] };
    }[];
  };
}

/**
 * The fields of interfaces in what `deno doc --json` says; what it picks from others among them, what is internal not.
 */
function fieldsByInterface(
  { nodes }: {
    readonly nodes: Record<
      string,
      { readonly symbols: readonly { readonly name: string; readonly declarations: readonly Declaration[] }[] }
    >;
  },
): (name: string) => string[] {
  const symbols = Object.values(nodes).flatMap(({ symbols }) => symbols);
  return (name) => {
    const found = symbols.find((symbol) => symbol.name === name);
    assert(found, `no interface ${name}`);
    const { properties = [], extends: bases = [] } = found.declarations[0].def;
    const own = properties.filter(({ jsDoc }) => !jsDoc?.tags?.some(({ kind }) => kind === "internal")).map((
      { name },
    ) => name);
    const picked = bases.filter(({ repr }) => repr === "Pick").flatMap(({ value }) =>
      value.typeParams?.flatMap(({ value }) => value.string ?? []) ?? []
    );
    return [...own, ...picked];
  };
}

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
  const reader = {
    logits: undefined,
    read: (tokens: number[]) => (read.push(tokens), Promise.resolve(logits)),
  } as unknown as Reader;
  for await (const _ of generate(reader, [], { maxTokens: 1 }));
  assertStates(optionRows("`GenerateOptions`").get("start")!.cells.Default, read[0][0], "start");
  const model = new Model(
    defineConfig({ model: "lmm", width: 4, heads: 1, blocks: 1, mlpHidden: 4, vocabulary: 4, miniBatch: 2 }),
  );
  const trainer = await Trainer.create(new ReferenceDevice(), {
    model,
    optimizer: defineOptimizer(),
    shape: { batch: 1, length: 2 },
    seed: 0,
  });
  assertStates(optionRows("`TrainingShape`").get("accumulate")!.cells.Default, trainer.shape.accumulate, "accumulate");
  trainer.dispose();
});

/** The rows of flags that a command has: of its own section, and of those that several have. */
function flagRows(command: string): Map<string, TableRow> {
  const rows = ROWS.filter(({ heading, cells }) =>
    "Flag" in cells && !("Option" in cells) &&
    (heading === `\`${command}\`` || codeIn(cells.Commands ?? "").includes(command))
  );
  const byFlag = new Map(rows.map((row) => [codeOf(row.cells.Flag), row]));
  assertEquals(byFlag.size, rows.length, `a flag of ${command} stands twice in docs/options.md`);
  return byFlag;
}

Deno.test("docs: every flag of every command is in docs/options.md, with its words and its default", async () => {
  const overview = (await runMain("help")).stdout,
    listed = overview.slice(overview.indexOf("[flags]"), overview.indexOf("tasks of a checkout"));
  assertEquals(
    [...listed.matchAll(/^ {2}(\w+) {2}/gm)].map(([, name]) => name).filter((name) => name !== "help").sort(),
    Object.keys(COMMANDS).sort(),
  );
  for (const [command, flags] of Object.entries(COMMANDS)) {
    const rows = flagRows(command),
      own = Object.keys(flags).filter((key) => command !== "train" || !Object.hasOwn(MODEL_FLAGS, key));
    assertEquals([...rows.keys()].sort(), own.map(flagName).sort(), `the flags of ${command}`);
    for (const key of own) {
      const row = rows.get(flagName(key))!, flag = flags[key], what = `${command} ${flagName(key)}`;
      const fallback = command === "train" && key === "data" ? DEFAULT_RECIPE.sources.join() : flag.fallback;
      if (typeof fallback === "boolean") assertEquals([fallback, row.cells.Default], [false, "off"], what);
      else if (fallback === undefined || (flag.repeats && fallback.length === 0)) {
        assertEquals(valueOf(row.cells.Default), undefined, `${what} has no default value`);
      } else assertStates(row.cells.Default, fallback, what);
      assertNamesWords(row, flag);
    }
  }
});

Deno.test("docs: every flag of the benchmark is in docs/options.md, with its default", () => {
  const rows = flagRows("bench"), flags: Flags = BENCH_FLAGS;
  assertEquals([...rows.keys()].sort(), Object.keys(flags).map(flagName).sort());
  for (const [key, flag] of Object.entries(flags)) {
    const row = rows.get(flagName(key))!, what = `bench ${flagName(key)}`;
    if (flag.placeholder === undefined) assertEquals(row.cells.Default, "off", what);
    else if (flag.fallback === undefined) assertEquals(valueOf(row.cells.Default), undefined, what);
    else assertStates(row.cells.Default, flag.fallback, what);
    assertNamesWords(row, flag);
  }
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
      const known = COMMANDS[name] && [...Object.keys(COMMANDS[name]).map(flagName), "--help"];
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
    else if (Object.hasOwn(COMMANDS, name)) {
      parseFlags(
        name === "fetch" && !args[0].startsWith("-") ? ["--place", ...args] : args,
        COMMANDS[name],
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

Deno.test("docs: deno task doc:html writes pages of all four entry points", () =>
  withFolder(async (folder) => {
    const task = taskCommand("doc:html", await Deno.readTextFile("deno.json"))!;
    const args = task.words.slice(1).map((word) => word.replace(/^--output=.*/, `--output=${folder}/html`));
    const { code, stderr } = await new Deno.Command("deno", { args, env: { NO_COLOR: "1" } }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    const exports = Object.keys(JSON.parse(await Deno.readTextFile("deno.json")).exports).length;
    const search = await Deno.readTextFile(`${folder}/html/all_symbols.html`);
    for (const symbol of ["compile", "matmul", "requestCpuDevice", "Trainer"]) {
      assert(search.includes(`>${symbol}<`), `all_symbols.html has no ${symbol}`);
    }
    const modules = (await Array.fromAsync(Deno.readDir(`${folder}/html`))).filter(({ isDirectory }) => isDirectory);
    assertEquals(modules.length, exports);
  }));
