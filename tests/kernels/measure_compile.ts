/**
 * Prints the table of compile times of docs/benchmarks.md, measured here: deno run --allow-all
 * tests/kernels/measure_compile.ts [BLOCKS ...]
 *
 * The training step of LMM (nano, 8 x 128 tokens) for the cpu device, of 2 to 24 blocks unless given: nodes, kernels,
 * and the milliseconds of each pass, of blocks one by one and stacked, the least of several rounds after one that warms up the engine.
 */
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { makeModule } from "../../kernels/devices/wasm/module.ts";
import { takeDonated } from "../../kernels/in_place.ts";
import { planMemory } from "../../kernels/plan_memory.ts";
import { schedule } from "../../kernels/schedule.ts";
import { defineConfig } from "../../titans/models/config.ts";
import { Model } from "../../titans/models/model.ts";
import { nextToken } from "../../titans/train/next_token.ts";
import { defineOptimizer, stepScalars } from "../../titans/train/optimizer_config.ts";
import { trainingStep } from "../../titans/train/training_step.ts";

const ROUNDS = 3;
const BATCH = 8, LENGTH = 128;

interface Compiled {
  readonly nodes: number;
  readonly kernels: number;
  readonly distinct: number;
  /** Milliseconds by pass; gradients are built while tracing. */
  readonly times: Readonly<Record<string, number>>;
}

/** Milliseconds that the main thread has run; on Linux without those in which other processes had its core. */
function now(): number {
  if (Deno.build.os !== "linux") return performance.now();
  return Number(Deno.readTextFileSync("/proc/self/schedstat").split(" ")[0]) / 1e6;
}

function compileStep(blocks: number, stackBlocks: "always" | "never"): Compiled {
  const times: Record<string, number> = {};
  const timed = <T>(pass: string, run: () => T): T => {
    const start = now(), result = run();
    times[pass] = now() - start;
    return result;
  };
  const model = new Model(defineConfig({ model: "lmm", blocks, stackBlocks }));
  const flat = spec([model.layout.size]), state = { params: flat, first: flat, second: flat };
  const batch = { data: { tokens: spec([1, BATCH, LENGTH + 1], "i32") } }, optimizer = defineOptimizer();
  const scalars = spec([stepScalars(optimizer, 0).length]);
  const { graph: traced } = timed(
    "trace",
    () => trace(trainingStep(model, nextToken({ masked: false }), optimizer), [state, spec([]), batch, scalars]),
  );
  const graph = timed("simplify", () => simplify(traced));
  const scheduled = timed("schedule", () => takeDonated(schedule(graph, { maxOperands: 64 }), [0, 1, 2, 3]));
  const plan = timed("plan", () => planMemory(scheduled));
  const made = timed("print", () => makeModule(plan, { relaxed: true, shared: true, threads: 2 }));
  timed("load", () => new WebAssembly.Module(made.bytes));
  return { nodes: graph.nodes.length, kernels: made.program.steps.length, distinct: made.kernels.length, times };
}

function fastest(blocks: number, stackBlocks: "always" | "never"): Compiled {
  const rounds = Array.from({ length: ROUNDS }, () => compileStep(blocks, stackBlocks)), [first] = rounds;
  const least = (pass: string): number => Math.min(...rounds.map(({ times }) => times[pass]));
  return { ...first, times: Object.fromEntries(Object.keys(first.times).map((pass) => [pass, least(pass)])) };
}

const counts = Deno.args.length > 0 ? Deno.args.map(Number) : [2, 4, 8, 12, 24];
compileStep(2, "never");
const passes = Object.keys(compileStep(2, "always").times);
for (const stackBlocks of ["never", "always"] as const) {
  console.log(`\nstackBlocks ${stackBlocks}\n`);
  console.log(`| blocks | nodes | kernels | distinct | ${passes.join(" | ")} | all | a kernel |`);
  console.log(`|${" ---: |".repeat(passes.length + 6)}`);
  for (const blocks of counts) {
    const { nodes, kernels, distinct, times } = fastest(blocks, stackBlocks);
    const total = Object.values(times).reduce((sum, time) => sum + time, 0);
    const columns = [blocks, nodes, kernels, distinct, ...passes.map((pass) => times[pass].toFixed(0))];
    console.log(`| ${columns.join(" | ")} | ${total.toFixed(0)} | ${(total / kernels).toFixed(2)} |`);
  }
}
