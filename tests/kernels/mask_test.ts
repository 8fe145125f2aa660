/** What masks hide is found, left out by every printer, and changes nothing. */
import { unmaskedShare } from "../../kernels/mask_share.ts";
import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { addIndex, divIndex, type Index, makeVar, scaleIndex, type Var, varIndex } from "../../core/index_expr.ts";
import { scan } from "../../core/scan.ts";
import { simplify } from "../../core/simplify.ts";
import { interpret } from "../../core/interpret.ts";
import { type Spec, spec, trace } from "../../core/trace.ts";
import { compile } from "../../kernels/compile.ts";
import { costOf } from "../../kernels/cost.ts";
import { requestCpuDevice } from "../../kernels/mod.ts";
import { printCpuKernel } from "../../kernels/devices/wasm/print_kernel.ts";
import { encodeModule } from "../../kernels/codegen/wasm_encoder.ts";
import type { Band, ContractKernel } from "../../kernels/kernel.ts";
import type { Schedule, Step } from "../../kernels/plan.ts";
import { schedule } from "../../kernels/schedule.ts";
import { printWgsl } from "./print_wgsl.ts";
import type { AttentionOptions } from "../../ops/attention.ts";
import * as ops from "../../ops/mod.ts";
import { segmentAttention } from "../../titans/nn/attention.ts";
import { wave } from "../evaluate.ts";
import { evaluateSchedule } from "./evaluate_schedule.ts";
import { runOnHost, TARGETS } from "./host_language.ts";
import { type Condition, conditionOf, conditions, honour } from "./masks.ts";
import { Build, contractKernel } from "./print_cases.ts";
import { type Elements, Gpu, randomElements, runReference } from "./print_harness.ts";

// deno-lint-ignore no-explicit-any -- any function of tensors
type Program = (...args: any[]) => unknown;

function scheduleOf(fn: Program, shapes: readonly (readonly number[])[]): Schedule {
  return schedule(simplify(trace(fn, shapes.map((shape) => spec(shape))).graph), { maxOperands: 8 });
}

function contractsOf(steps: readonly Step[]): ContractKernel[] {
  return steps.flatMap((
    step,
  ) => (step.kind === "loop" ? contractsOf(step.steps) : step.kernel.kind === "contract" ? [step.kernel] : []));
}

/** The products of attention and of its gradients in q, k and v. */
function attentionProducts(T: number, S: number, options: AttentionOptions): ContractKernel[] {
  const loss = (q: Tensor, k: Tensor, v: Tensor, g: Tensor) => ops.sum(ops.mul(ops.attention(q, k, v, options), g));
  const both: Program = (
    q,
    k,
    v,
    g,
  ) => [ops.attention(q, k, v, options), grad(loss, { argnums: [0, 1, 2] })(q, k, v, g)];
  return contractsOf(scheduleOf(both, [[2, 3, T, 8], [2, 3, S, 8], [2, 3, S, 8], [2, 3, T, 8]]).steps);
}

function isVisible(q: number, s: number, { causal, window, segment, prefix = 0 }: AttentionOptions): boolean {
  const key = s - prefix;
  if (key < 0) return true;
  if (causal && key > q) return false;
  if (window !== undefined && Math.abs(q - key) >= window) return false;
  return segment === undefined || Math.floor(q / segment) === Math.floor(key / segment);
}

const MASKS: readonly AttentionOptions[] = [
  { causal: true },
  { causal: true, window: 5 },
  { window: 7 },
  { segment: 9 },
  { causal: true, segment: 9 },
  { causal: true, prefix: 6 },
  { causal: true, window: 5, prefix: 6 },
  { segment: 9, prefix: 6 },
];

Deno.test("a mask is found in all six products of attention and its gradient, exactly", () => {
  for (const options of MASKS) {
    const T = 37, S = T + (options.prefix ?? 0), label = JSON.stringify(options);
    let visible = 0;
    for (let q = 0; q < T; q++) for (let s = 0; s < S; s++) visible += Number(isVisible(q, s, options));
    const products = attentionProducts(T, S, options);
    assertEquals(products.length, 6, label);
    for (const product of products) {
      assertAlmostEquals(unmaskedShare(product), visible / (T * S), 1e-12, `${label}: ${product.origins}`);
    }
  }
});

Deno.test("products without a mask, or with one that depends on data, have no dead terms", () => {
  assertEquals(attentionProducts(37, 37, {}).map(({ mask }) => mask), [[], [], [], [], [], []]);
  const byData: Program = (x, y) => ops.matmul(ops.where(ops.greater(x, 0), x, 0), y);
  assertEquals(contractsOf(scheduleOf(byData, [[20, 30], [30, 10]]).steps).map(({ mask }) => mask), [[]]);
  const either: Program = (x, y) =>
    ops.matmul(ops.where(ops.logicalOr(ops.greater(x, 0), ops.less(ops.iota([20, 30], 1), 5)), x, 0), y);
  assertEquals(contractsOf(scheduleOf(either, [[20, 30], [30, 10]]).steps).map(({ mask }) => mask), [[]]);
  // Of a condition of which only a part is known, that part counts.
  const known: Program = (x, y) =>
    ops.matmul(ops.where(ops.logicalAnd(ops.greater(x, 0), ops.less(ops.iota([20, 30], 1), 15)), x, 0), y);
  assertEquals(contractsOf(scheduleOf(known, [[20, 30], [30, 10]]).steps).map((kernel) => unmaskedShare(kernel)), [
    0.5,
  ]);
});

Deno.test("a result that is read without its mask, or stored beside it, is computed everywhere", () => {
  const mask = () => ops.lessEqual(ops.iota([24, 24], 1), ops.iota([24, 24], 0));
  const both: Program = (x, y) => {
    const scores = ops.matmul(x, y);
    return [ops.where(mask(), scores, -1), scores];
  };
  assertEquals(contractsOf(scheduleOf(both, [[24, 8], [8, 24]]).steps).map(({ mask }) => mask), [[]]);
  const shares = (fn: Program) =>
    contractsOf(scheduleOf(fn, [[24, 8], [8, 24]]).steps).map((kernel) => unmaskedShare(kernel));
  assertEquals(shares((x, y) => ops.where(mask(), ops.matmul(x, y), -1)), [25 / 48]);
  // A factor of zeros hides a result, and a chosen side of a choice does as well.
  assertEquals(shares((x, y) => ops.mul(ops.matmul(x, y), ops.cast(mask(), "f32"))), [25 / 48]);
  assertEquals(shares((x, y) => ops.where(ops.logicalNot(mask()), 3, ops.tanh(ops.matmul(x, y)))), [25 / 48]);
});

Deno.test("attention of a segment skips what no query sees, of its context too", () => {
  const [P, C] = [5, 32], keys = (...tensors: Tensor[]) => ({ key: tensors[0], value: tensors[1] });
  const shapes = [[1, 2, C, 8], [1, 2, C, 8], [1, 2, C, 8], [1, 2, C, 8], [1, 2, C, 8], [1, 2, P, 8], [1, 2, P, 8]];
  const run = (contextIsCausal: boolean): Program => (query, k, v, hk, hv, pk, pv) =>
    segmentAttention(query, { own: keys(k, v), context: keys(hk, hv), contextIsCausal, persistent: keys(pk, pv) });
  const shares = (contextIsCausal: boolean) =>
    contractsOf(scheduleOf(run(contextIsCausal), shapes).steps).map((kernel) => unmaskedShare(kernel));
  const half = C * (C + 1) / 2, S = P + 2 * C;
  assertEquals(shares(true), [(P * C + 2 * half) / (C * S), (P * C + 2 * half) / (C * S)]);
  assertEquals(shares(false), [(P * C + C * C + half) / (C * S), (P * C + C * C + half) / (C * S)]);
});

Deno.test("masks inside loops are found, and counted work is what is left", () => {
  const steps: Program = (xs, y) => {
    const body = (at: Tensor, x: Tensor): [Tensor, Tensor] => {
      const first = ops.broadcastTo(ops.reshape(at, [1, 1]), [16, 32]);
      return [
        ops.add(at, 1),
        ops.matmul(ops.where(ops.logicalAnd(ops.greaterEqual(ops.iota([16, 32], 1), 8), ops.less(first, 3)), x, 0), y),
      ];
    };
    return scan(body, ops.zeros([]), xs)[1];
  };
  const [kernel] = contractsOf(scheduleOf(steps, [[4, 16, 32], [32, 8]]).steps);
  assertEquals(unmaskedShare(kernel), 0.75);
  assertEquals(costOf(kernel).flops, 0.75 * 2 * 16 * 32 * 8);
});

Deno.test("dropped terms are zero or never read, whatever the mask", () => {
  let dropped = 0, kept = 0;
  const sizes = fc.integer({ min: 1, max: 11 });
  fc.assert(
    fc.property(
      conditions,
      conditions,
      fc.record({ m: sizes, n: sizes, k: sizes, where: fc.integer({ min: 0, max: 4 }) }),
      (first, second, { m, n, k, where }) => {
        const hidden = (condition: Condition, x: Tensor, by: number) => ops.where(conditionOf(condition, x), x, by);
        const fn: Program = (x, y) => {
          const lhs = where === 0 || where === 4 ? hidden(first, x, 0) : x;
          const rhs = where === 1 || where === 4 ? hidden(second, y, 0) : y;
          // A softmax between stores what is masked; the product after it sees zeros in memory.
          if (where === 3) return ops.matmul(ops.where(conditionOf(first, x), ops.softmax(x), 0), y);
          const product = ops.matmul(lhs, rhs);
          return where === 2
            ? ops.tanh(hidden(first, product, 0.5))
            : [product, ops.matmul(ops.swapAxes(lhs, 0, 1), product)];
        };
        const scheduled = scheduleOf(fn, [[m, k], [k, n]]), inputs = [wave([m, k], 1).data, wave([k, n], 2).data];
        const products = contractsOf(scheduled.steps);
        products.forEach((kernel) => kernel.mask.length > 0 ? dropped += 1 - unmaskedShare(kernel) : kept++);
        assertEquals(
          evaluateSchedule({ ...scheduled, steps: scheduled.steps.map(honour) }, inputs),
          evaluateSchedule(scheduled, inputs),
        );
      },
    ),
    { numRuns: 300, seed: 5 },
  );
  assert(dropped > 50 && kept > 50, `${dropped} products were dropped, ${kept} kept whole`);
});

/** The bands of a mask between queries and keys. */
function bandsOf(q: Index, s: Index, { causal, window, segment, prefix = 0 }: AttentionOptions): Band[] {
  const key = addIndex(s, -prefix), minus = (x: Index, y: Index) => addIndex(x, scaleIndex(y, -1));
  const band: Index[] = [];
  if (causal) band.push(minus(q, key));
  if (window !== undefined) band.push(addIndex(minus(key, q), window - 1), addIndex(minus(q, key), window - 1));
  if (segment !== undefined) {
    const shift = segment * Math.ceil(prefix / segment),
      own = divIndex(addIndex(q, shift), segment),
      other = divIndex(addIndex(key, shift), segment);
    band.push(minus(own, other), minus(other, own));
  }
  return prefix > 0 ? [[addIndex(scaleIndex(s, -1), prefix - 1)], band] : [band];
}

/** Which axes of a product the mask is on: scores, weights times values, and what the gradients take of both. */
type Role = "scores" | "values" | "keys" | "transposed";

/** A product of which `mask` is as a schedule has it, and data that are zero where it says so. */
function maskedProduct(role: Role, T: number, options: AttentionOptions): { kernel: ContractKernel; data: Elements[] } {
  const S = T + (options.prefix ?? 0), D = 12;
  const [m, n, k] = { scores: [T, S, D], values: [T, D, S], keys: [D, S, T], transposed: [S, D, T] }[role];
  const e = new Build(), b = makeVar("b", 2), M = makeVar("m", m), N = makeVar("n", n), K = makeVar("k", k);
  const lhs = role === "keys" || role === "transposed" ? e.read([2, k, m], [b, K, M]) : e.read([2, m, k], [b, M, K]);
  const rhs = role === "scores" ? e.read([2, n, k], [b, N, K]) : e.read([2, k, n], [b, K, N]);
  const [q, s]: [Var, Var] = { scores: [M, N], values: [M, K], keys: [K, N], transposed: [K, M] }[role] as [Var, Var];
  const mask = bandsOf(varIndex(q), varIndex(s), options);
  const isLive = mask.map((band) =>
    band.map((index) => e.inRange(index, 0, 1 << 20)).reduce(
      (all, test) => e.binary("and", all, test),
      e.const(1, "bool"),
    )
  )
    .reduce((any, band) => e.binary("or", any, band));
  const value = role === "scores" ? e.select(isLive, e.b("mul", e.accumulator(), 0.5), e.const(-7)) : e.accumulator();
  const stores = [e.write([2, m, n], [b, M, N], value)];
  const kernel: ContractKernel = {
    kind: "contract",
    loops: [],
    origins: [],
    batch: [b],
    m: M,
    n: N,
    k: K,
    lhs,
    rhs,
    stores,
    mask,
    operands: e.operands,
  };
  const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
  for (let batch = 0; batch < 2; batch++) {
    for (let query = 0; query < T; query++) {
      for (let key = 0; key < S; key++) {
        if (isVisible(query, key, options)) continue;
        if (role === "values" || role === "transposed") data[0][(batch * T + query) * S + key] = 0;
        if (role === "keys") data[1][(batch * T + query) * S + key] = 0;
      }
    }
  }
  return { kernel, data };
}

const ROLES: readonly Role[] = ["scores", "values", "keys", "transposed"];

const gpu = await Gpu.open();

/** Every role with causal masks at all sizes, and with all masks at one. */
function* maskedProducts(): Generator<{ label: string; kernel: ContractKernel; data: Elements[] }> {
  for (const role of ROLES) {
    for (const T of [1, 7, 64, 65, 200]) {
      yield { label: `causal ${role} of ${T}`, ...maskedProduct(role, T, { causal: true }) };
    }
    for (const options of [...MASKS.slice(1), { causal: true, window: 40, prefix: 30 }]) {
      yield { label: `${JSON.stringify(options)} ${role}`, ...maskedProduct(role, 65, options) };
    }
  }
}

function assertClose(label: string, found: readonly Elements[], wanted: readonly Elements[]): void {
  const at = found.length - 1, scale = Math.max(1, ...Array.from(wanted[at], Math.abs));
  wanted[at].forEach((value, i) =>
    assert(
      Math.abs(value - found[at][i]) <= 1e-5 * scale,
      `${label}: element ${i} is ${found[at][i]}, should be ${value}`,
    )
  );
}

/** Runs a kernel's printed module, thread after thread. */
function runCpu(kernel: ContractKernel, data: readonly Elements[], threads: number): Float32Array[] {
  const { fn, scratchBytes } = printCpuKernel(kernel, { relaxed: false });
  const module = new WebAssembly.Module(
    encodeModule({ shared: false, functions: [fn], exports: new Map([["kernel", 0]]) }),
  );
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
  const exports = new WebAssembly.Instance(module, { m: { m: memory } }).exports as {
    kernel: (...args: number[]) => void;
  };
  const addresses: number[] = [];
  const end = data.reduce(
    (at, { byteLength }) => (addresses.push(at), at + Math.ceil(byteLength / 256) * 256 + 256),
    65536,
  );
  memory.grow(Math.ceil((end + scratchBytes) / 65536));
  // Scratch memory holds whatever was there.
  new Float32Array(memory.buffer).fill(NaN);
  const views = data.map(({ length }, i) => new Float32Array(memory.buffer, addresses[i], length));
  views.forEach((view, i) => view.set(data[i]));
  for (let thread = 0; thread < threads; thread++) exports.kernel(thread, threads, end, ...addresses);
  return views;
}

Deno.test("cpu: masked products are what they were", () => {
  for (const { label, kernel, data } of maskedProducts()) {
    const wanted = runReference(kernel, data, []);
    for (const threads of [1, 3]) assertClose(label, runCpu(kernel, data, threads), wanted);
    // Bit for bit: a sum goes through k in order, and zeros change nothing.
    assertEquals(runCpu(kernel, data, 2).at(-1), runCpu({ ...kernel, mask: [] }, data, 2).at(-1), label);
  }
});

Deno.test("any width: masked products are what they were", () => {
  // With several blocks of k, and with bands that leave gaps.
  const masks = [{ causal: true }, { causal: true, window: 12, prefix: 9 }];
  for (const role of ROLES) {
    for (const options of masks) {
      const { kernel, data } = maskedProduct(role, 65, options), wanted = runReference(kernel, data, []);
      for (const target of TARGETS) {
        const found = runOnHost(kernel, data, { target, threads: 2 });
        assertClose(`${JSON.stringify(options)} ${role}, ${target.lanes} lanes`, found, wanted);
        assertEquals(found.at(-1), runOnHost({ ...kernel, mask: [] }, data, { target, threads: 1 }).at(-1));
      }
    }
  }
});

Deno.test("webgpu: masked products are what they were, in both styles", async () => {
  for (const { label, kernel, data } of maskedProducts()) {
    const wanted = runReference(kernel, data, []);
    for (const style of ["software", "gpu"] as const) {
      assertClose(`${label} (${style})`, await gpu.run(kernel, data, gpu.target(style), []), wanted);
    }
  }
});

Deno.test("long products, summed in blocks, are what they were, with masks and without, in both styles", async () => {
  const kernel = contractKernel({ m: 32, n: 32, k: 1100 }) as ContractKernel, { m, k } = kernel;
  const upTo = [addIndex(addIndex(scaleIndex(varIndex(m), 20), 300), scaleIndex(varIndex(k), -1))];
  const between = [addIndex(varIndex(k), -1000), addIndex(scaleIndex(varIndex(k), -1), 1050)];
  const isAlive = (row: number, step: number, bands: number) =>
    bands === 0 || step <= 300 + 20 * row || (bands === 2 && step >= 1000 && step <= 1050);
  for (const mask of [[], [upTo], [upTo, between]]) {
    const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
    data[0].forEach((_, at) => isAlive(Math.floor(at / k.extent), at % k.extent, mask.length) || (data[0][at] = 0));
    const masked = { ...kernel, mask }, wanted = runReference(kernel, data, []), label = `${mask.length} bands`;
    assertClose(label, runCpu(masked, data, 2), wanted);
    assertEquals(runCpu(masked, data, 2).at(-1), runCpu(kernel, data, 1).at(-1), label);
    if (mask.length === 1) continue;
    for (const style of ["software", "gpu"] as const) {
      assertClose(`${label} (${style})`, await gpu.run(masked, data, gpu.target(style), []), wanted);
    }
  }
});

/** A product of which only the first 16 steps of k count; the rest meets NaN. */
function poisoned(mask: readonly Band[], kernel: ContractKernel): { kernel: ContractKernel; data: Elements[] } {
  const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
  const { m, n, k } = kernel;
  for (let b = 0; b < 2; b++) {
    for (let step = 64; step < k.extent; step++) {
      for (let row = 0; row < m.extent; row++) data[0][(b * m.extent + row) * k.extent + step] = 0;
      for (let column = 0; column < n.extent; column++) data[1][(b * k.extent + step) * n.extent + column] = NaN;
    }
  }
  return { kernel: { ...kernel, mask }, data };
}

Deno.test("what a mask hides is not looked at, and texts without a mask stay as they are", async () => {
  const { kernel: base } = maskedProduct("values", 200, {});
  const first = [[addIndex(scaleIndex(varIndex(base.k), -1), 15)]],
    two = [...first, [addIndex(varIndex(base.k), -32), addIndex(scaleIndex(varIndex(base.k), -1), 63)]];
  for (const mask of [first, two]) {
    const { kernel, data } = poisoned(mask, base);
    assert(runCpu(kernel, data, 1).at(-1)!.every(Number.isFinite));
    for (const style of ["software", "gpu"] as const) {
      assert(
        (await gpu.run(kernel, data, gpu.target(style), [])).at(-1)!.every((value) => Number.isFinite(value)),
        style,
      );
      assertNotEquals(printWgsl(kernel, gpu.target(style)).source, printWgsl(base, gpu.target(style)).source);
    }
  }
  // Hardly anything is hidden: not worth the text.
  const little = { ...base, mask: [[addIndex(scaleIndex(varIndex(base.k), -1), 190)]] };
  for (const style of ["software", "gpu"] as const) {
    assertEquals(
      printWgsl(little, gpu.target(style)).source,
      printWgsl({ ...base, mask: [] }, gpu.target(style)).source,
    );
  }
  assertEquals(
    printCpuKernel(little, { relaxed: false }).fn.code,
    printCpuKernel({ ...base, mask: [] }, { relaxed: false }).fn.code,
  );
});

Deno.test("cpu: what tiles read of packed operands was packed, whatever the mask leaves of which sizes", async () => {
  const M = 5;
  const masks: readonly ((row: Tensor, column: Tensor) => Tensor)[] = [
    ops.equal,
    ops.lessEqual,
    ops.greaterEqual,
    (row, column) => ops.logicalAnd(ops.lessEqual(row, column), ops.less(column, ops.add(row, 3))),
  ];
  const sizes = [4, 5, 9, 20].flatMap((n) => [5, 8, 9, 21].map((k) => ({ n, k })));
  // Both operands are computed, so that both are packed; recycled memory is NaN.
  const products = (x: Tensor, y: Tensor): Tensor[] =>
    sizes.flatMap(({ n, k }) =>
      masks.flatMap((isKept) => {
        const lhs = ops.abs(ops.slice(x, [0, 0], [M, k])), rhs = ops.abs(ops.slice(y, [0, 0], [k, n]));
        const masked = (of: Tensor): Tensor => ops.where(isKept(ops.iota(of.shape, 0), ops.iota(of.shape, 1)), of, 0);
        return [ops.matmul(lhs, masked(rhs)), ops.matmul(masked(lhs), rhs), masked(ops.matmul(lhs, rhs))];
      })
    );
  const specs: [Spec, Spec] = [spec([M, 21]), spec([21, 20])], data = [wave([M, 21], 1), wave([21, 20], 2)] as const;
  const wanted = interpret(simplify(trace(products, specs).graph), [...data]);
  using device = await requestCpuDevice({ threads: 1, poison: true });
  const program = await compile(device, products, specs);
  const found = await program.run(...data.map(({ data }) => Float32Array.from(data)) as [Float32Array, Float32Array]);
  found.forEach(({ data }, at) =>
    data.forEach((x: number, i: number) => assertAlmostEquals(x, wanted[at].data[i], 1e-4, `product ${at}`))
  );
});
