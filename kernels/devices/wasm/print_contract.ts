/**
 * Prints contract kernels: large ones by packed tiles, those with few rows or columns, and those of integers, element
 * by element.
 */
import { addIndex, constantIndex, makeVar, scaleIndex, varIndex } from "../../../core/index_expr.ts";
import type { Index } from "../../../core/index_expr.ts";
import type { ContractKernel } from "../../kernel.ts";
import { SHORT_SUM, SUM_BLOCK } from "../../long_sums.ts";
import { BlockSum } from "./block_sum.ts";
import { convert, f, i, laneOf, multiplyAdd, splat } from "./lanes.ts";
import { printTiles } from "./print_contract_tiles.ts";
import type { Env, Evaluator } from "./print_expr.ts";
import { chooseWalk, overWalk, scalarWalk } from "./walk.ts";
import type { Value } from "./writer.ts";
import { wasmType } from "./writer.ts";

/** Prints a contract kernel. */
export function printContract(kernel: ContractKernel, evaluator: Evaluator): void {
  const { m, n, k, lhs } = kernel;
  const isLarge = m.extent >= 4 && n.extent >= 4 && k.extent >= 4;
  if (isLarge && lhs.dtype === "f32") printTiles(kernel, evaluator);
  else printDirect(kernel, evaluator);
}

/**
 * One output, or four neighbouring ones, at a time; or, where both operands are contiguous along k, four steps of k at
 * a time.
 */
function printDirect(kernel: ContractKernel, evaluator: Evaluator): void {
  const { batch, m, n, k, lhs, rhs, stores } = kernel;
  const w = evaluator.writer, space = [...batch, m, n];
  const dtype = lhs.dtype === "f32" ? "f32" : lhs.dtype === "u32" ? "u32" : "i32";
  const plain = scalarWalk(space), across = chooseWalk(evaluator, space, [lhs, rhs], stores);
  const kLane = makeVar("lane", 4), item = varIndex(makeVar("item", Math.max(2, k.extent >> 2)));
  const alongK = plain.replace(varIndex(makeVar("group", Math.max(2, plain.groups)))).set(
    k.id,
    addIndex(scaleIndex(item, 4), varIndex(kLane)),
  );
  const group = varIndex(makeVar("group", Math.max(2, across.groups)));
  const costK = evaluator.cost([lhs, rhs], [], evaluator.env(alongK, kLane));
  const costAcross = across.lane
    ? evaluator.cost([lhs, rhs], [], evaluator.env(across.replace(group), across.lane))
    : Infinity;
  const walksK = k.extent >= 8 && costK < costAcross;
  overWalk(w, walksK ? plain : across, (replace, { lane }) => {
    const width = lane ? 4 : 1;
    const add = (local: number, env: Env, wide: 1 | 4) => {
      const before = w.read(local, { dtype, width: wide });
      const [x, y] = [lhs, rhs].map((factor) => convert(w, evaluator.value(factor, env), dtype));
      const sum: Value = dtype === "f32" ? multiplyAdd(w, x, y, before) : i(w, "add", before, i(w, "mul", x, y));
      w.assign(local, splat(w, sum, wide));
    };
    const fresh = (wide: 1 | 4) => {
      const local = w.newLocal(wasmType({ dtype, width: wide }));
      w.assign(local, splat(w, w.literal(0, dtype), wide));
      return local;
    };
    /** Adds up turns of k in a local, in blocks where there are many. */
    const addUp = (turns: number, local: number, wide: 1 | 4, envAt: (turn: Index) => Env) => {
      const body = (turn: Index) => add(local, envAt(turn), wide);
      if (dtype !== "f32" || turns <= SHORT_SUM) return w.repeat(turns, body, constantIndex(0));
      const sum = new BlockSum(w, local, { dtype, width: wide }, turns);
      w.repeatInBlocks(turns, SUM_BLOCK, { body, flush: (first) => sum.flush(first) });
      sum.finish();
    };
    const sum = fresh(width), quads = walksK ? k.extent >> 2 : 0;
    if (walksK) {
      const partial = fresh(4);
      addUp(
        quads,
        partial,
        4,
        (turn) => evaluator.env(new Map(replace).set(k.id, addIndex(scaleIndex(turn, 4), varIndex(kLane))), kLane),
      );
      const all = w.read(partial, { dtype, width: 4 });
      const plus = dtype === "f32" ? f : i;
      w.assign(
        sum,
        plus(
          w,
          "add",
          plus(w, "add", laneOf(w, all, 0), laneOf(w, all, 1)),
          plus(w, "add", laneOf(w, all, 2), laneOf(w, all, 3)),
        ),
      );
    }
    addUp(
      k.extent - 4 * quads,
      sum,
      width,
      (turn) => evaluator.env(new Map(replace).set(k.id, addIndex(turn, 4 * quads)), lane),
    );
    const env = evaluator.env(replace, lane, w.read(sum, { dtype, width }));
    const values = stores.map(({ value }) => evaluator.value(value, env));
    stores.forEach((store, at) => evaluator.store(store, values[at], env));
  });
}
