/** The worker's side: one model in training on one device, and the requests it serves. */
import { type Device, requestDevice } from "../../mod.ts";
import {
  decodeCheckpoint,
  Decoder,
  defineConfig,
  defineOptimizer,
  encodeCheckpoint,
  generate,
  Model,
  type ModelConfig,
  RandomWindows,
  Trainer,
  type TrainingState,
} from "../../titans/mod.ts";
import type { DeviceChoice, Reply, Request, RunOptions, Size } from "./protocol.ts";
import { readText } from "./reading.ts";
import { loadModel, saveModel, storedModel } from "./store.ts";

/** Bytes per training window, and windows per step. */
export const WINDOW = { batch: 4, length: 256 } as const;

/** A model small enough to learn within a minute on one thread. */
const TINY: Partial<ModelConfig> = {
  width: 32,
  blocks: 1,
  heads: 2,
  mlpHidden: 88,
  segment: 32,
  window: 32,
  persistentTokens: 2,
};

/** The page reads and writes bytes. */
const BYTES = 256;

/** How long the worker computes before it looks for messages. */
const SLICE_MS = 200;

/** While it trains, the model is stored this often, and less often if that takes more than this share of the time. */
const STORE_MS = 5000, STORE_SHARE = 0.05;

/** Larger models are not stored in the browser automatically. */
const MOST_STORED_BYTES = 32e6;

/** The objects of a run. */
interface Run {
  readonly device: Device;
  readonly choice: DeviceChoice;
  readonly trainer: Trainer;
  readonly seed: number;
}

/** The parts of a run. */
interface Beginning {
  readonly config: ModelConfig;
  readonly choice: DeviceChoice;
  readonly seed: number;
  readonly steps: number;
  readonly state?: TrainingState;
}

/** A model in training. Requests are served one at a time; {@link Lab.stop} interrupts the current one. */
export class Lab {
  #post: (reply: Reply) => void;
  #run?: Run;
  #decoder?: { readonly step: number; readonly decoder: Decoder };
  #stop = new AbortController();

  /** @param post Sends a message to the page. */
  constructor(post: (reply: Reply) => void) {
    this.#post = post;
  }

  /** Stops compiling, training, generating or reading at the next opportunity. */
  stop(): void {
    this.#stop.abort(new Error("Stopped."));
  }

  /** Serves a request. Errors are reported, and leave the previous state unchanged. */
  async serve(request: Request): Promise<void> {
    this.#stop = new AbortController();
    try {
      await this.#serve(request);
    } catch (error) {
      const hasModel = this.#run !== undefined;
      if (this.#stop.signal.aborted && error === this.#stop.signal.reason) {
        return this.#post({ type: "stopped", hasModel });
      }
      this.#post({ type: "error", message: error instanceof Error ? error.message : String(error), hasModel });
    }
  }

  async #serve(request: Request): Promise<void> {
    switch (request.type) {
      case "start": {
        const { options, device: choice, text } = request;
        // Text that cannot be used is rejected before anything is created.
        new RandomWindows(text, WINDOW, options.seed);
        await this.#start({ config: this.#configOf(options), choice, seed: options.seed, steps: options.steps });
        return await this.#train(request);
      }
      case "load":
        return await this.#load(request.checkpoint, request);
      case "restore": {
        const stored = await loadModel();
        if (!stored) throw new Error("Cannot restore a model: this browser has none stored");
        return await this.#load(stored, request);
      }
      case "look":
        return this.#post({ type: "kept", model: await storedModel() });
      case "train":
        return await this.#train(request);
      case "write":
        return await this.#write(request);
      case "read":
        return await this.#read(request.text);
      case "save":
        return await this.#save();
      case "stop":
        return;
    }
  }

  #current(): Run {
    if (!this.#run) throw new Error("There is no model yet: train one, or load a checkpoint");
    return this.#run;
  }

  async #load(checkpoint: Uint8Array, request: Request & { readonly type: "load" | "restore" }): Promise<void> {
    const { steps, device: choice } = request;
    const { config, seed, state } = decodeCheckpoint(checkpoint);
    if (config.vocabulary !== BYTES) {
      throw new Error(
        `Cannot use this checkpoint here: its tokens are pieces of text (a vocabulary of ${config.vocabulary}), and this page reads bytes; ` +
          "use the command deno task generate --checkpoint FILE",
      );
    }
    await this.#start({ config, choice, seed, steps: Math.max(steps, state.step), state });
    this.#post({ type: "loaded", step: state.step, kept: request.type === "restore" });
  }

  /** The selected device: the open one if it still works, otherwise a new one. */
  async #open(choice: DeviceChoice): Promise<Device> {
    if (this.#run?.choice === choice) {
      try {
        await this.#run.device.synchronize();
        return this.#run.device;
      } catch {
        // It was lost, and another one may be available.
      }
    }
    return await requestDevice({ kind: choice });
  }

  /** Reports how many kernels are compiled. */
  #compiling = (done: number, total: number): void => this.#post({ type: "compiling", done, total });

  /** Creates a run. The previous one is disposed only when the new one is ready. */
  async #start({ config, choice, seed, steps, state }: Beginning): Promise<void> {
    const { signal } = this.#stop, before = this.#run, device = await this.#open(choice);
    let trainer: Trainer;
    try {
      const optimizer = defineOptimizer({ totalSteps: steps, warmupSteps: Math.min(20, Math.floor(steps / 5)) });
      const progress = this.#compiling;
      trainer = await Trainer.create(device, {
        model: new Model(config),
        optimizer,
        shape: WINDOW,
        seed,
        state,
        progress,
        signal,
      });
    } catch (error) {
      if (device !== before?.device) device.dispose();
      throw error;
    }
    this.#decoder?.decoder.dispose();
    this.#decoder = undefined;
    before?.trainer.dispose();
    if (device !== before?.device) before?.device.dispose();
    this.#run = { device, choice, trainer, seed };
    const parameters = trainer.model.layout.parameterCount, { kind, description } = device.info;
    this.#post({
      type: "ready",
      device: `${kind}: ${description}`,
      config,
      size: sizeOf(config),
      parameters,
      step: trainer.step,
      seed,
    });
  }

  async #train({ steps, text }: { readonly steps: number; readonly text: Uint8Array }): Promise<void> {
    const { trainer, seed } = this.#current(), data = new RandomWindows(text, WINDOW, seed), { signal } = this.#stop;
    const end = trainer.step + steps;
    let count = 1, stored = performance.now(), pauseMs = STORE_MS;
    while (trainer.step < end && !signal.aborted) {
      const begin = performance.now();
      const reports = await trainer.run(data, Math.min(count, end - trainer.step));
      const elapsedMs = performance.now() - begin;
      const bytesPerSecond = reports.length * trainer.tokensPerStep / elapsedMs * 1000;
      this.#post({
        type: "progress",
        step: trainer.step,
        end,
        bits: reports.map(({ bitsPerByte }) => bitsPerByte),
        bytesPerSecond,
      });
      count = Math.max(1, Math.min(64, 2 * count, Math.round(reports.length * SLICE_MS / elapsedMs)));
      await nextTurn();
      const now = performance.now();
      if (now - stored > pauseMs) {
        if (await this.#keep()) this.#post({ type: "stored", step: trainer.step });
        stored = performance.now();
        pauseMs = Math.max(STORE_MS, (stored - now) / STORE_SHARE);
      }
    }
    this.#post({ type: "paused", step: trainer.step, stopped: trainer.step < end, kept: await this.#keep() });
  }

  /** Stores the model in the browser, so that a reload does not lose it. @returns whether this succeeded. */
  async #keep(): Promise<boolean> {
    const { trainer } = this.#current();
    if (12 * trainer.model.layout.size > MOST_STORED_BYTES) return false;
    const { model } = trainer.model.config, bytes = await this.#checkpoint();
    return await saveModel(bytes, { model, step: trainer.step, time: Date.now() });
  }

  async #write({ prompt, count, temperature, seed }: Request & { readonly type: "write" }): Promise<void> {
    const { device, trainer } = this.#current(), { signal } = this.#stop;
    if (this.#decoder?.step !== trainer.step) {
      this.#decoder?.decoder.dispose();
      this.#decoder = undefined;
      const making = Decoder.create(device, trainer.model, await this.#params());
      this.#decoder = {
        step: trainer.step,
        decoder: await unlessStopped(making, signal, (decoder) => decoder.dispose()),
      };
    }
    const { decoder } = this.#decoder;
    decoder.reset();
    let bytes: number[] = [], told = performance.now();
    for await (const byte of generate(decoder, prompt, { maxTokens: count, temperature, seed })) {
      bytes.push(byte);
      if (performance.now() - told < SLICE_MS / 2) continue;
      this.#post({ type: "written", bytes });
      bytes = [];
      await nextTurn();
      told = performance.now();
      if (signal.aborted) break;
    }
    this.#post({ type: "written", bytes });
    this.#post({ type: "done" });
  }

  async #read(text: Uint8Array): Promise<void> {
    const { device, trainer } = this.#current(), { signal } = this.#stop;
    const progress = (done: number, total: number): void => this.#post({ type: "reading-progress", done, total });
    const reading = await readText(device, { model: trainer.model, params: await this.#params(), text }, {
      signal,
      progress,
      compiling: this.#compiling,
    });
    this.#post({ type: "reading", reading });
  }

  async #save(): Promise<void> {
    const { trainer } = this.#current();
    this.#post({
      type: "checkpoint",
      bytes: await this.#checkpoint(),
      name: `mneme-${trainer.model.config.model}-${trainer.step}.safetensors`,
    });
  }

  async #checkpoint(): Promise<Uint8Array<ArrayBuffer>> {
    const { trainer, seed } = this.#current();
    return encodeCheckpoint({ config: trainer.model.config, seed, state: await trainer.exportState() });
  }

  async #params(): Promise<Float32Array> {
    return await this.#current().trainer.params.read() as Float32Array;
  }

  /** The configuration for some options: of a listed size, or with the size of the current model. */
  #configOf({ model, size }: RunOptions): ModelConfig {
    return size === "loaded" ? defineConfig({ ...this.#current().trainer.model.config, model }) : presetOf(size, model);
  }
}

function presetOf(size: Exclude<Size, "loaded">, model: ModelConfig["model"]): ModelConfig {
  return size === "tiny" ? defineConfig({ ...TINY, model }) : defineConfig({ model }, size);
}

/** Which of the listed sizes a model has. */
function sizeOf(config: ModelConfig): Size {
  const same = (size: Exclude<Size, "loaded">): boolean => {
    const offered: Readonly<Record<string, unknown>> = { ...presetOf(size, config.model) };
    return Object.entries(config).every(([field, value]) => offered[field] === value);
  };
  return (["tiny", "nano", "small"] as const).find(same) ?? "loaded";
}

/** The result of a promise, unless it is aborted first: a late result then goes to `unwanted`. */
async function unlessStopped<T>(promise: Promise<T>, signal: AbortSignal, unwanted: (value: T) => void): Promise<T> {
  let stop = (): void => {};
  const stopped = new Promise<never>((_, reject) =>
    signal.addEventListener("abort", stop = () => reject(signal.reason))
  );
  try {
    return await Promise.race([promise, stopped]);
  } catch (error) {
    promise.then(unwanted, () => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Yields to the event loop, so that messages arrive. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
