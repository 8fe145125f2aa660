import { assert, assertEquals, assertThrows } from "@std/assert";
import { defineConfig, differingField, mixersWith } from "../../titans/models/config.ts";
import { CheckpointError, ConfigError } from "../../titans/errors.ts";
import { type ModelConfig, requireSameModel } from "../../titans/mod.ts";
import { MODEL_OPTIONS } from "../../titans/models/options.ts";
import {
  checkValues,
  completeOptions,
  defaultsOf,
  firstDifference,
  idleBecauseOf,
  type OptionsOf,
  type OptionTable,
  rangeOf,
  resolveOptions,
  takes,
} from "../../titans/options/option_table.ts";
import { inside, outside, OWN, TABLES } from "./option_cases.ts";

const ROWS: OptionTable = MODEL_OPTIONS;
const EVERY: Readonly<Record<string, OptionTable>> = { ...TABLES, "a test": OWN };

Deno.test("options: every row takes its default and what lies in its range, and refuses anything else by its name", () => {
  for (const [of, table] of Object.entries(EVERY)) {
    for (const [name, row] of Object.entries(table)) {
      const what = `${name} of ${of}`, defaults = defaultsOf(table);
      for (const value of inside(row)) {
        assert(takes(row, value), `${what} takes ${value}`);
        checkValues(table, { ...defaults, [name]: value });
      }
      for (const value of outside(row)) {
        const error = assertThrows(() => checkValues(table, { ...defaults, [name]: value }), ConfigError);
        assertEquals(error.field, name, `${what} with ${value}`);
        const shown = typeof value === "number" ? `${value}` : JSON.stringify(value);
        const said = `Cannot use ${name} ${shown}: it must be `;
        assert(error.message.startsWith(said) && !error.message.includes("\n"), error.message);
        assert(error.message.endsWith(rangeOf(row)), error.message);
      }
    }
  }
});

Deno.test("options: what rows say of others is true, and their texts are phrases", () => {
  for (const [of, table] of Object.entries(EVERY)) {
    for (const [name, row] of Object.entries(table)) {
      if (row.before !== undefined) assert(takes(row, row.before), `${name} of ${of} was ${row.before} before`);
      for (const [other, values] of Object.entries(row.idleWith ?? {})) {
        assert(other in table && other !== name, `${name} of ${of} is idle with ${other}`);
        for (const value of values) assert(takes(table[other], value), `${other} of ${of} takes ${value}`);
        assert(values.length < inside(table[other]).length, `${name} of ${of} is always idle`);
      }
      for (const text of [row.help, ...(row.kind === "choice" ? Object.values(row.choices) : [])]) {
        assert(/^[^\n|]*[^\s.|]$/.test(text), `${name} of ${of}: ${text}`);
      }
    }
  }
});

Deno.test("options: ranges in words", () => {
  assertEquals(Object.values(OWN).map(rangeOf), [
    "an integer from 1 to 4",
    "an integer of at least 0",
    "above 0 and below 1",
    "a finite number",
    "true or false",
    "true or false",
    "one of round, flat",
    "one line of text",
    "an integer from 0 to 9",
  ]);
  assertEquals(rangeOf({ kind: "number", default: 0, min: 0, max: 1, help: "" }), "from 0 to 1");
  const error = assertThrows(() => resolveOptions("a test", OWN, { rate: NaN }), ConfigError);
  assertEquals(error.message, "Cannot use rate NaN: it must be a finite number above 0 and below 1");
});

Deno.test("options: a row of a table is a field of its type, with a default, and refused elsewhere", () => {
  type Exactly<A, B> = [A] extends [B] ? [B] extends [A] ? true : false : false;
  const isExact: Exactly<
    OptionsOf<Pick<typeof OWN, "depth" | "spins" | "shape">>,
    { readonly depth: number; readonly spins: boolean; readonly shape: "round" | "flat" }
  > = true;
  assert(isExact);
  const options = resolveOptions("a test", OWN, { depth: 3, shape: "flat", rate: undefined });
  assertEquals(options, { ...defaultsOf(OWN), depth: 3, shape: "flat" });
  assertThrows(() => resolveOptions("a test", OWN, { dpeth: 3 }), ConfigError, "dpeth of a test: did you mean depth?");
});

Deno.test("options: records from before an option existed mean what the row says, and miss it otherwise", () => {
  const { depth: _depth, ...old } = defaultsOf(OWN), { rate: _rate, ...broken } = defaultsOf(OWN);
  assertEquals(completeOptions(OWN, old), { ...old, depth: 1 });
  assertThrows(() => checkValues(OWN, completeOptions(OWN, broken)), ConfigError, "Cannot use rate undefined");
});

Deno.test("options: records differ in the first option that changes results, in both or in one of them", () => {
  const base = defaultsOf(OWN),
    differ = (rhs: object, lhs: object = {}): string | undefined =>
      firstDifference(OWN, { ...base, ...lhs }, { ...base, ...rhs });
  assertEquals(differ({}), undefined);
  for (const [name, row] of Object.entries(OWN)) {
    const other = inside(row).find((value) => value !== row.default)!;
    assertEquals(differ({ [name]: other }), name === "secret" ? undefined : name);
  }
  assertEquals(differ({ shape: "flat", rate: 0.25 }), "rate");
  assertEquals(idleBecauseOf(OWN.turns, { spins: false }), "spins");
  assertEquals(differ({ turns: 5, spins: false }, { spins: false }), undefined);
  assertEquals(differ({ turns: 5, spins: false }), "turns");
});

/** Options that no parameter and no result depends on in each kind of model. */
const IDLE: Readonly<Record<"lmm" | "mac" | "mag" | "mal", readonly string[]>> = {
  lmm: ["segment", "window", "persistentTokens", "memoryQuery", "outputGate", "memoryTokens"],
  mac: ["window", "memoryTokens"],
  mag: ["segment", "memoryQuery", "memoryTokens"],
  mal: ["segment", "memoryQuery", "outputGate", "memoryTokens"],
};

Deno.test("options: checkpoints are of the same model if they differ in cost alone, or in what changes nothing", () => {
  for (const model of ["lmm", "mac", "mag", "mal"] as const) {
    // As many blocks as every model can have.
    const config = defineConfig({ model, blocks: 6 });
    for (const name of Object.keys(MODEL_OPTIONS) as (keyof ModelConfig)[]) {
      const using = mixersWith(name), isOfOthers = using.length > 0 && !using.some((mixer) => mixer in IDLE);
      const isIgnored = ROWS[name].costOnly === true || isOfOthers || IDLE[model].includes(name);
      for (const value of inside(MODEL_OPTIONS[name]).filter((value) => value !== config[name])) {
        assertEquals(differingField(config, { ...config, [name]: value }), isIgnored ? undefined : name);
      }
    }
  }
  const full = defineConfig({ model: "attention" }), same = { ...full, model: "transformer" } as const;
  assertEquals(differingField(full, { ...same, window: 9, segment: 3, miniBatch: 8, memory: "swiglu" }), undefined);
  assertEquals(differingField(full, { ...same, maxLength: 9 }), "maxLength");
  const listed = (window: number): ModelConfig =>
    defineConfig({ blocks: [{ mixer: "lmm" }, { mixer: "mag", window }], window: 7 });
  assertEquals(differingField(listed(5), { ...listed(5), window: 9 }), undefined);
  assertEquals(differingField(listed(5), listed(6)), "blocks");
  assertEquals(differingField(listed(5), { ...listed(5), vocabulary: 9 }), "vocabulary");
  const found = defineConfig({ momentum: false, etaBias: 1 });
  requireSameModel(found, { ...found, etaBias: 2 });
  assertThrows(
    () => requireSameModel(defineConfig(), found),
    CheckpointError,
    "Cannot resume from this checkpoint: its etaBias is 1, the model asked for has 0",
  );
});
