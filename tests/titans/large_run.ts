/**
 * Trains an LMM of 30 million parameters for some steps, as `deno task train` does, and checks that the loss falls and
 * that memory stays within what `plan` foresees and within 8 GB: `deno task soak:large [DEVICE] [STEPS]`. Minutes on two
 * cores, so no part of `deno task test`.
 */
import { main } from "../../main.ts";
import { FakeTerminal } from "../cli/fake_terminal.ts";

const MODEL = ["--model", "lmm", "--preset", "small", "--width", "512", "--blocks", "8", "--heads", "8"],
  SIZE = ["--parameters", "30000000", "--batch", "2", "--seq-len", "256"];

/** What the process may take beside the plan: the runtime, the text, and the host's copies of weights and moments. */
const HOST_BYTES = 2e9, MOST_BYTES = 8e9;

const [device = "native", steps = "20"] = Deno.args, folder = ".scratch/large";

/** The events of a command. @throws {Error} if it fails. */
async function eventsOf(...args: string[]): Promise<Record<string, unknown>[]> {
  const terminal = new FakeTerminal(), code = await main([...args, "--device", device, "--json"], terminal);
  if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${terminal.stderr}`);
  return terminal.events;
}

await Deno.remove(folder, { recursive: true }).catch(() => {});
const [{ totalBytes }] = await eventsOf("plan", ...MODEL, ...SIZE);
const run = ["--eval-every", "0", "--eval-bytes", "2048", "--sample-tokens", "0", "--out", folder];
const events = await eventsOf("train", ...MODEL, ...SIZE, "--steps", steps, ...run);
const losses = events.filter(({ event }) => event === "step").map(({ loss }) => Number(loss));
const speeds = events.filter(({ event }) => event === "step").map(({ tokensPerSecond }) => Number(tokensPerSecond));
const { rss } = Deno.memoryUsage(), planned = Number(totalBytes);
console.log(
  `${device}: losses ${losses.map((loss) => loss.toFixed(3)).join(" ")}; ${Math.max(...speeds).toFixed(0)} tokens/s; ${
    (rss / 1e9).toFixed(2)
  } GB at the end, planned ${(planned / 1e9).toFixed(2)} GB`,
);
const isLearning = losses.length === Number(steps) && losses.every(Number.isFinite) && losses.at(-1)! < losses[0];
if (!isLearning) throw new Error("the loss does not fall");
if (rss > Math.min(MOST_BYTES, planned + HOST_BYTES)) throw new Error(`it takes ${rss} bytes, planned ${planned}`);
