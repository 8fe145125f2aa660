/**
 * Parameters: a tree of descriptions, and one flat vector that holds them all.
 *
 * On a device a model is a single f32 vector. Every parameter starts at a multiple of 64 elements (256 bytes, with
 * zeros between), parameters with weight decay come first, and a tree of tensors is made of it by slices. So the
 * optimiser, clipping and the norm of the gradient are a few kernels whatever the number of parameters, and a
 * checkpoint is one read.
 */
import { isTensor, type Tensor } from "../../core/graph.ts";
import { showAsText } from "../../core/inspect.ts";
import { checkShape, sizeOfShape } from "../../core/shape.ts";
import { flatten, type MapTree, type TreeSpec, unflatten } from "../../core/tree.ts";
import { concat, pad, reshape, sliceAxis } from "../../ops/mod.ts";
import { ConfigError } from "../errors.ts";
import { HostRng } from "./host_rng.ts";
import { checkInitializer, type Initializer, initialValues } from "./initializers.ts";

/** Elements at whose multiples parameters start. */
export const PARAMETER_ALIGNMENT = 64;

/** The description of a parameter. */
export class Parameter {
  /**
   * Describes a parameter.
   * @param shape Extents.
   * @param initializer Its first value.
   * @param decay Whether weight decay applies: to matrices, not to gains, biases and embeddings.
   * @throws {ConfigError} if it does not say with what number or numbers to start; {ShapeError} if the extents are
   * none.
   */
  constructor(readonly shape: readonly number[], readonly initializer: Initializer, readonly decay: boolean) {
    checkShape(shape, "make a parameter");
    checkInitializer(initializer, shape);
    if (typeof decay !== "boolean") {
      throw new ConfigError(`Cannot make a parameter with decay ${decay}: it must be true or false`, "decay");
    }
  }
}

/** A matrix of a linear map, [in, out] or with leading axes: normal with deviation `scale / sqrt(in)`. */
export function matrix(shape: readonly number[], scale = 1): Parameter {
  return new Parameter(shape, { normal: scale / Math.sqrt(shape[shape.length - 2]) }, true);
}

/** A gain, bias or the like that starts at one value. */
export function vector(shape: readonly number[], value: number): Parameter {
  return new Parameter(shape, { value }, false);
}

/** A table of rows that are looked up or prepended, without weight decay. */
export function table(shape: readonly number[], deviation: number): Parameter {
  return new Parameter(shape, { normal: deviation }, false);
}

/** A parameter by name. */
export interface NamedParameter {
  /** Its path in the tree, such as `blocks.0.mixer.out`. */
  readonly name: string;
  /** Its description. */
  readonly parameter: Parameter;
  /** Where it starts in the flat vector, in elements. */
  readonly offset: number;
  /** Its number of elements. */
  readonly size: number;
}

/** Arrays by parameter name. */
export type NamedArrays = Readonly<Record<string, Float32Array>>;

/** A run of elements of a list, from `first` on. */
export interface Run {
  /** The position of its first element. */
  readonly first: number;
  /** Its number of elements; 1 for an element by itself. */
  readonly count: number;
}

/** A list in a tree of parameters, and the runs it is cut in: elements of one run have the same parameters. */
export interface StackedList {
  /** Its name in the tree. */
  readonly list: string;
  /** They cover the list. */
  readonly runs: readonly Run[];
}

/** One tensor of the tree: a parameter, or the same parameter of all elements of a run. */
interface Slot {
  readonly parameter: Parameter;
  readonly names: readonly string[];
  /** Elements from one of these to the next. */
  readonly stride: number;
}

/**
 * Where each parameter of a tree lies in the flat vector.
 *
 * Runs of a list may be stacked: in the tree of tensors a run is one element, whose tensors have a leading axis for the
 * elements of the run. In the vector they lie side by side, so that this is a view; by name each is a parameter of its
 * own, as it would be without runs.
 */
export class ParameterLayout<Tree = unknown> {
  /** In the order of the tree. */
  readonly entries: readonly NamedParameter[];
  /** Elements of the flat vector, padding included. */
  readonly size: number;
  /** Weight decay applies to the elements before this one. */
  readonly decayEnd: number;
  readonly #whole: TreeSpec;
  readonly #spec: TreeSpec;
  readonly #slots: readonly (Slot & { readonly offset: number })[];

  /**
   * Lays out a tree.
   * @param tree A tree whose leaves are parameters.
   * @param stacked A list of it whose runs are stacked. Default: none.
   */
  constructor(tree: MapTree<Tree, Tensor, Parameter>, stacked?: StackedList) {
    const { slots, spec } = slotsOf(tree, stacked);
    const offsets = new Map<Slot, number>();
    let end = 0;
    const place = (decay: boolean): void => {
      for (const slot of slots) {
        if (slot.parameter.decay !== decay) continue;
        offsets.set(slot, end);
        end += slot.names.length * slot.stride;
      }
    };
    place(true);
    this.decayEnd = end;
    place(false);
    this.size = end;
    this.#spec = spec;
    this.#slots = slots.map((slot) => ({ ...slot, offset: offsets.get(slot)! }));
    const entries = new Map(
      this.#slots.flatMap(({ names, parameter, offset, stride }) =>
        names.map((name, i) => [name, {
          name,
          parameter,
          offset: offset + i * stride,
          size: sizeOfShape(parameter.shape),
        }])
      ),
    );
    const whole = flatten(tree, isParameter, "a parameter");
    this.entries = whole.paths.map((path) => entries.get(nameOf(path))!);
    this.#whole = whole.spec;
  }

  /** How many there are, such as `layout of 26 tensors, 202,316 parameters`. */
  toString(): string {
    return `layout of ${this.entries.length} tensors, ${this.parameterCount.toLocaleString("en")} parameters`;
  }

  static {
    showAsText(this);
  }

  /** The number of parameters, padding not counted. */
  get parameterCount(): number {
    return this.entries.reduce((count, { size }) => count + size, 0);
  }

  /** The tree, without runs, with other leaves, one for each of `entries`. */
  treeOf<Leaf>(leaves: readonly Leaf[]): MapTree<Tree, Tensor, Leaf> {
    return unflatten(this.#whole, leaves) as MapTree<Tree, Tensor, Leaf>;
  }

  /** The tree of tensors that a flat vector [size] holds. */
  unflatten(flat: Tensor): Tree {
    const leaves = this.#slots.map(({ offset, names: { length: count }, stride, parameter: { shape } }) => {
      const size = sizeOfShape(shape);
      if (count === 1) return reshape(sliceAxis(flat, 0, offset, size), shape);
      const rows = reshape(sliceAxis(flat, 0, offset, count * stride), [count, stride]);
      return reshape(sliceAxis(rows, 1, 0, size), [count, ...shape]);
    });
    return unflatten(this.#spec, leaves) as Tree;
  }

  /** The flat vector of a tree of tensors (such as gradients); the padding is zero. */
  flatten(tree: Tree): Tensor {
    const leaves = flatten(tree, isTensor, "a parameter").leaves;
    const order = this.#slots.map((_, i) => i).sort((i, j) => this.#slots[i].offset - this.#slots[j].offset);
    const parts = order.map((i) => {
      const { names: { length: count }, stride, parameter } = this.#slots[i], size = sizeOfShape(parameter.shape);
      if (count === 1) return pad(reshape(leaves[i], [size]), [[0, stride - size]]);
      return reshape(pad(reshape(leaves[i], [count, size]), [[0, 0], [0, stride - size]]), [count * stride]);
    });
    return parts.length === 1 ? parts[0] : concat(parts, 0);
  }

  /** Puts arrays by name into one flat vector. @throws {RangeError} if one is missing or has another size. */
  pack(arrays: NamedArrays): Float32Array {
    const flat = new Float32Array(this.size);
    for (const { name, offset, size } of this.entries) {
      const array = arrays[name];
      if (array?.length !== size) {
        throw new RangeError(
          `Cannot use parameter ${name}: ${
            array ? `it has ${array.length} elements` : "it is missing"
          }, the model needs ${size}`,
        );
      }
      flat.set(array, offset);
    }
    return flat;
  }

  /** Takes a flat vector apart into arrays by name. */
  unpack(flat: ArrayLike<number>): NamedArrays {
    const all = Float32Array.from(flat);
    return Object.fromEntries(this.entries.map(({ name, offset, size }) => [name, all.slice(offset, offset + size)]));
  }

  /**
   * First values, reproducible: each parameter draws from its own stream, so adding one leaves the others as they were.
   */
  initialize(seed: number): NamedArrays {
    return Object.fromEntries(
      this.entries.map((
        { name, parameter: { initializer, shape } },
      ) => [name, initialValues(initializer, shape, new HostRng(seed, name))]),
    );
  }
}

const isParameter = (value: unknown): value is Parameter => value instanceof Parameter;

function nameOf(path: string): string {
  return path.replace(/\[(\d+)\]/g, ".$1");
}

/** The tensors of a tree in which each run is one element. */
function slotsOf(tree: unknown, stacked: StackedList = { list: "", runs: [] }): { slots: Slot[]; spec: TreeSpec } {
  const { list, runs } = stacked;
  const compact = runs.length === 0 ? tree : {
    ...tree as object,
    [list]: runs.map(({ first }) => (tree as Readonly<Record<string, readonly unknown[]>>)[list][first]),
  };
  const { leaves, paths, spec } = flatten(compact, isParameter, "a parameter");
  const slots = leaves.map((parameter, i): Slot => {
    const isStacked = runs.length > 0 && paths[i].startsWith(`${list}[`);
    const [, at, rest] = isStacked ? paths[i].match(/\[(\d+)\](.*)/s)! : [];
    const { first, count } = at === undefined ? { first: 0, count: 1 } : runs[Number(at)];
    const names = at === undefined
      ? [nameOf(paths[i])]
      : Array.from({ length: count }, (_, j) => nameOf(`${list}[${first + j}]${rest}`));
    return { parameter, names, stride: align(sizeOfShape(parameter.shape)) };
  });
  return { slots, spec };
}

function align(size: number): number {
  return Math.ceil(size / PARAMETER_ALIGNMENT) * PARAMETER_ALIGNMENT;
}
