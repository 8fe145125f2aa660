/** `inspect`: shows what a model's memories do while it reads a text. */
import { requestDevice } from "../kernels/mod.ts";
import { Inspector, Model, type TracedPiece } from "../titans/mod.ts";
import { findCheckpoint } from "./checkpoint_file.ts";
import { describeRead } from "./data/rows.ts";
import { openText } from "./data/text.ts";
import { tokensOf } from "./data/token_encoder.ts";
import { notedVocabulary, type Vocabulary } from "./data/vocabulary.ts";
import { CHECKPOINT_FLAGS, DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "./common_flags.ts";
import { CommandError, UsageError } from "./errors.ts";
import { choice, integer, parseFlags, required, type Values } from "./flags.ts";
import type { Command } from "./help.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { formatCount } from "./progress.ts";
import { latestRun, RUNS } from "./run_folder.ts";
import { formatNumber, legend, type Letter, Letters, scaleOf, Strip, visible } from "./strip.ts";
import type { Terminal } from "./terminal.ts";
import { rowOptionsOf, TEXT_FLAGS } from "./text_flags.ts";
import { readPaths } from "./user_path.ts";
import { Passages, RunningFigures } from "./trace_summary.ts";

/** What can be shown: quantities that mixers observe by the flag's words, and the cost of the model's prediction. */
const SHOWN = {
  surprise: { quantity: "surprise", meaning: "norm of the token's gradient of the inner loss" },
  loss: { quantity: "loss", meaning: "retrieval error of the token's key at the start of its mini-batch" },
  error: { quantity: "error", meaning: "retrieval error of the token's key after its update" },
  read: { quantity: "readError", meaning: "distance between what the token reads and what it stores" },
  theta: { quantity: "theta", meaning: "step size" },
  eta: { quantity: "eta", meaning: "share of the momentum that is kept" },
  alpha: { quantity: "alpha", meaning: "share of the memory that is forgotten" },
  update: { quantity: "updateNorm", meaning: "norm of what the token changes in the memory" },
  momentum: { quantity: "momentumNorm", meaning: "norm of the momentum" },
  memory: { quantity: "memoryNorm", meaning: "norm of the memory's weights" },
  bits: { quantity: undefined, meaning: "bits that the model needs to predict the token" },
} as const satisfies Readonly<
  Record<string, { readonly quantity: string | undefined; readonly meaning: string }>
>;

type Word = keyof typeof SHOWN;
const WORDS = Object.keys(SHOWN) as Word[];

const FLAGS = {
  ...CHECKPOINT_FLAGS,
  text: required("FILE", "the text: a file in any format that `train` accepts, or `-` for standard input"),
  ...TEXT_FLAGS,
  by: { ...choice(WORDS, "what the strip shows"), unless: "surprise, bits of models without a memory" },
  block: {
    ...integer("only the memory of this block, counted from 0", undefined, { min: 0 }),
    unless: "mean over all",
  },
  head: { ...integer("only the memory of this head, counted from 0", undefined, { min: 0 }), unless: "mean over all" },
  color: choice(
    ["auto", "always", "never"],
    "`auto` uses colours on a terminal unless `NO_COLOR` is set, and bars elsewhere",
    "auto",
  ),
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
} as const;

type InspectFlags = Values<typeof FLAGS>;

/** The command `inspect`. */
export const inspectCommand: Command = {
  summary: "show what the memory does while it reads a text",
  description: [
    "Reads a text with a trained model and shows what its memory did at each token, by default how surprised it was.",
    "Then prints a summary of all quantities:",
    ...WORDS.map((word) => `  ${word.padEnd(8)}  ${SHOWN[word].meaning}`),
    "Memory use does not depend on the length of the text. The scale is based on the first 256 tokens or so.",
  ].join("\n"),
  examples: [
    ["deno task inspect --text speech.txt", "read a speech with the newest run, coloured by surprise"],
    ["deno task inspect --text speech.txt --by theta --block 1 --head 0", "one memory's step sizes"],
    ['echo "My fellow citizens" | deno task inspect --text - --color never', "from standard input, with bars"],
    ["deno task inspect --text speech.txt --json > trace.jsonl", "all numbers, one object per token with its bytes"],
  ],
  flags: FLAGS,
  run: inspect,
};

async function inspect(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseFlags(args, FLAGS, "inspect"), flags = { ...values, ...readPaths(values) };
  const source = flags.text;
  if (source === undefined) {
    throw new UsageError("inspect needs a text: give a file with --text FILE, or --text - for standard input");
  }
  // Opened now, so that a missing file is reported before kernels are compiled.
  const opened = await openText(source, {
    format: flags.format,
    ...rowOptionsOf(flags),
    remark: (line) => terminal.err(`${line}\n`),
  });
  using interrupt = listenForInterrupt(terminal);
  const { checkpoint, file } = await findCheckpoint(flags.checkpoint ?? await latestRun(RUNS), flags.which);
  const model = new Model(checkpoint.config), vocabulary = await notedVocabulary(checkpoint.notes);
  const { heads, vocabulary: size } = checkpoint.config, blocks = model.layers.length;
  for (const [name, index, count] of [["block", flags.block, blocks], ["head", flags.head, heads]] as const) {
    if (index !== undefined && index >= count) {
      throw new UsageError(`--${name} cannot be ${index}: the model has ${count}, counted from 0`);
    }
  }
  if (size !== vocabulary.size) {
    throw new CommandError(
      `${file} has a vocabulary of ${size} tokens and not the ${vocabulary.size} of ${vocabulary.name}: inspect a model trained with deno task train`,
    );
  }
  const device = await requestDevice(deviceOptions(flags));
  try {
    const inspector = await Inspector.create(device, model, model.layout.pack(checkpoint.state.params));
    const words = wordsOf(inspector, flags);
    const show = new Show(terminal, { ...flags, ...words }, { checkpoint: file, device: device.info.kind, vocabulary });
    for await (const piece of inspector.read(tokensOf(opened.bytes, vocabulary))) {
      show.piece(piece);
      // Signals are delivered between turns of the event loop.
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (interrupt.requested) break;
    }
    inspector.dispose();
    show.end(interrupt.requested);
    opened.tally.remarks.forEach((line) => terminal.err(`${line}\n`));
    if (opened.tally.rows > 0) terminal.err(`${describeRead(source, opened.tally.facts, { bytes: show.bytes })}\n`);
    if (show.tokens === 0 && !interrupt.requested) {
      throw new UsageError(`the text ${source} is empty: give a text with --text FILE`);
    }
    return interrupt.requested ? interrupt.exitCode : 0;
  } finally {
    device.dispose();
  }
}

/** What of a model can be shown, and what its strip shows. @throws {UsageError} if that is not observed. */
function wordsOf({ rows }: Inspector, { by, block, head }: InspectFlags): Pick<ShowOptions, "by" | "words"> {
  const isSeen = (quantity: string | undefined): boolean =>
    quantity === undefined ||
    rows.some((row) =>
      row.quantity === quantity && (block ?? row.block) === row.block && (head ?? row.head) === row.head
    );
  const words = WORDS.filter((word) => isSeen(SHOWN[word].quantity));
  if (by !== undefined && !words.includes(by)) {
    throw new UsageError(
      `--by cannot be ${by}: of this model, and where it was asked for, there is ${words.join(", ")}`,
    );
  }
  return { words, by: by ?? (words.includes("surprise") ? "surprise" : "bits") };
}

/** What is shown. */
interface ShowOptions extends InspectFlags {
  /** What the strip shows. */
  readonly by: Word;
  /** What can be shown. */
  readonly words: readonly Word[];
}

interface Origin {
  readonly checkpoint: string;
  readonly device: string;
  readonly vocabulary: Vocabulary;
}

/** Prints observations as they arrive. Keeps nothing that grows with the text. */
class Show {
  readonly #terminal: Terminal;
  readonly #flags: ShowOptions;
  readonly #origin: Origin;
  readonly #color: boolean;
  readonly #letters = new Letters();
  readonly #passages = new Passages();
  readonly #figures: ReadonlyMap<Word, RunningFigures>;
  #strip?: Strip;
  /** Tokens shown. */
  tokens = 0;
  /** Bytes of text in these tokens. */
  #bytes = 0;

  constructor(terminal: Terminal, flags: ShowOptions, origin: Origin) {
    this.#terminal = terminal;
    this.#flags = flags;
    this.#origin = origin;
    this.#color = flags.color === "auto" ? terminal.interactive && !Deno.noColor : flags.color === "always";
    this.#figures = new Map(flags.words.map((word) => [word, new RunningFigures()]));
  }

  piece(piece: TracedPiece): void {
    const { by, json, words, block, head } = this.#flags;
    const values = new Map(words.map((word): [Word, ArrayLike<number>] => {
      const { quantity } = SHOWN[word];
      return [word, quantity === undefined ? piece.bits : piece.values(quantity, { block, head })];
    }));
    const shown = values.get(by)!;
    if (!json && !this.#strip) this.#begin(new Strip(scaleOf(shown), this.#color));
    for (const [word, figures] of this.#figures) {
      Array.prototype.forEach.call(values.get(word)!, (value: number) => figures.add(value));
    }
    let strip = "";
    piece.tokens.forEach((token, i) => {
      const bytes = this.#origin.vocabulary.bytesOf(token), letters: Letter[] = [];
      // A character can span tokens, and a token can hold several characters: each byte has the value of its token.
      for (const byte of bytes) letters.push(...this.#letters.next(byte, shown[i], this.#bytes++));
      strip += this.#take(letters);
      if (!json) return;
      const numbers = Object.fromEntries(
        words.flatMap((word) => word === "bits" ? [] : [[SHOWN[word].quantity, values.get(word)![i]]]),
      );
      const text = letters.map(({ text }) => text).join(""), bits = Number.isNaN(piece.bits[i]) ? null : piece.bits[i];
      strip += `${
        JSON.stringify({
          event: "token",
          position: piece.start + i,
          token,
          bytes: Array.from(bytes),
          text,
          bits,
          ...numbers,
        })
      }\n`;
    });
    this.tokens += piece.tokens.length;
    this.#terminal.out(strip);
  }

  /** Bytes shown. */
  get bytes(): number {
    return this.#bytes;
  }

  end(interrupted: boolean): void {
    const last = this.#take(this.#letters.end());
    const figures = Object.fromEntries(
      [...this.#figures].map(([word, { figures }]) => [SHOWN[word].quantity ?? word, figures]),
    );
    const { by, block = null, head = null, json } = this.#flags, passages = this.#passages.best;
    if (json) {
      const { checkpoint, device, vocabulary: { name: vocabulary } } = this.#origin,
        read = { tokens: this.tokens, bytes: this.#bytes };
      const summary = {
        event: "summary",
        ...read,
        by,
        block,
        head,
        checkpoint,
        device,
        vocabulary,
        figures,
        passages,
        interrupted,
      };
      if (this.tokens > 0) this.#terminal.out(`${JSON.stringify(summary)}\n`);
    } else if (this.#strip) {
      this.#terminal.out(`${last}${this.#strip.end()}\n${this.#summary(interrupted).join("\n")}\n`);
    }
  }

  #take(letters: readonly Letter[]): string {
    for (const letter of letters) this.#passages.add(letter);
    return this.#strip?.add(letters) ?? "";
  }

  #begin(strip: Strip): void {
    const { by } = this.#flags;
    this.#strip = strip;
    this.#terminal.out(`${by}: ${SHOWN[by].meaning}; ${this.#where()}\n${legend(strip.scale, this.#color)}\n\n`);
  }

  #where(): string {
    const { by, block, head } = this.#flags;
    if (by === "bits") return "of the whole model";
    if (block === undefined && head === undefined) return "mean over all blocks and heads";
    return `${block === undefined ? "mean over all blocks" : `block ${block}`}, ${
      head === undefined ? "mean over all heads" : `head ${head}`
    }`;
  }

  #summary(interrupted: boolean): string[] {
    const { by } = this.#flags;
    const rows = [...this.#figures].flatMap(([word, { figures }]) => {
      return figures
        ? [[
          word,
          formatNumber(figures.mean),
          formatNumber(figures.min),
          formatNumber(figures.max),
          SHOWN[word].meaning,
        ]]
        : [];
    });
    const table = [["", "mean", "min", "max", ""], ...rows];
    const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column].length)));
    const line = (row: readonly string[]): string =>
      row.map((cell, i) => i === 0 ? cell.padEnd(widths[0]) : i < 4 ? cell.padStart(widths[i]) : cell).join("  ")
        .trimEnd();
    const { vocabulary: { unit } } = this.#origin,
      bytes = unit === "byte" ? "" : ` (${formatCount(this.#bytes)} bytes)`;
    return [
      `${interrupted ? "stopped after" : "read"} ${
        formatCount(this.tokens)
      } ${unit}s${bytes} with ${this.#origin.checkpoint} on ${this.#origin.device}`,
      ...table.map(line),
      "",
      `highest ${by}:`,
      ...this.#passages.best.map(({ start, mean, text }) =>
        `  byte ${formatCount(start)}  mean ${formatNumber(mean)}  "${Array.from(text, visible).join("")}"`
      ),
    ];
  }
}
