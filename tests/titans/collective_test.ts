/** Trainers of several ranks, which share each batch, give the numbers of one trainer that has it to itself. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Device, requestDevice } from "../../kernels/mod.ts";
import {
  type Collective,
  ConfigError,
  defineConfig,
  defineOptimizer,
  evenStreams,
  evenWindows,
  localCollectives,
  Model,
  nextToken,
  RandomWindows,
  type Share,
  shareOf,
  SOLO,
  type StepMetrics,
  StreamWindows,
  tokenSource,
  Trainer,
  type TrainerOptions,
  type TrainingData,
  TrainingError,
  type TrainingState,
  type ValidationMetrics,
} from "../../titans/mod.ts";
import { CompressedSum } from "../../titans/train/compressed_sum.ts";
import { rowsOfBatch } from "../../titans/train/batch_rows.ts";
import { areTakenOnce, rowsTaken, rowSums } from "../../titans/train/rows_seen.ts";
import type { SplitBatch } from "../../titans/train/step_input.ts";
import { TINY } from "./builders.ts";
import { relativeError } from "./runners.ts";

const SHAPE = { batch: 8, length: 8 }, STEPS = 4, TOLERANCE = 1e-5;
const TEXTS = [47, 160, 133, 21, 90].map((length, i) => ({
  text: Int32Array.from({ length }, (_, t) => (t * t + i * t + 3) % 13),
}));
const RANDOM: TrainingData = new RandomWindows(TEXTS[1].text, SHAPE, 7);
const STREAM: TrainingData = new StreamWindows(TEXTS, SHAPE, 2);

/** Options of a small model. */
function optionsOf(model: "lmm" | "mac" | "transformer", more: Partial<TrainerOptions> = {}): TrainerOptions {
  return {
    model: new Model(defineConfig({ ...TINY, model, vocabulary: 13, blocks: 1, maxLength: 32 })),
    optimizer: defineOptimizer({ learningRate: 1e-2, warmupSteps: 1, totalSteps: 9 }),
    shape: SHAPE,
    seed: 3,
    ...more,
  };
}

interface Trained {
  readonly metrics: readonly StepMetrics[];
  readonly validation: ValidationMetrics;
  readonly state: TrainingState;
}

/** Trains on every rank at the same time. */
async function trainOn(
  device: Device,
  ranks: readonly Collective[],
  options: TrainerOptions,
  { steps = STEPS, data = options.stream ? STREAM : RANDOM }: { steps?: number; data?: TrainingData } = {},
): Promise<Trained[]> {
  return await Promise.all(ranks.map(async (collective): Promise<Trained> => {
    const trainer = await Trainer.create(device, { ...options, collective });
    try {
      const metrics = await trainer.run(data, steps);
      const held = options.stream
        ? evenStreams(TEXTS.map(({ text }) => tokenSource(text)), { batch: 3, length: SHAPE.length }, 9)
        : evenWindows(TEXTS[2].text, SHAPE.length, 11);
      const validation = await trainer.validate(held);
      assertEquals(await trainer.probe(data.batch(trainer.step)), undefined);
      return { metrics, validation, state: await trainer.exportState() };
    } finally {
      trainer.dispose();
    }
  }));
}

/** Figures agree within the tolerance, and parameters and moments with them. */
function assertSame(actual: Trained, expected: Trained): void {
  const close = (a: number, b: number, what: string): void =>
    assert(Math.abs(a - b) <= TOLERANCE * Math.max(1, Math.abs(b)), `${what}: ${a}, alone ${b}`);
  assertEquals(actual.metrics.length, expected.metrics.length);
  for (const [i, { loss, gradientNorm }] of expected.metrics.entries()) {
    close(actual.metrics[i].loss, loss, `loss of step ${i}`);
    close(actual.metrics[i].gradientNorm, gradientNorm, `norm of step ${i}`);
  }
  assertEquals(Object.keys(actual.validation), Object.keys(expected.validation));
  for (const [name, value] of Object.entries(expected.validation)) close(actual.validation[name], value, name);
  assertEquals(actual.state.step, expected.state.step);
  assertEquals(Object.keys(actual.state.carried ?? {}), Object.keys(expected.state.carried ?? {}));
  for (const [name, { shape, data }] of Object.entries(expected.state.carried ?? {})) {
    const found = actual.state.carried![name];
    assertEquals(found.shape, shape, name);
    assert(relativeError(found.data as Float32Array, data as Float32Array, 1e-3) < 1e-4, name);
  }
  const groups = { params: expected.state.params, ...expected.state.optimizer.slots };
  for (const [slot, arrays] of Object.entries(groups)) {
    const found = slot === "params" ? actual.state.params : actual.state.optimizer.slots[slot];
    for (const [name, values] of Object.entries(arrays)) {
      const error = relativeError(found[name], values, 1e-6);
      assert(error < 1e-3, `${slot} of ${name}: ${error}`);
    }
  }
}

/** The bytes of a state. */
function bitsOf({ params, optimizer }: TrainingState): string {
  const groups = [params, ...Object.values(optimizer.slots)];
  return groups.flatMap((group) => Object.values(group).map((values) => new Uint32Array(values.slice().buffer).join()))
    .join("\n");
}

async function onDevice(kind: "reference" | "cpu", use: (device: Device) => Promise<void>): Promise<void> {
  const device = await requestDevice({ kind, threads: kind === "cpu" ? 1 : undefined });
  try {
    await use(device);
  } finally {
    device.dispose();
  }
}

Deno.test("shares: ranks cover everything, without overlap, as evenly as possible", () => {
  for (const size of [1, 2, 3, 7, 64]) {
    for (const total of [0, 1, 5, 8, 64, 1000]) {
      let next = 0;
      for (let rank = 0; rank < size; rank++) {
        const { first, count } = shareOf(total, { rank, size });
        assertEquals(first, next);
        assert(Math.abs(count - total / size) < 1, `${count} of ${total} over ${size}`);
        next += count;
      }
      assertEquals(next, total);
    }
  }
});

const CASES: readonly (readonly [string, TrainerOptions])[] = [
  ["lmm", optionsOf("lmm")],
  ["mac, streamed", optionsOf("mac", { stream: true })],
  ["lmm, sharded and streamed", optionsOf("lmm", { stream: true, shard: true })],
  [
    "transformer, sharded, with an average",
    optionsOf("transformer", {
      shard: true,
      optimizer: defineOptimizer({ learningRate: 1e-2, warmupSteps: 1, totalSteps: 9, ema: 0.9 }),
    }),
  ],
];
for (const [name, options] of CASES) {
  Deno.test(`reference: 2, 3 and 4 ranks give the losses, validations and states of one: ${name}`, () =>
    onDevice("reference", async (device) => {
      const [alone] = await trainOn(device, [SOLO], options);
      for (const size of [2, 3, 4]) {
        const all = await trainOn(device, localCollectives(size), options);
        for (const one of all) assertSame(one, alone);
        for (const { metrics } of all) assertEquals(metrics, all[0].metrics);
      }
    }));
}

Deno.test("reference: ranks that accumulate batches take rows of each of them", () =>
  onDevice("reference", async (device) => {
    const shape = { ...SHAPE, batch: 4, accumulate: 2 }, data = new StreamWindows(TEXTS, shape, 2);
    const options = optionsOf("lmm", { stream: true, shape });
    const [alone] = await trainOn(device, [SOLO], options, { data });
    for (const one of await trainOn(device, localCollectives(3), options, { data })) assertSame(one, alone);
  }));

Deno.test("reference: with a fixed order 1, 2, 4 and 8 ranks give the same bits, and close to those of one program", () =>
  onDevice("reference", async (device) => {
    const options = optionsOf("lmm", { deterministic: 8 });
    const [[alone], [one], [otherOrder], ...runs] = await Promise.all([
      trainOn(device, [SOLO], optionsOf("lmm")),
      trainOn(device, [SOLO], options),
      trainOn(device, localCollectives(8), optionsOf("lmm")),
      trainOn(device, localCollectives(2), options),
      trainOn(device, localCollectives(4), options),
      trainOn(device, localCollectives(8), options),
    ]);
    assertSame(one, alone);
    const bits = bitsOf(one.state);
    assert(bitsOf(otherOrder.state) !== bits, "the order of sums makes no difference here");
    for (const { state, metrics } of runs.flat()) {
      assert(bitsOf(state) === bits, "other bits");
      assertEquals(metrics, one.metrics);
    }
  }));

Deno.test("cpu: with a fixed order 1 and 2 ranks give the same bits, sharded too, and close to those of one program", () =>
  onDevice("cpu", async (device) => {
    const train = async (
      collective: Collective,
      deterministic: number,
    ): Promise<Pick<Trained, "metrics" | "state">> => {
      const trainer = await Trainer.create(device, optionsOf("lmm", { collective, deterministic, shard: true }));
      const metrics = await trainer.run(RANDOM, STEPS), state = await trainer.exportState();
      trainer.dispose();
      return { metrics, state };
    };
    const alone = await train(SOLO, 0), one = await train(SOLO, 2);
    for (const [i, { loss }] of alone.metrics.entries()) {
      assert(Math.abs(one.metrics[i].loss - loss) < TOLERANCE * loss);
    }
    for (const { state, metrics } of await Promise.all(localCollectives(2).map((rank) => train(rank, 2)))) {
      assert(bitsOf(state) === bitsOf(one.state), "other bits");
      assertEquals(metrics, one.metrics);
    }
  }));

Deno.test("reference: a run goes on with another number of ranks, where another ended", () =>
  onDevice("reference", async (device) => {
    const options = optionsOf("mac", { stream: true, shard: true });
    const [whole] = await trainOn(device, [SOLO], options, { steps: 6 });
    const [{ state: first }] = await trainOn(device, localCollectives(3), options, { steps: 2 });
    const [{ state: second }] = await trainOn(device, localCollectives(2), { ...options, state: first }, { steps: 2 });
    const [last] = await trainOn(device, [SOLO], { ...options, state: second }, { steps: 2 });
    assertSame({ ...last, metrics: [...whole.metrics.slice(0, 4), ...last.metrics] }, whole);
  }));

Deno.test("reference: where one rank asks to stop, all stop after the same step, and the rest of a round is left out", () =>
  onDevice("reference", async (device) => {
    const options = optionsOf("lmm"), asked: number[] = [0, 0, 0];
    const states = await Promise.all(
      localCollectives(3).map(async (collective) => {
        const trainer = await Trainer.create(device, {
          ...options,
          collective,
          stopRequested: () => ++asked[collective.rank] === 3 && collective.rank === 1,
        });
        const metrics = await trainer.run(RANDOM, 5 + collective.rank);
        assertEquals([metrics.length, trainer.step, trainer.stopped], [3, 3, true]);
        const state = await trainer.exportState(0);
        assertEquals(await trainer.probe(RANDOM.batch(3)), undefined);
        trainer.dispose();
        return state;
      }),
    );
    assertEquals(states.map((state) => state?.step), [3, undefined, undefined]);
    const [expected] = await trainOn(device, [SOLO], options, { steps: 3 });
    assert(relativeError(states[0]!.params["head"], expected.state.params["head"]) < 1e-4);
  }));

Deno.test("reference: NaN in the rows of one rank stops all at the same step, naming the same tensor", () =>
  onDevice("reference", async (device) => {
    const options = optionsOf("lmm", { optimizer: defineOptimizer({ learningRate: 1e20, warmupSteps: 0 }) });
    const errors = await Promise.all(
      localCollectives(2).map(async (collective) => {
        const trainer = await Trainer.create(device, { ...options, collective });
        const error = await assertRejects(() => trainer.run(RANDOM, 3), TrainingError);
        trainer.dispose();
        return error;
      }),
    );
    assertEquals(errors[0].message, errors[1].message);
    assert(errors[0].tensor !== undefined && errors[0].step === 1, errors[0].message);
  }));

Deno.test("reference: ranks that miss a row, take one twice, or read another text, all refuse the step", () =>
  onDevice("reference", async (device) => {
    const other: TrainingData = new RandomWindows(TEXTS[2].text, SHAPE, 7);
    const same = (ranks: Collective[]): Collective[] => ranks;
    const wrong: readonly [(ranks: Collective[]) => Collective[], (rank: number) => TrainingData][] = [
      // Both take the rows of the first.
      [(ranks) => ranks.map((rank) => ({ ...rank, rank: 0 })), () => RANDOM],
      [same, (rank) => rank === 0 ? RANDOM : other],
    ];
    for (const [place, data] of wrong) {
      await Promise.all(
        place(localCollectives(2)).map(async (collective, i) => {
          const trainer = await Trainer.create(device, optionsOf("lmm", { collective }));
          await assertRejects(
            () => trainer.run(data(i), 1),
            ConfigError,
            "its rows are not taken once each by the ranks",
          );
          const state = await trainer.exportState();
          assertEquals(state.optimizer.slots.first["head"].every((x) => x === 0), true, "an update was made");
          trainer.dispose();
        }),
      );
    }
  }));

Deno.test("reference: an abort on one rank ends what the others wait for", () =>
  onDevice("reference", async (device) => {
    const [first, second] = localCollectives(2);
    const trainer = await Trainer.create(device, { ...optionsOf("lmm"), collective: first });
    const waits = assertRejects(() => trainer.run(RANDOM, 1), Error, "disk is full");
    second.abort("disk is full");
    await waits;
    trainer.dispose();
  }));

Deno.test("reference: what ranks cannot share is refused in a line that says why", () =>
  onDevice("reference", async (device) => {
    const [rank] = localCollectives(3), collective = { ...rank };
    const refused: readonly [Partial<TrainerOptions>, string][] = [
      [{ shape: { batch: 2, length: 8 } }, "Cannot share a batch of 2 rows among 3 ranks"],
      [{ deterministic: 8 }, "Cannot add 8 rows in 8 parts on 3 ranks"],
      [{ deterministic: 3 }, "Cannot add 8 rows in 3 parts on 3 ranks"],
      [{ deterministic: 8, compress: "int8" }, "Cannot add in a fixed order what travels in int8"],
      [{ shard: true, optimizer: defineOptimizer({ optimizer: "muon" }) }, "Cannot share the state of muon"],
    ];
    for (const [options, text] of refused) {
      const create = () => Trainer.create(device, { ...optionsOf("lmm"), ...options, collective });
      await assertRejects(create, ConfigError, text);
    }
  }));

Deno.test("reference: compressed gradients give equal parameters on all ranks, and losses close to those of one", () =>
  onDevice("reference", async (device) => {
    const [alone] = await trainOn(device, [SOLO], optionsOf("lmm"));
    for (const [compress, tolerance] of [["bf16", 1e-3], ["int8", 5e-3]] as const) {
      const all = await trainOn(device, localCollectives(3), optionsOf("lmm", { compress, shard: true }));
      const bits = bitsOf(all[0].state);
      assert(bits !== bitsOf(alone.state), "nothing is compressed");
      for (const { metrics, state } of all) {
        assertEquals(metrics, all[0].metrics);
        assert(bitsOf(state) === bits, "ranks have different parameters");
      }
      for (const [i, { loss }] of alone.metrics.entries()) {
        const off = Math.abs(all[0].metrics[i].loss / loss - 1);
        assert(off < tolerance, `${compress}: the loss of step ${i} is off by ${off}`);
      }
    }
  }));

Deno.test("reference: NaN in compressed gradients of one rank stops all at the same step", () =>
  onDevice("reference", async (device) => {
    const optimizer = defineOptimizer({ learningRate: 1e20, warmupSteps: 0 });
    const errors = await Promise.all(
      localCollectives(2).map(async (collective) => {
        const trainer = await Trainer.create(device, optionsOf("lmm", { optimizer, collective, compress: "int8" }));
        const error = await assertRejects(() => trainer.run(RANDOM, 3), TrainingError);
        trainer.dispose();
        return error;
      }),
    );
    assertEquals(errors[0].message, errors[1].message);
  }));

Deno.test("compressed sums: equal on all ranks, rounded as they say, and on the mean over many steps what they should be", async () => {
  const size = 700, repeats = 50;
  const numbers = (rank: number): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length: size }, (_, i) => Math.sin(i * 7 + rank) * (i % 50 === 0 ? 1 : 1e-3));
  for (const kind of ["bf16", "int8"] as const) {
    for (const ranks of [2, 3, 5]) {
      const exact = numbers(0);
      for (let rank = 1; rank < ranks; rank++) numbers(rank).forEach((value, i) => exact[i] += value);
      const totals = await Promise.all(
        localCollectives(ranks).map(async (collective) => {
          const sum = new CompressedSum(collective, kind, size), total = new Float64Array(size);
          let first = new Float32Array();
          for (let repeat = 0; repeat < repeats; repeat++) {
            const data = numbers(collective.rank);
            await sum.add(numbers(collective.rank), false); // only tried: changes nothing
            await sum.add(data);
            if (repeat === 0) first = data;
            data.forEach((value, i) => total[i] += value / repeats);
          }
          return { first, mean: total };
        }),
      );
      for (const { first } of totals) assertEquals(first, totals[0].first);
      const off = (values: ArrayLike<number>): number =>
        exact.reduce((most, x, i) => Math.max(most, Math.abs(values[i] - x)), 0);
      // A rank's numbers are at most 1: half a step of 127, or of 8 bits of mantissa; then the same of the sum.
      const step = kind === "int8" ? 1 / 127 : 1 / 256;
      assert(off(totals[0].first) <= ranks * step, `${kind}: ${off(totals[0].first)}`);
      // Small numbers beside large ones arrive in time only where rounding errors are carried on.
      if (kind === "int8") assert(off(totals[0].mean) <= 2 * ranks * step / repeats, `${off(totals[0].mean)}`);
    }
  }
});

Deno.test("rows: ranks together have each row of a step once, in every field", () => {
  const objective = nextToken({ masked: true }), length = 3;
  for (const axes of [{ accumulate: 1, batch: 5 }, { accumulate: 2, batch: 7 }]) {
    const total = axes.accumulate * axes.batch;
    const tokens = Int32Array.from({ length: total * (length + 1) }, (_, i) => i);
    const mask = Float32Array.from({ length: total * length }, (_, i) => i), fresh = mask.slice(0, total);
    for (const size of [1, 2, 3, 5]) {
      const seen = { tokens: [] as number[], mask: [] as number[], fresh: [] as number[] };
      for (let rank = 0; rank < size; rank++) {
        const rows = shareOf(axes.batch, { rank, size });
        const own = rowsOfBatch({ data: { tokens, mask }, fresh }, { objective, length, axes, rows });
        const { tokens: ownTokens, mask: ownMask } = own.data as { tokens: Int32Array; mask: Float32Array };
        assertEquals(ownTokens.length, axes.accumulate * rows.count * (length + 1));
        // Of a row all fields belong together.
        assertEquals(
          Array.from(own.fresh!, (row) => row * length),
          Array.from(ownMask.filter((_, i) => i % length === 0)),
        );
        assertEquals(Array.from(own.fresh!, (row) => row * (length + 1)), [
          ...ownTokens.filter((_, i) => i % (length + 1) === 0),
        ]);
        seen.tokens.push(...ownTokens);
        seen.mask.push(...ownMask);
        seen.fresh.push(...own.fresh!);
      }
      for (const [name, all] of Object.entries({ tokens, mask, fresh })) {
        assertEquals(
          seen[name as keyof typeof seen].sort((a, b) => a - b),
          Array.from(all),
          `${name} over ${size} ranks`,
        );
      }
    }
  }
});

Deno.test("rows: sums say whether ranks took each row of one batch once, in every field", () => {
  const objective = nextToken({ masked: true }), length = 3;
  for (const axes of [{ accumulate: 1, batch: 6 }, { accumulate: 2, batch: 7 }]) {
    const total = axes.accumulate * axes.batch, cases = { axes, objective, length };
    // Rows are alike but for one number of the last: their places tell them apart.
    const whole = (last = 1): SplitBatch => ({
      data: { tokens: new Int32Array(total * (length + 1)).fill(7), mask: new Float32Array(total * length).fill(1) },
      fresh: new Float32Array(total).fill(0).fill(last, total - 1),
    });
    const isBatch = (shares: readonly Share[], batches: readonly SplitBatch[]): boolean => {
      const sums = [0, 0];
      for (const [rank, rows] of shares.entries()) {
        const batch = batches[rank % batches.length], own = rowsOfBatch(batch, { ...cases, rows });
        const all = rowSums(batch, { ...cases, rows: { first: 0, count: axes.batch } });
        rowsTaken(rowSums(own, { ...cases, rows }), all, shares.length).forEach((sum, i) => sums[i] += sum);
      }
      return areTakenOnce(sums);
    };
    for (const size of [2, 3, 5]) {
      const shares = Array.from({ length: size }, (_, rank) => shareOf(axes.batch, { rank, size }));
      const moved = ({ first, count }: Share, by: number, more = 0): Share => ({
        first: first + by,
        count: count + more,
      });
      assert(isBatch(shares, [whole()]));
      assert(isBatch(shares.toReversed(), [whole()]));
      assert(!isBatch([...shares.slice(1), moved(shares[0], 1)], [whole()]), "one missed, one taken twice");
      assert(!isBatch([moved(shares[0], 0, 1), ...shares.slice(1)], [whole()]), "one taken twice");
      assert(!isBatch([moved(shares[0], 1, -1), ...shares.slice(1)], [whole()]), "one missed");
      assert(!isBatch(shares, [whole(), ...shares.slice(1).map(() => whole(2))]), "another batch on one rank");
    }
  }
});
