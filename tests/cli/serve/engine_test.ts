/** The engine that requests share: alone or together, slow readers, and those who leave. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Engine, type Writer } from "../../../cli/serve/engine.ts";
import { EventStream } from "../../../cli/serve/event_stream.ts";
import { requestDevice } from "../../../kernels/mod.ts";
import { Decoder, defineConfig, Model, Sampler } from "../../../titans/mod.ts";
import { TINY } from "../../titans/builders.ts";

async function withEngine(
  rows: number,
  kind: "reference" | "cpu",
  test: (engine: Engine, decoder: Decoder) => Promise<void>,
): Promise<void> {
  const device = await requestDevice({ kind });
  const model = new Model(defineConfig({ ...TINY, model: "lmm", vocabulary: 32, width: 16, blocks: 1 }));
  const decoder = await Decoder.create(device, model, model.layout.pack(model.initialize(3)));
  const engine = await Engine.create(decoder, rows);
  await test(engine, decoder);
  await engine.dispose();
  decoder.dispose();
  device.dispose();
}

const NEVER = new AbortController().signal;

/** Writes some tokens, and keeps them with their logits. */
class Recorder implements Writer {
  readonly tokens: number[] = [];
  readonly seen: Float32Array[] = [];
  readonly #sampler: Sampler;

  constructor(readonly count: number, seed: number, readonly full?: () => Promise<void> | undefined) {
    this.#sampler = new Sampler({ seed });
  }

  get done(): boolean {
    return this.tokens.length === this.count;
  }

  next(logits: Float32Array): number {
    this.seen.push(logits);
    this.tokens.push(this.#sampler.choose(logits, this.tokens.length));
    return this.tokens.at(-1)!;
  }
}

Deno.test("engine, cpu: what a request gets is the same alone and among others that join and leave, to the last bit", () =>
  withEngine(3, "cpu", async (engine, decoder) => {
    const run = async (i: number): Promise<Recorder> => {
      const writer = new Recorder(5 + 7 * (i % 3), i),
        prompt = Array.from({ length: 1 + 3 * i }, (_, t) => (t * i + 1) % 32);
      const state = await engine.read(decoder.start, prompt, NEVER);
      await engine.write(state, writer, NEVER);
      state.dispose();
      return writer;
    };
    const numbers = [0, 1, 2, 3, 4, 5, 6, 7];
    const together = await Promise.all(numbers.map(run));
    for (const i of numbers) {
      const alone = await run(i);
      assertEquals(together[i].tokens, alone.tokens);
      assertEquals(together[i].seen, alone.seen);
    }
    assertEquals([engine.load.writing, engine.load.waiting], [0, 0]);
  }));

Deno.test("engine: a slow reader gives its row to others, and goes on where it was", () =>
  withEngine(1, "reference", async (engine, decoder) => {
    const state = await engine.read(decoder.start, [1, 2, 3], NEVER);
    const expected = new Recorder(12, 1);
    await engine.write(state, expected, NEVER);
    let open = true, release = (): void => {};
    const slow: Recorder = new Recorder(12, 1, () => {
      if (!open || slow.tokens.length !== 6) return undefined;
      return new Promise((resolve) => release = () => (open = false, resolve()));
    });
    const written = engine.write(state, slow, NEVER), other = new Recorder(9, 2);
    await engine.write(state, other, NEVER);
    assertEquals([slow.tokens.length, other.tokens.length], [6, 9], "the other wrote all in the only row");
    release();
    await written;
    assertEquals(slow.tokens, expected.tokens);
    assertEquals(slow.seen, expected.seen);
    state.dispose();
  }));

Deno.test("engine: who leaves, or fails, leaves the others alone", () =>
  withEngine(2, "reference", async (engine, decoder) => {
    const state = await engine.read(decoder.start, [1], NEVER), leave = new AbortController();
    const stuck: Recorder = new Recorder(9, 1, () => new Promise(() => {}));
    const broken: Writer = {
      done: false,
      next: () => {
        throw new Error("broken");
      },
    };
    const ends = [
      assertRejects(() => engine.write(state, new Recorder(1e9, 1), leave.signal), Error, "left"),
      assertRejects(() => engine.write(state, stuck, leave.signal), Error, "left"),
      assertRejects(() => engine.write(state, broken, NEVER), Error, "broken"),
      assertRejects(() => engine.read(state, new Int32Array(5000), leave.signal), Error, "left"),
      assertRejects(() => engine.read(state, [32], NEVER), RangeError, "tokens of this model go from 0 to 31"),
    ];
    const other = new Recorder(4, 2);
    await engine.write(state, other, NEVER);
    leave.abort(new Error("left"));
    await Promise.all(ends);
    const again = new Recorder(4, 2);
    await engine.write(state, again, NEVER);
    assertEquals(again.tokens, other.tokens);
    state.dispose();
  }));

Deno.test("event stream: it is full while nobody reads, and its writer is told when somebody has, or has left", async () => {
  let cancelled = false;
  const events = new EventStream(() => cancelled = true), reader = events.body.getReader();
  for (let i = 0; i < 100 && !events.full(); i++) events.send({ text: "x".repeat(5000) });
  const full = events.full();
  assert(full, "it fills up");
  let drained = false;
  full.then(() => drained = true);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(drained, false);
  while (events.full()) await reader.read();
  await full;
  for (let i = 0; i < 100 && !events.full(); i++) events.send({ text: "x".repeat(5000) });
  const again = events.full();
  await reader.cancel();
  await again;
  assertEquals([cancelled, events.full()], [true, undefined]);
});
