/**
 * The memory planner against a machine that runs schedules on cells: with an arena everything must read as if each
 * value had its own memory.
 */
import { ALIGNMENT } from "../../kernels/limits.ts";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { DeviceError } from "../../core/errors.ts";
import { ExprBuilder } from "../../core/expr.ts";
import { addIndex, type Index, scaleIndex, type Var, varIndex } from "../../core/index_expr.ts";
import { makeVar } from "../../core/index_expr.ts";
import type { MapKernel, Operand } from "../../kernels/kernel.ts";
import type { KernelStep, Plan, Schedule, Step, Value, ValueId } from "../../kernels/plan.ts";
import { liveRanges, planMemory } from "../../kernels/plan_memory.ts";

/** Elements of one cell of the machine: an arena granule. */
const CELL = ALIGNMENT / 4;

function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

interface Touch {
  readonly value: ValueId;
  readonly access: Operand["access"];
  /** The first cell as an index of loop variables, and the number of cells. */
  readonly cell: Index;
  readonly cells: number;
}

const touches = new WeakMap<KernelStep, readonly Touch[]>();

/** A kernel that reads and writes whole cells; what it computes is decided by the machine. */
function kernelStep(list: readonly Touch[], loops: readonly Var[], values: readonly Value[]): KernelStep {
  const e = new ExprBuilder();
  const point = makeVar("i", CELL);
  const offset = (touch: Touch): Index => addIndex(scaleIndex(touch.cell, CELL), varIndex(point));
  let sum = e.const(0);
  list.forEach((touch, operand) => {
    if (touch.access !== "write") sum = e.binary("add", sum, e.load(operand, offset(touch), "f32"));
  });
  const kernel: MapKernel = {
    kind: "map",
    operands: list.map(({ value, access }) => ({ dtype: "f32", size: values[value].sizeBytes / 4, access })),
    loops,
    origins: ["test"],
    space: [point],
    stores: list.flatMap((
      touch,
      operand,
    ) => (touch.access === "read" ? [] : [{ operand, index: offset(touch), value: sum }])),
  };
  const step: KernelStep = { kind: "kernel", kernel, operands: list.map(({ value }) => value) };
  touches.set(step, list);
  return step;
}

class ScheduleMaker {
  readonly values: Value[] = [];
  #random: () => number;

  constructor(seed: number) {
    this.#random = mulberry(seed);
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  #value(cells: number, storage: Value["storage"] = { kind: "temporary" }): ValueId {
    const id = this.values.length;
    this.values.push({
      id,
      type: { shape: [cells * CELL], dtype: "f32" },
      sizeBytes: cells * ALIGNMENT,
      storage,
      label: `v${id}`,
    });
    return id;
  }

  #cells(id: ValueId): number {
    return this.values[id].sizeBytes / ALIGNMENT;
  }

  #whole(value: ValueId, access: Operand["access"]): Touch {
    return { value, access, cell: varIndex(makeVar("zero", 1)), cells: this.#cells(value) };
  }

  make(): Schedule {
    const input = this.#value(2, { kind: "input", position: 0 });
    const { steps, known } = this.#body([input], [], 0);
    const output = this.#value(1, { kind: "output", position: 0 });
    // The output depends on whatever is still known, so that everything is checked to the end.
    for (const id of known.slice(-6)) {
      steps.push(kernelStep([this.#whole(id, "read"), this.#whole(output, "write")], [], this.values));
    }
    return { values: this.values, steps, inputs: [input], outputs: [output] };
  }

  #body(outer: readonly ValueId[], loops: readonly Var[], depth: number): { steps: Step[]; known: ValueId[] } {
    const steps: Step[] = [];
    const known = [...outer];
    const count = 2 + this.#below(6);
    for (let i = 0; i < count; i++) {
      if (depth < 2 && this.#random() < 0.3) this.#loop(steps, known, loops, depth);
      else known.push(this.#map(steps, known, loops));
    }
    return { steps, known };
  }

  /**
   * A kernel that writes a new value from known ones; now and then the value's halves are written apart, through
   * aliases.
   */
  #map(steps: Step[], known: readonly ValueId[], loops: readonly Var[]): ValueId {
    const out = this.#value(1 + this.#below(4));
    const reads = Array.from(
      { length: 1 + this.#below(3) },
      () => this.#whole(known[this.#below(known.length)], "read"),
    );
    const cells = this.#cells(out);
    if (cells > 1 && this.#random() < 0.3) {
      const half = this.#value(1, { kind: "alias", of: out, byteOffset: 0 });
      const rest = this.#value(cells - 1, { kind: "alias", of: out, byteOffset: ALIGNMENT });
      for (const part of [half, rest]) {
        steps.push(kernelStep([...reads, this.#whole(part, "write")], loops, this.values));
      }
    } else steps.push(kernelStep([...reads, this.#whole(out, "write")], loops, this.values));
    if (this.#random() < 0.2) steps.push(kernelStep([...reads, this.#whole(out, "readwrite")], loops, this.values));
    return out;
  }

  /** A rolled loop with a carry of two or N + 1 slots and a stacked result. */
  #loop(steps: Step[], known: ValueId[], loops: readonly Var[], depth: number): void {
    const extent = 1 + this.#below(3);
    const variable = makeVar("t", extent);
    const reverse = this.#random() < 0.5;
    const carry = this.#value(extent + 1);
    const stacked = this.#value(extent);
    const at = (value: ValueId, access: Operand["access"], shift: number): Touch => ({
      value,
      access,
      cell: addIndex(varIndex(variable), shift),
      cells: 1,
    });
    const initial: Touch = {
      value: carry,
      access: "write",
      cell: addIndex(varIndex(makeVar("zero", 1)), reverse ? extent : 0),
      cells: 1,
    };
    steps.push(kernelStep([this.#whole(known[this.#below(known.length)], "read"), initial], loops, this.values));
    const inner = [...loops, variable];
    const first = this.#value(1);
    const body: Step[] = [
      kernelStep([at(carry, "read", reverse ? 1 : 0), this.#whole(first, "write")], inner, this.values),
    ];
    const rest = this.#body([...known, first], inner, depth + 1);
    body.push(...rest.steps);
    const last = rest.known[rest.known.length - 1];
    body.push(
      kernelStep(
        [this.#whole(last, "read"), at(carry, "write", reverse ? 0 : 1), at(stacked, "write", 0)],
        inner,
        this.values,
      ),
    );
    steps.push({ kind: "loop", variable, reverse, steps: body });
    known.push(stacked, carry);
  }
}

function evaluate(index: Index, loops: ReadonlyMap<number, number>): number {
  let value = index.constant;
  for (const { atom, coefficient } of index.terms) {
    assert(atom.kind === "var");
    value += coefficient * (loops.get(atom.variable.id) ?? 0);
  }
  return value;
}

/**
 * Runs a schedule; `addressOf` says at which cell of which memory a value starts. Gives what every kernel read, in
 * order.
 */
function simulate(schedule: Schedule, addressOf: (id: ValueId) => { memory: number[]; start: number }): number[] {
  const trail: number[] = [];
  const loops = new Map<number, number>();
  let kernelNumber = 0;
  const run = (steps: readonly Step[]): void => {
    for (const step of steps) {
      if (step.kind === "loop") {
        const { extent, id } = step.variable;
        const start = kernelNumber;
        for (let i = 0; i < extent; i++) {
          kernelNumber = start;
          loops.set(id, step.reverse ? extent - 1 - i : i);
          run(step.steps);
        }
        continue;
      }
      kernelNumber++;
      let hash = kernelNumber;
      for (const { value, access, cell, cells } of touches.get(step)!) {
        if (access === "write") continue;
        const { memory, start } = addressOf(value);
        const from = start + evaluate(cell, loops);
        for (let i = 0; i < cells; i++) hash = (Math.imul(hash, 31) + (memory[from + i] ?? 12345)) | 0;
      }
      trail.push(hash);
      for (const { value, access, cell, cells } of touches.get(step)!) {
        if (access === "read") continue;
        const { memory, start } = addressOf(value);
        const from = start + evaluate(cell, loops);
        for (let i = 0; i < cells; i++) memory[from + i] = (hash + i) | 0;
      }
    }
  };
  run(schedule.steps);
  return trail;
}

function separate(schedule: Schedule): (id: ValueId) => { memory: number[]; start: number } {
  const memories = new Map<ValueId, number[]>();
  const addressOf = (id: ValueId): { memory: number[]; start: number } => {
    const { storage } = schedule.values[id];
    if (storage.kind === "alias") {
      return { memory: addressOf(storage.of).memory, start: storage.byteOffset / ALIGNMENT };
    }
    if (!memories.has(id)) memories.set(id, []);
    return { memory: memories.get(id)!, start: 0 };
  };
  return addressOf;
}

function inArena(plan: Plan): (id: ValueId) => { memory: number[]; start: number } {
  const arena: number[] = [];
  const own = separate(plan);
  const addressOf = (id: ValueId): { memory: number[]; start: number } => {
    const { storage } = plan.values[id];
    if (storage.kind === "temporary") return { memory: arena, start: plan.offsets.get(id)! / ALIGNMENT };
    if (storage.kind !== "alias") return own(id);
    const base = addressOf(storage.of);
    return { memory: base.memory, start: base.start + storage.byteOffset / ALIGNMENT };
  };
  return addressOf;
}

/** The most bytes alive at once: no plan can be smaller. */
function lowerBound(schedule: Schedule): number {
  const ranges = [...liveRanges(schedule)];
  const end = Math.max(0, ...ranges.map(([, { last }]) => last)) + 1;
  let most = 0;
  for (let at = 0; at < end; at++) {
    most = Math.max(
      most,
      ranges.reduce(
        (sum, [id, { first, last }]) => sum + (first <= at && at <= last ? schedule.values[id].sizeBytes : 0),
        0,
      ),
    );
  }
  return most;
}

Deno.test("random schedules with loops compute in an arena what they compute with separate memory", () => {
  let arena = 0, bound = 0, separateBytes = 0;
  for (let seed = 1; seed <= 400; seed++) {
    const schedule = new ScheduleMaker(seed).make();
    const plan = planMemory(schedule);
    assertEquals(simulate(schedule, inArena(plan)), simulate(schedule, separate(schedule)), `seed ${seed}`);
    for (const { id, storage, sizeBytes } of plan.values) {
      if (storage.kind !== "temporary") continue;
      assertEquals(plan.offsets.get(id)! % ALIGNMENT, 0);
      assert(plan.offsets.get(id)! + sizeBytes <= plan.arenaBytes || !liveRanges(schedule).has(id));
      separateBytes += sizeBytes;
    }
    arena += plan.arenaBytes;
    bound += lowerBound(schedule);
  }
  assert(arena <= 1.05 * bound, `arenas take ${arena} bytes, the lower bound is ${bound}`);
  assert(arena < 0.8 * separateBytes, `arenas take ${arena} bytes, separate memory ${separateBytes}`);
});

Deno.test("values alive at the same time never overlap", () => {
  for (let seed = 1000; seed < 1100; seed++) {
    const schedule = new ScheduleMaker(seed).make();
    const { offsets, values } = planMemory(schedule);
    const placed = [...liveRanges(schedule)].map(([id, range]) => ({
      ...range,
      start: offsets.get(id)!,
      end: offsets.get(id)! + values[id].sizeBytes,
    }));
    for (const a of placed) {
      for (const b of placed) {
        if (a === b || a.last < b.first || b.last < a.first) continue;
        assert(a.end <= b.start || b.end <= a.start, `seed ${seed}: ${JSON.stringify(a)} and ${JSON.stringify(b)}`);
      }
    }
  }
});

Deno.test("what an iteration leaves for another one lives over the whole loop", () => {
  const variable = makeVar("t", 3);
  const temporary = (id: number, cells: number): Value => ({
    id,
    type: { shape: [cells * CELL], dtype: "f32" },
    sizeBytes: cells * ALIGNMENT,
    storage: { kind: "temporary" },
    label: `v${id}`,
  });
  const values = [temporary(0, 4), temporary(1, 1), temporary(2, 1)];
  const zero = varIndex(makeVar("zero", 1));
  const slot = varIndex(variable);
  const step = (...list: Touch[]): KernelStep => kernelStep(list, [variable], values);
  const steps: Step[] = [
    step({ value: 1, access: "write", cell: zero, cells: 1 }),
    step({ value: 0, access: "write", cell: slot, cells: 1 }), // slots chosen by the loop's variable
    step({ value: 0, access: "read", cell: zero, cells: 1 }),
    step({ value: 2, access: "readwrite", cell: zero, cells: 1 }), // read before the iteration writes it
    step({ value: 1, access: "write", cell: zero, cells: 1 }),
  ];
  const ranges = liveRanges({
    values,
    steps: [{ kind: "loop", variable, reverse: false, steps }],
    inputs: [],
    outputs: [],
  });
  assertEquals([...ranges].sort(([a], [b]) => a - b), [[0, { first: 0, last: 4 }], [1, { first: 0, last: 4 }], [2, {
    first: 0,
    last: 4,
  }]]);
});

Deno.test("temporaries of a loop share no memory as far as that is asked for", () => {
  let shared = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const schedule = new ScheduleMaker(seed).make(), plan = planMemory(schedule, { maxApartBytes: 2 ** 30 });
    assertEquals(simulate(schedule, inArena(plan)), simulate(schedule, separate(schedule)), `seed ${seed}`);
    const overlaps = (loop: Step, { offsets, values }: Plan): number => {
      const inside = temporariesIn(loop, schedule);
      let count = 0;
      inside.forEach((a, i) =>
        inside.slice(i + 1).forEach((b) => {
          const [x, y] = [offsets.get(a)!, offsets.get(b)!];
          if (x < y + values[b].sizeBytes && y < x + values[a].sizeBytes) count++;
        })
      );
      return count;
    };
    for (const step of schedule.steps) {
      if (step.kind !== "loop") continue;
      assertEquals(overlaps(step, plan), 0, `seed ${seed}`);
      shared += overlaps(step, planMemory(schedule));
    }
  }
  assert(shared > 0);
});

/** Temporaries that a step accesses. */
function temporariesIn(step: Step, { values }: Schedule): ValueId[] {
  const found = new Set<ValueId>();
  const visit = (each: Step): void => {
    if (each.kind === "loop") return each.steps.forEach(visit);
    for (const id of each.operands) {
      const { storage } = values[id], base = storage.kind === "alias" ? storage.of : id;
      if (values[base].storage.kind === "temporary") found.add(base);
    }
  };
  visit(step);
  return [...found];
}

Deno.test("a plan is the same every time", () => {
  const schedule = new ScheduleMaker(7).make();
  assertEquals([...planMemory(schedule).offsets], [...planMemory(schedule).offsets]);
});

Deno.test("an arena cut in buffers has no value across a cut", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const schedule = new ScheduleMaker(seed).make();
    const bufferBytes = 4 * ALIGNMENT;
    const plan = planMemory(schedule, { maxBufferBytes: bufferBytes });
    for (const [id, offset] of plan.offsets) {
      assertEquals(
        Math.floor(offset / bufferBytes),
        Math.floor((offset + schedule.values[id].sizeBytes - 1) / bufferBytes),
        `seed ${seed}`,
      );
    }
    assertEquals(simulate(schedule, inArena(plan)), simulate(schedule, separate(schedule)), `seed ${seed}`);
  }
});

Deno.test("a value larger than one binding is refused by name, size and limit", () => {
  const values: Value[] = [{
    id: 0,
    type: { shape: [1024, 1024, 64], dtype: "f32" },
    sizeBytes: 2 ** 28,
    storage: { kind: "temporary" },
    label: "scores",
  }];
  const error = assertThrows(
    () => planMemory({ values, steps: [], inputs: [], outputs: [] }, { maxTensorBytes: 2 ** 27 }),
    DeviceError,
  );
  assertEquals(error.reason, "limit");
  assert(/scores f32\[1024, 1024, 64\].*256 MiB.*128 MiB.*smaller batch/.test(error.message), error.message);
});
