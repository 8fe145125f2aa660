/**
 * What is timed: functions of arrays, and training steps with Adam, compiled for a device and kept in its memory from
 * run to run.
 */
import { valueAndGrad } from "../../core/grad.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { compile, type Device, type DeviceArray, type Explanation, spec, type Tensor } from "@mneme/titans";
import {
  applyGradient,
  defineOptimizer,
  type OptimizerState,
  Parameter,
  ParameterLayout,
  stepScalars,
} from "../../titans/mod.ts";
import { randn } from "../golden_layers.ts";

/** Elements of a tensor. */
export interface Elements {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** A function of arrays. */
export interface PlainComputation {
  readonly kind: "plain";
  readonly inputs: readonly Elements[];
  readonly fn: (inputs: readonly Tensor[]) => readonly Tensor[];
}

/** Loss, gradients of all parameters, and Adam. */
export interface TrainingComputation {
  readonly kind: "training";
  readonly parameters: Readonly<Record<string, Elements>>;
  readonly inputs: readonly Elements[];
  readonly loss: (parameters: Readonly<Record<string, Tensor>>, ...inputs: Tensor[]) => Tensor;
}

/** Either of the two. */
export type Computation = PlainComputation | TrainingComputation;

/** The loss of a training step alone. */
export function lossOf({ parameters, inputs, loss }: TrainingComputation): PlainComputation {
  const names = Object.keys(parameters);
  return {
    kind: "plain",
    inputs: [...Object.values(parameters), ...inputs],
    fn: (all) => [
      loss(Object.fromEntries(names.map((name, i) => [name, all[i]])), ...all.slice(names.length)),
    ],
  };
}

/** A computation on a device. */
export interface Loaded {
  /** Milliseconds of tracing and compiling. */
  readonly compileMs: number;
  /** Milliseconds of copying the arguments to the device; undefined where it is part of the other. */
  readonly uploadMs?: number;
  /** Memory of a run, planned; undefined where several programs run. */
  readonly plannedBytes?: number;
  /** Distinct kernels. */
  readonly shaders?: number;
  /** Kernels and work; with measured times if asked. */
  explain?(profile: boolean): Promise<Explanation>;
  /** Runs once and reads the results: those of the function, or the loss. A training step moves on. */
  read(): Promise<ArrayLike<number>[]>;
  /** Milliseconds of `count` runs, launched one after the other and awaited once. */
  time(count: number): Promise<number>;
  /** Frees program and arrays; the device stays. */
  dispose(): void;
}

/** Numbers that look normal; see {@link randn}. */
export function random(shape: readonly number[], scale: number, seed: number): Elements {
  return { shape, data: randn(sizeOfShape(shape), scale, seed) };
}

/** Compiles a computation and uploads its arguments. */
export function load(device: Device, computation: Computation): Promise<Loaded> {
  return computation.kind === "plain" ? loadPlain(device, computation) : loadTraining(device, computation);
}

function typeOf({ shape, data }: Elements): ReturnType<typeof spec> {
  return spec(shape, data instanceof Int32Array ? "i32" : "f32");
}

async function loadPlain(device: Device, { inputs, fn }: PlainComputation): Promise<Loaded> {
  const started = performance.now();
  const specs = inputs.map(typeOf);
  const program = await compile(device, fn, [specs]);
  const compileMs = performance.now() - started;
  const arrays = inputs.map(({ data }, i) => device.upload(data, specs[i]));
  await device.synchronize();
  const uploadMs = performance.now() - started - compileMs;
  return {
    compileMs,
    uploadMs,
    plannedBytes: program.peakBytes,
    shaders: program.shaderCount,
    explain: async (profile) => profile ? await program.explain({ profile: [arrays] }) : program.explain(),
    read: async () => (await program.run(arrays)).map(({ data }) => data),
    time: async (count) => {
      const start = performance.now();
      for (let i = 0; i < count; i++) for (const output of program.launch(arrays)) output.dispose();
      await device.synchronize();
      return performance.now() - start;
    },
    dispose: () => {
      for (const array of arrays) array.dispose();
      program.dispose();
    },
  };
}

/** Adam as the peers have it: no schedule, no decay, no clipping. */
const ADAM = defineOptimizer({
  learningRate: 1e-3,
  finalRate: 1,
  warmupSteps: 0,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  clipNorm: 0,
});

async function loadTraining(device: Device, { parameters, inputs, loss }: TrainingComputation): Promise<Loaded> {
  const started = performance.now();
  const entries = Object.entries(parameters);
  const layout = new ParameterLayout<Record<string, Tensor>>(
    Object.fromEntries(entries.map(([name, { shape }]) => [name, new Parameter(shape, { value: 0 }, false)])),
  );
  const step = (
    state: OptimizerState,
    scalars: Tensor,
    data: readonly Tensor[],
  ): { loss: Tensor; state: OptimizerState } => {
    const [value, gradient] = valueAndGrad((p: Record<string, Tensor>) => loss(p, ...data))(
      layout.unflatten(state.params),
    );
    return { loss: value, state: applyGradient(state, layout.flatten(gradient), { config: ADAM, scalars, layout }) };
  };
  const flat = spec([layout.size]), specs = inputs.map(typeOf);
  const program = await compile(device, step, [
    { params: flat, first: flat, second: flat },
    spec([stepScalars(ADAM, 0).length]),
    specs,
  ]);
  const compileMs = performance.now() - started;
  const packed = layout.pack(Object.fromEntries(entries.map(([name, { data }]) => [name, data as Float32Array])));
  const zeros = new Float32Array(layout.size);
  let state: OptimizerState<DeviceArray> = {
      params: device.upload(packed, flat),
      first: device.upload(zeros, flat),
      second: device.upload(zeros, flat),
    },
    stepsDone = 0;
  const data = inputs.map(({ data }, i) => device.upload(data, specs[i]));
  await device.synchronize();
  const uploadMs = performance.now() - started - compileMs;
  const free = (): void => Object.values(state).forEach((array) => array.dispose());
  const advance = (): DeviceArray => {
    const result = program.launch(state, stepScalars(ADAM, stepsDone++), data);
    free();
    state = result.state;
    return result.loss;
  };
  return {
    compileMs,
    uploadMs,
    plannedBytes: program.peakBytes,
    shaders: program.shaderCount,
    explain: async (profile) =>
      profile ? await program.explain({ profile: [state, stepScalars(ADAM, stepsDone), data] }) : program.explain(),
    read: async () => {
      const result = advance();
      const value = await result.read();
      result.dispose();
      return [value];
    },
    time: async (count) => {
      const start = performance.now();
      for (let i = 0; i < count; i++) advance().dispose();
      await device.synchronize();
      return performance.now() - start;
    },
    dispose: () => {
      free();
      for (const array of data) array.dispose();
      program.dispose();
    },
  };
}
