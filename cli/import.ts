/** `import`: takes weights of another program over, where both compute the same function. */
import { CheckpointError, decodeNeuralMemory, encodeNeuralMemory, type StoredNeuralMemory } from "../titans/mod.ts";
import { layoutOf } from "../titans/nn/mod.ts";
import { OUTPUT_FLAGS } from "./common_flags.ts";
import { CommandError, UsageError } from "./errors.ts";
import { exists, makeFolderOf, reasonOf, writeAtomic } from "./files.ts";
import { parseFlags, required } from "./flags.ts";
import type { Command } from "./help.ts";
import { formatCount } from "./progress.ts";
import { RUNS } from "./run_folder.ts";
import type { Terminal } from "./terminal.ts";
import { userPath } from "./user_path.ts";

const FLAGS = {
  titansPytorch: required("FILE", "a memory of titans-pytorch, as `examples/titans_pytorch_file.py` writes it"),
  out: required("FILE", `new file, below ${RUNS}/, which \`decodeNeuralMemory\` of the library reads`),
  ...OUTPUT_FLAGS,
} as const;

/** The command `import`. */
export const importCommand: Command = {
  summary: "take over a memory that titans-pytorch trained",
  description: [
    "Reads a NeuralMemory of the Python package titans-pytorch and writes it for the library, which computes the same",
    "outputs from it. Where its options make another function, as chunks of several tokens do, says which one.",
  ].join("\n"),
  examples: [
    ["deno task import --titans-pytorch memory.safetensors --out runs/memory.safetensors", "see docs/library.md"],
  ],
  flags: FLAGS,
  run: importMemory,
};

async function importMemory(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values: { titansPytorch, out, json } } = parseFlags(args, FLAGS, "import");
  if (titansPytorch === undefined) throw new UsageError("import needs a file: give one with --titans-pytorch FILE");
  if (out === undefined) throw new UsageError("import needs a file to write: give one with --out FILE");
  if (await exists(out)) throw new UsageError(`--out cannot be ${out}: it exists; choose another file`);
  const memory = await memoryIn(userPath(titansPytorch)), bytes = encodeNeuralMemory(memory);
  await makeFolderOf(out, "--out");
  await writeAtomic(out, bytes);
  const { options } = memory, { parameterCount: parameters } = layoutOf(memory.layer.parameters);
  if (json) terminal.out(`${JSON.stringify({ event: "import", out, bytes: bytes.length, parameters, options })}\n`);
  else {
    const heads = options.heads === 1 ? "a head" : `${options.heads} heads`, { width, headWidth, miniBatch } = options;
    terminal.out(
      `${out}: a memory of width ${width} with ${heads} of width ${headWidth}, ${
        formatCount(parameters)
      } parameters, which learns in mini-batches of ${miniBatch} tokens\n`,
    );
  }
  return 0;
}

async function memoryIn(path: string): Promise<StoredNeuralMemory> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) throw error;
    throw new UsageError(`cannot read ${path}: ${reasonOf(error, "read")}`, { cause: error });
  }
  try {
    return decodeNeuralMemory(bytes);
  } catch (cause) {
    if (!(cause instanceof CheckpointError)) throw cause;
    throw new CommandError(`${path}: ${cause.message}`, { cause });
  }
}
