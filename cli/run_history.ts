/** A compact history of a run's measurements, for its report and its best validation. */
import { Curve } from "./curve.ts";
import type { StepEvent, ValidationEvent } from "./events.ts";

/** The best validation of a run. */
export interface BestValidation {
  readonly step: number;
  /** Mean cross-entropy in nats per byte. */
  readonly loss: number;
  readonly bitsPerByte: number;
}

/** Curves of a run and its best validation, from the lines of its metrics. */
export class RunHistory {
  /** Bits per byte of each step's batch. */
  readonly training: Curve = new Curve();
  /** Bits per byte of the held-out text. */
  readonly validation: Curve = new Curve();
  /** Norm of the gradient before clipping. */
  readonly gradientNorm: Curve = new Curve();
  readonly learningRate: Curve = new Curve();
  /** The validation of lowest loss; undefined before the first. */
  best: BestValidation | undefined;
  /** Bits per byte of the bigram baseline on the validated text; undefined before the first validation. */
  bigramBitsPerByte: number | undefined;

  /**
   * Adds an event, which may come from a damaged file: values that are not numbers are ignored, and so are events other
   * than steps and validations.
   */
  add(event: StepEvent | ValidationEvent): void {
    const point = (curve: Curve, value: number): void => {
      if (Number.isFinite(value)) curve.add(event.step, value);
    };
    if (event.event === "step") {
      point(this.training, event.bitsPerByte);
      point(this.gradientNorm, event.gradientNorm);
      point(this.learningRate, event.learningRate);
    } else if (event.event === "validation") {
      point(this.validation, event.bitsPerByte);
      if (Number.isFinite(event.bigramBitsPerByte)) this.bigramBitsPerByte = event.bigramBitsPerByte;
      if (this.isBest(event.loss) && Number.isFinite(event.bitsPerByte)) {
        this.best = { step: event.step, loss: event.loss, bitsPerByte: event.bitsPerByte };
      }
    }
  }

  /** Whether a validation of this loss is the best so far. */
  isBest(loss: number): boolean {
    return Number.isFinite(loss) && (this.best === undefined || loss < this.best.loss);
  }
}
