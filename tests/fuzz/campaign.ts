/** Many programs: what failed, each fault once, what was met, how fast. */
import { check } from "./check.ts";
import { addComparison, type Comparison, noComparison } from "./compare.ts";
import { Coverage } from "./coverage.ts";
import { type Failure, kindOf, signature } from "./failure.ts";
import { generate } from "./generate.ts";
import type { FuzzProgram } from "./program.ts";
import { shrink } from "./shrink.ts";
import type { Target } from "./targets.ts";

/** A kind of failure, with the first program that showed it. */
export interface Fault {
  readonly signature: string;
  readonly failure: Failure;
  readonly program: FuzzProgram;
  /** All seeds that failed so. */
  readonly seeds: number[];
}

/** What a campaign is to do. */
export interface CampaignOptions {
  readonly seeds: Iterable<number>;
  readonly targets: readonly Target[];
  readonly shrink: boolean;
  /** Ends the campaign after so many different failures. */
  readonly maxFailures: number;
  /** Called after each program. */
  readonly onProgram?: (seed: number, campaign: CampaignReport) => void;
  /** Called when a new kind of failure is found. */
  readonly onFault?: (fault: Fault) => void;
}

/** What came of it. */
export interface CampaignReport {
  readonly coverage: Coverage;
  readonly comparison: Comparison;
  readonly faults: readonly Fault[];
  /** Seeds whose check took more than two seconds. */
  readonly slow: readonly { readonly seed: number; readonly seconds: number }[];
  readonly gradients: number;
  readonly seconds: number;
}

/** Programs of one kind of failure that are shrunk before it is taken that the others are the same fault. */
const SHRUNK_PER_KIND = 3;

/** Runs the programs of some seeds. */
export async function runCampaign(
  { seeds, targets, shrink: shrinks, maxFailures, onProgram, onFault }: CampaignOptions,
): Promise<CampaignReport> {
  const started = performance.now();
  const coverage = new Coverage(), comparison = noComparison();
  const faults = new Map<string, Fault>(), shrunkOfKind = new Map<string, { count: number; fault: Fault }>();
  const slow: { seed: number; seconds: number }[] = [];
  const report = { coverage, comparison, gradients: 0 };
  const snapshot = (): CampaignReport => ({
    ...report,
    slow,
    faults: [...faults.values()],
    seconds: (performance.now() - started) / 1000,
  });
  for (const seed of seeds) {
    const begun = performance.now();
    const program = generate(seed), outcome = await check(program, { targets });
    const seconds = (performance.now() - begun) / 1000;
    if (seconds > 2) slow.push({ seed, seconds: Number(seconds.toFixed(1)) });
    coverage.add(program, outcome);
    addComparison(comparison, outcome.comparison);
    report.gradients += outcome.gradients;
    for (const failure of outcome.failures) {
      const kind = kindOf(failure), known = shrunkOfKind.get(kind);
      if (known && known.count >= (shrinks ? SHRUNK_PER_KIND : 1)) {
        known.fault.seeds.push(seed);
        continue;
      }
      const smallest = shrinks ? await shrink({ program, failure }, targets) : { program, failure };
      const key = shrinks ? signature(smallest.failure, smallest.program) : kind;
      const present = faults.get(key);
      const fault: Fault = present ?? { signature: key, ...smallest, seeds: [] };
      fault.seeds.push(seed);
      shrunkOfKind.set(kind, { count: (known?.count ?? 0) + 1, fault });
      if (present) continue;
      faults.set(key, fault);
      onFault?.(fault);
    }
    onProgram?.(seed, snapshot());
    if (faults.size >= maxFailures) break;
  }
  return snapshot();
}
