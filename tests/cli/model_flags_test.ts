import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import { type Flag, parseFlags } from "../../cli/flags.ts";
import { checkModelFlags, idleFlags, inFlags, MODEL_FLAGS, modelOptions } from "../../cli/model_flags.ts";
import { ConfigError, defineConfig, Model, MODEL_OPTIONS, type ModelConfig } from "../../titans/mod.ts";
import type { OptionTable } from "../../titans/options/option_table.ts";

const ROWS: OptionTable = MODEL_OPTIONS;

function optionsOf(...args: string[]): Partial<ModelConfig> {
  return modelOptions(parseFlags(args, MODEL_FLAGS, "train").values);
}

Deno.test("model flags: what is given becomes an option, the rest stays with the preset", () => {
  assertEquals(optionsOf(), {});
  assertEquals(optionsOf("--memory-depth", "1", "--gates", "channel", "--theta-max", "0.5", "--memory-query=learned"), {
    memoryDepth: 1,
    gateGranularity: "channel",
    thetaMax: 0.5,
    memoryQuery: "learned",
  });
  assertEquals(
    optionsOf("--no-momentum", "--no-forgetting", "--no-memory-norm", "--no-normalize-keys", "--strict-retrieval"),
    {
      momentum: false,
      forgetting: false,
      memoryNorm: false,
      normalizeKeys: false,
      strictRetrieval: true,
    },
  );
  assertEquals(optionsOf("--convolution", "0", "--persistent-tokens", "0"), { convolution: 0, persistentTokens: 0 });
});

Deno.test("model flags: each is an option of a model", () => {
  const values: Record<string, string> = {
    memory: "swiglu",
    memoryActivation: "silu",
    memoryGain: "fast",
    gates: "layer",
    forgetTo: "start",
    memoryQuery: "learned",
    outputGate: "sigmoid",
    memoryDepth: "2",
    span: "full",
    recurrentTokens: "0",
  };
  for (const [key, flag] of Object.entries(MODEL_FLAGS)) {
    const name = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    const [word = "16"] = Object.keys((flag as Flag<unknown>).words ?? {});
    const options = optionsOf(name, ...(flag.placeholder === undefined ? [] : [values[key] ?? word]));
    assertEquals(Object.keys(options).length, 1, name);
    const [[field, value]] = Object.entries(options);
    assertEquals(
      (defineConfig({ ...options, width: Number(options.width ?? 64) }) as unknown as Record<string, unknown>)[field],
      value,
      name,
    );
  }
});

Deno.test("model flags: blocks are a number, or a list of mixers", () => {
  const blocks = [{ mixer: "lmm" }, { mixer: "mag" }, { mixer: "attention" }];
  assertEquals(optionsOf("--blocks", "3"), { blocks: 3 });
  assertEquals(optionsOf("--blocks", "lmm,mag,attention"), { blocks });
  assertThrows(
    () => optionsOf("--blocks", "lmm,gpt"),
    UsageError,
    '--blocks cannot be "lmm,gpt": there is no mixer "gpt", it takes a number of blocks or a list of lmm, mac, mag, mal, attention',
  );
  const model = defineConfig({ blocks });
  const resume = (list: string): void => {
    const { values, given } = parseFlags(["--blocks", list], MODEL_FLAGS, "train");
    checkModelFlags(values, given, model, "runs/a");
  };
  resume("lmm,mag,attention");
  assertThrows(() => resume("lmm"), UsageError, "has blocks lmm,mag,attention, not lmm: leave --blocks out");
  const { values } = parseFlags(["--window", "9", "--segment", "64"], MODEL_FLAGS, "train");
  assertEquals(idleFlags(values, model), ["note: --segment changes nothing with --blocks lmm,mag,attention"]);
});

Deno.test("model flags: blocks in a list have options of their own, and a model of several blocks stands for them", () => {
  assertEquals(
    optionsOf("--blocks", "swa:window=32,mac:persistent-tokens=0:no-momentum,lmm:gates=layer:strictRetrieval"),
    {
      blocks: [
        { mixer: "swa", window: 32 },
        { mixer: "mac", persistentTokens: 0, momentum: false },
        { mixer: "lmm", gateGranularity: "layer", strictRetrieval: true },
      ],
    },
  );
  assertEquals(optionsOf("--blocks", "macMal,lmm:momentum=false"), {
    blocks: [{ mixer: "mac" }, { mixer: "mal" }, { mixer: "lmm", momentum: false }],
  });
  const refused: readonly (readonly [string, string])[] = [
    ["swa:window=0", 'window is "0", it must be an integer from 1 to 65536'],
    ["swa:window", 'window is "", it must be an integer from 1 to 65536'],
    ["lmm:momentum=no", 'momentum is "no", it must be true or false'],
    ["lmm:gates=token", 'gateGranularity is "token", it must be one of head, layer, channel'],
    ["lmm:windw=3", 'no option "windw" of that mixer: see docs/options.md'],
    ["swa:windw=3", 'no option "windw" of that mixer: did you mean window?'],
    ["macMal:window=3", "macMal stands for mac,mal: give their options in a list of them"],
  ];
  for (const [list, reason] of refused) {
    assertThrows(() => optionsOf("--blocks", list), UsageError, `--blocks cannot be "${list}": ${reason}`);
  }
});

Deno.test("model flags: what a name decides is not said again", () => {
  const notes = (model: string, ...args: string[]): string[] =>
    idleFlags(parseFlags(args, MODEL_FLAGS, "train").values, defineConfig({ model: model as "swa" }));
  assertEquals(notes("swa", "--window", "9"), []);
  assertEquals(notes("swa", "--max-length", "9", "--span", "full"), [
    "note: --span, --max-length change nothing with --model swa",
  ]);
});

Deno.test("model flags: a run that goes on keeps its model", () => {
  const model = defineConfig({ model: "mag", memoryDepth: 3, momentum: false });
  const check = (...args: string[]): void => {
    const { values, given } = parseFlags(args, MODEL_FLAGS, "train");
    checkModelFlags(values, given, model, "runs/a");
  };
  check();
  check("--memory-depth", "3", "--no-momentum");
  assertThrows(
    () => check("--memory-depth", "2"),
    UsageError,
    "the run in runs/a has memoryDepth 3, not 2: leave --memory-depth out",
  );
  assertThrows(
    () => check("--no-forgetting"),
    UsageError,
    "the run in runs/a has forgetting true, not false: leave --no-forgetting out",
  );
});

Deno.test("model flags: an option that cannot be is named by the flag that was typed", () => {
  const cases: [string[], string][] = [
    [["--memory-depth", "9"], "--memory-depth cannot be 9: it must be an integer from 1 to 4"],
    [["--width", "63"], "--heads cannot be 2 (which the preset says): it must divide the width, 63"],
    [["--theta-max", "100"], "--theta-max cannot be 100: it must be above 0 and at most 64"],
    [["--mini-batch", "5000"], "--mini-batch cannot be 5000: it must be an integer from 1 to 4096"],
    [
      ["--memory-gain", "fast", "--no-memory-norm"],
      '--memory-gain cannot be "fast": a memory with --no-memory-norm has no gain: leave it at outer',
    ],
    [["--width", "65536"], "--width cannot be 65536: the model would have "],
  ];
  for (const [args, message] of cases) {
    assertThrows(
      () => {
        const flags = parseFlags(args, MODEL_FLAGS, "train").values;
        throw inFlags(assertThrows(() => new Model(defineConfig(modelOptions(flags))), ConfigError), flags);
      },
      UsageError,
      message,
    );
  }
  // Whatever the option, its name as the library has it is not in the line, unless it has no flag.
  for (const field of Object.keys(defineConfig())) {
    const error = new ConfigError(`Cannot use ${field} 5: it must be 6`, field),
      line = inFlags(error, {} as Parameters<typeof inFlags>[1]).message;
    if (ROWS[field].flag !== false) assertEquals(/[a-z][A-Z]/.test(line), false, line);
  }
});

Deno.test("model flags: what changes nothing is said", () => {
  const notes = (...args: string[]): string[] => {
    const [kind, ...rest] = args, flags = parseFlags(rest, MODEL_FLAGS, "train").values;
    return idleFlags(flags, defineConfig({ model: kind as ModelConfig["model"], ...modelOptions(flags) }));
  };
  assertEquals(notes("lmm", "--window", "5"), ["note: --window changes nothing with --model lmm"]);
  assertEquals(notes("mag", "--window", "5", "--segment", "16"), ["note: --segment changes nothing with --model mag"]);
  assertEquals(notes("mac", "--memory-tokens", "8"), [
    "note: --memory-tokens changes nothing with --memory-query causal",
  ]);
  assertEquals(notes("mac", "--memory-tokens", "8", "--memory-query", "learned", "--output-gate", "silu"), []);
  assertEquals(notes("lmm", "--no-forgetting", "--alpha-bias", "-4"), [
    "note: --alpha-bias changes nothing with --no-forgetting",
  ]);
});
