/** No public function takes an option that it does not know: every one that takes options is called with one. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { OptionError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { interpret } from "../core/interpret.ts";
import { nearest } from "../core/options.ts";
import { spec, trace } from "../core/trace.ts";
import * as kernels from "../kernels/mod.ts";
import * as library from "../mod.ts";
import * as ops from "../ops/mod.ts";
import * as titans from "../titans/mod.ts";
import { type OptionParameter, optionParameters } from "./public_options.ts";

const UNKNOWN = { bogus: 1 };

/**
 * Trees of parameters and states: made by the library, and what they hold differs by the model. And records of any age,
 * which are read before they are checked.
 */
const NO_OPTIONS = ["MacMixer", "MagMixer", "MalMixer", "MemoryLayer", "ModelParameters"],
  RECORDS = ["completeConfig", "intervalOf", "scheduleAt"];

const exported: Readonly<Record<string, unknown>> = { ...library, ...ops, ...kernels, ...titans };
// deno-lint-ignore no-explicit-any -- functions of all kinds, called wrongly on purpose
type Any = any;

const config = titans.defineConfig({
  model: "lmm",
  width: 8,
  heads: 1,
  blocks: 1,
  mlpHidden: 8,
  vocabulary: 8,
  miniBatch: 2,
});
const memoryConfig = { ...new titans.Model(config).layers[0].options, width: 8 };
const network = titans.mlpMemory({ width: 4, depth: 1, norm: false });

/** Real ones, for methods. */
interface Holders {
  readonly device: kernels.Device;
  readonly trainer: titans.Trainer;
  readonly decoder: titans.Decoder;
}

/** Arguments that would do, but for the one that is {@link UNKNOWN}: some owners' own, else tensors. */
function argumentsOf({ owner, at }: OptionParameter, x: Tensor, { device }: Holders): unknown[] {
  const memory = { network, gains: [] },
    sequence = { query: x, key: x },
    run = { state: { weights: [], surprise: [] }, miniBatch: 2 };
  if (/^(chunked|layered|naive)Memory$/.test(owner)) return [memory, sequence, run];
  if (owner === "traceMemory") return [memory, sequence, x, run];
  if (owner === "readMemory") return [memory, [], x];
  if (owner === "memoryLayer") return [memoryConfig, {}, x, { state: {} }];
  if (owner === "readPersistent") return [memoryConfig, {}, x, 1];
  if (/Windows$|^evenStreams$/.test(owner)) return [[{ text: [1, 2, 3, 4] }], { batch: 1, length: 2 }, 1, {}];
  if (owner === "generate") return [{}, [1], {}];
  if (owner === "compile") return [device, (y: Tensor) => y, [spec([2])], {}];
  if (owner === "scan") return [(carry: Tensor) => [carry, undefined], x, undefined, {}];
  if (/^(grad|valueAndGrad)$/.test(owner)) return [(y: Tensor) => ops.sum(y), {}];
  return [...new Array(at).fill(x), {}];
}

/** Calls the owner with options that it does not know. */
function misuse(parameter: OptionParameter, x: Tensor, holders: Holders): unknown {
  const { owner, at } = parameter, given = argumentsOf(parameter, x, holders).with(at, UNKNOWN);
  if (owner.startsWith("new ")) return new (exported[owner.slice(4)] as Any)(...given);
  const [name, method] = owner.split("."), of = exported[name] as Any;
  if (!method) return name === "generate" ? of(...given).next() : of(...given);
  const piece = new titans.TracedPiece(0, new Int32Array(1), new Float64Array(1), new Float32Array(1), []);
  const instances: Readonly<Record<string, Any>> = {
    Trainer: holders.trainer,
    Decoder: holders.decoder,
    Model: holders.trainer.model,
    TracedPiece: piece,
  };
  return (method in of ? of : instances[name])[method](...given);
}

/** The error of a call, whether it is thrown or comes as a rejection. */
async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
}

Deno.test("every public function that takes options refuses a name that it does not know, by one line", async () => {
  const root = new URL("../", import.meta.url).pathname;
  const parameters =
    (await optionParameters(["mod.ts", "ops/mod.ts", "kernels/mod.ts", "titans/mod.ts"].map((path) => root + path)))
      .filter(({ owner, type }) => !NO_OPTIONS.includes(type) && !RECORDS.includes(owner));
  assert(parameters.length >= 70, `${parameters.length} parameters were found`);
  const device = await library.requestDevice({ kind: "reference" });
  const model = new titans.Model(config),
    options = { model, optimizer: titans.defineOptimizer(), shape: { batch: 1, length: 2 }, seed: 1 };
  const trainer = await titans.Trainer.create(device, options),
    decoder = await titans.Decoder.create(device, model, model.layout.pack(model.initialize(1)));
  const wrong: string[] = [], pending: Promise<void>[] = [];
  trace((x: Tensor) => {
    for (const parameter of parameters) {
      pending.push(
        errorOf(() => misuse(parameter, x, { device, trainer, decoder })).then((error) => {
          const { message } = error instanceof OptionError || error instanceof titans.ConfigError
            ? error
            : { message: `${error}` };
          if (!/^Cannot use the option bogus of .*: there is no such option; it takes .*$/.test(message)) {
            wrong.push(`${parameter.owner}, argument ${parameter.at}: ${message}`);
          }
        }),
      );
    }
    return x;
  }, [spec([1, 1, 4, 4])]);
  await Promise.all(pending);
  decoder.dispose();
  trainer.dispose();
  device.dispose();
  assertEquals(wrong, []);
});

Deno.test("explain takes nothing but what to profile with", async () => {
  using device = await library.requestDevice({ kind: "reference" });
  using program = await library.compile(device, (x: Tensor) => x, [spec([2])]);
  assertThrows(() => program.explain({ profil: [[1, 2]] } as Any), OptionError, "did you mean profile?");
});

const values = (fn: (x: Tensor) => Tensor): number[] => {
  const { graph } = trace(fn, [spec([2, 3])]);
  return [...interpret(graph, [{ shape: [2, 3], dtype: "f32", data: Float64Array.of(1, 5, 3, 4, 2, 6) }])[0].data];
};

Deno.test("axis and axes are one option of every op that goes along an axis", () => {
  assertEquals(values((x) => ops.sum(x, { axis: 0 })), [5, 7, 9]);
  const both: [string, (x: Tensor, options: Any) => Tensor][] = [
    ["sum", ops.sum],
    ["max", ops.max],
    ["min", ops.min],
    ["mean", ops.mean],
    ["argmax", ops.argmax],
    ["argmin", ops.argmin],
    ["variance", ops.variance],
    ["prod", ops.prod],
    ["sort", ops.sort],
    ["argsort", ops.argsort],
    ["topK", (x, options) => ops.topK(x, 2, options)[0]],
    ["takeAlongAxis", (x, options) => ops.takeAlongAxis(x, ops.zeros([1, 1], "i32"), options)],
    ["repeat", (x, options) => ops.repeat(x, 2, options)],
    ["roll", (x, options) => ops.roll(x, 1, options)],
    ["softmax", ops.softmax],
    ["logSoftmax", ops.logSoftmax],
    ["logSumExp", ops.logSumExp],
    ["cumsum", ops.cumsum],
    ["cumprod", ops.cumprod],
    ["linearScan", (x, options) => ops.linearScan(0.5, x, options)],
    ["gather", (x, options) => ops.gather(x, ops.constant([1, 0], [2], "i32"), options)],
    [
      "scatterAdd",
      (x, options) =>
        ops.scatterAdd(
          x,
          ops.constant([1, 0], [2], "i32"),
          ops.ones(options.axis === 0 || options.axes === 0 ? [2, 3] : [2, 2]),
          options,
        ),
    ],
  ];
  for (const [name, op] of both) {
    for (const axis of [0, 1]) {
      const expected = values((x) => op(x, { axis }));
      assertEquals(values((x) => op(x, { axes: axis })), expected, name);
      assert(String(expected) !== String(values((x) => op(x, { axis: 1 - axis }))), name);
    }
    assertThrows(() => values((x) => op(x, { axis: 0, axes: 1 })), OptionError, "they are one option", name);
  }
  for (const op of [ops.argmax, ops.softmax, ops.cumsum, ops.gather] as Any[]) {
    assertThrows(
      () => values((x) => op(x, ...(op === ops.gather ? [x] : []), { axes: [0, 1] })),
      OptionError,
      "one axis",
    );
  }
  assertThrows(() => values((x) => ops.cumsum(x, {} as Any)), OptionError, "without an axis");
});

Deno.test("options that are no record are refused, with what to write", () => {
  const refused: [() => unknown, string][] = [
    [
      () => values((x) => ops.argmax(x, 1 as Any)),
      "Cannot call argmax with 1 as its options: write a record, such as { axis: ... }",
    ],
    [
      () => values((x) => ops.sum(x, [0] as Any)),
      "Cannot call sum with a list of 1 as its options: write a record, such as { axes: ... }",
    ],
    [() => values((x) => ops.sum(x, null as Any)), "Cannot call sum with null as its options"],
    [
      () => library.grad((x: Tensor) => x, 1 as Any),
      "Cannot call grad with 1 as its options: write a record, such as { argnums: ... }",
    ],
    [() => values((x) => ops.layerNorm(x, x as Any)), "Cannot use the option node of layerNorm (a Tensor was given)"],
  ];
  for (const [call, text] of refused) assertStringIncludes(assertThrows(call, OptionError).message, text);
});

Deno.test("the name that was probably meant is offered", () => {
  const optimizer = Object.keys(titans.defineOptimizer());
  const cases: readonly (readonly [string, readonly string[], string | undefined])[] = [
    ["lr", optimizer, "learningRate"],
    ["learning_rate", optimizer, "learningRate"],
    ["eps", optimizer, "epsilon"],
    ["weigthDecay", optimizer, "weightDecay"],
    ["wd", optimizer, "weightDecay"],
    ["dim", ["axes", "axis", "keepDims"], "axis"],
    ["keepdims", ["axes", "axis", "keepDims"], "keepDims"],
    ["axsi", ["axes", "axis", "keepDims"], "axis"],
    ["tempreature", ["temperature", "topK"], "temperature"],
    ["topk", ["temperature", "topK"], "topK"],
    ["momentum", optimizer, undefined],
    ["x", optimizer, undefined],
  ];
  for (const [name, names, meant] of cases) assertEquals(nearest(name, names), meant, name);
  assertThrows(
    () => titans.defineOptimizer({ lr: 1 } as Any),
    titans.ConfigError,
    "Cannot use the option lr of the optimizer: did you mean learningRate?",
  );
  assertThrows(() => titans.defineConfig({ widht: 8 } as Any), titans.ConfigError, "did you mean width?");
});

Deno.test("a parameter says with what it starts, or is refused", () => {
  const make = (initializer: unknown, decay: unknown = true) =>
    new titans.Parameter([2, 3], initializer as Any, decay as Any);
  for (const good of [{ value: 0 }, { normal: 0.1 }, { parts: [1, 2, 3] }]) make(good);
  const bad: [unknown, string][] = [
    [{ zeros: true }, "the option zeros of a parameter's initializer"],
    [{}, "by nothing: give one of normal, truncatedNormal, uniform, orthogonal, value, parts"],
    [undefined, "by nothing"],
    [{ value: 1, normal: 2 }, "by value and normal"],
    [{ value: NaN }, "with value NaN"],
    [{ normal: "0.1" }, "with normal 0.1: it must be a finite number"],
    [{ parts: [1, 2, 3, 4] }, "in 4 equal parts: it has 6 elements"],
    [{ parts: 3 }, "in parts of 3"],
  ];
  for (const [initializer, text] of bad) assertThrows(() => make(initializer), titans.ConfigError, text);
  assertThrows(() => make({ value: 0 }, null), titans.ConfigError, "decay null");
});

Deno.test("a trainer completes its optimiser's options, and refuses one that there is not", async () => {
  using device = await library.requestDevice({ kind: "reference" });
  const options = { model: new titans.Model(config), shape: { batch: 1, length: 2 }, seed: 1 };
  await assertRejects(
    () => titans.Trainer.create(device, { ...options, optimizer: { lr: 1 } as Any }),
    titans.ConfigError,
    "did you mean learningRate?",
  );
  const trainer = await titans.Trainer.create(device, { ...options, optimizer: { learningRate: 1e-2 } as Any });
  const [{ loss }] = await trainer.run({ batch: () => Int32Array.of(1, 2, 3) });
  assert(Number.isFinite(loss));
  trainer.dispose();
});
