/** A bounded queue: requests beyond it are refused at once, with the time after which to try again. */
import { ApiError } from "./api_error.ts";

/** What bounds the work that is taken on. */
export interface AdmissionOptions {
  /** Texts that are worked on at once. */
  readonly rows: number;
  /** Texts that may wait beside them. */
  readonly queue: number;
}

/** How much a request that ended says of how long the next ones take. */
const WEIGHT = 0.1;

/** Counts the texts that are being worked on or wait. */
export class Admission {
  readonly #rows: number;
  readonly #most: number;
  #taken = 0;
  #averageMs = 1000;

  constructor({ rows, queue }: AdmissionOptions) {
    this.#rows = rows;
    this.#most = rows + queue;
  }

  /** Texts that are being worked on or wait. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Takes places, until they are disposed.
   * @param texts How many.
   * @throws {ApiError} 429 if there is no room now, 400 if there never will be.
   */
  enter(texts: number): Disposable {
    if (texts > this.#most) {
      throw new ApiError(400, `A request may be for ${this.#most} texts at most (prompts times n), not ${texts}`, {
        param: "n",
        code: "too_many_texts",
      });
    }
    if (this.#taken + texts > this.#most) {
      throw new ApiError(429, `The server is busy with ${this.#taken} texts: try again later`, {
        code: "queue_full",
        retryAfter: Math.max(1, Math.ceil(this.#averageMs / 1000 * this.#taken / this.#rows)),
      });
    }
    this.#taken += texts;
    const began = performance.now();
    return {
      [Symbol.dispose]: () => {
        this.#taken -= texts;
        this.#averageMs += WEIGHT * (performance.now() - began - this.#averageMs);
      },
    };
  }
}
