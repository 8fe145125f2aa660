/** A compiled function that can be run. */
import type { Type } from "../core/dtype.ts";
import { DeviceError } from "../core/errors.ts";
import type { Graph, Tensor } from "../core/graph.ts";
import { showAsText } from "../core/inspect.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { formatType, listTypes } from "../core/shape.ts";
import { type MapTree, type TreeSpec, unflatten } from "../core/tree.ts";
import { type ArrayLeaf, resolveArguments, type ResolvedLeaf } from "./arguments.ts";
import type { Device, DeviceArray, DeviceInfo, Executable } from "./device.ts";
import { explainPlan, type Explanation } from "./explain.ts";
import { mebibytes } from "./limits.ts";
import type { Plan } from "./plan.ts";
import { type ResultTensor, resultTensor } from "./result_tensor.ts";
import type { PeakRates } from "./roofline.ts";

/** The arguments of a program: those of its function, with arrays in place of tensors. */
export type ProgramArguments<Args extends readonly unknown[]> = {
  [K in keyof Args]: MapTree<Args[K], Tensor, ArrayLeaf>;
};

/** The result of a run: that of the function, with host arrays in place of tensors. */
export type HostResult<R> = MapTree<R, Tensor, ResultTensor>;

/** The result of a launch: that of the function, with device arrays in place of tensors. */
export type DeviceResult<R> = MapTree<R, Tensor, DeviceArray>;

/** The JSON representation of a program. */
export interface ProgramRecord {
  /** The kind of its device. */
  readonly device: DeviceInfo["kind"];
  /** Types of the arguments' leaves, such as `f32[2, 3]`. */
  readonly inputs: readonly string[];
  /** Types of the results' leaves. */
  readonly outputs: readonly string[];
  /** Number of kernels that a run launches; those in loops count once. */
  readonly kernels: number;
  /** Number of distinct kernels. */
  readonly shaders: number;
  /** Memory that a run needs. */
  readonly peakBytes: number;
}

/** Options of {@link Program.explain}. */
export interface ProfileOptions<Args extends readonly unknown[]> {
  /** Arguments to run on. */
  readonly profile: ProgramArguments<Args>;
  /** The peak rates of the device. Default: `device.info.peak`. */
  readonly peak?: PeakRates;
}

const EXPLAIN_OPTIONS = optionNames<ProfileOptions<readonly unknown[]>>({ profile: true, peak: true });

/** What {@link Program} is made from. */
export interface ProgramParts {
  readonly device: Device;
  readonly graph: Graph;
  readonly inputTree: TreeSpec;
  readonly outputTree: TreeSpec;
  readonly plan: Plan | undefined;
  readonly executable: Executable;
  /** Positions of the inputs that a launch consumes. */
  readonly donated: readonly number[];
}

/** A function compiled for a device, to be run as often as wanted. Made by `compile`. */
export class Program<Args extends readonly unknown[], R> {
  /**
   * Memory that a run needs: intermediate values, inputs, outputs and constants, in bytes. 0 on the reference device,
   * which plans none.
   */
  readonly peakBytes: number;
  /**
   * The simplified graph that was compiled.
   * @internal
   */
  readonly graph: Graph;
  /**
   * Steps over values with their places; undefined on the reference device.
   * @internal
   */
  readonly plan: Plan | undefined;
  #device: Device;
  #executable: Executable;
  #inputTree: TreeSpec;
  #outputTree: TreeSpec;
  #inputTypes: readonly Type[];
  #donated: readonly number[];

  /**
   * Use `compile`.
   * @internal
   */
  constructor({ device, graph, inputTree, outputTree, plan, executable, donated }: ProgramParts) {
    this.#device = device;
    this.#executable = executable;
    this.#inputTree = inputTree;
    this.#outputTree = outputTree;
    this.#inputTypes = graph.inputs.map(({ shape, dtype }) => ({ shape, dtype }));
    this.#donated = donated;
    this.graph = graph;
    this.plan = plan;
    this.peakBytes = plan?.peakBytes ?? 0;
  }

  /** Device, types, kernels and memory in one line; see {@link explain} for details. */
  toString(): string {
    const { device, kernels } = this.toJSON(), { inputs, outputs } = this.graph;
    const work = device === "reference"
      ? "interpreted"
      : `${kernels} kernel${kernels === 1 ? "" : "s"}, ${mebibytes(this.peakBytes)}`;
    return `program on ${device}: (${listTypes(inputs)}) -> (${listTypes(outputs)}), ${work}`;
  }

  /** A JSON representation. */
  toJSON(): ProgramRecord {
    const { inputs, outputs } = this.graph, { shaders, sources } = this.#executable;
    return {
      device: this.#device.info.kind,
      inputs: inputs.map(formatType),
      outputs: outputs.map(formatType),
      kernels: shaders.length,
      shaders: sources.length,
      peakBytes: this.peakBytes,
    };
  }

  static {
    showAsText(this);
  }

  /** The generated source texts, one per distinct kernel. */
  get sources(): readonly string[] {
    return this.#executable.sources;
  }

  /** The number of distinct kernels. */
  get shaderCount(): number {
    return this.#executable.sources.length;
  }

  /**
   * Runs the function and waits for its results on the host.
   * @param args The function's arguments, with typed arrays, (nested) lists of numbers, earlier results or device
   * arrays in place of tensors.
   * @returns The function's result, with `{ data, shape, dtype }` in place of tensors; `toNested()` and `item()` give
   * the elements as nested lists and as a number.
   * Device arrays in donated arguments are disposed.
   * @throws {ShapeError} or {DTypeError} naming the argument that does not fit; {DeviceError} if the device fails, or
   * an array was donated before.
   */
  async run(...args: ProgramArguments<Args>): Promise<HostResult<R>> {
    const outputs = this.#launch(args);
    try {
      // All reads of one turn of the event loop share one copy.
      const data = await Promise.all(outputs.map((output) => output.read()));
      const leaves = outputs.map(({ shape, dtype }, i) => resultTensor(data[i], shape, dtype));
      return unflatten(this.#outputTree, leaves) as HostResult<R>;
    } finally {
      for (const output of outputs) output.dispose();
    }
  }

  /**
   * Starts the function and returns its results in device memory, without waiting. The caller disposes of them.
   * @param args As for {@link Program.run}; host arrays are uploaded for this launch, device arrays in donated
   * arguments are disposed.
   */
  launch(...args: ProgramArguments<Args>): DeviceResult<R> {
    return unflatten(this.#outputTree, this.#launch(args)) as DeviceResult<R>;
  }

  #launch(args: readonly unknown[]): DeviceArray[] {
    const leaves = this.#resolve(args);
    for (const position of this.#donated) this.#checkOnce(leaves, position);
    const { inputs, uploaded } = this.#upload(leaves);
    try {
      return this.#executable.launch(inputs);
    } finally {
      // The device preserves the order of work.
      for (const array of uploaded) array.dispose();
    }
  }

  #resolve(args: readonly unknown[]): ResolvedLeaf[] {
    return resolveArguments(args, this.#inputTree, this.#inputTypes, this.#device);
  }

  /** Uploads host arrays. */
  #upload(leaves: readonly ResolvedLeaf[]): { inputs: DeviceArray[]; uploaded: DeviceArray[] } {
    const inputs: DeviceArray[] = [], uploaded: DeviceArray[] = [];
    try {
      for (let i = 0; i < leaves.length; i++) {
        const leaf = leaves[i];
        if (leaf.kind === "device") inputs.push(leaf.array);
        else {
          const array = this.#device.upload(leaf.data, this.#inputTypes[i]);
          inputs.push(array);
          uploaded.push(array);
        }
      }
    } catch (error) {
      for (const array of uploaded) array.dispose();
      throw error;
    }
    return { inputs, uploaded };
  }

  /** @throws {DeviceError} if the array of a donated input is also passed as another argument. */
  #checkOnce(leaves: readonly ResolvedLeaf[], position: number): void {
    const leaf = leaves[position];
    if (leaf.kind !== "device") return;
    let other = leaves.length - 1;
    for (; other >= 0; other--) {
      const each = leaves[other];
      if (other !== position && each.kind === "device" && each.array === leaf.array) break;
    }
    if (other < 0) return;
    const [given, again] = [position, other].map((i) => this.graph.names[i].replace(/^\[(\d+)\]/, "argument $1"));
    throw new DeviceError(
      `Cannot run with one array as ${given} and as ${again}: ${given} is donated; pass a copy as one of them`,
      "validation",
    );
  }

  /** The program's kernels, work and memory; print it for a table. */
  explain(): Explanation;
  /**
   * The same with measured times: runs twice on the arguments `profile`. Where the peak rates of the device are known,
   * or given as `peak`, each kernel's share of the roofline is reported too.
   */
  explain(options: ProfileOptions<Args>): Promise<Explanation>;
  explain(options?: ProfileOptions<Args>): Explanation | Promise<Explanation> {
    checkOptions("explain", options, EXPLAIN_OPTIONS);
    const { shaders } = this.#executable;
    if (!options) return explainPlan(this.plan, shaders);
    const { profile = [], peak = this.#device.info.peak } = options;
    return this.#profile(profile).then((times) => explainPlan(this.plan, shaders, { times, peak }));
  }

  async #profile(args: readonly unknown[]): Promise<readonly number[]> {
    const leaves = this.#resolve(args);
    // Arrays that a launch would consume are copied, so the caller's arrays remain valid.
    for (const position of this.#donated) {
      const leaf = leaves[position];
      if (leaf.kind === "device") leaves[position] = { kind: "host", data: await leaf.array.read() };
    }
    const { inputs, uploaded } = this.#upload(leaves);
    try {
      return await this.#executable.profile(inputs);
    } finally {
      for (const array of uploaded) array.dispose();
    }
  }

  /** Frees the program's memory on the device. Arrays that it returned stay. */
  dispose(): void {
    this.#executable.dispose();
  }

  /** {@link dispose}, at the end of a block that holds the program with `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
