/** What was observed along a text, character by character. */
import type { Character } from "../characters.ts";
import type { ReadingModel, SurpriseReply } from "./protocol.ts";

/** What was observed at some bytes. */
type Observed = Omit<Extract<SurpriseReply, { readonly type: "piece" }>, "type" | "id">;

/** A row under the text: a number for each character. */
export interface Row {
  /** As the equations call it. */
  readonly symbol: string;
  readonly name: string;
  readonly meaning: string;
}

/** What rows there can be, by the name of what they show, in their order. */
const ROWS: Readonly<Record<string, Row>> = {
  bits: {
    symbol: "−log₂ p",
    name: "cost",
    meaning: "bits that the character cost the model, which gave it a probability",
  },
  trained: {
    symbol: "−log₂ p",
    name: "cost as trained",
    meaning: "bits that it costs the model with all parts of its memory on",
  },
  surprise: { symbol: "|∇ℓ|", name: "surprise", meaning: "how wrong the memory was: the norm of its inner gradient" },
  theta: { symbol: "θ", name: "step size", meaning: "how strongly the surprise is written" },
  eta: { symbol: "η", name: "momentum", meaning: "how much of the surprise before stays" },
  alpha: { symbol: "α", name: "forgetting", meaning: "how much of the memory is let go" },
};

/** The figures of a text, as they come in. */
export class Traces {
  readonly characters: readonly Character[];
  readonly model: ReadingModel;
  /** What bytes cost: with the parts of the model that are on, and as it was trained. */
  readonly #bits: Readonly<Record<string, Float64Array>>;
  readonly #values: readonly (readonly Float64Array[])[];
  #bytesRead = 0;

  constructor(characters: readonly Character[], model: ReadingModel) {
    const bytes = characters.at(-1)?.end ?? 0, empty = (): Float64Array => new Float64Array(bytes).fill(NaN);
    this.characters = characters;
    this.model = model;
    this.#bits = { bits: empty(), trained: empty() };
    this.#values = model.quantities.map(() => [undefined, ...model.places].map(empty));
  }

  /** Adds what was observed at the bytes from `start` on. */
  add({ start, bits, trained, values }: Observed): void {
    this.#bits.bits.set(bits, start);
    if (trained) this.#bits.trained.set(trained, start);
    values.forEach((places, q) => places.forEach((each, place) => this.#values[q][place].set(each, start)));
    this.#bytesRead = start + bits.length;
  }

  /** Characters that were read whole. */
  get charactersRead(): number {
    const next = this.characters.findIndex(({ end }) => end > this.#bytesRead);
    return next < 0 ? this.characters.length : next;
  }

  /** The rows that say something of a memory, by name: a gate that is closed everywhere says nothing. */
  rows(place: number): { readonly key: string; readonly row: Row; readonly values: Float64Array }[] {
    return Object.entries(ROWS).map(([key, row]) => ({ key, row, values: this.values(key, place) }))
      .filter(({ values }) => values.some((value) => Number.isFinite(value) && value !== 0));
  }

  /**
   * A number for each character. Bits add up over its bytes; of the other quantities it is the mean.
   * @param place 0 for the mean over all memories, else the number of one, from 1 on.
   */
  values(key: string, place: number): Float64Array {
    const bits = this.#bits[key], bytes = bits ?? this.#values[this.model.quantities.indexOf(key)]?.[place];
    return Float64Array.from(this.characters, ({ start, end }) => {
      const own = bytes?.subarray(start, end) ?? [NaN],
        total = own.reduce((sum: number, value: number) => sum + value, 0);
      return bits ? total : total / own.length;
    });
  }
}
