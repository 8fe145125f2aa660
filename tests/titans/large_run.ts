/**
 * Trains an LMM of 30 million parameters for some steps, as `deno task train` does, and checks that the loss falls and
 * that memory stays within what `plan` foresees and within 8 GB: `deno task soak:large --help`.
 */
import { CommandError } from "../../cli/errors.ts";
import { choice, integer } from "../../cli/flags.ts";
import { DEVICE_NAMES } from "../../kernels/devices/registry.ts";
import { eventsOf } from "../cli/run_main.ts";
import { StepProgress } from "./step_progress.ts";
import { runTool } from "../tool.ts";

const MODEL = ["--model", "lmm", "--preset", "small", "--width", "512", "--blocks", "8", "--heads", "8"],
  SIZE = ["--parameters", "30000000", "--batch", "2", "--seq-len", "256"];

/** What the process may take beside the plan: the runtime, the text, and the host's copies of weights and moments. */
const HOST_BYTES = 2e9, MOST_BYTES = 8e9;

const FOLDER = ".scratch/large";

async function soak(device: string, steps: number): Promise<void> {
  await Deno.remove(FOLDER, { recursive: true }).catch(() => {});
  const [{ totalBytes }] = await eventsOf(["plan", ...MODEL, ...SIZE, "--device", device]);
  const run = ["--eval-every", "0", "--eval-bytes", "2048", "--sample-tokens", "0", "--out", FOLDER];
  const progress = new StepProgress(steps);
  const train = ["train", ...MODEL, ...SIZE, "--device", device, "--steps", `${steps}`, ...run];
  const events = await eventsOf(train, (event) => progress.see(event, device));
  const ofSteps = (name: string): number[] =>
    events.filter(({ event }) => event === "step").map((event) => Number(event[name]));
  const losses = ofSteps("loss"), { rss } = Deno.memoryUsage(), planned = Number(totalBytes);
  const [shownLosses, speed] = [losses.map((loss) => loss.toFixed(3)), Math.max(...ofSteps("tokensPerSecond"))];
  const memory = `${(rss / 1e9).toFixed(2)} GB at the end, planned ${(planned / 1e9).toFixed(2)} GB`;
  console.log(`${device}: losses ${shownLosses.join(" ")}; ${speed.toFixed(0)} tokens/s; ${memory}`);
  const isLearning = losses.length === steps && losses.every(Number.isFinite) && losses.at(-1)! < losses[0];
  if (!isLearning) throw new CommandError("the loss does not fall");
  if (rss > Math.min(MOST_BYTES, planned + HOST_BYTES)) {
    throw new CommandError(`it takes ${rss} bytes, planned ${planned}`);
  }
}

await runTool({
  task: "soak:large",
  about: `Trains an LMM of 30 million parameters on the built-in text, and fails if the loss does not fall, or if memory
exceeds what \`deno task plan\` foresees or 8 GB. Minutes on two cores.`,
  flags: {
    device: choice(DEVICE_NAMES, "where it is trained", "native"),
    steps: integer("training steps", 20, { min: 2 }),
  },
  run: ({ device, steps }) => soak(device, steps),
});
