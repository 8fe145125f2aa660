/** The surprise tab's worker side: reads a text and reports what its memories did at every byte. */
import { type Device, requestDevice } from "../../../mod.ts";
import { Inspector } from "../../../titans/models/inspector.ts";
import { Model } from "../../../titans/models/model.ts";
import { decodeCheckpoint } from "../../../titans/train/checkpoint.ts";
import { loadBuiltin, type ReadyModel } from "../builtin.ts";
import { loadModel, storedModel } from "../store.ts";
import type { Place, ReadingModel, Source, SurpriseReply, SurpriseRequest } from "./protocol.ts";

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

async function open(source: Source): Promise<Opened> {
  const { model, params } = await (source === "own" ? loadOwn() : loadBuiltin());
  const device: Device = await requestDevice({ kind: "cpu" }), { kind, description } = device.info;
  const inspector = await Inspector.create(device, model, params, { length: PIECE });
  const about: ReadingModel = {
    name: model.config.model,
    parameters: model.layout.parameterCount,
    device: `${kind}: ${description}`,
    quantities: inspector.quantities.filter((name) => SHOWN.includes(name)),
    places: placesOf(inspector),
  };
  return { inspector, about, dispose: () => device.dispose() };
}

/** Reads one text at a time; a new one ends the one before. */
export class Observer {
  readonly #post: (reply: SurpriseReply) => void;
  #opened?: { readonly key: string; readonly model: Promise<Opened> };
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

  /** The model that is asked for; one that was trained on since it was loaded is loaded again. */
  async #model(source: Source): Promise<Opened> {
    const key = source === "own" ? `own ${(await storedModel())?.time}` : source;
    if (this.#opened?.key !== key) {
      this.#opened?.model.then(({ dispose }) => dispose(), () => {});
      this.#opened = { key, model: open(source) };
    }
    try {
      return await this.#opened.model;
    } catch (error) {
      this.#opened = undefined;
      throw error;
    }
  }

  async #read({ id, source, text }: SurpriseRequest, isLate: () => boolean): Promise<void> {
    const { inspector, about } = await this.#model(source), { quantities, places } = about;
    this.#post({ type: "model", id, model: about });
    for await (const piece of inspector.read(text)) {
      const values = quantities.map((name) => [piece.values(name), ...places.map((at) => piece.values(name, at))]);
      this.#post({ type: "piece", id, start: piece.start, bits: piece.bits, values });
      // Lets messages arrive.
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (isLate()) return;
    }
    this.#post({ type: "done", id });
  }
}
