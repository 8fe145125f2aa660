/** What takes a function: loops, gradients, and what is put around gradients. */
import { isFloat } from "../../../core/dtype.ts";
import { sizeOfShape } from "../../../core/shape.ts";
import { copyBlock } from "../copy_block.ts";
import { allSteps, type Block, type FuzzAttrs, type Id, type Step, type Value } from "../program.ts";
import { Scope } from "../scope.ts";
import { literal, nameOf, type Printer } from "../text.ts";
import { type FuzzOp, fuzzOp } from "./fuzz_op.ts";

/** How large floats that enter a function may be: what its body is written for. */
const LIMIT = 4;
const MAX_CARRIED = 600;

function sameType(x: Value): (value: Value) => boolean {
  return ({ dtype, shape }) =>
    dtype === x.dtype && shape.length === x.shape.length && shape.every((extent, axis) => extent === x.shape[axis]);
}

/** A value of a type for the end of a body: an own one if there is, else something of the parameter that it follows. */
function follower(scope: Scope, param: Value): Value {
  const same = sameType(param);
  if (scope.random.chance(0.12)) return param;
  const found = scope.choose((value) => scope.owns(value) && value !== param && same(value));
  if (found) return scope.bounded(found, LIMIT);
  if (!isFloat(param.dtype)) return param;
  const step = scope.define("mul", [param], { number: 0.5 }, param, { low: -LIMIT / 2, high: LIMIT / 2 });
  const addend = scope.choose((value) => value.dtype === param.dtype && value.shape.length === 0);
  return addend ? scope.bounded(scope.define("add", [step, addend], {}, param), LIMIT) : step;
}

/**
 * One or two products of a carry with square matrices, as in a recurrent network: what a loop's gradient may keep
 * instead of computing it again.
 */
function recurrentCell(body: Scope, carries: readonly Value[]): void {
  const carry = carries.find(({ dtype, shape }) => isFloat(dtype) && shape.length > 0 && shape[shape.length - 1] <= 33);
  if (!carry) return;
  const K = carry.shape[carry.shape.length - 1];
  let state = carry;
  for (let count = body.random.integer(1, 2); count > 0; count--) {
    const weights = body.anyInput({ shape: [K, K], dtype: carry.dtype });
    state = body.bounded(
      body.define("matmul", [state, weights], {}, carry, { low: -2 * LIMIT * K, high: 2 * LIMIT * K }),
      LIMIT,
    );
  }
}

const scan = fuzzOp("scan", 4, (scope) => {
  const { random } = scope;
  const isSmall = (value: Value) => value.shape.length < 5 && sizeOfShape(value.shape) <= MAX_CARRIED;
  const init = Array.from({ length: random.weighted([[1, 0], [6, 1], [4, 2], [1, 3]]) }, () => {
    const any = random.chance(0.75) ? scope.float(isSmall) : scope.choose(isSmall) ?? scope.float(isSmall);
    return scope.bounded(any, LIMIT);
  }).filter(isSmall);
  const first = random.chance(0.5) ? scope.choose(({ shape }) => shape.length > 0 && shape[0] <= 9) : undefined;
  const length = first ? first.shape[0] : random.weighted([[1, 0], [2, 1], [3, 2], [4, 3], [2, 5], [1, 7]]);
  const hasLength = ({ shape }: Value) => shape.length > 0 && shape[0] === length;
  const xs = Array.from({ length: random.integer(init.length === 0 ? 1 : 0, 2) }, () => {
    const any = scope.choose(hasLength) ??
      scope.anyInput({
        shape: [length, ...scope.shape(random.integer(0, 2)).map((extent) => Math.min(extent, 16))],
        dtype: scope.growth.float,
      });
    return scope.bounded(any, LIMIT);
  });
  const body = new Scope(scope.growth, scope);
  const enter = (value: Value, shape: readonly number[]) =>
    body.parameter(
      { shape, dtype: value.dtype },
      isFloat(value.dtype) ? { low: -LIMIT, high: LIMIT } : scope.range(value),
    );
  const carries = init.map((value) => enter(value, value.shape)),
    slices = xs.map((value) => enter(value, value.shape.slice(1)));
  scope.growth.grow(body, random.integer(1, 5));
  if (random.chance(0.3)) recurrentCell(body, carries);
  const next = carries.map((param) => follower(body, param));
  const ys: Value[] = [];
  for (let count = random.integer(0, 2); count > 0; count--) {
    const y = body.choose((value) =>
      (body.owns(value) || random.chance(0.1)) && value.shape.length < 5 &&
      sizeOfShape(value.shape) * length <= scope.growth.maxElements
    );
    if (y) ys.push(y);
  }
  if (next.length + ys.length === 0) return undefined;
  const attrs: FuzzAttrs = {
    carries: init.length,
    length,
    ...(random.chance(0.35) && { reverse: true }),
    ...(random.chance(0.5) && { rematerialize: random.of(["auto", "recompute", "save"]) }),
  };
  const block: Block = {
    params: [...carries, ...slices],
    steps: body.steps,
    results: [...next, ...ys].map(({ id }) => id),
  };
  const out = scope.defineAll("scan", [...init, ...xs], attrs, {
    types: [...init, ...ys.map((y) => ({ shape: [length, ...y.shape], dtype: y.dtype }))],
    ranges: [
      ...next.map((value, i) => ({
        low: Math.min(body.range(value).low, scope.range(init[i]).low),
        high: Math.max(body.range(value).high, scope.range(init[i]).high),
      })),
      ...ys.map((y) => body.range(y)),
    ],
    block,
  });
  return random.of(random.chance(0.25) ? loopAgain(scope, scope.steps.at(-1)!) : out);
}, printScan);

/** A loop once more on other values, as in blocks that are alike: it may share the kernels of the first. */
function loopAgain(scope: Scope, { op, args, attrs, out, block }: Step): readonly Value[] {
  const { growth, random } = scope, visible = new Map(scope.visible().map((value) => [value.id, value]));
  const another = (value: Value): Value => {
    if (random.chance(0.2)) return value;
    const found = scope.choose((other) => other.id !== value.id && sameType(value)(other));
    if (!isFloat(value.dtype)) return value;
    return scope.bounded(found ?? scope.anyInput(value), LIMIT);
  };
  const others = args.map((id) => another(visible.get(id)!));
  const captured = new Map(outside(block!).map((id) => [id, another(visible.get(id)!).id]));
  return scope.defineAll(op, others, attrs, {
    types: out,
    ranges: out.map((value) => scope.range(value)),
    block: copyBlock(block!, captured, growth),
  });
}

function printScan({ args, attrs, out, block }: Step, text: Printer): string {
  const count = attrs.carries as number, { params } = block!, typed = text.options.typed;
  const hasXs = args.length > count, hasYs = out.length > count;
  const type = typed ? ": Tensor[]" : "";
  const head = [
    `${text.pattern(params.slice(0, count))}${type}`,
    ...(hasXs ? [`${text.pattern(params.slice(count))}${type}`] : []),
  ].join(", ");
  const body = text.block(head, block!, (names) => {
    const pair = `[[${names.slice(0, count).join(", ")}], ${
      hasYs ? `[${names.slice(count).join(", ")}]` : "undefined"
    }]`;
    return typed ? `${pair} as [Tensor[], ${hasYs ? "Tensor[]" : "undefined"}]` : pair;
  });
  const options = {
    length: attrs.length,
    ...(attrs.reverse && { reverse: true }),
    ...(attrs.rematerialize && { rematerialize: attrs.rematerialize }),
  };
  const list = (from: number, to?: number) => `[${args.slice(from, to).map(nameOf).join(", ")}]`;
  const left = `[${text.pattern(out.slice(0, count))}${hasYs ? `, ${text.pattern(out.slice(count))}` : ""}]`;
  return `const ${left} = scan(${body}, ${list(0, count)}, ${hasXs ? list(count) : "undefined"}, ${literal(options)})`;
}

/**
 * Arguments to differentiate: those of the body, so that gradients of gradients depend on what is differentiated first.
 */
function primals(scope: Scope): Value[] {
  const isSmall = (value: Value) => isFloat(value.dtype) && sizeOfShape(value.shape) <= 2048;
  return Array.from({ length: scope.random.weighted([[5, 1], [3, 2], [1, 3]]) }, () => {
    const own = scope.random.chance(0.6) ? scope.choose((value) => scope.owns(value) && isSmall(value)) : undefined;
    return scope.bounded(own ?? scope.float(isSmall), LIMIT);
  });
}

/** A body on parameters like `args`; `nested` puts a gradient into it first. */
function functionOf(scope: Scope, args: readonly Value[]): { body: Scope; params: Value[] } {
  const body = new Scope(scope.growth, scope);
  const params = args.map((value) => body.parameter(value, scope.range(value)));
  if (body.depth <= 2 && scope.random.chance(0.4)) scope.random.of([...DIFFERENTIATIONS, ...WRAPPED]).make(body);
  scope.growth.grow(body, scope.random.integer(1, 5));
  return { body, params };
}

/** A scalar of what a body has computed last. */
function lossOf(body: Scope): Value {
  const { random } = body;
  const isOwn = (value: Value) => body.owns(value) && isFloat(value.dtype);
  const found = body.own.filter((value) => isOwn(value)).at(-1)!;
  const last = body.bounded(random.chance(0.8) ? found : body.choose(isOwn) ?? found, 30);
  const size = Math.max(1, sizeOfShape(last.shape));
  const scalar = { shape: [], dtype: last.dtype };
  if (last.shape.length === 0 && random.chance(0.5)) return last;
  const shaped = random.weighted<() => Value>([
    [2, () => body.define("square", [last], {}, last, { low: 0, high: 900 })],
    [2, () => body.define("sin", [last], {}, last, { low: -1, high: 1 })],
    [2, () => last],
    [3, () => {
      const weight = body.bounded(body.choose(sameType(last)) ?? body.anyInput(last), LIMIT);
      return body.define("mul", [last, weight], {}, last, { low: -30 * LIMIT, high: 30 * LIMIT });
    }],
  ])();
  const { low, high } = body.range(shaped);
  return body.define(
    size > 0 && random.chance(0.3) && sizeOfShape(last.shape) > 0 ? "mean" : "sum",
    [shaped],
    {},
    scalar,
    {
      low: size * Math.min(0, low),
      high: size * Math.max(0, high),
    },
  );
}

function gradient(name: "grad" | "valueAndGrad", weight: number): FuzzOp {
  return fuzzOp(name, weight, (scope) => {
    const args = primals(scope), { body, params } = functionOf(scope, args), loss = lossOf(body);
    const argnums = scope.random.subset(args.length);
    const block: Block = { params, steps: body.steps, results: [loss.id] };
    const types = argnums.map((position) => args[position]);
    const attrs: FuzzAttrs = { argnums: argnums.length === 1 && scope.random.chance(0.5) ? argnums[0] : argnums };
    const out = scope.defineAll(name, args, attrs, { types: name === "grad" ? types : [loss, ...types], block });
    return scope.random.of(out);
  }, printGradient);
}

function printGradient({ op, args, attrs, out, block }: Step, text: Printer): string {
  const body = text.block(text.parameter(block!.params), block!, ([loss]) => loss);
  const call = `${op}(${body}, ${literal({ argnums: attrs.argnums })})(${args.map(nameOf).join(", ")})`;
  const gradients = op === "grad" ? out : out.slice(1);
  const left = Array.isArray(attrs.argnums) ? text.pattern(gradients) : nameOf(gradients[0].id);
  return `const ${op === "grad" ? left : `[${nameOf(out[0].id)}, ${left}]`} = ${call}`;
}

const vjp = fuzzOp("vjp", 2, (scope) => {
  const args = primals(scope), { body, params } = functionOf(scope, args);
  const isResult = (value: Value) => body.owns(value) && isFloat(value.dtype);
  const results = Array.from({ length: scope.random.integer(1, 2) }, () => body.choose(isResult) ?? params[0]);
  const cotangents = results.map((result) =>
    scope.random.chance(0.25)
      ? scope.define("zeros", [], { shape: result.shape, dtype: result.dtype }, result, { low: 0, high: 0 })
      : scope.bounded(scope.choose(sameType(result)) ?? scope.anyInput(result), LIMIT)
  );
  const block: Block = { params, steps: body.steps, results: results.map(({ id }) => id) };
  const out = scope.defineAll("vjp", [...args, ...cotangents], {}, {
    types: [...results, ...args],
    ranges: results.map((result) => body.range(result)),
    block,
  });
  return scope.random.of(out);
}, ({ args, out, block }, text) => {
  const { params, results } = block!, count = params.length, pull = `pull${out[0].id}`;
  const body = text.block(
    `${text.pattern(params)}${text.options.typed ? ": Tensor[]" : ""}`,
    block!,
    (names) => `[${names.join(", ")}]`,
  );
  const list = (from: number, to?: number) => `[${args.slice(from, to).map(nameOf).join(", ")}]`;
  return `const [${text.pattern(out.slice(0, results.length))}, ${pull}] = vjp(${body}, ${list(0, count)});\n` +
    `const ${text.pattern(out.slice(results.length))} = ${pull}(${list(count)})`;
});

function wrapped(name: string, weight: number, call: FuzzOp["call"]): FuzzOp {
  return fuzzOp(name, weight, (scope) => {
    const args = primals(scope), { body, params } = functionOf(scope, args);
    const results = Array.from(
      { length: scope.random.integer(1, 2) },
      () => body.choose((value) => body.owns(value)) ?? params[0],
    );
    const block: Block = { params, steps: body.steps, results: results.map(({ id }) => id) };
    const ranges = results.map((result) => body.range(result));
    return scope.random.of(scope.defineAll(name, args, {}, { types: results, ranges, block }));
  }, call);
}

/** The values that a block takes from outside. */
function outside({ params, steps, results }: Block): Id[] {
  const inner = allSteps(steps), blocks = inner.flatMap(({ block }) => (block ? [block] : []));
  const defined = new Set([...params, ...blocks.flatMap(({ params }) => params), ...inner.flatMap(({ out }) => out)]
    .map(({ id }) => id));
  const used = [...inner.flatMap(({ args }) => args), ...blocks.flatMap(({ results }) => results), ...results];
  return [...new Set(used)].filter((id) => !defined.has(id));
}

/** `wrap((parameters, ...taken) => [results])(arguments, ...taken)`. */
function printCall(wrap: string, taken: readonly Id[], { args, out, block }: Step, text: Printer): string {
  const type = text.options.typed ? ": Tensor" : "";
  const head = [...block!.params.map(({ id }) => id), ...taken].map((id) => `${nameOf(id)}${type}`).join(", ");
  const body = text.block(head, block!, (names) => `[${names.join(", ")}]`);
  return `const ${text.pattern(out)} = ${wrap}(${body})(${[...args, ...taken].map(nameOf).join(", ")})`;
}

/** Functions with another gradient around them that must change nothing: recomputed, or written by hand. */
const WRAPPED: readonly FuzzOp[] = [
  wrapped("checkpoint", 1.5, (step, text) => printCall("checkpoint", [], step, text)),
  // What the body takes from outside has no gradient there, so it is an argument that goes by the same name.
  wrapped("customVjp", 1.5, (step, text) => printCall("byHand", outside(step.block!), step, text)),
];

const DIFFERENTIATIONS: readonly FuzzOp[] = [gradient("grad", 4), gradient("valueAndGrad", 1), vjp];

/** The table's rows that take a function. */
export const CONTROL: readonly FuzzOp[] = [scan, ...DIFFERENTIATIONS, ...WRAPPED];
