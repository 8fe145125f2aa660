/**
 * Validates memory networks while tracing, before a violation could silently produce wrong numbers.
 *
 * The matrix products of a memory are only correct for networks that read each matrix and vector exactly once and map
 * each row independently, all rows by the same function: the gradient of a matrix at a token is then `rows^T deltas` of
 * that token, whatever the other tokens are. A network that violates this gives different numbers token by token than
 * in matrix products. The network is therefore called once on a few representative rows, and the result is analysed
 * element by element (core/provenance.ts). The nodes created for this belong to no program: they are never compiled or
 * run.
 */
import type { Type } from "../../../core/dtype.ts";
import {
  currentContext,
  isTensor,
  type Node,
  parameter,
  reachable,
  type Tensor,
  type TraceContext,
} from "../../../core/graph.ts";
import { optionNames } from "../../../core/options.ts";
import { opaque, type Provenance, traceProvenance } from "../../../core/provenance.ts";
import { closedTest } from "../../../core/closed.ts";
import { formatShape, formatType, sameShape, sizeOfShape } from "../../../core/shape.ts";
import { checkNames, ConfigError } from "../../errors.ts";
import type { LayerShape, Memory, MemoryNetwork, MemoryState } from "./memory_network.ts";

/** Number of rows in the trial call: enough for rows that are neighbours and rows that are not. */
const ROWS = 5;

const MEMORY = optionNames<Memory>({ network: true, gains: true, start: true });
const NETWORK = optionNames<MemoryNetwork>({ layers: true, gains: true, forward: true });
const LAYER = optionNames<LayerShape>({ in: true, out: true, scale: true, vector: true });

/** Networks that passed, by type of rows, so that each is checked only once. */
const passed = new WeakMap<MemoryNetwork, Set<string>>();

/** Marks a network of this library as valid: tests show that it would pass. */
export function trusted(network: MemoryNetwork): MemoryNetwork {
  passed.set(network, new Set([ANY_ROWS]));
  return network;
}

const ANY_ROWS = "any";

/**
 * Checks a memory's network, its gains and, if given, its state.
 * @param memory The memory that is to learn and be read.
 * @param rows The type of its keys or queries, [B, H, T, K].
 * @throws {ConfigError} naming the matrix that is not used exactly once, or the node where rows are mixed.
 */
export function checkMemory(memory: Memory, { shape, dtype }: Type, state?: MemoryState): void {
  checkNames("a memory", memory, MEMORY);
  const { network, gains } = memory;
  const H = shape[shape.length - 3], K = shape[shape.length - 1], key = `${dtype} ${H} ${K}`;
  const before = passed.get(network);
  checkGains(network, gains, H);
  if (state) checkState(network, state);
  if (before?.has(ANY_ROWS) || before?.has(key)) return;
  checkNames("a memory network", network, NETWORK);
  network.layers.forEach(checkLayer);
  new Trial({ network, gains }, { shape: [1, H, ROWS, K], dtype }).run();
  passed.set(network, (before ?? new Set()).add(key));
}

function refuse(rule: string): never {
  throw new ConfigError(`Cannot use the memory network: ${rule}`, "network");
}

function checkLayer(layer: LayerShape, l: number): void {
  checkNames(`layer ${l} of a memory network`, layer, LAYER);
  for (const side of ["in", "out"] as const) {
    if (!Number.isInteger(layer[side]) || layer[side] < 1) {
      refuse(`\`${side}\` of layer ${l} must be an integer of at least 1, it is ${layer[side]}`);
    }
  }
  if (layer.vector && layer.in !== 1) {
    refuse(
      `layer ${l} is a fast vector, which is one row, and \`in\` is ${layer.in}: describe it with fastVector(width)`,
    );
  }
}

function checkGains({ gains: shapes }: MemoryNetwork, gains: readonly Tensor[], H: number): void {
  if (gains.length !== shapes.length) {
    refuse(`it has ${shapes.length} gains and ${gains.length} tensors are given for them`);
  }
  shapes.forEach((shape, i) => {
    if (!sameShape(gains[i].shape, [H, ...shape])) {
      refuse(`gain ${i} must be ${formatShape([H, ...shape])}, it is ${formatShape(gains[i].shape)}`);
    }
  });
}

function checkState({ layers }: MemoryNetwork, state: MemoryState): void {
  for (const name of ["weights", "surprise"] as const) {
    const matrices = state[name];
    if (matrices.length !== layers.length) {
      refuse(`it has ${layers.length} layers, and the state has ${name} for ${matrices.length}`);
    }
    layers.forEach((layer, l) => {
      const shape = matrices[l].shape;
      if (sameShape(shape.slice(-2), [layer.in, layer.out])) return;
      refuse(`layer ${l} is ${layer.in} x ${layer.out}, and the state's ${name} for it are ${formatShape(shape)}`);
    });
  }
}

/** A call of a network on rows that differ only in their identity. */
class Trial {
  #network: MemoryNetwork;
  #gains: readonly Tensor[];
  #context: TraceContext = currentContext();
  #scope = this.#context.scope;
  /** The first node of the trial. Older nodes were created outside of the network. */
  #first = this.#context.nodeCount;
  #rows: Tensor;
  #calls: number[];
  #asked: { readonly layer: number; readonly rows: Tensor }[] = [];
  #known = new Map<Tensor, Provenance>();

  constructor({ network, gains }: Memory, type: Type) {
    this.#network = network;
    this.#gains = gains;
    this.#calls = network.layers.map(() => 0);
    this.#rows = this.#fresh(type, 0);
    gains.forEach((gain, i) => this.#known.set(gain, opaque(gain, 100 + i)));
  }

  run(): void {
    const rows = this.#rows, { layers, forward } = this.#network;
    const output = forward((l, x) => this.#linear(l, x), rows, this.#gains, (l) => this.#vector(l));
    this.#calls.forEach((count, l) => {
      const { name, ask } = wordsFor(layers[l], l);
      if (count === 0) refuse(`${name} is never used: call ${ask} in \`forward\`, or take it out of \`layers\``);
      if (count > 1) {
        refuse(
          `${name} is used ${count} times, which its gradient in matrix products does not allow: give each use a layer of its own`,
        );
      }
    });
    if (!isTensor(output)) {
      refuse(`its \`forward\` must return rows, ${formatType(rows)}, and returns ${typeof output}`);
    }
    if (!sameShape(output.shape, rows.shape) || output.dtype !== rows.dtype) {
      refuse(`it must give rows as it takes them, ${formatType(rows)}, and gives ${formatType(output)}`);
    }
    const asked = this.#asked.map(({ layer, rows }) => [`the rows for linear(${layer}, rows)`, rows] as const);
    for (const [what, x] of [...asked, ["its output", output] as const]) this.#checkRows(x, what);
  }

  #linear(l: number, x: Tensor): Tensor {
    const layer = this.#layer(l, "linear"), { name } = wordsFor(layer, l), { shape } = this.#rows;
    if (!isTensor(x)) refuse(`linear(${l}, rows) is called without rows`);
    const wanted: Type = { shape: [...shape.slice(0, -1), layer.in], dtype: this.#rows.dtype };
    if (!sameShape(x.shape, wanted.shape) || x.dtype !== wanted.dtype) {
      refuse(
        `${name}, ${layer.in} x ${layer.out}, takes rows ${formatType(wanted)} here, and linear(${l}, rows) is given ${
          formatType(x)
        }${layer.vector ? `: ask for it by vector(${l})` : ""}`,
      );
    }
    if (x.node.scope.depth > this.#scope.depth) {
      refuse(`linear(${l}, rows) is called inside a loop, so ${name} would be used many times`);
    }
    this.#asked.push({ layer: l, rows: x });
    return this.#fresh({ shape: [...shape.slice(0, -1), layer.out], dtype: x.dtype }, 1 + l);
  }

  #vector(l: number): Tensor {
    const layer = this.#layer(l, "vector"), { shape, dtype } = this.#rows;
    if (layer.in !== 1) {
      refuse(
        `matrix ${l} is asked for by vector(${l}): ask for it by linear(${l}, rows), or describe it with fastVector(width)`,
      );
    }
    return this.#fresh({ shape: [...shape.slice(0, -1), layer.out], dtype }, 1 + l);
  }

  #layer(l: number, by: string): LayerShape {
    const { layers } = this.#network;
    if (!Object.hasOwn(layers, l)) {
      refuse(
        layers.length === 0
          ? `${by}(${l}) is called and it has no layers`
          : `it has no layer ${l}, for which ${by} is called: they go from 0 to ${layers.length - 1}`,
      );
    }
    this.#calls[l]++;
    return layers[l];
  }

  /** Provenance of rows that are a source each, computed by the same formulas. */
  #fresh(type: Type, seed: number): Tensor {
    const tensor = parameter(this.#context, type, this.#scope), [, , T, width] = type.shape;
    const { formula } = opaque(type, seed), sources = new Int32Array(formula.length);
    for (let i = 0; i < formula.length; i++) {
      const row = Math.floor(i / width) % T;
      sources[i] = 1 << row;
      formula[i] = formula[i - row * width];
    }
    this.#known.set(tensor, { sources, formula });
    return tensor;
  }

  /** @throws {ConfigError} unless each row depends only on the same row of the input, by the same formulas. */
  #checkRows(x: Tensor, what: string): void {
    this.#trace(x);
    const { sources, formula } = this.#known.get(x)!, [, , T, width] = x.shape;
    for (let i = 0; i < sources.length; i++) {
      const row = Math.floor(i / width) % T, others = sources[i] & ~(1 << row);
      if (others !== 0) {
        const mixer = this.#mixer(x);
        refuse(
          `row ${row} of ${what} depends on row ${31 - Math.clz32(others)} too${
            mixer ? ` (by ${mixer.op.name})` : ""
          }; each must be a function of itself ` +
            "alone, since a memory may read its tokens together or one by one: let no op run over axis -2",
        );
      }
      if (formula[i] !== formula[i - row * width]) {
        refuse(
          `row ${row} of ${what} is computed otherwise than row 0; all must be treated alike: use nothing that varies along axis -2, such as iota`,
        );
      }
    }
  }

  #trace(x: Tensor): void {
    const isClosed = closedTest();
    // What the network captures is treated as data, like its gains. A node created earlier may also be an expression
    // that the network shares with another call of it: constants, and such data broadcast to rows.
    const broadcasts = ({ shape, node: { op, inputs: [input] } }: Tensor): boolean =>
      op.kind === "view" && sizeOfShape(shape) > sizeOfShape(input.shape);
    const stop = (tensor: Tensor): boolean =>
      tensor.node.id < this.#first && !isClosed(tensor.node) && !broadcasts(tensor);
    const seen = new Set<Tensor>(), stack = [x];
    while (stack.length > 0) {
      const tensor = stack.pop()!;
      if (seen.has(tensor) || this.#known.has(tensor)) continue;
      seen.add(tensor);
      if (stop(tensor)) this.#known.set(tensor, opaque(tensor, 1000 + 8 * tensor.node.id + tensor.output));
      else stack.push(...tensor.node.inputs);
    }
    traceProvenance([x], this.#known);
  }

  /** The first node at which an element depends on several rows. */
  #mixer(x: Tensor): Node | undefined {
    return reachable([x], new Set([this.#rows])).find(({ outputs }) =>
      outputs.some((tensor) => this.#known.get(tensor)?.sources.some((set) => (set & (set - 1)) !== 0))
    );
  }
}

function wordsFor({ vector }: LayerShape, l: number): { readonly name: string; readonly ask: string } {
  return vector
    ? { name: `fast vector ${l}`, ask: `vector(${l})` }
    : { name: `matrix ${l}`, ask: `linear(${l}, rows)` };
}
