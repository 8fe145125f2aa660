/** The recall page's worker side: reads a story with the trained model, and asks along the way. */
import { requestDevice } from "../../../mod.ts";
import { loadBuiltin } from "../builtin.ts";
import { softmax } from "../probabilities.ts";
import type { Distribution, Learning, ReadRequest, RecallReply } from "./protocol.ts";
import { PIECE, type Place, Reader } from "./reader.ts";
import type { Story } from "./story.ts";

/** Loads the model, and compiles what reading takes. */
async function open(): Promise<{ readonly reader: Reader; readonly device: string }> {
  const { model, params } = await loadBuiltin();
  // So small a model reads byte by byte fastest where a launch is cheapest.
  const device = await requestDevice({ kind: "cpu" }), { kind, description } = device.info;
  return { reader: await Reader.create(device, model, params), device: `${kind}: ${description}` };
}

/** Reads one story at a time; a new one ends the one before. */
export class Narrator {
  readonly #post: (reply: RecallReply, transfer?: Transferable[]) => void;
  readonly #opened: ReturnType<typeof open>;
  #wanted = 0;

  /** @param post Sends a message to the page. */
  constructor(post: (reply: RecallReply, transfer?: Transferable[]) => void) {
    this.#post = post;
    this.#opened = open();
    this.#opened.then(
      ({ reader: { model, shape }, device }) =>
        post({ type: "ready", device, parameters: model.layout.parameterCount, ...shape }),
      (error) => this.#fail(error),
    );
  }

  /** Reads a story, unless another is wanted meanwhile. */
  async read(request: ReadRequest): Promise<void> {
    this.#wanted = request.id;
    try {
      const { reader } = await this.#opened;
      await this.#read(reader, request);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#post({ type: "error", message: error instanceof Error ? error.message : String(error) });
  }

  /** Whether another story is wanted by now. Lets messages arrive. */
  async #isLate(id: number): Promise<boolean> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    return id !== this.#wanted;
  }

  async #read(reader: Reader, { id, story, learning, head }: ReadRequest): Promise<void> {
    const bytes = new TextEncoder().encode(story.text), learns = learningOf(story, learning);
    const question = new TextEncoder().encode(story.question), end = bytes.length - question.length;
    const ask = async (place: Place): Promise<Distribution> => {
      const { place: asked, count, logits } = await reader.read(question, place, { head, learns: [] });
      reader.dispose(asked);
      return softmax(logits.subarray((count - 1) * logits.length / PIECE, count * logits.length / PIECE));
    };
    let place = reader.start;
    const move = (to: Place): void => {
      reader.dispose(place);
      place = to;
    };
    try {
      while (place.bytesRead < bytes.length) {
        if (await this.#isLate(id)) return;
        const from = place.bytesRead, to = Math.min(from + PIECE, from < end ? end : bytes.length);
        const seen = await reader.read(bytes.subarray(from, to), place, { head, learns: learns.slice(from, to) });
        move(seen.place);
        const { memory, moved, count } = seen, { heads, side } = reader.shape;
        const frames = [memory.slice(0, count * side * side), moved.slice(0, count * heads)] as const;
        this.#post(
          { type: "frames", id, from, memory: frames[0], moved: frames[1] },
          frames.map(({ buffer }) => buffer),
        );
        if (to <= end) this.#post({ type: "asked", id, at: to, answer: await ask(place) });
        if (to === end) {
          const answer = await ask(place), without = await ask({ ...reader.start, bytesRead: end });
          this.#post({ type: "answered", id, answer, without });
        }
      }
    } finally {
      reader.dispose(place);
    }
  }
}

/** Whether the memory learns from each byte. */
function learningOf({ text, parts }: Story, learning: Learning): boolean[] {
  const fact = parts.find(({ kind }) => kind === "fact")!;
  return Array.from(text, (_, at) => {
    const isFact = at >= fact.start && at < fact.end;
    return learning === "always" || isFact === (learning === "only the fact");
  });
}
