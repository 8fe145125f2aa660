/**
 * What several trainings of classifiers come to: over the parts of a cross-validation, and of a pretrained model
 * against
 * the same model from scratch. What is compared was trained and tested on the same parts, so that differences are
 * paired.
 *
 *     accuracies .8 .9 and .7 .9:  means .85 and .8, difference .05 with a deviation of .0707, better in 1 of 2 parts
 */
import type { Score } from "../../titans/mod.ts";
import type { Floors } from "../score_table.ts";
import { textTable } from "../text_table.ts";

/** One training, tested on one part. */
export interface Trial {
  /** The part, from 0. */
  readonly fold: number;
  /** What was trained. */
  readonly entry: string;
  readonly scores: readonly Score[];
  readonly floors: Floors;
}

/** A figure over parts. */
export interface Spread {
  readonly name: string;
  readonly mean: number;
  /** The standard deviation of a sample; undefined of one part. */
  readonly deviation?: number;
  readonly min: number;
  readonly max: number;
  /** Parts. */
  readonly count: number;
}

/** A paired difference of a figure: the first entry minus the second. */
export interface Difference extends Spread {
  /** In how many parts the first one is better: greater, of a loss less. */
  readonly better: number;
}

/** What trials come to. */
export interface TrialSummary {
  readonly entries: Readonly<Record<string, readonly Spread[]>>;
  /** Means by floor. */
  readonly floors: Readonly<Record<string, readonly Spread[]>>;
  /** Of two entries. */
  readonly differences?: readonly Difference[];
}

/** Mean and spread of values. */
export function spreadOf(name: string, values: readonly number[]): Spread {
  const count = values.length, mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return {
    name,
    mean,
    ...(count > 1 ? { deviation: Math.sqrt(squares / (count - 1)) } : {}),
    min: Math.min(...values),
    max: Math.max(...values),
    count,
  };
}

/** Means and spreads over parts, by entry. */
export function summarizeTrials(trials: readonly Trial[]): TrialSummary {
  const names = [...new Set(trials.map(({ entry }) => entry))];
  const of = (entry: string): readonly Trial[] => trials.filter((trial) => trial.entry === entry);
  const first = of(names[0]);
  const entries = Object.fromEntries(names.map((name) => [name, spreads(of(name).map(({ scores }) => scores))]));
  const floors = Object.fromEntries(
    Object.keys(first[0].floors).map((floor) => [floor, spreads(first.map(({ floors }) => floors[floor] ?? []))]),
  );
  if (names.length !== 2) return { entries, floors };
  const second = of(names[1]);
  const differences = figuresOf(first).map((name): Difference => {
    const values = first.map(({ scores }, i) => valueOf(scores, name) - valueOf(second[i].scores, name));
    const better = values.filter((value) => name === "loss" ? value < 0 : value > 0).length;
    return { ...spreadOf(name, values), better };
  });
  return { entries, floors, differences };
}

/** The figures that all trials have. */
function figuresOf(trials: readonly Trial[]): string[] {
  return trials[0].scores.map(({ name }) => name).filter((name) =>
    trials.every(({ scores }) => scores.some((score) => score.name === name))
  );
}

function spreads(lists: readonly (readonly Score[])[]): Spread[] {
  return lists[0].flatMap(({ name }) => {
    const values = lists.flatMap((scores) => scores.find((score) => score.name === name)?.value ?? []);
    return values.length === lists.length ? [spreadOf(name, values)] : [];
  });
}

function valueOf(scores: readonly Score[], name: string): number {
  return scores.find((score) => score.name === name)?.value ?? NaN;
}

/** The summary as a table for reading. */
export function trialTable({ entries, floors, differences }: TrialSummary, title: string): string {
  const names = Object.keys(entries), figures = entries[names[0]].map(({ name }) => name);
  const cell = (list: readonly Spread[], name: string): string => {
    const found = list.find((spread) => spread.name === name);
    if (found === undefined) return "";
    return found.mean.toFixed(4) + (found.deviation === undefined ? "" : ` ± ${found.deviation.toFixed(4)}`);
  };
  const difference = (name: string): string[] => {
    const found = differences?.find((one) => one.name === name);
    if (found === undefined) return differences === undefined ? [] : [""];
    return [`${cell([found], name)} (better in ${found.better} of ${found.count})`];
  };
  const rows = [
    ["figure", ...names, ...(differences ? ["difference"] : []), ...Object.keys(floors)],
    ...figures.map((name) => [
      name,
      ...names.map((entry) => cell(entries[entry], name)),
      ...difference(name),
      ...Object.values(floors).map((spreads) => cell(spreads, name)),
    ]),
  ];
  return `${title}\n\n${textTable(rows)}`;
}
