/** The surprise tab's worker side: reads a text and reports what its memories did at every byte. */
import { type Device, requestDevice } from "../../../mod.ts";
import { Inspector } from "../../../titans/models/inspector.ts";
import { Model } from "../../../titans/models/model.ts";
import { decodeCheckpoint } from "../../../titans/train/checkpoint.ts";
import { loadBuiltin, type ReadyModel } from "../builtin.ts";
import { loadModel, storedModel } from "../store.ts";
import {
  type MemoryPart,
  PARTS,
  type Place,
  type ReadingModel,
  type Source,
  type SurpriseReply,
  type SurpriseRequest,
} from "./protocol.ts";

/** Bytes that are read before the page hears of them. */
const PIECE = 256;
/** What the page shows, of what memories observe. */
const SHOWN: readonly string[] = ["surprise", "theta", "eta", "alpha"];
/** The page reads bytes. */
const BYTES = 256;

/** A model that is ready to read. */
interface Opened {
  readonly inspector: Inspector;
  readonly about: ReadingModel;
  readonly dispose: () => void;
}

/** The last model that was trained in this browser. */
async function loadOwn(): Promise<ReadyModel> {
  const stored = await loadModel();
  if (!stored) throw new Error("This browser stores no model: train one in the tab “Train your own”");
  const { config, state } = decodeCheckpoint(stored);
  if (config.vocabulary !== BYTES) throw new Error("The stored model does not read bytes, but pieces of text");
  const model = new Model(config);
  return { model, params: model.layout.pack(state.params) };
}

function placesOf({ rows }: Inspector): Place[] {
  return rows.filter(({ quantity }) => quantity === SHOWN[0]).map(({ block, head }) => ({ block, head }));
}

/** Loads a model. @param off Parts that it is to do without. */
async function open(source: Source, off: readonly MemoryPart[]): Promise<Opened> {
  const { model: trained, params } = await (source === "own" ? loadOwn() : loadBuiltin(source));
  // The parameters of a part stay, and are not used.
  const model = new Model({ ...trained.config, ...Object.fromEntries(off.map((part) => [part, false])) });
  const device: Device = await requestDevice({ kind: "cpu" }), { kind, description } = device.info;
  const inspector = await Inspector.create(device, model, params, { length: PIECE });
  const places = placesOf(inspector);
  const about: ReadingModel = {
    name: model.config.model,
    parameters: model.layout.parameterCount,
    device: `${kind}: ${description}`,
    parts: PARTS.filter((part) => places.length > 0 && trained.config[part]),
    quantities: inspector.quantities.filter((name) => SHOWN.includes(name)),
    places,
  };
  return { inspector, about, dispose: () => device.dispose() };
}

/** Reads one text at a time; a new one ends the one before. */
export class Observer {
  readonly #post: (reply: SurpriseReply) => void;
  /** The models in use, by what they are. */
  readonly #opened = new Map<string, Promise<Opened>>();
  #wanted = 0;
  #before: Promise<void> = Promise.resolve();

  /** @param post Sends a message to the page. */
  constructor(post: (reply: SurpriseReply) => void) {
    this.#post = post;
  }

  /** Reads a text, unless another is wanted meanwhile. */
  read(request: SurpriseRequest): Promise<void> {
    this.#wanted = request.id;
    const isLate = (): boolean => request.id !== this.#wanted;
    this.#before = this.#before.then(async () => {
      if (isLate()) return;
      try {
        await this.#read(request, isLate);
      } catch (error) {
        this.#post({ type: "error", id: request.id, message: error instanceof Error ? error.message : String(error) });
      }
    });
    return this.#before;
  }

  /** A model without some parts, which is kept for the next text. */
  async #model(name: string, source: Source, off: readonly MemoryPart[]): Promise<Opened> {
    const key = [name, ...off].join(), opened = this.#opened.get(key) ?? open(source, off);
    this.#opened.set(key, opened);
    try {
      return await opened;
    } catch (error) {
      this.#opened.delete(key);
      throw error;
    }
  }

  /** The model as it was trained, and if it has any of the parts that are off, the one without them. */
  async #models(
    source: Source,
    off: readonly MemoryPart[],
  ): Promise<{ readonly trained: Opened; readonly less?: Opened }> {
    // One that was trained on since it was loaded is loaded again.
    const name = source === "own" ? `own ${(await storedModel())?.time}` : source;
    for (const [key, opened] of this.#opened) {
      if (key === name || key === [name, ...off].join()) continue;
      this.#opened.delete(key);
      opened.then(({ dispose }) => dispose(), () => {});
    }
    const trained = await this.#model(name, source, []), had = off.filter((part) => trained.about.parts.includes(part));
    return had.length === 0 ? { trained } : { trained, less: await this.#model(name, source, had) };
  }

  /** Reads with the model as it was trained, or without parts of it and as it was trained side by side. */
  async #read({ id, source, off, text }: SurpriseRequest, isLate: () => boolean): Promise<void> {
    const { trained: whole, less } = await this.#models(source, off);
    const { inspector, about } = less ?? whole, { quantities, places } = about;
    this.#post({ type: "model", id, model: about });
    const trained = less && whole.inspector.read(text);
    for await (const piece of inspector.read(text)) {
      const values = quantities.map((name) => [piece.values(name), ...places.map((at) => piece.values(name, at))]);
      const before = await trained?.next();
      this.#post({ type: "piece", id, start: piece.start, bits: piece.bits, trained: before?.value?.bits, values });
      // Lets messages arrive.
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (isLate()) return;
    }
    this.#post({ type: "done", id });
  }
}
