/** Flags that several commands have. */
import { choice, text, toggle } from "./flags.ts";
import { RUNS } from "./run_folder.ts";

/** Which device computes. */
export const DEVICE_FLAGS = {
  device: choice(
    ["auto", "webgpu", "cpu", "reference"],
    "`auto` takes a GPU, else the CPU; `reference` is exact and very slow",
    "auto",
  ),
  shaderCache: {
    ...text("DIR", "where WebGPU drivers keep compiled shaders, for a faster next start"),
    unless: "the driver's own",
  },
} as const;

/** Which trained model is used. */
export const CHECKPOINT_FLAGS = {
  checkpoint: { ...text("PATH", "run folder or `.safetensors` file"), unless: `the newest run in ${RUNS}/` },
  which: {
    ...choice(["best", "last"], "which state of a run folder: the best on held-out text, or the last"),
    unless: "the best, if there is one",
  },
} as const;

/** What is printed. */
export const OUTPUT_FLAGS = {
  json: toggle("print JSON for scripts, one object per line"),
  verbose: toggle("print stacks with errors"),
} as const;
