/** What the worker does: one model in training on one device, and what may be asked of it. */
import { type Device, requestDevice } from "../../kernels/mod.ts";
import {
  decodeCheckpoint,
  defineConfig,
  defineOptimizer,
  encodeCheckpoint,
  generate,
  Model,
  type ModelConfig,
  RandomWindows,
  Reader,
  Trainer,
  type TrainingState,
} from "../../titans/mod.ts";
import type { DeviceChoice, Reply, Request, RunOptions } from "./protocol.ts";
import { readText } from "./reading.ts";

/** Texts are cut into windows of so many bytes, and a step learns from so many windows. */
export const WINDOW = { batch: 4, length: 256 } as const;

/** A model that learns something within a minute on one thread. */
const TINY: Partial<ModelConfig> = { width: 32, blocks: 1, heads: 2, mlpHidden: 88, segment: 32, window: 32, persistentTokens: 2 };

/** How long the worker computes before it looks for messages. */
const SLICE_MS = 200;

/** What there is once a run has been started. */
interface Run {
  readonly device: Device;
  readonly trainer: Trainer;
  readonly data: RandomWindows;
  readonly seed: number;
}

/** A model in training. Requests are served one after the other; {@link Lab.stop} cuts short what goes on. */
export class Lab {
  #post: (reply: Reply) => void;
  #run?: Run;
  #device?: { readonly choice: DeviceChoice; readonly device: Device };
  #reader?: { readonly step: number; readonly reader: Reader };
  #stopped = false;

  /** @param post Takes what is to be told. */
  constructor(post: (reply: Reply) => void) {
    this.#post = post;
  }

  /** Ends training or writing at the next opportunity. */
  stop(): void {
    this.#stopped = true;
  }

  /** Serves a request. @throws Whatever went wrong, with a text for the user. */
  async serve(request: Request): Promise<void> {
    this.#stopped = false;
    switch (request.type) {
      case "start": {
        const { options } = request;
        await this.#start(configOf(options), { ...request, seed: options.seed, steps: options.steps });
        return await this.#train(options.steps);
      }
      case "load": {
        const { config, seed, state } = decodeCheckpoint(request.checkpoint);
        await this.#start(config, { ...request, seed, steps: Math.max(request.steps, state.step), state });
        return this.#post({ type: "loaded", step: state.step });
      }
      case "train":
        return await this.#train(request.steps);
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

  async #open(choice: DeviceChoice): Promise<Device> {
    if (this.#device?.choice === choice) return this.#device.device;
    const device = await requestDevice({ kind: choice });
    this.#device?.device.dispose();
    this.#device = { choice, device };
    return device;
  }

  async #start(
    config: ModelConfig,
    { device: choice, text, seed, steps, state }: {
      readonly device: DeviceChoice;
      readonly text: Uint8Array;
      readonly seed: number;
      readonly steps: number;
      readonly state?: TrainingState;
    },
  ): Promise<void> {
    const data = new RandomWindows(text, WINDOW, seed);
    this.#forget();
    const device = await this.#open(choice);
    const model = new Model(config);
    const optimizer = defineOptimizer({ totalSteps: steps, warmupSteps: Math.min(20, Math.floor(steps / 5)) });
    const trainer = await Trainer.create(device, { model, optimizer, shape: WINDOW, seed, state });
    this.#run = { device, trainer, data, seed };
    const { kind, description } = device.info;
    this.#post({ type: "ready", device: `${kind}: ${description}`, config, parameters: model.layout.size, step: trainer.step, seed });
  }

  /** Frees what belongs to the run so far. */
  #forget(): void {
    this.#reader?.reader.dispose();
    this.#run?.trainer.dispose();
    this.#reader = this.#run = undefined;
  }

  async #train(steps: number): Promise<void> {
    const { trainer, data } = this.#current();
    const end = trainer.step + steps;
    let count = 1;
    while (trainer.step < end && !this.#stopped) {
      const begin = performance.now();
      const reports = await trainer.run(data, Math.min(count, end - trainer.step));
      const elapsedMs = performance.now() - begin;
      const bytesPerSecond = reports.length * trainer.tokensPerStep / elapsedMs * 1000;
      this.#post({ type: "progress", step: trainer.step, bits: reports.map(({ bitsPerByte }) => bitsPerByte), bytesPerSecond });
      count = Math.max(1, Math.min(64, 2 * count, Math.round(reports.length * SLICE_MS / elapsedMs)));
      await nextTurn();
    }
    this.#post({ type: "paused", step: trainer.step, stopped: trainer.step < end });
  }

  async #write({ prompt, count, temperature, seed }: Request & { readonly type: "write" }): Promise<void> {
    const { device, trainer } = this.#current();
    if (this.#reader?.step !== trainer.step) {
      this.#reader?.reader.dispose();
      this.#reader = undefined;
      this.#reader = { step: trainer.step, reader: await Reader.create(device, trainer.model, await this.#params()) };
    }
    const { reader } = this.#reader;
    reader.reset();
    let bytes: number[] = [], told = performance.now();
    for await (const byte of generate(reader, prompt, { maxTokens: count, temperature, seed })) {
      bytes.push(byte);
      if (performance.now() - told < SLICE_MS / 2) continue;
      this.#post({ type: "written", bytes });
      bytes = [];
      await nextTurn();
      told = performance.now();
      if (this.#stopped) break;
    }
    this.#post({ type: "written", bytes });
    this.#post({ type: "done" });
  }

  async #read(text: Uint8Array): Promise<void> {
    const { device, trainer } = this.#current();
    this.#post({ type: "reading", reading: await readText(device, { model: trainer.model, params: await this.#params(), text }) });
  }

  async #save(): Promise<void> {
    const { trainer, seed } = this.#current();
    const { config } = trainer.model;
    const bytes = encodeCheckpoint({ config, seed, state: await trainer.exportState() });
    this.#post({ type: "checkpoint", bytes, name: `mneme-${config.model}-${trainer.step}.safetensors` });
  }

  async #params(): Promise<Float32Array> {
    return await this.#current().trainer.params.read() as Float32Array;
  }
}

function configOf({ model, size }: RunOptions): ModelConfig {
  return size === "tiny" ? defineConfig({ ...TINY, model }) : defineConfig({ model }, size);
}

/** Lets messages in. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
