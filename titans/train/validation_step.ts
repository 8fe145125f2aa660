/** Evaluates a batch as a function of tensors: the loss and the reports of the objective and the mixers, as sums. */
import type { Tensor } from "../../core/graph.ts";
import { stack } from "../../ops/mod.ts";
import type { ModelState, Observation } from "../models/model.ts";
import type { Network } from "../models/network.ts";
import { forwardLoss, type StepBatch } from "./gradient.ts";
import { type Figure, mixerFigures } from "./mixer_report.ts";
import type { Objective } from "./objective.ts";

/** What {@link validationStep} gives. */
export interface ValidationResult {
  /** Sum and weight of each figure, in the order of the names: [n, 2]. */
  readonly figures: Tensor;
  /** The state of each row after the batch, [B, ...], where one was given. */
  readonly carried?: ModelState;
}

/** The names of the figures, known once the function has been traced. */
export interface FigureNames {
  /** The figures; `loss` comes first. */
  names: readonly string[];
  /** Those that are roots of means. */
  roots: ReadonlySet<string>;
}

/** The validation step as a function of parameters [P] and a batch [B, ...]; `known` is filled while it is traced. */
export function validationStep(
  model: Network,
  objective: Objective,
  known: FigureNames,
): (flat: Tensor, batch: StepBatch) => ValidationResult {
  return (flat, batch) => {
    const params = model.unflatten(flat);
    const seen: Observation[] = [];
    const observe = (one: Observation): void => void seen.push(one);
    const { loss, result } = forwardLoss(model, objective, params, batch, { observe });
    const figures: Record<string, Figure> = {
      loss,
      ...objective.metrics?.(result.logits, batch.data),
      ...mixerFigures(seen, model.metrics, objective.input(batch.data).update),
    };
    known.names = Object.keys(figures);
    known.roots = new Set(known.names.filter((name) => figures[name].root));
    const rows = Object.values(figures).map(({ sum, weight }) => stack([sum, weight], 0));
    return { figures: stack(rows, 0), ...(batch.carried ? { carried: result.state } : {}) };
  };
}
