/** Loops over the unmasked steps of k in a tile, in WGSL. */
import type { Index, Var } from "../../../core/index_expr.ts";
import { addIndex, divIndex, scaleIndex, varIndex } from "../../../core/index_expr.ts";
import type { ContractKernel } from "../../kernel.ts";
import { dependsOn } from "../../codegen/lane_index.ts";
import { maskConditions, maskSteps, type Tile } from "../../mask_range.ts";
import { isWorthSkipping, type TileSize } from "../../mask_share.ts";
import type { Evaluator } from "./print_expr.ts";
import { openCounted } from "./print_loops.ts";
import type { Writer } from "./print_writer.ts";

/** A loop over k for one tile. */
export interface MaskedLoop {
  readonly kernel: ContractKernel;
  readonly writer: Writer;
  readonly evaluator: Evaluator;
  /** The tile's rows, columns and batch. */
  readonly tile: Tile;
  /** Sizes of tiles; depth is that of a turn. */
  readonly size: TileSize;
  /** The loop variable. */
  readonly name: string;
  readonly turns: number;
  /** See {@link Counted}. */
  readonly block?: number;
}

/**
 * Opens a loop over k that skips fully masked iterations, and returns its variable. Returns undefined without printing
 * anything if nothing, or too little, is masked. The bounds depend only on the tile's position: if that is uniform
 * across a workgroup, barriers may follow.
 */
export function openMaskedLoop(loop: MaskedLoop): Var | undefined {
  const { kernel, writer, tile, size, name, turns, block } = loop;
  if (turns < 2 || !isWorthSkipping(kernel, size)) return undefined;
  const bands = maskSteps(kernel, tile).map(({ when, first, end }) => {
    const counts = when.map((index) => `${textOf(loop, index)} >= 0`).join(" && ");
    const start = nested("max", ["0", ...first.map((index) => textOf(loop, divIndex(index, size.depth)))]);
    const stop = nested("min", [
      `${turns}`,
      ...end.map((index) => textOf(loop, divIndex(addIndex(index, size.depth - 1), size.depth))),
    ]);
    return counts === ""
      ? { start, stop }
      : { start: `select(${turns}, ${start}, ${counts})`, stop: `select(0, ${stop}, ${counts})` };
  });
  const start = bands.length === 0 ? "0" : nested("min", bands.map((band) => band.start));
  const stop = bands.length === 0 ? "0" : nested("max", bands.map((band) => band.stop));
  const end = bands.length === 0 ? stop : writer.bind(stop, writer.depth, "end");
  const variable = openCounted(writer, { name, turns, start, end, block });
  if (bands.length > 1) skipBetweenBands(loop, variable);
  return variable;
}

/** With several bands, there may be gaps between unmasked steps. */
function skipBetweenBands(loop: MaskedLoop, variable: Var): void {
  const { kernel, tile, size, writer } = loop;
  const start = scaleIndex(varIndex(variable), size.depth);
  const bands = maskConditions(kernel.mask, new Map(tile).set(kernel.k.id, { start, size: size.depth }));
  const isSettled = bands.some((band) => band.length === 0) ||
    !bands.flat().some((index) => dependsOn(index, variable, () => true));
  if (isSettled) return;
  const texts = bands.map((band) => `(${band.map((index) => `${textOf(loop, index)} >= 0`).join(" && ")})`);
  writer.line(`if (!(${texts.join(" || ")})) { continue; }`);
}

function textOf({ evaluator, writer }: MaskedLoop, index: Index): string {
  return writer.bound(evaluator.scalar(index, evaluator.env(new Map())), "n").text;
}

function nested(name: "min" | "max", texts: readonly string[]): string {
  return [...new Set(texts)].reduceRight((inner, text) => `${name}(${text}, ${inner})`);
}
