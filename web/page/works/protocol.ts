/** Messages between the tab on how it works and its worker. */
import type { CostAt } from "../../../figures/cost.ts";
import type { Written } from "../../../figures/linear_memory.ts";
import type { ModelKind } from "../../../titans/mod.ts";

/** The gates of a memory, the same for all tokens. */
export interface Gates {
  readonly theta: number;
  readonly eta: number;
  readonly alpha: number;
}

/** From the page. */
export type WorksRequest =
  /** Counts what reading costs. */
  | { readonly type: "cost" }
  /** Draws models. */
  | { readonly type: "diagrams"; readonly models: readonly ModelKind[] }
  /** Reads tokens with a linear memory, which adds. */
  | { readonly type: "linear"; readonly tokens: readonly number[] }
  /** Reads tokens with a memory that learns by gradients. */
  | { readonly type: "update"; readonly tokens: readonly number[]; readonly gates: Gates };

/** What a token did to a memory that learns. */
export interface Updated {
  readonly token: number;
  /** The norm of the gradient of the inner loss. */
  readonly surprise: number;
  /** The inner loss before the token was learned. */
  readonly loss: number;
  /** S after it, and M after it. */
  readonly momentum: readonly number[];
  readonly memory: readonly number[];
}

/** From the worker. */
export type WorksReply =
  | { readonly type: "cost"; readonly cost: CostAt; readonly isLast: boolean }
  | { readonly type: "diagram"; readonly model: ModelKind; readonly svg: string }
  | { readonly type: "linear"; readonly writes: readonly Written[] }
  | { readonly type: "update"; readonly updates: readonly Updated[] }
  | { readonly type: "error"; readonly message: string };
