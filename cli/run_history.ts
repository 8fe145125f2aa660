/** A compact history of a run's measurements, for its report and its best validation. */
import { Curve } from "./curve.ts";
import type { StepEvent, ValidationEvent } from "./events.ts";

/** The best validation of a run. */
export interface BestValidation {
  readonly step: number;
  /** Mean loss; of text the cross-entropy in nats per token. */
  readonly loss: number;
  /** Of text. */
  readonly bitsPerByte?: number;
}

/** The step of the best validation, of text with its bits per byte, of a task with its loss. */
export type BestFigure = Pick<BestValidation, "step" | "bitsPerByte"> & { readonly loss?: number };

/** A validation in a few words. */
export function shownBest({ loss = NaN, bitsPerByte }: Omit<BestFigure, "step">): string {
  return bitsPerByte === undefined ? `loss ${loss.toPrecision(4)}` : `${bitsPerByte.toFixed(3)} bits/byte`;
}

/** The best validation as events have it: its step, and what it is compared by. */
export function bestFigure({ step, loss, bitsPerByte }: BestValidation): BestFigure {
  return bitsPerByte === undefined ? { step, loss } : { step, bitsPerByte };
}

/** Curves of a run and its best validation, from the lines of its metrics. */
export class RunHistory {
  /** What the curves of training and validation are: of text bits per byte, of tasks the loss. */
  unit: "bits per byte" | "loss" = "bits per byte";
  /** Of each step's batch. */
  readonly training: Curve = new Curve();
  /** Of what is held out. */
  readonly validation: Curve = new Curve();
  /** Norm of the gradient before clipping. */
  readonly gradientNorm: Curve = new Curve();
  readonly learningRate: Curve = new Curve();
  /** The validation of lowest loss; undefined before the first. */
  best: BestValidation | undefined;
  /** Bits per byte of the bigram baseline on the validated text; undefined before the first validation, and of tasks. */
  bigramBitsPerByte: number | undefined;

  /**
   * Adds an event, which may come from a damaged file: values that are not numbers are ignored, and so are events other
   * than steps and validations.
   */
  add(event: StepEvent | ValidationEvent): void {
    const point = (curve: Curve, value: unknown): void => {
      if (isFinite(value)) curve.add(event.step, value);
    };
    if (event.event !== "step" && event.event !== "validation") return;
    if (event.bitsPerByte === undefined) this.unit = "loss";
    const shown = event.bitsPerByte === undefined ? event.loss : event.bitsPerByte;
    if (event.event === "step") {
      point(this.training, shown);
      point(this.gradientNorm, event.gradientNorm);
      point(this.learningRate, event.learningRate);
      return;
    }
    point(this.validation, shown);
    const { step, loss, bitsPerByte, bigramBitsPerByte } = event;
    if (isFinite(bigramBitsPerByte)) this.bigramBitsPerByte = bigramBitsPerByte;
    if (this.isBest(loss) && isFinite(shown)) {
      this.best = { step, loss, ...(isFinite(bitsPerByte) ? { bitsPerByte } : {}) };
    }
  }

  /** Whether a validation of this loss is the best so far. */
  isBest(loss: number): boolean {
    return Number.isFinite(loss) && (this.best === undefined || loss < this.best.loss);
  }
}

function isFinite(value: unknown): value is number {
  return Number.isFinite(value);
}
