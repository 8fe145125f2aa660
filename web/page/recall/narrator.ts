/** The recall page's worker side: reads a story with the trained model, and asks along the way. */
import { requestDevice } from "../../../mod.ts";
import { loadBuiltin } from "../builtin.ts";
import { softmax } from "../probabilities.ts";
import type {
  Branch,
  Distribution,
  ForkRequest,
  Learning,
  ReadRequest,
  RecallReply,
  RecallRequest,
} from "./protocol.ts";
import { PIECE, type Place, Reader } from "./reader.ts";
import type { Story } from "./story.ts";

/** Loads the model, and compiles what reading takes. */
async function open(): Promise<{ readonly reader: Reader; readonly device: string }> {
  const { model, params } = await loadBuiltin("recall");
  // So small a model reads byte by byte fastest where a launch is cheapest, and where no thread waits for another.
  const device = await requestDevice({ kind: "cpu", threads: 1 }), { kind, description } = device.info;
  return { reader: await Reader.create(device, model, params), device: `${kind}: ${description}` };
}

/** A story that is read, and the places on the way, from which it can be gone on with otherwise. */
interface Course {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly learns: readonly boolean[];
  readonly question: Uint8Array;
  /** After every piece, the beginning first. */
  readonly places: Place[];
}

/** Reads one story at a time; a new one ends the one before. */
export class Narrator {
  readonly #post: (reply: RecallReply, transfer?: Transferable[]) => void;
  readonly #opened: ReturnType<typeof open>;
  #wanted = 0;
  #course?: Course;
  #forking: Promise<void> = Promise.resolve();

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

  /** Reads a story, unless another is wanted meanwhile, or goes on from a place of the one that was read last. */
  async serve(request: RecallRequest): Promise<void> {
    try {
      if (request.type === "read") this.#wanted = request.id;
      const { reader } = await this.#opened;
      if (request.type === "read") await this.#read(reader, request);
      else await (this.#forking = this.#fork(reader, request));
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

  /** Begins a course; the places of the one before are freed once nobody forks there. */
  async #begin(reader: Reader, { id, story, learning }: ReadRequest): Promise<Course> {
    await this.#forking.catch(() => {});
    this.#course?.places.forEach((place) => reader.dispose(place));
    const encoder = new TextEncoder(),
      [bytes, question] = [story.text, story.question].map((text) => encoder.encode(text));
    return this.#course = { id, bytes, question, learns: learningOf(story, learning), places: [reader.start] };
  }

  async #read(reader: Reader, request: ReadRequest): Promise<void> {
    const { id, head } = request,
      course = await this.#begin(reader, request),
      { bytes, question, learns, places } = course;
    const end = bytes.length - question.length;
    const { place, memory } = await readOn(reader, reader.start, { bytes: new Uint8Array(), head, learns: [] });
    reader.dispose(place);
    this.#post({ type: "begun", id, memory });
    for (let from = 0; from < bytes.length;) {
      if (await this.#isLate(id)) return;
      const to = Math.min(from + PIECE, from < end ? end : bytes.length);
      const seen = await reader.read(bytes.subarray(from, to), places.at(-1)!, {
        head,
        learns: learns.slice(from, to),
      });
      places.push(seen.place);
      const { memory, moved, count } = seen, { heads, side } = reader.shape;
      const frames = [memory.slice(0, count * side * side), moved.slice(0, count * heads)] as const;
      this.#post(
        { type: "frames", id, from, memory: frames[0], moved: frames[1] },
        frames.map(({ buffer }) => buffer),
      );
      if (to <= end) {
        const answer = await ask(reader, seen.place, question);
        this.#post({ type: "asked", id, at: to, answer });
        if (to === end) {
          const without = await ask(reader, { ...reader.start, bytesRead: end }, question);
          this.#post({ type: "answered", id, answer, without });
        }
      }
      from = to;
    }
  }

  /** Goes on from one place with several texts. The places of the story stay as they are. */
  async #fork(reader: Reader, { id, at, texts, head }: ForkRequest): Promise<void> {
    const course = this.#course;
    if (course?.id !== id) return;
    const before = course.places.findLast(({ bytesRead }) => bytesRead <= at)!, from = before.bytesRead;
    const start = await readOn(reader, before, {
      bytes: course.bytes.subarray(from, at),
      head,
      learns: course.learns.slice(from, at),
    });
    const branches: Branch[] = [];
    for (const text of texts) {
      const bytes = new TextEncoder().encode(text), learns = Array<boolean>(bytes.length).fill(true);
      const end = await readOn(reader, start.place, { bytes, head, learns });
      branches.push({ memory: end.memory, answer: await ask(reader, end.place, course.question) });
      reader.dispose(end.place);
    }
    reader.dispose(start.place);
    this.#post({ type: "forked", id, at, branches });
  }
}

/** What is answered to a question at a place, which stays as it is. */
async function ask(reader: Reader, place: Place, question: Uint8Array): Promise<Distribution> {
  const { place: asked, count, logits } = await reader.read(question, place, { head: 0, learns: [] });
  reader.dispose(asked);
  return softmax(logits.subarray((count - 1) * logits.length / PIECE, count * logits.length / PIECE));
}

/** Reads any number of bytes. @returns the place after them, and the head's memory there. */
async function readOn(
  reader: Reader,
  start: Place,
  { bytes, head, learns }: { readonly bytes: Uint8Array; readonly head: number; readonly learns: readonly boolean[] },
): Promise<{ readonly place: Place; readonly memory: Float32Array }> {
  const size = reader.shape.side ** 2;
  for (let from = 0, place = start;; from += PIECE) {
    const seen = await reader.read(bytes.subarray(from, from + PIECE), place, {
      head,
      learns: learns.slice(from, from + PIECE),
    });
    if (place !== start) reader.dispose(place);
    place = seen.place;
    // A launch that reads no byte shows the memory as it is.
    const last = Math.max(0, seen.count - 1);
    if (from + PIECE >= bytes.length) return { place, memory: seen.memory.slice(last * size, (last + 1) * size) };
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
