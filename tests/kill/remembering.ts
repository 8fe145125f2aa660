/**
 * Reading texts into a memory, killed: the file is always one of the memories between texts or pieces, and comes to
 * that of reading without interruption.
 */
import { assert, assertEquals } from "@std/assert";
import { decodeSafetensors } from "../../titans/mod.ts";
import { someText } from "../cli/run_main.ts";
import { type Ended, namesIn, runAndEnd } from "./kill.ts";
import { checkEnd, type Phase, type Scenario } from "./scenario.ts";

// Pieces end where the fast way of reading does, so that the numbers do not depend on where reading was stopped.
const TEXT_BYTES = 24 * 512;
const TEXTS = 3;

/** What reading without interruption comes to. */
export interface WholeMemory {
  readonly checkpoint: string;
  /** The tensors of the memory after each text, in one text. */
  readonly after: readonly string[];
  readonly sizeBytes: number;
}

/** A memory that is read into, text by text. */
class Memory {
  constructor(readonly root: string, readonly checkpoint: string, readonly path: string) {}

  args(text: number, skip: number, begun: boolean): string[] {
    const read = [
      "--device",
      "cpu",
      "--checkpoint",
      this.checkpoint,
      "--text",
      `${this.root}/book-${text}.txt`,
      "--skip",
      String(skip),
    ];
    return ["remember", ...read, "--memory", this.path, "--json", ...begun ? ["--continue"] : []];
  }

  /** How many tokens it holds, and its tensors as one text; undefined if there is none. @throws if it is not whole. */
  async read(): Promise<{ tokensRead: number; tensors: string; sizeBytes: number } | undefined> {
    const bytes = await Deno.readFile(this.path).catch(() => undefined);
    if (!bytes) return undefined;
    const { tensors, metadata } = decodeSafetensors(bytes);
    const parts = Object.entries(tensors).map(([name, { data }]) =>
      `${name} ${Array.from(data as Float32Array).join()}`
    );
    return { tokensRead: Number(metadata.tokensRead), tensors: parts.join("\n"), sizeBytes: bytes.length };
  }
}

/** Writes the texts and reads them without interruption. */
export async function rememberWhole(root: string, checkpoint: string): Promise<WholeMemory> {
  const text = someText(TEXTS * TEXT_BYTES),
    memory = new Memory(root, checkpoint, `${root}/whole.memory`),
    after: string[] = [];
  let sizeBytes = 0;
  for (let i = 0; i < TEXTS; i++) {
    await Deno.writeTextFile(`${root}/book-${i}.txt`, text.slice(i * TEXT_BYTES, (i + 1) * TEXT_BYTES));
    checkEnd(await runAndEnd(memory.args(i, 0, i > 0), undefined, { startMs: 0 }));
    const read = (await memory.read())!;
    after.push(read.tensors);
    sizeBytes = read.sizeBytes;
  }
  return { checkpoint, after, sizeBytes };
}

/** Texts that are read, stopped again and again. */
export class Remembering implements Scenario {
  readonly name: string;
  readonly work = "start";
  readonly workMs = 250;
  readonly largestFile: number;
  readonly #memory: Memory;
  readonly #folder: string;
  readonly #whole: WholeMemory;
  #tokensRead = 0;

  constructor(root: string, name: string, whole: WholeMemory) {
    this.name = `remember, ${name}`;
    this.#folder = `${root}/${name}`;
    this.#memory = new Memory(root, whole.checkpoint, `${this.#folder}/a.memory`);
    this.#whole = whole;
    this.largestFile = whole.sizeBytes;
  }

  next(): Promise<readonly string[] | undefined> {
    const text = Math.floor(this.#tokensRead / TEXT_BYTES), skip = this.#tokensRead % TEXT_BYTES;
    return Promise.resolve(text === TEXTS ? undefined : this.#memory.args(text, skip, this.#tokensRead > 0));
  }

  async check(ended: Ended): Promise<Phase> {
    checkEnd(ended);
    const { kind, events, stderr } = ended,
      held = await this.#memory.read(),
      tokensRead = held?.tokensRead ?? 0,
      before = this.#tokensRead;
    const inOrder = kind === undefined || kind === "SIGINT" || kind === "SIGTERM",
      done = events.find(({ event }) => event === "done");
    assert(tokensRead >= before, `the memory lost text: it holds ${tokensRead} of ${before} bytes`);
    if (inOrder && done) assertEquals(tokensRead, before + (done.bytes as number));
    // In between, a memory appears only where somebody stopped in good order.
    const texts = tokensRead / TEXT_BYTES;
    if (!inOrder) {
      assert(tokensRead === before || Number.isInteger(texts), `half a text is in the memory: ${tokensRead} bytes`);
    }
    if (tokensRead > 0 && Number.isInteger(texts)) {
      assert(held!.tensors === this.#whole.after[texts - 1], `the memory after ${texts} texts differs`);
    }
    this.#tokensRead = tokensRead;
    const writing = (await namesIn(this.#folder)).some((name) => name.endsWith(".part")) ||
      /cannot write \S+memory/.test(stderr);
    return writing ? "writing a memory" : events.length > 0 ? "remembering" : "starting";
  }

  /** A memory is on the disk before it has its name: only what has none yet can be lost, and that is written anew. */
  losePower(): Promise<void> {
    return Promise.resolve();
  }

  async compare(): Promise<void> {
    assertEquals((await this.#memory.read())!.tensors === this.#whole.after.at(-1), true, "the memories differ");
    assertEquals(await namesIn(this.#folder), ["a.memory"]);
  }
}
