/**
 * What JavaScript without types can pass: each argument of each function that mod.ts and ops/mod.ts export is replaced
 * by other kinds of things, one at a time. The call gives a result, or an error of the library that says what was
 * attempted and what is wrong with it, and never one of the engine, such as "Cannot read properties of undefined".
 */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import * as mneme from "../mod.ts";
import * as ops from "../ops/mod.ts";
import { INPUTS, type Inputs, type OpName, VALID_CALLS } from "./ops/valid_calls.ts";

// deno-lint-ignore no-explicit-any -- wrong types are the point
type Any = any;

const OWN = [mneme.ShapeError, mneme.DTypeError, mneme.OptionError, mneme.CompileError, mneme.DeviceError];

/** Kinds of things, and how an error may quote them. */
const KINDS: readonly (readonly [value: unknown, quoted: RegExp])[] = [
  [undefined, /undefined/],
  [0, /\b0\b|number/],
  [-1.5, /-1\.5/],
  [NaN, /NaN/],
  ["text", /a string|text/],
  [true, /true/],
  [null, /null/],
  [{}, /Object/],
  [[], /list|\[\]|\b0\b/],
  [["text"], /list|string|text/],
  [[null], /list|null/],
  [() => 0, /Function/],
  [new Float32Array(3), /Float32Array|\b3\b/],
  [new Map(), /Map/],
  [mneme.spec([5]), /f32\[5\]|Spec/],
];

/** @throws if an error is not one of the library, or does not say what it is about. */
function checkError(call: string, error: unknown): void {
  assert(OWN.some((type) => error instanceof type), `${call}: ${(error as Error).stack}`);
  const { message } = error as Error;
  assertMatch(message, /^Cannot \w+[^\n]+$/, call);
  assert(!/Internal|not a function|properties of/.test(message), `${call}: ${message}`);
}

/** The calls of an op with one argument replaced, by another kind of thing or by a tensor of another type. */
function wrongCalls(name: OpName, inputs: Inputs): { readonly call: string; readonly args: readonly unknown[] }[] {
  const valid = VALID_CALLS[name](inputs), { places, flags, count } = inputs;
  const values = [...KINDS.map(([value]) => value), places, flags, count];
  return valid.flatMap((_, at) =>
    values.map((value) => ({ call: `${name}, argument ${at} is ${Deno.inspect(value)}`, args: valid.with(at, value) }))
  );
}

Deno.test("wrong arguments: every op has a valid call to start from", () => {
  const exported = Object.entries(ops).filter(([, value]) => typeof value === "function").map(([name]) => name);
  assertEquals(Object.keys(VALID_CALLS).sort(), exported.filter((name) => name !== "scan").sort());
  mneme.trace((inputs: Inputs) => {
    for (const [name, args] of Object.entries(VALID_CALLS)) (ops as Any)[name](...args(inputs));
    return inputs.x;
  }, [INPUTS] as Any);
});

Deno.test("wrong arguments: of ops end in a result or in an error of the library", () => {
  let refused = 0, made = 0;
  mneme.trace((inputs: Inputs) => {
    for (const name of Object.keys(VALID_CALLS) as OpName[]) {
      for (const { call, args } of wrongCalls(name, inputs)) {
        try {
          (ops as Any)[name](...args);
          made++;
        } catch (error) {
          checkError(call, error);
          refused++;
        }
      }
    }
    return inputs.x;
  }, [INPUTS] as Any);
  assert(refused > 3500 && made < refused / 8, `${refused} refused, ${made} made`);
});

Deno.test("wrong arguments: what is no tensor is named where a tensor belongs", () => {
  const unary = [
    "abs",
    "ceil",
    "exp",
    "softmax",
    "sum",
    "mean",
    "reshape",
    "transpose",
    "flip",
    "sort",
    "tile",
  ];
  mneme.trace((inputs: Inputs) => {
    for (const name of unary as OpName[]) {
      for (const [value, quoted] of KINDS.filter(([value]) => !(value instanceof mneme.Spec))) {
        const error = assertThrows(
          () => (ops as Any)[name](...VALID_CALLS[name](inputs).with(0, value)),
          Error,
          "",
          `${name} ${Deno.inspect(value)}`,
        );
        assertMatch((error as Error).message, quoted, `${name} of ${Deno.inspect(value)}`);
      }
    }
    return inputs.x;
  }, [INPUTS] as Any);
});

Deno.test("wrong arguments: a constant says what it takes", () => {
  const message = (...args: unknown[]): string => {
    let found = "";
    mneme.trace((x: mneme.Tensor) => {
      found = (assertThrows(() => (ops.constant as Any)(...args)) as Error).message;
      return x;
    }, [mneme.spec([])]);
    return found;
  };
  assertEquals(message(0), "Cannot make a constant of 0: it must be a list");
  assertEquals(message("12"), "Cannot make a constant of a string: it must be a list");
  assertEquals(message(null), "Cannot make a constant of null: it must be a list");
  assertEquals(message([1], 3), "Cannot make a tensor of shape 3: it must be a list");
  assertEquals(message([1, "2"]), "Cannot make a constant of a string as data[1]: lists hold numbers or truth values");
});

Deno.test("wrong arguments: a tensor where a number has to be known while tracing is refused by the op's name", () => {
  mneme.trace(({ x, count }: Inputs) => {
    assertThrows(
      () => (ops.sliceAxis as Any)(x, 1, count, 2),
      mneme.DTypeError,
      "Cannot slice a Tensor: it must be known",
    );
    for (const call of [() => (ops.full as Any)([2], count), () => (ops.pad as Any)(x, [[0, 0], [0, 0]], count)]) {
      assertThrows(call, mneme.DTypeError, "must be a number");
    }
    return x;
  }, [INPUTS] as Any);
});

/** The functions of mod.ts that take functions, devices or specs. */
async function entryCalls(): Promise<
  Readonly<Record<string, { args: () => unknown[]; run: (args: Any[]) => unknown }>>
> {
  const device = await mneme.requestDevice({ kind: "reference" });
  const f = (x: mneme.Tensor) => ops.sum(ops.mul(x, x)), specs = [mneme.spec([2])];
  const program = await mneme.compile(device, f, specs as Any);
  const traced = (fn: (x: mneme.Tensor) => unknown) => mneme.trace((x: mneme.Tensor) => (fn(x), x), specs as Any);
  const rule = { forward: (x: mneme.Tensor) => [f(x), x], backward: (x: mneme.Tensor) => [x] };
  const body = (carry: mneme.Tensor, x: mneme.Tensor) => [ops.add(carry, x), undefined];
  const m = mneme as Any;
  return {
    grad: { args: () => [f, {}], run: (args) => traced((x) => m.grad(...args)(x)) },
    valueAndGrad: { args: () => [f, {}], run: (args) => traced((x) => m.valueAndGrad(...args)(x)) },
    vjp: { args: () => [f], run: (args) => traced((x) => m.vjp(...args, x)) },
    checkpoint: { args: () => [f], run: (args) => traced((x) => m.checkpoint(...args)(x)) },
    customVjp: { args: () => [f, rule], run: (args) => traced((x) => m.customVjp(...args)(x)) },
    scan: {
      args: () => [body, 0, 0, {}],
      run: ([fn, a, b, o]) => traced((x) => m.scan(fn, a || ops.sum(x), b || x, o)),
    },
    spec: { args: () => [[2], "f32"], run: (args) => m.spec(...args) },
    trace: { args: () => [f, specs], run: (args) => m.trace(...args) },
    compile: { args: () => [device, f, specs, {}], run: (args) => m.compile(...args) },
    jit: { args: () => [device, f, {}], run: (args) => m.jit(...args)([1, 2]) },
    "a function of jit": { args: () => [[1, 2]], run: (args) => m.jit(device, f)(...args) },
    requestDevice: { args: () => [{ kind: "reference" }], run: (args) => m.requestDevice(...args) },
    "Program.run": { args: () => [[1, 2]], run: (args) => (program as Any).run(...args) },
    "Program.launch": { args: () => [[1, 2]], run: (args) => (program as Any).launch(...args) },
    "Program.explain": { args: () => [{ profile: [[1, 2]] }], run: (args) => (program as Any).explain(...args) },
    "Device.upload": {
      args: () => [new Float32Array(2), { shape: [2], dtype: "f32" }],
      run: (args) => (device as Any).upload(...args),
    },
  };
}

Deno.test("wrong arguments: of the functions of mod.ts end in a result or in an error of the library", async () => {
  const calls = await entryCalls();
  const OTHERS = ["CompileError", "DTypeError", "DeviceError", "OptionError", "Program", "ShapeError", "Spec"];
  const exported = Object.keys(mneme).filter((name) => !OTHERS.includes(name));
  assertEquals(exported.filter((name) => !Object.hasOwn(calls, name)), []);
  let refused = 0;
  for (const [name, { args, run }] of Object.entries(calls)) {
    await run(args());
    for (const at of args().keys()) {
      for (const [value] of KINDS) {
        try {
          await run(args().with(at, value));
        } catch (error) {
          checkError(`${name}, argument ${at} is ${Deno.inspect(value)}`, error);
          refused++;
        }
      }
    }
  }
  assert(refused > 250, `${refused} refused`);
});

Deno.test("wrong arguments: a device that was not waited for is named", async () => {
  const waiting = mneme.requestDevice({ kind: "reference" });
  const message = "Cannot compile for a Promise: it must be a device: await requestDevice()";
  await assertRejects(() => mneme.compile(waiting as Any, (x: mneme.Tensor) => x, [mneme.spec([1])]), message);
  (await waiting).dispose();
});
