/**
 * What a compiled model is made of, as a small graph: a station for each parameter, each loop and each product of two
 * tensors that depend on the text; edges where one's result reaches another without passing a third.
 */
import type { Node, Tensor } from "../core/graph.ts";
import type { ScanAttrs } from "../core/loop.ts";
import { spec, trace } from "../core/trace.ts";
import type { ModelKind } from "../titans/mixers/recipes.ts";
import { defineConfig } from "../titans/models/config.ts";
import { Model } from "../titans/models/model.ts";

/** A part of a model. */
export interface Station {
  /** Its name: that of a parameter, or what it computes. */
  readonly name: string;
  /** What it is. */
  readonly kind: "input" | "parameter" | "product" | "loop" | "output";
}

/** Parts of a model and how data flows between them. */
export interface StationGraph {
  readonly stations: readonly Station[];
  /** Pairs of numbers of stations. */
  readonly edges: readonly (readonly [from: number, to: number])[];
}

// One segment and one window, so that what happens within them is not hidden in a loop.
const TOKENS = 32;

/** The parts of a model with one block, from the graph that its forward pass is traced to. */
export function stationsOf(kind: ModelKind): StationGraph {
  const model = new Model(
      defineConfig({ model: kind, blocks: 1, heads: 1, width: 16, vocabulary: 8, window: TOKENS, segment: TOKENS }),
    ),
    { entries } = model.layout;
  const forward = (leaves: readonly Tensor[], text: Tensor): Tensor =>
    model.forward(model.layout.treeOf(leaves), text).logits;
  const { graph } = trace(forward, [entries.map(({ parameter }) => spec(parameter.shape)), spec([1, TOKENS], "i32")]);
  const names = entries.map(({ name }) => labelOf(name, kind));
  return condense(graph.inputs, { nodes: graph.nodes, outputs: graph.outputs, names });
}

/** What a mixer does, without the rest of the model: the stations from the norm before it to its output. */
export function mixerOf({ stations, edges }: StationGraph): StationGraph {
  const number = (name: string): number => stations.findIndex((station) => station.name === name);
  const first = number("norm"), last = number("output");
  return {
    stations: stations.slice(first, last + 1),
    edges: edges.filter((edge) => edge.every((each) => each >= first && each <= last))
      .map(([from, to]) => [from - first, to - first]),
  };
}

/** What parameters are called; those of one name are one station. */
const LABELS: Readonly<Record<string, string>> = {
  norm: "final norm",
  head: "logits of tokens",
  "blocks.0.mixerNorm": "norm",
  "blocks.0.mlpNorm": "MLP",
  "blocks.0.mlp.expand": "MLP",
  "blocks.0.mlp.contract": "MLP",
  "*.attention": "queries, keys, values",
  "*.persistent": "persistent tokens",
  "*.contextProjection": "query of the memory",
  "*.contextNorm": "norm of what was read",
  "*.memory.initial": "memory is read",
  "*.memory.gains": "memory is read",
  "*.memory.projection": "keys and values to learn",
  "*.memory.convolution": "short convolution",
  "*.memory.gates": "step, momentum, forgetting",
  "*.memory.gateBias": "step, momentum, forgetting",
  "*.memory.norm": "norm of the memory",
  "*.norm": "norm of the attention",
  "*.out": "output",
};

function labelOf(name: string, kind: ModelKind): string {
  const known = name.replace(`blocks.0.${kind}.`, "*.").replace(/\.\d+$/, "");
  return LABELS[known] ?? known.replace(/^\*\./, "");
}

/** What reaches a tensor: names of parameters alone, or stations of data. */
interface Reached {
  readonly parameters: ReadonlySet<string>;
  readonly stations: ReadonlySet<number>;
  /** Whether it is made of queries, keys and values of an attention: the products of others are parts of something. */
  readonly attends: boolean;
}

const NOTHING: Reached = { parameters: new Set(), stations: new Set(), attends: false };

/** The label of an attention's projections. */
const PROJECTIONS = LABELS["*.attention"];

function condense(
  inputs: readonly Tensor[],
  { nodes, outputs, names }: {
    readonly nodes: readonly Node[];
    readonly outputs: readonly Tensor[];
    readonly names: readonly string[];
  },
): StationGraph {
  const stations: Station[] = [{ name: "tokens", kind: "input" }],
    edges = new Set<string>(),
    numbers = new Map<string, number>();
  const reached = new Map<Tensor, Reached>();
  inputs.forEach((input, i) =>
    reached.set(input, {
      parameters: new Set(i < names.length ? [names[i]] : []),
      stations: new Set(i < names.length ? [] : [0]),
      attends: false,
    })
  );
  const arrive = (station: Station, from: Iterable<number>): number => {
    const key = `${station.kind} ${station.name}`, number = numbers.get(key) ?? stations.push(station) - 1;
    numbers.set(key, number);
    for (const other of from) if (other !== number) edges.add(`${other} ${number}`);
    return number;
  };
  const of = (tensor: Tensor): Reached => reached.get(tensor) ?? NOTHING;
  const walk = (node: Node): void => {
    const each = node.inputs.map(of), data = new Set(each.flatMap(({ stations }) => [...stations]));
    const parameters = new Set(each.flatMap(({ parameters, stations }) => stations.size === 0 ? [...parameters] : []));
    if (node.op.kind === "loop") {
      const { body, history } = node.attrs as ScanAttrs;
      if (body.nodes.some(({ op }) => op.kind === "loop")) {
        body.inputs.forEach((input, i) => reached.set(input, each[i]));
        body.nodes.forEach(walk);
        const results = [...body.outputs, ...history.map((carry) => body.outputs[carry])];
        return node.outputs.forEach((output, i) => reached.set(output, of(results[Math.min(i, results.length - 1)])));
      }
    }
    let found: Reached = { parameters, stations: data, attends: each.some(({ attends }) => attends) };
    if (data.size > 0) {
      const station = stationOf(node, parameters, each);
      if (station) found = { ...found, parameters: new Set(), stations: new Set([arrive(station, data)]) };
      if (parameters.size > 0 && node.op.kind === "contract") {
        found = { ...found, attends: parameters.has(PROJECTIONS) };
      }
    }
    node.outputs.forEach((output) => reached.set(output, found));
  };
  nodes.forEach(walk);
  arrive({ name: "logits", kind: "output" }, outputs.flatMap((output) => [...reached.get(output)!.stations]));
  return { stations, edges: reduce([...edges].map((edge) => edge.split(" ").map(Number) as [number, number])) };
}

/** The station that a node is, if it is one. */
function stationOf({ op }: Node, parameters: ReadonlySet<string>, inputs: readonly Reached[]): Station | undefined {
  if (op.kind === "loop") return { name: "memory learns, chunk by chunk", kind: "loop" };
  if (parameters.size > 0) {
    return { name: [...parameters][0], kind: "parameter" };
  }
  return op.kind === "contract" && inputs.every(({ stations }) => stations.size > 0) &&
      inputs.some(({ attends }) => attends)
    ? { name: "attention", kind: "product" }
    : undefined;
}

/**
 * Edges without those that a longer way makes superfluous. Ways go forward, in the order in which stations were first
 * computed: an edge back, to what is used again, stands for itself.
 */
function reduce(edges: readonly (readonly [number, number])[]): StationGraph["edges"] {
  const next = new Map<number, number[]>();
  for (const [from, to] of edges) if (from < to) next.set(from, [...next.get(from) ?? [], to]);
  const reaches = (from: number, to: number): boolean =>
    (next.get(from) ?? []).some((each) => each === to || (each < to && reaches(each, to)));
  return edges.filter(([from, to]) =>
    from > to || !(next.get(from) ?? []).some((other) => other < to && reaches(other, to))
  );
}
