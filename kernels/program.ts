/** A compiled function that can be run. */
import type { Type } from "../core/dtype.ts";
import type { Graph, Tensor } from "../core/graph.ts";
import { type MapTree, type TreeSpec, unflatten } from "../core/tree.ts";
import { type ArrayLeaf, resolveArguments } from "./arguments.ts";
import type { Device, DeviceArray, Executable } from "./device.ts";
import { explainPlan, type Explanation } from "./explain.ts";
import type { HostTensor } from "./host_data.ts";
import type { Plan } from "./plan.ts";

/** The arguments of a program: those of its function, with arrays in place of tensors. */
export type ProgramArguments<Args extends readonly unknown[]> = { [K in keyof Args]: MapTree<Args[K], Tensor, ArrayLeaf> };

/** The result of a run: that of the function, with host arrays in place of tensors. */
export type HostResult<R> = MapTree<R, Tensor, HostTensor>;

/** The result of a launch: that of the function, with device arrays in place of tensors. */
export type DeviceResult<R> = MapTree<R, Tensor, DeviceArray>;

/** What {@link Program} is made from. */
export interface ProgramParts {
  readonly device: Device;
  readonly graph: Graph;
  readonly inputTree: TreeSpec;
  readonly outputTree: TreeSpec;
  readonly plan: Plan | undefined;
  readonly executable: Executable;
}

/** A function compiled for a device, to be run as often as wanted. Made by `compile`. */
export class Program<Args extends readonly unknown[], R> {
  /** Memory that a run needs: intermediate values, inputs, outputs and constants, in bytes. 0 on the reference device, which plans none. */
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

  /**
   * Use `compile`.
   * @internal
   */
  constructor({ device, graph, inputTree, outputTree, plan, executable }: ProgramParts) {
    this.#device = device;
    this.#executable = executable;
    this.#inputTree = inputTree;
    this.#outputTree = outputTree;
    this.#inputTypes = graph.inputs.map(({ shape, dtype }) => ({ shape, dtype }));
    this.graph = graph;
    this.plan = plan;
    this.peakBytes = plan?.peakBytes ?? 0;
  }

  /** The generated source texts, one a distinct kernel. */
  get sources(): readonly string[] {
    return this.#executable.sources;
  }

  /** The number of distinct kernels. */
  get shaderCount(): number {
    return this.#executable.sources.length;
  }

  /**
   * Runs the function and waits for its results on the host.
   * @param args The function's arguments, with typed arrays, lists of numbers, earlier results or device arrays in place of tensors.
   * @returns The function's result, with `{ data, shape, dtype }` in place of tensors.
   * @throws {ShapeError} or {DTypeError} naming the argument that does not fit; {DeviceError} if the device fails.
   */
  async run(...args: ProgramArguments<Args>): Promise<HostResult<R>> {
    const outputs = this.#launch(args);
    try {
      // All reads of one turn share one copy.
      const data = await Promise.all(outputs.map((output) => output.read())) as HostTensor["data"][];
      const leaves = outputs.map(({ shape, dtype }, i): HostTensor => ({ data: data[i], shape, dtype }));
      return unflatten(this.#outputTree, leaves) as HostResult<R>;
    } finally {
      for (const output of outputs) output.dispose();
    }
  }

  /**
   * Starts the function and returns its results in device memory, without waiting. The caller disposes of them.
   * @param args As for {@link Program.run}; host arrays are uploaded for this launch.
   */
  launch(...args: ProgramArguments<Args>): DeviceResult<R> {
    return unflatten(this.#outputTree, this.#launch(args)) as DeviceResult<R>;
  }

  #launch(args: readonly unknown[]): DeviceArray[] {
    return this.#withArrays(args, (inputs) => this.#executable.launch(inputs));
  }

  /** Uploads what is on the host, and disposes of it when `use` returns: the device keeps the order of work. */
  #withArrays<T>(args: readonly unknown[], use: (inputs: readonly DeviceArray[]) => T): T {
    const leaves = resolveArguments(args, this.#inputTree, this.#inputTypes, this.#device);
    const uploaded: DeviceArray[] = [];
    try {
      const inputs = leaves.map((leaf, i) => {
        if (leaf.kind === "device") return leaf.array;
        const array = this.#device.upload(leaf.data, this.#inputTypes[i]);
        uploaded.push(array);
        return array;
      });
      return use(inputs);
    } finally {
      for (const array of uploaded) array.dispose();
    }
  }

  /** The program's kernels, work and memory; print it for a table. */
  explain(): Explanation;
  /** The same with measured times: runs twice on the arguments `profile`. */
  explain(options: { readonly profile: ProgramArguments<Args> }): Promise<Explanation>;
  explain(options?: { readonly profile: ProgramArguments<Args> }): Explanation | Promise<Explanation> {
    const { shaders } = this.#executable;
    if (!options) return explainPlan(this.plan, shaders);
    return this.#profile(options.profile).then((times) => explainPlan(this.plan, shaders, times));
  }

  async #profile(args: readonly unknown[]): Promise<readonly number[]> {
    const leaves = resolveArguments(args, this.#inputTree, this.#inputTypes, this.#device);
    const uploaded = leaves.map((leaf, i) => (leaf.kind === "host" ? this.#device.upload(leaf.data, this.#inputTypes[i]) : undefined));
    try {
      return await this.#executable.profile(leaves.map((leaf, i) => (leaf.kind === "device" ? leaf.array : uploaded[i]!)));
    } finally {
      for (const array of uploaded) array?.dispose();
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
