/** Reports the progress of a training run, as one JSON object per line or as readable text. */
import type { StartEvent, StepEvent, TrainEvent, ValidationEvent } from "./events.ts";
import { shownBest } from "./run_history.ts";
import { shownTask } from "./task_flags.ts";
import { fitLine, printable, type Terminal } from "./terminal.ts";

/** Receives the events of a command. */
export interface Reporter {
  report(event: TrainEvent): void;
  /** Prints a line of text. */
  note(line: string): void;
}

/** Prints one JSON object per line to standard output; text goes to standard error. */
export function jsonReporter(terminal: Terminal): Reporter {
  return {
    report: (event) => terminal.out(`${JSON.stringify(event)}\n`),
    note: (line) => terminal.err(`${line}\n`),
  };
}

// Seconds between step lines if there is no terminal, to keep logs short.
const QUIET_MS = 10_000;
const LOSS_WINDOW = 10;

/** Prints readable text. On a terminal the progress line is updated in place.
 * @param now The clock in milliseconds.
 */
export function textReporter(terminal: Terminal, now: () => number = () => performance.now()): Reporter {
  let start: StartEvent | undefined;
  let losses: number[] = [];
  let lastShown = -Infinity;
  let open = false;
  const line = (text: string): void => {
    terminal.out(`${open ? "\r\x1b[K" : ""}${text}\n`);
    open = false;
  };
  const step = (event: StepEvent): void => {
    losses = [...losses, event.loss].slice(-LOSS_WINDOW);
    const text = fitLine(
      progressOf(event, losses.reduce((sum, loss) => sum + loss, 0) / losses.length, start),
      terminal,
    );
    if (terminal.interactive) {
      terminal.out(`\r\x1b[K${text}`);
      open = true;
    } else if (now() - lastShown >= QUIET_MS || event.step === start?.steps) {
      lastShown = now();
      line(text);
    }
  };
  return {
    note: line,
    report: (event) => {
      if (event.event === "start") start = event;
      if (event.event === "step") step(event);
      else describe(event, start).forEach((text) => line(terminal.interactive ? printable(text) : text));
    },
  };
}

/** The parts of a progress line, most important first. */
function progressOf(event: StepEvent, loss: number, start: StartEvent | undefined): string[] {
  const remaining = start ? (start.steps - event.step) * start.tokensPerStep / event.tokensPerSecond : 0;
  return [
    `step ${event.step}/${start?.steps ?? event.step}`,
    `loss ${loss.toFixed(3)}`,
    ...(event.bitsPerByte === undefined
      ? []
      : [`${(loss / Math.LN2 / (start?.bytesPerToken ?? 1)).toFixed(2)} bits/byte`]),
    `${formatCount(event.tokensPerSecond)} tokens/s`,
    `ETA ${formatDuration(remaining)}`,
  ];
}

/** The lines for events other than steps. */
function describe(event: Exclude<TrainEvent, StepEvent>, start: StartEvent | undefined): string[] {
  switch (event.event) {
    case "start":
      return [
        `${event.model} ${event.preset}, ${
          formatCount(event.parameters)
        } parameters, on ${event.device}: ${event.adapter}`,
        `${sourceLine(event)}; run folder ${event.out}`,
        "compiling kernels; this ends after the first step, and is faster in the next run ...",
      ];
    case "validation":
      return [
        `step ${event.step}: ${event.bitsPerByte === undefined ? taskLine(event, start) : textLine(event, start)}`,
      ];
    case "sample":
      return ["sample:", ...`${event.prompt}${event.text}`.split("\n").map((row) => `  ${row}`)];
    case "done":
      return [
        `${event.interrupted ? "stopped at" : "done:"} step ${event.step} after ${
          formatDuration(event.seconds)
        }; checkpoint ${event.checkpoint}`,
        `${
          event.best
            ? `best on ${
              start?.bytesPerToken === undefined ? "held-out samples" : "held-out text"
            }: step ${event.best.step}, ${shownBest(event.best)}, in ${event.best.checkpoint}; `
            : ""
        }` +
        `curves in ${event.report}`,
      ];
  }
}

/** What a run learns from, and how much of it a step takes. */
function sourceLine(start: StartEvent): string {
  const { data, trainBytes, heldOutBytes, vocabulary, bytesPerToken, taskOptions, step, steps, tokensPerStep } = start;
  const span = `steps ${step} to ${steps} of ${formatCount(tokensPerStep)}`;
  if (trainBytes === undefined || heldOutBytes === undefined || bytesPerToken === undefined) {
    return `task ${shownTask({ name: data, options: taskOptions ?? {} })}; ${span} tokens`;
  }
  const unit = vocabulary === "bytes" ? "bytes" : `tokens (${vocabulary}, ${bytesPerToken.toFixed(2)} bytes each)`;
  return `data ${data}: ${formatCount(trainBytes)} bytes for training, ${
    formatCount(heldOutBytes)
  } held out; ${span} ${unit}`;
}

/** A validation of text. */
function textLine(
  { loss, bitsPerByte, bigramBitsPerByte, fivegramBitsPerByte, bytes }: ValidationEvent,
  start: StartEvent | undefined,
): string {
  const counts = start?.vocabulary === "bytes" ? "byte-bigram" : "token-bigram";
  return `held-out text ${Number(bitsPerByte).toFixed(3)} bits/byte (loss ${loss.toFixed(3)}); ${counts} baseline ${
    Number(bigramBitsPerByte).toFixed(3)
  }${fivegramBitsPerByte === undefined ? "" : `, 5-gram ${Number(fivegramBitsPerByte).toFixed(3)}`} on the same ${
    formatCount(Number(bytes))
  } bytes`;
}

/** A validation of a task: the loss, the figures of which it is known what guessing gives, and those of counting. */
function taskLine(event: ValidationEvent, start: StartEvent | undefined): string {
  const { chance = {}, baselines = [] } = start ?? {}, names = Object.keys(chance).filter((name) => name !== "loss");
  const shown = (name: string): string => Number(event[name]).toPrecision(name in chance && chance[name] > 1 ? 4 : 3);
  const beside = (name: string): string => name in chance ? ` (chance ${Number(chance[name].toPrecision(3))})` : "";
  return [
    `held-out samples: loss ${event.loss.toFixed(4)}${beside("loss")}`,
    ...names.map((name) => `${name} ${shown(name)}${beside(name)}`),
    ...baselines.map((name) => `${name} ${Number(event[name]).toPrecision(4)}`),
  ]
    .join(", ");
}

/** `12,345`. */
export function formatCount(count: number): string {
  return Math.round(count).toString().replace(/\B(?=(\d{3})+$)/g, ",");
}

/** `1h 02m`, `3m 05s`, `42s`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  if (hours > 0) return `${hours}h ${String(minutes).padStart(2, "0")}m`;
  if (minutes > 0) return `${minutes}m ${String(whole % 60).padStart(2, "0")}s`;
  return `${whole}s`;
}
