/** `generate`: generates text with a trained model. */
import { requestDevice } from "../kernels/mod.ts";
import { Decoder, fingerprint, generate as generateTokens, Model, SamplingError } from "../titans/mod.ts";
import { BUILTIN_TEXT } from "./builtin_models.ts";
import { findCheckpoint, type WhichCheckpoint } from "./checkpoint_file.ts";
import { StopText } from "./data/stop_text.ts";
import { notedVocabulary, TokenDecoder } from "./data/vocabulary.ts";
import { CHECKPOINT_FLAGS, DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "./common_flags.ts";
import { CommandError, UsageError } from "./errors.ts";
import { integer, parseFlags, phrase, text, texts } from "./flags.ts";
import type { Command } from "./help.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { loadMemory } from "./memory_store.ts";
import { asCalled } from "./program.ts";
import { BEST_FILE, latestRun, latestRunIfAny, RUNS } from "./run_folder.ts";
import { printable, type Terminal } from "./terminal.ts";
import { idleSamplingFlags, SAMPLING_FLAGS } from "./sampling_flags.ts";
import { readPaths } from "./user_path.ts";

const FLAGS = {
  ...CHECKPOINT_FLAGS,
  checkpoint: {
    ...CHECKPOINT_FLAGS.checkpoint,
    unless: `${CHECKPOINT_FLAGS.checkpoint.unless}, or \`${BUILTIN_TEXT}\` if there is none`,
  },
  memory: text(
    "FILE",
    "start from a memory file of `deno task remember`; without `--prompt`, continue where its text ended",
  ),
  prompt: phrase("what to continue", "The "),
  tokens: integer("number of tokens to generate; a token is a byte unless the model has another vocabulary", 300, {
    min: 1,
  }),
  ...SAMPLING_FLAGS,
  stop: { ...texts("TEXT", "stop before this text would appear; can be repeated"), takesAnything: true },
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
} as const;

/** The command `generate`. */
export const generateCommand: Command = {
  summary: "generate text with a trained model",
  description: "Continues a prompt with a trained model and prints the text as it is generated.",
  examples: [
    ["deno task generate", "continue the default prompt with the newest run, or a model that comes with Mneme"],
    ['deno task generate --prompt "My fellow citizens" --tokens 500', "a longer continuation of a prompt"],
    ['deno task generate --prompt "The people" --stop "."', "stop at the end of the sentence"],
    ["deno task generate --memory runs/book.memory --prompt Chapter", "continue from a book in memory"],
    ["deno task generate --checkpoint runs/lmm --temperature 0", "a given run, always the most likely token"],
  ],
  flags: FLAGS,
  run: generate,
};

async function generate(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, given } = parseFlags(args, FLAGS, "generate"), flags = { ...values, ...readPaths(values) };
  const promptText = flags.memory !== undefined && !given.has("prompt") ? "" : flags.prompt;
  if (promptText === "" && flags.memory === undefined) {
    throw new UsageError("--prompt cannot be empty: give at least one character to continue");
  }
  if (flags.stop.includes("")) throw new UsageError("--stop cannot be empty: give the text to stop at");
  idleSamplingFlags(flags, given).forEach((line) => terminal.err(`${line}\n`));
  using interrupt = listenForInterrupt(terminal);
  const { checkpoint, file } = await findCheckpoint(flags.checkpoint ?? await modelHere(flags, terminal), flags.which);
  const vocabulary = await notedVocabulary(checkpoint.notes), prompt = vocabulary.encode(promptText);
  // A stop string can be split into tokens in many ways, so its characters are matched.
  const stopped = new StopText(flags.stop), tokenDecoder = new TokenDecoder(vocabulary);
  const device = await requestDevice(deviceOptions(flags));
  try {
    const model = new Model(checkpoint.config);
    const params = model.layout.pack(checkpoint.state.params);
    const memory = flags.memory === undefined
      ? undefined
      : await loadMemory(flags.memory, { model, weights: fingerprint(params) });
    const decoder = await Decoder.create(device, model, params);
    if (memory) decoder.restore(memory.reading);
    const write = flags.json
      ? (piece: string) => terminal.out(`${JSON.stringify({ event: "text", text: piece, device: device.info.kind })}\n`)
      : (piece: string) => terminal.out(terminal.interactive ? printable(piece) : piece);
    if (!flags.json) write(promptText);
    const { tokens: maxTokens, temperature, topK, topP, minP, seed } = flags;
    const began = performance.now();
    let count = 0, all = "";
    const emit = (piece: string): void => {
      if (piece === "") return;
      all += piece;
      write(piece);
    };
    for await (
      const token of chosen(generateTokens(decoder, prompt, { maxTokens, temperature, topK, topP, minP, seed }), file)
    ) {
      emit(stopped.next(tokenDecoder.next(token)));
      count++;
      if (interrupt.requested || stopped.ended) break;
    }
    emit(stopped.next(tokenDecoder.end()));
    emit(stopped.end());
    decoder.dispose();
    const tokensPerSecond = count / ((performance.now() - began) / 1000);
    const done = {
      event: "done",
      prompt: promptText,
      text: all,
      tokens: count,
      tokensPerSecond,
      checkpoint: file,
      device: device.info.kind,
    };
    terminal.out(flags.json ? `${JSON.stringify(done)}\n` : "\n");
    return interrupt.requested ? interrupt.exitCode : 0;
  } finally {
    device.dispose();
  }
}

/**
 * The newest run; before anything was trained, a model that comes with Mneme, which has read no memory file and has one
 * state.
 */
async function modelHere(
  { memory, which }: { readonly memory?: string; readonly which?: WhichCheckpoint },
  terminal: Terminal,
): Promise<string> {
  if (memory !== undefined || which !== undefined) return await latestRun(RUNS);
  const run = await latestRunIfAny(RUNS);
  if (run === undefined) {
    terminal.err(
      asCalled(`there is no run in ${RUNS}/: ${BUILTIN_TEXT} writes this; train your own with deno task train\n`),
    );
  }
  return run ?? BUILTIN_TEXT;
}

/** Passes sampled tokens on; sampling errors name the checkpoint. */
async function* chosen(tokens: AsyncIterable<number>, file: string): AsyncGenerator<number> {
  try {
    yield* tokens;
  } catch (cause) {
    if (!(cause instanceof SamplingError)) throw cause;
    const other = file.endsWith(`/${BEST_FILE}`) ? "--which last" : "--which best";
    throw new CommandError(
      `${file}: ${cause.message}; try ${other}, or train with a lower --lr or a smaller --theta-max`,
      { cause },
    );
  }
}
