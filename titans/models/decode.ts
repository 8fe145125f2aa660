/** The state of a model as data: its types, and its tensors by name, as files have them. */
import { isTensor, type Tensor } from "../../core/graph.ts";
import { isSpec, type Spec, spec, trace } from "../../core/trace.ts";
import { flatten, mapLeaves, type MapTree, unflatten } from "../../core/tree.ts";
import type { Model, ModelState } from "./model.ts";
import type { Network } from "./network.ts";
import type { StoredTensor } from "./safetensors.ts";

/** The types of a model's state after any token, for one text or a batch of them. */
export function stepSpecs(model: Model, batch = 1): MapTree<ModelState, Tensor, Spec> {
  return specsOf(model, (params) => model.stepState(model.initialState(params, batch)));
}

/** The types of a model's state at a boundary, for `batch` texts. */
export function boundarySpecs(model: Network, batch: number): MapTree<ModelState, Tensor, Spec> {
  return specsOf(model, (params) => model.initialState(params, batch));
}

function specsOf<Params>(
  model: Network<Params>,
  make: (params: Params) => ModelState,
): MapTree<ModelState, Tensor, Spec> {
  let specs: MapTree<ModelState, Tensor, Spec> | undefined;
  trace((flat: Tensor) => {
    const state = make(model.unflatten(flat));
    specs = mapLeaves(state, isTensor, (leaf) => spec(leaf.shape, leaf.dtype));
    return state;
  }, [spec([model.layout.size])]);
  return specs!;
}

/** The leaves of a state by name, such as `blocks.0.mac.memory.memory.weights.1`, in the order of the tree. */
export function namedLeaves<Leaf>(
  state: unknown,
  isLeaf: (value: unknown) => value is Leaf,
): { readonly name: string; readonly leaf: Leaf }[] {
  const { leaves, paths } = flatten(state, isLeaf, "a state");
  return leaves.map((leaf, i) => ({ name: `blocks${paths[i].replace(/\[(\d+)\]/g, ".$1")}`, leaf }));
}

/** The tensors of a state by name, while a program is traced. */
export function tensorsOf(state: ModelState): { readonly name: string; readonly leaf: Tensor }[] {
  return namedLeaves(state, isTensor);
}

/** A state of other tensors. @param map Gives the tensor in place of one, which has a number and a name. */
export function mapState(state: ModelState, map: (leaf: Tensor, i: number, name: string) => Tensor): ModelState {
  const leaves = tensorsOf(state).map(({ leaf, name }, i) => map(leaf, i, name));
  return unflatten(flatten(state, isTensor).spec, leaves) as ModelState;
}

/** The tensors of a state by name, under the names that they have now: older files may have others. */
export function withPresentNames<T>(model: Model, arrays: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  const names = new Map<string, string>(
    model.layers.flatMap(({ mixer: { name, renamed = {} } }, i) =>
      Object.entries(renamed).map(([from, to]) => [`blocks.${i}.${name}.${from}`, `blocks.${i}.${name}.${to}`] as const)
    ),
  );
  return Object.fromEntries(Object.entries(arrays).map(([name, array]) => [names.get(name) ?? name, array]));
}

/**
 * What keeps arrays from being those of a state, or undefined: the first that is missing or of another shape, or one
 * too many.
 * @param specs The types of the state's tensors.
 * @param arrays By name.
 */
export function mismatchOf(
  specs: MapTree<ModelState, Tensor, Spec>,
  arrays: Readonly<Record<string, StoredTensor>>,
): string | undefined {
  const unread = new Set(Object.keys(arrays));
  for (const { name, leaf: { shape } } of namedLeaves(specs, isSpec)) {
    if (!unread.delete(name)) return `tensor ${name} is missing`;
    const { data, shape: found } = arrays[name];
    if (!(data instanceof Float32Array) || String(found) !== String(shape)) {
      return `tensor ${name} has shape [${found.join(", ")}], the model needs f32 [${shape.join(", ")}]`;
    }
  }
  const [extra] = unread;
  return extra === undefined ? undefined : `tensor ${extra} is not part of the model's state`;
}

/** Positions are i32. */
const LARGEST_POSITION = 2 ** 31 - 1;

/** The position to give for a token after `at` others: beyond i32 one that is the same within every interval. */
export function positionAt({ interval }: Model, at: number): number {
  return at <= LARGEST_POSITION ? at : at % interval;
}

/**
 * Checks that a model can read tokens after `tokensRead` others.
 * @throws {RangeError} if there is none, one lies outside the vocabulary, or there are more than attention holds.
 */
export function checkTokens({ maxLength, config }: Model, tokens: ArrayLike<number>, tokensRead: number): void {
  const { vocabulary } = config;
  if (tokens.length === 0) throw new RangeError("Cannot read an empty list of tokens: give at least one");
  for (let i = 0; i < tokens.length; i++) {
    if (!Number.isInteger(tokens[i]) || tokens[i] < 0 || tokens[i] >= vocabulary) {
      throw new RangeError(`Cannot read token ${tokens[i]}: tokens of this model go from 0 to ${vocabulary - 1}`);
    }
  }
  if (tokensRead + tokens.length > maxLength) {
    throw new RangeError(
      `Cannot read ${
        tokens.length === 1 ? "a token" : `${tokens.length} tokens`
      } after ${tokensRead}: this model's attention holds ${maxLength}; give it a larger maxLength, or a window`,
    );
  }
}
