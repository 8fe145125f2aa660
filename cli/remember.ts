/** `remember`: reads a text into a model's memory and saves the memory. */
import { type Device, requestDevice } from "../kernels/mod.ts";
import { Decoder, type DecodeState, fingerprint, type MemoryOwner, Model } from "../titans/mod.ts";
import { findCheckpoint } from "./checkpoint_file.ts";
import { describeRead } from "./data/rows.ts";
import { type OpenedText, openText } from "./data/text.ts";
import { SourceBytes } from "./data/source_bytes.ts";
import { tokensOf } from "./data/token_encoder.ts";
import { bytesOfTokens, notedVocabulary, type Vocabulary } from "./data/vocabulary.ts";
import { CHECKPOINT_FLAGS, DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS, QUANTIZE_FLAG } from "./common_flags.ts";
import { CommandError, UsageError } from "./errors.ts";
import { exists, makeFolderOf } from "./files.ts";
import { integer, parseFlags, required, toggle, type Values } from "./flags.ts";
import type { Command } from "./help.ts";
import { type Interrupt, listenForInterrupt } from "./interrupt.ts";
import { memoryCost } from "./memory_cost.ts";
import { loadMemory, saveMemory } from "./memory_store.ts";
import { allFinite } from "./not_finite.ts";
import { asCalled, shellWord } from "./program.ts";
import { formatCount, formatDuration } from "./progress.ts";
import { costLines, type QuantizationCost } from "./quantization_cost.ts";
import { latestRun, RUNS } from "./run_folder.ts";
import { Speed } from "./speed.ts";
import { fitLine, type Terminal } from "./terminal.ts";
import { rowOptionsOf, TEXT_FLAGS } from "./text_flags.ts";
import { readPaths } from "./user_path.ts";

const FLAGS = {
  text: required("FILE", "the text: a file in any format that `train` accepts, or `-` for standard input"),
  ...TEXT_FLAGS,
  memory: required("FILE", "the memory file to write"),
  continue: toggle("continue from the contents of `--memory`"),
  skip: integer("number of bytes to skip at the start of the text", 0, { min: 0 }),
  quantize: QUANTIZE_FLAG,
  samples: integer("tokens of the text that are read again to measure a quantized memory; 0 for none", 256, {
    min: 0,
    max: 2 ** 24,
  }),
  ...CHECKPOINT_FLAGS,
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
} as const;

/** The command `remember`. */
export const rememberCommand: Command = {
  summary: "read a text into a model's memory and save it to a file",
  description: [
    "Reads a text with a trained model and saves its memory to a file, whose size does not depend on the text. generate --memory continues",
    "from it, as if the text preceded the prompt. The file can only be used with the same checkpoint. Ctrl-C saves what was read so far.",
    "With --quantize, shows size and bits per byte before and after.",
  ].join("\n"),
  examples: [
    ["deno task remember --text book.txt --memory runs/book.memory", "read a book with the newest run"],
    ["deno task generate --memory runs/book.memory --prompt Chapter", "generate from it"],
    ["deno task remember --text more.txt --memory runs/book.memory --continue", "continue reading"],
    ["deno task remember --text book.txt --memory runs/small.memory --quantize int8", "in less space"],
    ["cat *.txt | deno task remember --text - --memory runs/all.memory", "from standard input"],
  ],
  flags: FLAGS,
  run: remember,
};

type RememberFlags = Values<typeof FLAGS>;

// How often progress is shown and Ctrl-C is handled.
const ROUND_MS = 250;
const MOST_PIECES = 256;

async function remember(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseFlags(args, FLAGS, "remember"), flags = { ...values, ...readPaths(values) };
  const source = flags.text, path = flags.memory;
  if (source === undefined) {
    throw new UsageError("remember needs a text: give a file with --text FILE, or --text - for standard input");
  }
  if (path === undefined) throw new UsageError("remember needs a file for the memory: give one with --memory FILE");
  if (path === "") throw new UsageError("--memory cannot be empty: give a file");
  if (!flags.continue && await exists(path)) {
    throw new UsageError(
      `the file ${path} exists: continue from it with --continue, or choose another --memory`,
    );
  }
  const remarks: string[] = [];
  const opened = await openText(source, {
    format: flags.format,
    ...rowOptionsOf(flags),
    remark: (line) => remarks.push(line),
  });
  using interrupt = listenForInterrupt(terminal);
  const { checkpoint, file } = await findCheckpoint(flags.checkpoint ?? await latestRun(RUNS), flags.which);
  const vocabulary = await notedVocabulary(checkpoint.notes);
  const model = new Model(checkpoint.config), params = model.layout.pack(checkpoint.state.params);
  const owner: MemoryOwner = { model, weights: fingerprint(params) };
  const before = flags.continue ? await loadMemory(path, owner) : undefined;
  // Created now, so that a location that is not writable is reported before minutes of reading.
  await makeFolderOf(path, "--memory");
  const device = await requestDevice(deviceOptions(flags));
  try {
    const decoder = await Decoder.create(device, model, params);
    const start = before ? decoder.importState(before.reading) : decoder.start;
    const show = new Show(terminal, {
      flags,
      device,
      vocabulary,
      checkpoint: file,
      opened,
      tokensRead: start.tokensRead,
    });
    remarks.forEach((line) => show.note(line));
    const source = new SourceBytes(), text = from(opened.bytes, flags.skip);
    const tokens = tokensOf(vocabulary.idBytes === 1 ? text : source.through(text), vocabulary);
    const head = new Int32Array(flags.quantize ? flags.samples : 0);
    const { state, bytes } = await readAll(decoder, start, { tokens, vocabulary, source, show, interrupt, head });
    let cost: QuantizationCost | undefined;
    if (bytes > 0) {
      const texts: unknown[] = JSON.parse(before?.notes.texts ?? "[]");
      const read = { name: flags.text, from: flags.skip, bytes };
      const memory = {
        reading: await state.export(),
        notes: { ...before?.notes, texts: JSON.stringify([...texts, read]) },
      };
      await saveMemory(path, owner, memory, { quantize: flags.quantize });
      const known = interrupt.requested ? 0 : Math.min(head.length, state.tokensRead - start.tokensRead);
      if (flags.quantize) {
        const { quantize } = flags, again = head.subarray(0, known);
        cost = await memoryCost(decoder, memory, { owner, quantize, tokens: again, vocabulary });
      }
    } else if (!interrupt.requested) {
      throw new UsageError(
        `the text ${flags.text} is empty${
          flags.skip > 0 ? ` after ${flags.skip} bytes` : ""
        }: give a text with --text FILE`,
      );
    }
    show.done(state, { bytes, interrupted: interrupt.requested, cost });
    if (state !== decoder.start) state.dispose();
    decoder.dispose();
    return interrupt.requested ? interrupt.exitCode : 0;
  } finally {
    device.dispose();
  }
}

/** The bytes of a text from an offset on. */
async function* from(bytes: AsyncIterable<Uint8Array>, skip: number): AsyncGenerator<Uint8Array> {
  let left = skip;
  for await (const piece of bytes) {
    const cut = Math.min(left, piece.length);
    left -= cut;
    if (cut < piece.length) yield piece.subarray(cut);
  }
}

interface Reading {
  readonly tokens: AsyncIterable<Int32Array>;
  readonly vocabulary: Vocabulary;
  /** The bytes that the tokens come from. */
  readonly source: SourceBytes;
  readonly show: Show;
  readonly interrupt: Interrupt;
  /** Receives the first tokens, as many as it has room for. */
  readonly head: Int32Array;
}

/** Reads a text to its end, or until a stop is requested. */
async function readAll(
  decoder: Decoder,
  start: DecodeState,
  { tokens, vocabulary, source, show, interrupt, head }: Reading,
): Promise<{ readonly state: DecodeState; readonly bytes: number }> {
  const speed = new Speed(1), unit = decoder.tokensAtOnce;
  let state = start, bytes = 0, decoded = 0, held = new Int32Array(0);
  const read = async (count: number): Promise<void> => {
    const piece = held.subarray(0, count);
    held = held.subarray(count);
    const result = await speed.measure(count, () => decoder.prefill(piece, state));
    // The host checks for NaN, which would remain in the memory.
    if (!allFinite(result.logits)) throw notFinite(bytes);
    if (state !== decoder.start) state.dispose();
    state = result.state;
    decoded += vocabulary.idBytes === 1 ? count : bytesOfTokens(vocabulary, piece).length;
    bytes = vocabulary.idBytes === 1 ? decoded : source.before(decoded);
    show.progress({ bytes, tokens: state.tokensRead - start.tokensRead, tokensPerSecond: speed.tokensPerSecond });
    // Signals are delivered between turns of the event loop.
    await new Promise((resolve) => setTimeout(resolve, 0));
  };
  let kept = 0;
  for await (const piece of tokens) {
    const first = piece.subarray(0, head.length - kept);
    head.set(first, kept);
    kept += first.length;
    held = joined(held, piece);
    for (;;) {
      // A chunk ends at a boundary from which fast reading can continue.
      const toBoundary = (unit - state.tokensRead % unit) % unit || unit;
      if (interrupt.requested || held.length < toBoundary) break;
      const wanted = Math.min(speed.stepsIn(ROUND_MS, MOST_PIECES * unit), held.length);
      await read(toBoundary + Math.max(0, Math.floor((wanted - toBoundary) / unit)) * unit);
    }
    if (interrupt.requested) return { state, bytes };
  }
  if (held.length > 0) await read(held.length);
  return { state, bytes };
}

function notFinite(bytes: number): CommandError {
  return new CommandError(
    `what the model predicts is not finite in the text after byte ${bytes}: no memory was written; use another checkpoint of the run ` +
      `(--which best or last), or train one with a lower --lr or a smaller --theta-max`,
  );
}

function joined(head: Int32Array, tail: Int32Array): Int32Array<ArrayBuffer> {
  const tokens = new Int32Array(head.length + tail.length);
  tokens.set(head);
  tokens.set(tail, head.length);
  return tokens;
}

interface Shown {
  readonly flags: RememberFlags;
  readonly device: Device;
  readonly vocabulary: Vocabulary;
  readonly checkpoint: string;
  readonly opened: OpenedText;
  /** Before this text. */
  readonly tokensRead: number;
}

// Seconds between lines if there is no terminal, to keep logs short.
const QUIET_MS = 10_000;

/** The output of the command while it reads. */
class Show {
  readonly #terminal: Terminal;
  readonly #shown: Shown;
  readonly #began = performance.now();
  #lastShown = performance.now();

  constructor(terminal: Terminal, shown: Shown) {
    this.#terminal = terminal;
    this.#shown = shown;
    const {
      flags: { text, memory },
      device: { info: { kind, description } },
      vocabulary: { unit },
      checkpoint,
      tokensRead,
    } = shown;
    const { sizeBytes: totalBytes } = shown.opened;
    if (
      this.#event({
        event: "start",
        text,
        memory,
        checkpoint,
        adapter: description,
        totalBytes: totalBytes ?? null,
        tokensRead,
      })
    ) return;
    const size = totalBytes === undefined ? "" : ` (${formatCount(totalBytes)} bytes)`,
      after = tokensRead > 0 ? `, after ${formatCount(tokensRead)} ${unit}s` : "";
    terminal.out(`reading ${text}${size} with ${checkpoint} on ${kind}: ${description}${after}\n`);
  }

  progress(
    { bytes, tokens, tokensPerSecond }: {
      readonly bytes: number;
      readonly tokens: number;
      readonly tokensPerSecond: number;
    },
  ): void {
    const { flags: { skip }, opened: { sizeBytes: totalBytes }, vocabulary: { unit } } = this.#shown;
    if (this.#event({ event: "progress", bytes, tokens, tokensPerSecond })) return;
    const { interactive } = this.#terminal;
    if (!interactive && performance.now() - this.#lastShown < QUIET_MS) return;
    this.#lastShown = performance.now();
    const left = totalBytes === undefined ? undefined : totalBytes - skip - bytes;
    const line = fitLine([
      left === undefined ? `${formatCount(bytes)} bytes` : `${formatCount(bytes)}/${formatCount(bytes + left)} bytes`,
      `${formatCount(tokensPerSecond)} ${unit}s/s`,
      ...(left === undefined ? [] : [`ETA ${formatDuration(left / bytes * tokens / tokensPerSecond)}`]),
    ], this.#terminal);
    this.#terminal.out(interactive ? `\r\x1b[K${line}` : `${line}\n`);
  }

  done(
    state: DecodeState,
    { bytes, interrupted, cost }: {
      readonly bytes: number;
      readonly interrupted: boolean;
      readonly cost?: QuantizationCost;
    },
  ): void {
    const { flags: { text, memory, skip }, opened: { tally }, vocabulary: { unit }, tokensRead: before } = this.#shown;
    tally.remarks.forEach((line) => this.note(line));
    if (tally.rows > 0) this.note(describeRead(text ?? "", tally.facts, { bytes }));
    const seconds = (performance.now() - this.#began) / 1000;
    const { tokensRead, sizeBytes: stateBytes } = state, tokensPerSecond = (tokensRead - before) / seconds;
    const figures = { memory, bytes, tokensRead, stateBytes, tokensPerSecond, seconds, interrupted };
    if (this.#event({ event: "done", ...figures, ...(cost ? { quantization: cost } : {}) })) return;
    const clear = this.#terminal.interactive ? "\r\x1b[K" : "";
    if (interrupted && bytes === 0) {
      this.#terminal.out(`${clear}stopped before reading anything\n`);
      return;
    }
    const holds = `${memory} now holds ${formatCount(tokensRead)} ${unit}s of text in ${formatCount(stateBytes)} bytes`;
    this.#terminal.out(
      `${clear}${interrupted ? "stopped after" : "read"} ${formatCount(bytes)} bytes in ${
        formatDuration(seconds)
      }; ${holds}\n`,
    );
    if (cost) costLines(cost).forEach((line) => this.note(line));
    const next = interrupted
      ? `deno task remember --text ${shellWord(text!)} --memory ${shellWord(memory!)} --continue --skip ${skip + bytes}`
      : `deno task generate --memory ${shellWord(memory!)} --prompt TEXT`;
    this.#terminal.out(`${interrupted ? "continue" : "generate from it"} with: ${asCalled(next)}\n`);
  }

  /** Prints a line of text. */
  note(line: string): void {
    if (this.#shown.flags.json) this.#terminal.err(`${line}\n`);
    else this.#terminal.out(`${this.#terminal.interactive ? "\r\x1b[K" : ""}${line}\n`);
  }

  /** Prints an event with --json; returns false otherwise. */
  #event(event: Record<string, unknown>): boolean {
    const { flags: { json }, device } = this.#shown;
    if (json) this.#terminal.out(`${JSON.stringify({ ...event, device: device.info.kind })}\n`);
    return json;
  }
}
