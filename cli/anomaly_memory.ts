/** The memory that watches a stream, on a device. */
import type { Tensor } from "../core/graph.ts";
import { spec } from "../core/trace.ts";
import { compile, type Device, type DeviceArray, type Program } from "../kernels/mod.ts";
import { type Novelty, novelty, type NoveltyState } from "../titans/mixers/titans/novelty.ts";
import { ROW_WIDTH } from "./anomaly_lines.ts";

/** Lines that one launch reads. */
export const LINES = 1024;

// The gradients of so many lines are taken at one memory.
const MINI_BATCH = 64;

type WatchProgram = Program<[state: NoveltyState, rows: { readonly keys: Tensor; readonly values: Tensor }], Novelty>;

/** A memory of constant size that learns what it reads. */
export class WatchingMemory {
  readonly #program: WatchProgram;
  #state: { readonly weights: DeviceArray; readonly surprise: DeviceArray };

  private constructor(device: Device, program: WatchProgram) {
    this.#program = program;
    const shape = [1, 1, ROW_WIDTH, ROW_WIDTH];
    const empty = (): DeviceArray => device.upload(new Float32Array(ROW_WIDTH ** 2), { shape, dtype: "f32" });
    this.#state = { weights: empty(), surprise: empty() };
  }

  /** @param options How fast it learns and forgets. */
  static async create(
    device: Device,
    { rate, forget }: { readonly rate: number; readonly forget: number },
  ): Promise<WatchingMemory> {
    const matrix = spec([1, 1, ROW_WIDTH, ROW_WIDTH]), rows = spec([LINES, ROW_WIDTH]);
    const program: WatchProgram = await compile(
      device,
      (state: NoveltyState, rows: { readonly keys: Tensor; readonly values: Tensor }) =>
        novelty(state, rows, { rate, forget, miniBatch: MINI_BATCH }),
      [{ weights: matrix, surprise: matrix }, { keys: rows, values: rows }],
      { donate: [0] },
    );
    return new WatchingMemory(device, program);
  }

  /** Scores lines, then learns them; keys and values are [LINES, 64], of lines that are missing zeros. */
  async read(rows: { readonly keys: Float32Array; readonly values: Float32Array }): Promise<Float32Array> {
    const { scores, weights, surprise } = this.#program.launch(this.#state, rows);
    this.#state = { weights, surprise };
    const read = await scores.read() as Float32Array;
    scores.dispose();
    return read;
  }

  /** Frees the memory; the device stays. */
  dispose(): void {
    this.#state.weights.dispose();
    this.#state.surprise.dispose();
    this.#program.dispose();
  }
}
