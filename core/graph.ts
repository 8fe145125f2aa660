/**
 * The graph: hash-consed nodes with static types.
 *
 * Nodes are made by {@link apply} while a {@link TraceContext} is current. The same op on the same inputs with the same
 * attributes is the same node, so common subexpressions are found by construction. Node ids increase in order of
 * making: sorting by id is a topological order. A {@link Graph} is a view of these nodes: its outputs, and its inputs,
 * the tensors at which it stops.
 */
import { checkDType, type DType, type Type } from "./dtype.ts";
import { checkKind } from "./describe.ts";
import { CompileError, invariant } from "./errors.ts";
import { showAsText } from "./inspect.ts";
import type { Attr, Attrs, OpDef, SourceOp } from "./op.ts";
import type { Shape } from "./shape.ts";
import { formatType, listTypes } from "./shape.ts";

/** A function body being traced: the whole program, or one loop body inside another scope. */
export interface Scope {
  readonly depth: number;
  readonly parent?: Scope;
  closed: boolean;
}

/** A symbolic tensor: one output of a node. This is what user functions compute with. */
export class Tensor implements Type {
  /**
   * Use ops or `compile` to get tensors.
   * @internal
   */
  constructor(
    /** @internal The application that makes the tensor. */
    readonly node: Node,
    /** @internal Which output of the node it is. */
    readonly output: number,
    /** Extents, outermost first. */
    readonly shape: Shape,
    /** Element type. */
    readonly dtype: DType,
  ) {}

  /** The number of axes. */
  get rank(): number {
    return this.shape.length;
  }

  /** Dtype, shape and origin, such as `f32[2, 3] (matmul #12)`. */
  toString(): string {
    return `${formatType(this)} (${this.node.op.name} #${this.node.id})`;
  }

  /** The JSON representation: shape and dtype. */
  toJSON(): { readonly shape: Shape; readonly dtype: DType } {
    return { shape: this.shape, dtype: this.dtype };
  }

  static {
    showAsText(this);
  }

  /** Tensors have no value while tracing: reading one is an error. */
  valueOf(): never {
    throw new CompileError(
      "Cannot read the value of a tensor while tracing: use ops instead of JavaScript arithmetic, and where() instead of if",
    );
  }
}

/** One application of a primitive. */
export interface Node {
  readonly id: number;
  readonly op: OpDef;
  readonly attrs: Attrs;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** The deepest scope among the inputs: nodes that do not depend on a loop's body are outside the loop. */
  readonly scope: Scope;
  readonly context: TraceContext;
}

/** A pure function as data: stops at `inputs` (any tensors) and gives `outputs`. */
export class Graph {
  #nodes?: readonly Node[];
  #key?: string;

  /** @param names Names of the inputs in printed graphs and errors; optional. */
  constructor(
    readonly inputs: readonly Tensor[],
    readonly outputs: readonly Tensor[],
    readonly names: readonly string[] = [],
  ) {}

  static {
    showAsText(this);
  }

  /** Its types and size, such as `graph (f32[2], f32[2]) -> (f32[]) of 3 nodes`; `printGraph` gives all of it. */
  toString(): string {
    const list = (tensors: readonly Tensor[]): string => `(${listTypes(tensors)})`;
    return `graph ${list(this.inputs)} -> ${list(this.outputs)} of ${this.nodes.length} node${
      this.nodes.length === 1 ? "" : "s"
    }`;
  }

  /** {@link toString}: nodes refer to each other, which JSON cannot represent. */
  toJSON(): string {
    return this.toString();
  }

  /** The nodes between inputs and outputs, in topological order. */
  get nodes(): readonly Node[] {
    return this.#nodes ??= reachable(this.outputs, new Set(this.inputs));
  }

  /** A canonical text: equal graphs have equal keys, whatever their nodes' ids. */
  get key(): string {
    return this.#key ??= canonicalKey(this);
  }
}

/** The nodes that `outputs` need, stopping at `stops`, in topological order. */
export function reachable(outputs: readonly Tensor[], stops: ReadonlySet<Tensor>): Node[] {
  const seen = new Set<Node>();
  const stack = outputs.filter((tensor) => !stops.has(tensor)).map((tensor) => tensor.node);
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    for (const input of node.inputs) if (!stops.has(input) && !seen.has(input.node)) stack.push(input.node);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/** Names nodes in the order in which a walk from the outputs leaves them: no matter in which order they were made. */
function canonicalKey({ inputs, outputs }: Graph): string {
  const names = new Map<Tensor, string>(), numbers = new Map<Node, number>();
  let key = "{";
  inputs.forEach((tensor, i) => {
    names.set(tensor, `p${i}`);
    key += `p${i}:${formatType(tensor)};`;
  });
  const nameOf = (tensor: Tensor): string =>
    names.get(tensor) ?? `n${numbers.get(tensor.node)}${tensor.output === 0 ? "" : `.${tensor.output}`}`;
  const stack: Node[] = [];
  const visit = (tensor: Tensor): void => {
    if (!names.has(tensor) && !numbers.has(tensor.node)) stack.push(tensor.node);
  };
  for (const output of outputs) {
    visit(output);
    while (stack.length > 0) {
      const node = stack[stack.length - 1], { length } = stack;
      if (!numbers.has(node)) node.inputs.forEach(visit);
      if (stack.length > length) continue;
      stack.pop();
      if (numbers.has(node)) continue;
      numbers.set(node, numbers.size);
      key += node.op.name;
      for (const input of node.inputs) key += ` ${nameOf(input)}`;
      key += `${attrsKey(node.attrs)};`;
    }
  }
  return `${key}=>${outputs.map(nameOf).join()}}`;
}

function attrKey(attr: Attr, of = ""): string {
  if (typeof attr === "number") return Object.is(attr, -0) ? "-0" : String(attr);
  if (typeof attr !== "object" || attr === null) return JSON.stringify(attr) ?? "_";
  if (attr instanceof Graph) return attr.key;
  if (attr instanceof Float64Array) return `f64(${Array.from(attr, (value) => attrKey(value)).join(",")})`;
  if (Array.isArray(attr)) return `[${attr.map((part) => attrKey(part, of)).join(",")}]`;
  checkKind(!isTensor(attr), of, attr, "known while tracing");
  return attrsKey(attr as Attrs, of);
}

/** Texts of constants' data are not worth their memory. */
const LONGEST_KEPT_KEY = 1000;

/** Passes make nodes with the attributes of others. */
const attrsKeys = new WeakMap<Attrs, string>();

/** A text that is equal for equal attributes. @throws {DTypeError} if one is a tensor, naming the op `of`. */
export function attrsKey(attrs: Attrs, of?: string): string {
  let key = attrsKeys.get(attrs);
  if (key === undefined) {
    key = `{${Object.keys(attrs).sort().map((name) => `${name}=${attrKey(attrs[name], of)}`).join(",")}}`;
    if (key.length <= LONGEST_KEPT_KEY) attrsKeys.set(attrs, key);
  }
  return key;
}

/** Where nodes are made: the table of the program being traced or rebuilt, and the scope that is open. */
export class TraceContext {
  /** Nodes by op, attributes and inputs. */
  #table = new Map<string, Map<string, Map<number | string, Node>>>();
  #nextId = 0;
  #nextUnique = 0;
  /** The innermost open scope. */
  scope: Scope = { depth: 0, closed: false };

  /** The nodes that differ in their inputs alone. */
  #alike(op: OpDef, attrs: Attrs): Map<number | string, Node> {
    let byAttrs = this.#table.get(op.name);
    if (!byAttrs) this.#table.set(op.name, byAttrs = new Map());
    const key = attrsKey(attrs, op.name);
    let alike = byAttrs.get(key);
    if (!alike) byAttrs.set(key, alike = new Map());
    return alike;
  }

  /** The number of nodes made so far. */
  get nodeCount(): number {
    return this.#nextId;
  }

  /** A unique number in this context: marks and parameters have one, so that they are never merged. */
  unique(): number {
    return this.#nextUnique++;
  }

  /** Opens a scope, runs `fn` in it, closes it. */
  withScope<T>(fn: (scope: Scope) => T): T {
    const outer = this.scope;
    const scope: Scope = { depth: outer.depth + 1, parent: outer, closed: false };
    this.scope = scope;
    try {
      return fn(scope);
    } finally {
      scope.closed = true;
      this.scope = outer;
    }
  }

  /**
   * Makes or finds the node of an op on inputs. `inScope` forces the scope of a source (a parameter belongs to the
   * scope that made it).
   */
  make(op: OpDef, inputs: readonly Tensor[], attrs: Attrs, inScope?: Scope): Node {
    let scope = inScope;
    for (const input of inputs) {
      checkKind(isTensor(input), op.name, input, "a tensor of this program");
      if (input.node.context !== this) {
        throw new CompileError(
          `Cannot ${op.name} ${
            formatType(input)
          }: the tensor belongs to another trace; pass it as an argument instead of keeping it from an earlier call`,
        );
      }
      if (input.node.scope.closed) {
        throw new CompileError(
          `Cannot ${op.name} ${
            formatType(input)
          }: the tensor was made inside a scan body that has ended; return it from the body instead`,
        );
      }
      if (!scope || input.node.scope.depth > scope.depth) scope = input.node.scope;
    }
    const alike = this.#alike(op, attrs), key = keyOfInputs(inputs), present = alike.get(key);
    if (present) return present;
    const types = op.infer(inputs, attrs);
    const outputs: Tensor[] = [];
    const node: Node = {
      id: this.#nextId++,
      op,
      attrs,
      inputs: [...inputs],
      outputs,
      scope: scope ?? ROOT_SCOPE,
      context: this,
    };
    types.forEach((type, i) => {
      checkDType(type.dtype, `make a tensor by ${op.name}`);
      outputs.push(new Tensor(node, i, type.shape, type.dtype));
    });
    alike.set(key, node);
    return node;
  }
}

/** Two node numbers below this fit into one number. */
const MOST_NODES = 2 ** 26;

/** Equal for equal inputs of an op: a number for one or two, which is found faster than a text. */
function keyOfInputs(inputs: readonly Tensor[]): number | string {
  const [first, second] = inputs, { length } = inputs;
  if (length === 1 && first.output === 0) return first.node.id;
  if (length === 2 && first.output === 0 && second.output === 0 && second.node.id < MOST_NODES) {
    return (first.node.id + 1) * MOST_NODES + second.node.id;
  }
  let key = "";
  for (const { node, output } of inputs) key += output === 0 ? ` ${node.id}` : ` ${node.id}.${output}`;
  return key;
}

const ROOT_SCOPE: Scope = { depth: 0, closed: false };

let current: TraceContext | undefined;

/** The context in which ops make nodes. @throws {CompileError} outside `compile`, `trace` and the like. */
export function currentContext(): TraceContext {
  if (!current) {
    throw new CompileError(
      "Cannot apply an op outside a trace: ops describe programs, so call them inside a function given to compile(), and run the program",
    );
  }
  return current;
}

/** Runs `fn` with a context current. */
export function withContext<T>(context: TraceContext, fn: () => T): T {
  const outer = current;
  current = context;
  try {
    return fn();
  } finally {
    current = outer;
  }
}

/** Applies a primitive with any number of outputs in the current context. */
export function applyAll(op: OpDef, inputs: readonly Tensor[], attrs: Attrs = {}): readonly Tensor[] {
  return currentContext().make(op, inputs, attrs).outputs;
}

/** Applies a primitive with one output in the current context. */
export function apply(op: OpDef, inputs: readonly Tensor[], attrs: Attrs = {}): Tensor {
  const outputs = applyAll(op, inputs, attrs);
  invariant(outputs.length === 1, `${op.name} has ${outputs.length} outputs`);
  return outputs[0];
}

/** Whether a value is a tensor: the leaf test of trees of tensors. */
export function isTensor(value: unknown): value is Tensor {
  return value instanceof Tensor;
}

interface ParameterAttrs extends Attrs {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly id: number;
}

const parameterOp: SourceOp<ParameterAttrs> = {
  name: "parameter",
  kind: "source",
  infer: (_inputs, { shape, dtype }) => [{ shape, dtype }],
  reference: () => {
    throw new CompileError("Cannot evaluate a parameter: it is an input of the graph");
  },
  vjp: { zero: true, reason: "a parameter has no inputs" },
};

/** A fresh placeholder in a scope; no two are the same node. */
export function parameter(context: TraceContext, type: Type, scope: Scope = context.scope): Tensor {
  return context.make(parameterOp, [], { shape: [...type.shape], dtype: type.dtype, id: context.unique() }, scope)
    .outputs[0];
}

/** Whether a tensor is a placeholder. */
export function isParameter(tensor: Tensor): boolean {
  return tensor.node.op === parameterOp;
}
