/** What is killed: a job that takes several processes, each going on where the last one was ended. */
import { assert, assertEquals } from "@std/assert";
import type { Ended } from "./kill.ts";
import type { Random } from "./random.ts";

/** What a process was doing. */
export type Phase =
  | "starting"
  | "training"
  | "writing a checkpoint"
  | "remembering"
  | "writing a memory"
  | "downloading";

/** A job. */
export interface Scenario {
  readonly name: string;
  /** The event with which its work begins. */
  readonly work: string;
  /** Milliseconds of work in which it is ended. */
  readonly workMs: number;
  /** The size of the largest file that it writes. */
  readonly largestFile: number;
  /** The next command line, or undefined once the job is done. */
  next(): Promise<readonly string[] | undefined>;
  /**
   * Looks at what a process left. @returns what it was doing. @throws if anything is lost or half-written, or was not
   * said as it should be.
   */
  check(ended: Ended): Promise<Phase>;
  /** Loses what a loss of power may take; after {@link check}. */
  losePower(random: Random): Promise<void>;
  /** Checks that the job came to what it comes to without interruption. @throws if it did not. */
  compare(): Promise<void>;
}

const CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** Checks that a process ended as what was done to it demands: by a signal in good order, without room in one line. */
export function checkEnd({ kind, code, stderr, events }: Ended): void {
  const lines = stderr.split("\n").filter(Boolean);
  if (kind === undefined) assertEquals([code, lines], [0, []], "a process that was left alone fails");
  if (kind === "SIGINT" || kind === "SIGTERM") assertEquals(code, CODES[kind], stderr);
  if ((kind === "SIGINT" || kind === "SIGTERM") && events.length > 0) {
    assert(lines.length <= 1 && !/^error/m.test(stderr), stderr);
  }
  if (kind === "full disk") {
    assertEquals([code, lines.length], [1, 1], stderr);
    assert(/^error: cannot write .*(may write \(see ulimit -f\)|File too large)/.test(stderr), stderr);
  }
}
