/**
 * Brings a draft kernel to its canonical form: variables are split, merged and renamed, indices are made relative to
 * 256-byte-aligned parts, and operands are numbered.
 */
import { ExprCopier } from "../../core/copy_expr.ts";
import { sizeOf } from "../../core/dtype.ts";
import type { Expr } from "../../core/expr.ts";
import { addIndex, type Index, substituteIndex, type Var, visitVars } from "../../core/index_expr.ts";
import { sizeOfShape } from "../../core/shape.ts";
import type { Band, Operand, Store } from "../kernel.ts";
import type { ValueId } from "../plan.ts";
import {
  IndexCollector,
  type Load,
  mergeVariables,
  renameVariables,
  splitVariables,
  substituteStages,
  type Substitution,
  type Variables,
} from "./index_tools.ts";
import type { Storage, ValueTable } from "./storage.ts";

/** A store whose operand is still a storage. */
export interface DraftStore {
  readonly storage: Storage;
  readonly index: Index;
  readonly value: Expr;
}

/** The common part of all draft kernels. Operands of loads are positions in `storages`. */
export interface Draft {
  readonly storages: readonly Storage[];
  readonly stores: readonly DraftStore[];
  /** Expressions other than the stored values, in an order that depends on the kind. */
  readonly exprs: readonly Expr[];
  /** Variables that may be split and merged, outermost first. */
  readonly space: readonly Var[];
  /** Variables that must be left unchanged, and their names. */
  readonly fixed: readonly Var[];
  /** Whether the last variable of `space` may be merged but not split, as the kernel has room for one variable only. */
  readonly keepsLast?: boolean;
  /** For products: the unmasked terms. */
  readonly mask?: readonly Band[];
  readonly loops: readonly Var[];
  /** The indices that stand-ins replace (see `Puller.guards`). */
  readonly guards: Substitution;
}

/** The canonical parts of a kernel. */
export interface CanonicalKernel {
  readonly space: readonly Var[];
  readonly fixed: readonly Var[];
  readonly stores: readonly Store[];
  readonly exprs: readonly Expr[];
  readonly operands: readonly Operand[];
  readonly values: readonly ValueId[];
  /** An index of the mask in the new variables. */
  readonly rewrite: (index: Index) => Index;
  readonly loops: readonly Var[];
}

/** Canonicalises a draft. */
export function canonicalise(draft: Draft, table: ValueTable, names: readonly string[]): CanonicalKernel {
  const collector = new IndexCollector();
  for (const { index, value } of draft.stores) {
    collector.expr(value);
    collector.index(index);
  }
  draft.exprs.forEach((expr) => collector.expr(expr));
  const indices = [...collector.indices.values()].map((
    index,
  ) => (draft.guards.size === 0 ? index : substituteIndex(index, draft.guards)));
  // The mask's indices take part, so that variables they distinguish stay separate.
  indices.push(...(draft.mask ?? []).flat());
  const { space, fixed, stages } = chooseVariables(draft, indices, names);
  const rewriter = new Rewriter(draft, collector.loads, table, {
    space,
    fixed,
    stages: draft.guards.size === 0 ? stages : [draft.guards, ...stages],
  });
  const exprs = draft.exprs.map((expr) => rewriter.expr(expr));
  const stores = draft.stores.map((store) => rewriter.store(store));
  const used = new Set<number>();
  for (const index of indices) visitVars(index, ({ id }) => used.add(id));
  return {
    space,
    fixed,
    stores,
    exprs,
    ...rewriter.operands(),
    rewrite: (index) => substituteStages(index, stages),
    loops: draft.loops.filter(({ id }) => used.has(id)),
  };
}

/** The variables of a canonical kernel, and the substitution that maps a draft's variables to them. */
interface Choice {
  readonly space: readonly Var[];
  /** For reductions, the row comes first. */
  readonly fixed: readonly Var[];
  readonly stages: readonly Substitution[];
}

function chooseVariables(draft: Draft, indices: readonly Index[], names: readonly string[]): Choice {
  const vars = draft.space.filter(({ extent }, at) =>
    extent !== 1 || (draft.keepsLast && at === draft.space.length - 1)
  );
  const split: Variables = draft.keepsLast ? { vars, stages: [] } : splitVariables(vars, indices);
  const merged = mergeVariables(split.vars, indices.map((index) => substituteStages(index, split.stages)));
  const spaceNames = merged.vars.map((_, at) => `i${at}`);
  const renamed = renameVariables([...merged.vars, ...draft.fixed], [...spaceNames, ...names]);
  const count = merged.vars.length;
  return {
    space: renamed.vars.slice(0, count),
    fixed: renamed.vars.slice(count),
    stages: [...split.stages, ...merged.stages, ...renamed.stages],
  };
}

interface Extent {
  min: number;
  max: number;
}

/** Copies expressions under a substitution, numbering operands in the order in which they occur. */
class Rewriter {
  readonly #copier = new ExprCopier({
    index: (index, copy) => substituteStages(index, this.chosen.stages, copy),
    load: (operand, index) => this.#load(operand, index),
    variable: () => this.chosen.fixed[0],
  });
  readonly #bases = new Map<Storage, { readonly base: number; readonly size: number }>();
  readonly #numbers = new Map<Storage, number>();
  readonly #accesses: { read: boolean; written: boolean }[] = [];

  constructor(
    readonly draft: Draft,
    readonly loads: readonly Load[],
    readonly table: ValueTable,
    readonly chosen: Choice,
  ) {
    this.#findBases();
  }

  expr(expr: Expr): Expr {
    return this.#copier.expr(expr);
  }

  store({ storage, index, value }: DraftStore): Store {
    const copy = this.expr(value);
    const operand = this.#operand(storage, "written");
    return { operand, index: addIndex(this.#copier.index(index), -this.#bases.get(storage)!.base), value: copy };
  }

  operands(): { operands: Operand[]; values: ValueId[] } {
    const operands: Operand[] = [], values: ValueId[] = [];
    for (const [storage, number] of this.#numbers) {
      const { base, size } = this.#bases.get(storage)!, { read, written } = this.#accesses[number];
      const { dtype, shape } = storage.type;
      const isPart = base > 0 && size < sizeOfShape(shape);
      operands.push({ dtype, size, access: read && written ? "readwrite" : written ? "write" : "read" });
      values.push(isPart ? this.table.partOf(storage, base, size) : this.table.valueOf(storage));
    }
    return { operands, values };
  }

  #load(operand: number, index: Index): { operand: number; index: Index } {
    const storage = this.draft.storages[operand];
    return { operand: this.#operand(storage, "read"), index: addIndex(index, -this.#bases.get(storage)!.base) };
  }

  #operand(storage: Storage, mode: "read" | "written"): number {
    let number = this.#numbers.get(storage);
    if (number === undefined) {
      this.#numbers.set(storage, number = this.#numbers.size);
      this.#accesses.push({ read: false, written: false });
    }
    this.#accesses[number][mode] = true;
    return number;
  }

  /** For each storage, the range that the kernel accesses; its start is rounded down to where a part can be bound. */
  #findBases(): void {
    const extents = new Map<Storage, Extent>();
    const touch = (storage: Storage, { min, max }: Index): void => {
      const extent = extents.get(storage);
      if (!extent) extents.set(storage, { min, max });
      else {
        extent.min = Math.min(extent.min, min);
        extent.max = Math.max(extent.max, max);
      }
    };
    for (const load of this.loads) touch(this.draft.storages[load.operand], load.index);
    for (const { storage, index } of this.draft.stores) touch(storage, index);
    for (const [storage, { min, max }] of extents) {
      const { alignmentBytes, lanes } = this.table;
      const step = alignmentBytes / sizeOf(storage.type.dtype), total = sizeOfShape(storage.type.shape);
      const base = Math.max(0, Math.floor(Math.min(min, total - 1) / step) * step);
      // Rounded up to whole vectors, so that devices can use vector loads.
      this.#bases.set(storage, {
        base,
        size: Math.max(1, Math.min(Math.ceil((max + 1) / lanes) * lanes, total) - base),
      });
    }
  }
}
