/**
 * Barriers where one thread needs what another has written, and nowhere else: programs run on the host with threads one
 * after the other, each going on until a barrier, in both orders. Whatever a thread lacks because another has not come
 * yet, or finds overwritten because another is ahead, changes the result.
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Graph, Tensor } from "../../core/graph.ts";
import type { NdArray } from "../../core/op.ts";
import { scan } from "../../core/scan.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { conflicts, type Region } from "../../kernels/codegen/footprint.ts";
import { type PrintedKernel, printKernel } from "../../kernels/codegen/print_kernel.ts";
import {
  type Address,
  type Instruction,
  type LayOptions,
  layThreadProgram,
  type ThreadProgram,
} from "../../kernels/codegen/thread_program.ts";
import { toDeviceBytes } from "../../kernels/host_data.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import type { Plan } from "../../kernels/plan.ts";
import { takeDonated } from "../../kernels/in_place.ts";
import { planMemory } from "../../kernels/plan_memory.ts";
import { schedule } from "../../kernels/schedule.ts";
import { add, concat, matmul, mul, sliceAxis, sum, swapAxes, tanh } from "../../ops/mod.ts";
import { traceProgram } from "../fuzz/check.ts";
import { generate } from "../fuzz/generate.ts";
import { inputArrays } from "../fuzz/values.ts";
import { toHost } from "../numeric.ts";
import { callOnHost, HostLanguage, type HostLine, TARGETS } from "./host_language.ts";

const [TARGET] = TARGETS, SCRATCH = 1 << 20, MARGIN = 256;

/** A plan with its kernels. */
class Machine {
  readonly #kernels: PrintedKernel<HostLine>[] = [];
  readonly #numbers = new Map<Kernel, number>();

  constructor(readonly plan: Plan, readonly inputs: readonly NdArray[]) {}

  /** The program for so many threads. Every kernel that is not smaller than `minParallel` is shared. */
  lay(threads: number, minParallel = 0, togetherCosts?: LayOptions["togetherCosts"]): ThreadProgram {
    const functionOf = (kernel: Kernel) => {
      let fn = this.#numbers.get(kernel);
      if (fn === undefined) {
        fn = this.#kernels.push(printKernel(kernel, { ...TARGET, threads }, new HostLanguage(TARGET.lanes))) - 1;
        this.#numbers.set(kernel, fn);
      }
      return { fn, division: this.#kernels[fn].division };
    };
    return layThreadProgram(this.plan, { functionOf, threads, minParallel, togetherCosts });
  }

  /** Runs a program, at each barrier and between two in this order of threads. Returns the bytes of the outputs. */
  run({ instructions, table, counters }: ThreadProgram, order: readonly number[]): Uint8Array[] {
    const { values, arenaBytes } = this.plan;
    let end = 4096;
    const room = (bytes: number): number => {
      const start = end;
      end = Math.ceil((end + bytes + MARGIN) / 256) * 256;
      return start;
    };
    const words: number[] = [room(arenaBytes), room(SCRATCH * order.length)];
    const contents: [number, Uint8Array][] = [];
    for (const [id, word] of table.constants) {
      const { storage, type, sizeBytes } = values[id];
      words[word] = room(sizeBytes);
      if (storage.kind === "constant") contents.push([words[word], bytesOf(toDeviceBytes(storage.data, type.dtype))]);
    }
    this.plan.inputs.forEach((id, i) => {
      const { sizeBytes, type: { dtype } } = values[id];
      words[table.inputs + i] = room(sizeBytes);
      contents.push([words[table.inputs + i], bytesOf(toDeviceBytes(toHost(this.inputs[i]), dtype))]);
    });
    this.plan.outputs.forEach((id, i) => {
      const { storage, sizeBytes } = values[id], takes = storage.kind === "output" ? storage.takes : undefined;
      words[table.outputs + i] = takes === undefined ? room(sizeBytes) : words[table.inputs + takes];
    });
    const memory = new ArrayBuffer(end + MARGIN), bytes = new Uint8Array(memory);
    new Float32Array(memory).fill(NaN);
    for (const [address, content] of contents) bytes.set(content, address);
    const addressOf = ({ word, offset }: Address): number => words[word] + offset;
    const indices = order.map(() => new Array<number>(counters).fill(0));
    const visit = (list: readonly Instruction[], thread: number): void => {
      for (const each of list) {
        if (each.kind === "loop") {
          const by = each.last < each.first ? -1 : 1;
          for (let at = each.first; at !== each.last + by; at += by) {
            indices[thread][each.counter] = at;
            visit(each.body, thread);
          }
        } else if (each.kind === "call" && (!each.single || thread === 0)) {
          const { fn } = this.#kernels[each.fn], threads = each.single ? 1 : order.length;
          const loops = each.counters.map((counter) => counter === undefined ? 0 : indices[thread][counter]);
          callOnHost(
            fn,
            memory,
            thread,
            threads,
            words[1] + SCRATCH * thread,
            ...each.operands.map(addressOf),
            ...loops,
          );
        }
      }
    };
    /** Threads meet at barriers, and around loops that have some. */
    const together = (list: readonly Instruction[]): void => {
      let free: Instruction[] = [];
      const meet = (): void => {
        for (const thread of order) visit(free, thread);
        free = [];
      };
      for (const each of list) {
        if (each.kind === "loop" && barriersIn([each]) > 0) {
          meet();
          const by = each.last < each.first ? -1 : 1;
          for (let at = each.first; at !== each.last + by; at += by) {
            for (const thread of order) indices[thread][each.counter] = at;
            together(each.body);
          }
        } else if (each.kind === "barrier") meet();
        else free.push(each);
      }
      meet();
    };
    together(instructions);
    return this.plan.outputs.map((id, i) =>
      bytes.slice(words[table.outputs + i], words[table.outputs + i] + values[id].sizeBytes)
    );
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}

function barriersIn(list: readonly Instruction[]): number {
  return list.reduce(
    (count, each) => count + (each.kind === "barrier" ? 1 : each.kind === "loop" ? barriersIn(each.body) : 0),
    0,
  );
}

function withoutBarriers(list: readonly Instruction[]): Instruction[] {
  return list.filter(({ kind }) => kind !== "barrier").map((each) =>
    each.kind === "loop" ? { ...each, body: withoutBarriers(each.body) } : each
  );
}

/** @param donated Positions of the inputs whose memory outputs may take. */
function machineOf(
  graph: Graph,
  inputs: readonly NdArray[],
  { maxApartBytes = 2 ** 21, donated = [] }: { maxApartBytes?: number; donated?: readonly number[] } = {},
): Machine {
  const scheduled = schedule(simplify(graph), { maxOperands: 64, lanes: TARGET.lanes });
  return new Machine(planMemory(takeDonated(scheduled, donated), { maxApartBytes }), inputs);
}

/** Runs a program on two and three threads in both orders, small kernels shared or not, and compares with one thread. */
function check(label: string, machine: Machine): void {
  const alone = machine.run(machine.lay(1), [0]);
  for (const order of [[0, 1], [1, 0], [2, 1, 0]]) {
    for (const minParallel of [0, 2000]) {
      const program = machine.lay(order.length, minParallel);
      assertEquals(machine.run(program, order), alone, `${label}: threads in the order ${order}, from ${minParallel}`);
    }
  }
}

function waves(shape: readonly number[]): NdArray {
  const size = shape.reduce((a, b) => a * b);
  return { shape, dtype: "f32", data: Float64Array.from({ length: size }, (_, i) => Math.fround(Math.sin(1.7 * i))) };
}

/** A state of its own for each of two heads, learning from chunks of two tokens; the gradient too. */
function learner(B: number): { graph: Graph; inputs: NdArray[] } {
  const K = 8, N = 5, C = 4;
  const loss = (state: Tensor, chunks: Tensor): Tensor => {
    const [end, read] = scan(
      (s: Tensor, x: Tensor) => {
        const error = tanh(matmul(x, s)); // [B, 2, C, K]
        const learned = add(s, mul(matmul(swapAxes(x, -1, -2), error), 0.1));
        return [learned, tanh(matmul(error, learned))];
      },
      state,
      chunks,
    );
    return add(sum(mul(end, end)), sum(mul(read, read)));
  };
  const shapes = [[B, 2, K, K], [N, B, 2, C, K]];
  const { graph } = trace(grad(loss, { argnums: [0, 1] }), [spec(shapes[0]), spec(shapes[1])]);
  return { graph, inputs: shapes.map(waves) };
}

Deno.test("threads: programs give the same bits whichever thread is ahead between barriers", () => {
  for (let seed = 0; seed < 8; seed++) {
    const program = generate(seed);
    const { graph } = traceProgram(program), inputs = inputArrays(program.inputs);
    for (const apart of [0, 2 ** 21]) check(`program ${seed}`, machineOf(graph, inputs, { maxApartBytes: apart }));
  }
});

Deno.test("threads: iterations of a loop whose states are apart need no barrier, and other loops have some", () => {
  for (const B of [1, 2, 3]) {
    const { graph, inputs } = learner(B);
    for (const apart of [0, 2 ** 21]) {
      const machine = machineOf(graph, inputs, { maxApartBytes: apart }), program = machine.lay(2);
      check(`${B} states`, machine);
      const loops = program.instructions.filter(({ kind }) => kind === "loop");
      assert(loops.length > 0);
      if (apart > 0) assertEquals(barriersIn(loops), 0, `${B} states on two threads`);
    }
    // Five threads cannot share two, four or six states equally.
    const five = machineOf(graph, inputs).lay(5);
    assert(barriersIn(five.instructions.filter(({ kind }) => kind === "loop")) > 0);
  }
});

Deno.test("threads: results change where a barrier is missing", () => {
  const { graph, inputs } = learner(1), machine = machineOf(graph, inputs), program = machine.lay(3);
  const alone = machine.run(machine.lay(1), [0]);
  assertEquals(machine.run(program, [2, 1, 0]), alone);
  assertNotEquals(
    machine.run({ ...program, instructions: withoutBarriers(program.instructions) }, [2, 1, 0]),
    alone,
  );
});

/** Rows that move up and read their neighbours, in a loop. */
function shifted(): { graph: Graph; inputs: NdArray[] } {
  const shift = (state: Tensor, rows: Tensor): Tensor =>
    scan(
      (s: Tensor, row: Tensor) => [tanh(concat([sliceAxis(s, 0, 1, 3), row], 0)), undefined],
      state,
      rows,
    )[0];
  const shapes = [[4, 8], [6, 1, 8]];
  return { graph: trace(shift, [spec(shapes[0]), spec(shapes[1])]).graph, inputs: shapes.map(waves) };
}

Deno.test("threads: a loop in which rows read their neighbours has barriers", () => {
  const { graph, inputs } = shifted(), machine = machineOf(graph, inputs);
  check("rows that move up", machine);
  assert(barriersIn(machine.lay(2).instructions.filter(({ kind }) => kind === "loop")) > 0);
});

/** How often threads meet in a run. */
function meetings(list: readonly Instruction[]): number {
  return list.reduce((count, each) => {
    if (each.kind === "loop") return count + (Math.abs(each.last - each.first) + 1) * meetings(each.body);
    return count + (each.kind === "barrier" ? 1 : 0);
  }, 0);
}

Deno.test("threads: a launch is shared where what threads save is more than what it costs to begin and to meet", () => {
  const { graph, inputs } = shifted(), machine = machineOf(graph, inputs);
  for (const threads of [2, 5]) {
    const free = machine.lay(threads), met = meetings(free.instructions), saved = free.parallelWork * (1 - 1 / threads);
    assert(met > barriersIn(free.instructions), "iterations of loops meet again and again");
    const isShared = (launch: number, meeting: number): boolean =>
      machine.lay(threads, 0, { launch, meeting }).parallel;
    assertEquals([free.parallel, isShared(0.99 * saved, 0), isShared(1.01 * saved, 0)], [true, true, false]);
    assertEquals([isShared(0, 0.99 * saved / met), isShared(0, 1.01 * saved / met)], [true, false]);
    assertEquals([isShared(0.5 * saved, 0.49 * saved / met), isShared(0.5 * saved, 0.51 * saved / met)], [true, false]);
  }
  // Kernels that one thread runs are not shared, however cheap it is.
  assertEquals(machine.lay(2, 1e9).parallel, false);
});

Deno.test("threads: an output takes the place of an input after all threads have read it", () => {
  const { graph } = trace((x: Tensor) => [matmul(x, x), tanh(x)], [spec([16, 16])]);
  const machine = machineOf(graph, [waves([16, 16])], { donated: [0] });
  assert(machine.plan.values.some(({ storage }) => storage.kind === "output" && storage.takes === 0));
  check("a product of what is overwritten", machine);
});

Deno.test("threads: shares of memory are apart where stripes are alike and lie alike", () => {
  const region = (start: number, stripe: number | undefined, writes = true): Region => ({
    memory: 0,
    start,
    end: start + 4096,
    writes,
    stripe,
  });
  const cases: readonly [string, Region, Region, boolean][] = [
    ["the same stripes", region(0, 512), region(0, 512), false],
    ["stripes that begin with a later turn", region(0, 512), region(1024, 512), false],
    ["stripes that begin with another thread", region(0, 512), region(512, 512), true],
    ["stripes that are cut elsewhere", region(0, 512), region(256, 512), true],
    ["stripes of unlike sizes", region(0, 512), region(0, 1024), true],
    ["one thread and all", region(0, 0), region(0, 512), true],
    ["one thread alone", region(0, 0), region(256, 0), false],
    ["anywhere", region(0, undefined), region(0, undefined), true],
    ["nothing is written", region(0, undefined, false), region(0, 512, false), false],
    ["ranges that do not overlap", region(0, undefined), region(4096, undefined), false],
    ["other memory", region(0, undefined), { ...region(0, undefined), memory: 1 }, false],
  ];
  for (const [label, lhs, rhs, wanted] of cases) {
    assertEquals([conflicts(lhs, rhs, 2), conflicts(rhs, lhs, 2)], [wanted, wanted], label);
  }
});
