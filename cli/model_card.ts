/** The card of an exported model: what it is, what it learned from, under which terms, how it was made, how well it does. */
import { describeMixers } from "../titans/models/blocks.ts";
import type { Model } from "../titans/mod.ts";
import type { ValidationEvent } from "./events.ts";
import { formatCount } from "./progress.ts";
import { recipeOf, type RunConfig } from "./run_config.ts";
import { shownTask } from "./task_flags.ts";

/** What a card says. */
export interface ModelCard {
  /** Its heading. */
  readonly title: string;
  readonly model: Model;
  readonly version: string;
  /** Steps that were trained. */
  readonly step: number;
  /** As the identifiers of the Hub, such as `mit`. */
  readonly license: string;
  /** The configuration of its run, if it is known. */
  readonly run?: RunConfig;
  /** The validation of this state, if there was one. */
  readonly validation?: ValidationEvent;
  /** Lines about quantization. */
  readonly quantization: readonly string[];
}

/** The card in Markdown, with the front matter that the Hub reads. */
export function modelCard({ title, model, version, step, license, run, validation, quantization }: ModelCard): string {
  const isText = run?.task === undefined;
  const front = [
    "---",
    `license: ${license}`,
    "library_name: mneme",
    ...(isText ? ["pipeline_tag: text-generation"] : []),
    "tags: [mneme, titans]",
    "---",
  ];
  const what = [
    describeMixers(model.config),
    ...(run ? [`preset ${run.preset}`] : []),
    `${formatCount(model.layout.parameterCount)} parameters`,
    `trained for ${formatCount(step)} steps with Mneme ${version}`,
  ];
  return [
    ...front,
    "",
    `# ${title}`,
    "",
    `${what.join(", ")}.`,
    "",
    ...section("Use", ["```sh", `deno task ${isText ? "generate" : "evaluate"} --checkpoint DIR`, "```"]),
    ...(run ? section("Data", dataOf(run)) : []),
    ...(run ? section("Training", trainingOf(run)) : []),
    ...(validation ? section("Figures", figuresOf(validation)) : []),
    ...(quantization.length > 0 ? section("Quantization", quantization) : []),
    ...section("Licence", [license === UNKNOWN_LICENSE ? "Not stated." : `\`${license}\``]),
  ].join("\n");
}

/** What the Hub calls a licence that nobody has stated. */
export const UNKNOWN_LICENSE = "unknown";

function section(heading: string, lines: readonly string[]): string[] {
  return [`## ${heading}`, "", ...lines, ""];
}

function dataOf(run: RunConfig): string[] {
  if (run.task) return [`The task ${shownTask(run.task)}, whose samples are made; SHA-256 \`${run.data.sha256}\`.`];
  const { sources, vocabulary, heldOut, split } = recipeOf(run);
  return [
    table([
      ["text", sources.map(code).join(", ")],
      ["size", `${formatCount(run.data.bytes)} bytes`],
      ["SHA-256", code(run.data.sha256)],
      ["tokens", vocabulary],
      ["held out", `${heldOut * 100}%, ${split}`],
    ]),
  ];
}

function trainingOf({ batch, seqLen, accumulate, steps, seed, stream, optimizer }: RunConfig): string[] {
  const { optimizer: rule, learningRate, warmupSteps, schedule } = optimizer;
  return [
    "```sh",
    "deno task train --config DIR/config.json",
    "```",
    "",
    table([
      ["steps", formatCount(steps)],
      ["step", `${batch} x ${seqLen} tokens${accumulate > 1 ? `, ${accumulate} times` : ""}`],
      ["optimizer", `${rule}, learning rate ${learningRate}, ${warmupSteps} steps of warm-up, ${schedule}`],
      ...(stream ? [["memory", `carried along for ${formatCount(stream)} tokens`] as const] : []),
      ["seed", String(seed)],
    ]),
  ];
}

/** Figures of a validation, without what describes it. */
function figuresOf({ event: _, step, device, ...figures }: ValidationEvent): string[] {
  const rows = Object.entries(figures).filter((row): row is [string, number] => typeof row[1] === "number");
  return [
    `On what was held out, after step ${formatCount(step)}, on the device ${device}:`,
    "",
    table(rows.map(([name, value]) => [code(name), String(Number(value.toPrecision(4)))])),
  ];
}

function table(rows: readonly (readonly [name: string, value: string])[]): string {
  return ["|     |     |", "| --- | --- |", ...rows.map((row) => `| ${row.map(cell).join(" | ")} |`)].join("\n");
}

/** Text that cannot leave its cell. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function code(text: string): string {
  return `\`${text.replaceAll("`", "'")}\``;
}
