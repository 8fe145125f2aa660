/** The study of models as tables and as a plot. */
import type { ModelKind } from "../../titans/mod.ts";
import type { DecodingFigures, StudyPoint, StudyReport, TrainingFigures } from "./model_study.ts";
import { type Panel, plot, powerLabel, type Series } from "./svg.ts";
import { digits, formatTable, megabytes } from "./table.ts";

type Trained = StudyPoint & TrainingFigures;
type Decoded = StudyPoint & DecodingFigures;

const isTrained = (point: StudyPoint): point is Trained => "tokensPerSecond" in point;
const isDecoded = (point: StudyPoint): point is Decoded => "stateBytes" in point;

/** What a device gave, model by model. */
function byModel(points: readonly StudyPoint[], device: string) {
  const groups = Map.groupBy(points.filter((point) => point.device === device), ({ model }) => model);
  return [...groups].map(([model, own]) => ({
    model,
    trained: own.filter(isTrained),
    decoded: own.filter(isDecoded),
    failures: own.flatMap((point) => "failure" in point ? [point] : []),
  }));
}

/** How many times the time per token at one length the one at another is. */
function growth(points: readonly (StudyPoint & { readonly msPerToken: number })[], from: number): string {
  const base = points.find(({ tokens }) => tokens === from), last = points.at(-1);
  return base && last && last !== base ? (last.msPerToken / base.msPerToken).toFixed(2) : "";
}

/** Tables of training and of decoding, a row a model. */
export function studyTables({ extents, devices, points }: StudyReport): string {
  const { lengths, contexts, stepTokens, parameters } = extents, base = lengths[lengths.length > 2 ? 1 : 0];
  return devices.map(({ kind, description }) => {
    const models = byModel(points, kind);
    const training = models.map(({ model, trained }) => {
      const longest = trained.at(-1), at = trained.find(({ tokens }) => tokens === base) ?? longest;
      return [
        model,
        ...lengths.map((length) => digits(trained.find(({ tokens }) => tokens === length)?.tokensPerSecond)),
        growth(trained.map((point) => ({ ...point, msPerToken: 1000 / point.tokensPerSecond })), base),
        megabytes(longest?.plannedBytes),
        at ? `${at.kernels} (${at.shaders})` : "",
        digits(at?.compileMs),
      ];
    });
    const decoding = models.map(({ model, decoded }) => [
      model,
      ...contexts.map((context) => digits(decoded.find(({ tokens }) => tokens === context)?.minMs)),
      growth(decoded.map((point) => ({ ...point, msPerToken: point.minMs })), contexts[0]),
      digits(decoded.at(-1) && decoded.at(-1)!.stateBytes / 1e3),
      digits(decoded.at(-1)?.compileMs),
    ]);
    const trainingHeader = [
      "training, tokens/s",
      ...lengths.map((length) => `T = ${powerLabel(length)}`),
      `longest / ${powerLabel(base)}`,
      "planned MB",
      "kernels (distinct)",
      "compile ms",
    ];
    const decodingHeader = [
      "decoding, ms per token",
      ...contexts.map((context) => `after ${powerLabel(context)}`),
      `longest / ${powerLabel(contexts[0])}`,
      "state kB",
      "compile ms",
    ];
    const failures = models.flatMap(({ failures }) =>
      failures.map(({ model, what, tokens, failure }) => `${model}, ${what}, ${powerLabel(tokens)}: ${failure}\n`)
    );
    return `models on ${kind} (${description}): ${parameters.toLocaleString("en")} parameters, ` +
      `${stepTokens.toLocaleString("en")} tokens a training step, loops recompute\n` +
      `${formatTable(trainingHeader, training)}\n${formatTable(decodingHeader, decoding)}${failures.join("")}`;
  }).join("\n");
}

/** Throughput against length, and the time of decoding a token against what was read before. */
export function studyPlot({ devices, points }: StudyReport): string {
  const series = (pointsOf: (models: ReturnType<typeof byModel>[number]) => Series["points"]): Series[] =>
    devices.flatMap(({ kind }) =>
      byModel(points, kind).map((models) => ({
        name: nameOf(models.model, devices.length > 1 ? kind : undefined),
        points: pointsOf(models),
      }))
    ).filter(({ points }) => points.length > 0);
  const panels: Panel[] = [
    {
      title: "training: thousand tokens per second",
      xLabel: "tokens of a text",
      series: series(({ trained }) => trained.map(({ tokens, tokensPerSecond }) => [tokens, tokensPerSecond / 1e3])),
    },
    {
      title: "decoding: milliseconds per token",
      xLabel: "tokens read before",
      logarithmic: true,
      series: series(({ decoded }) => decoded.map(({ tokens, minMs }) => [tokens, minMs])),
    },
  ];
  return plot(`Efficiency of models on ${devices.map(({ description }) => description).join(" and ")}`, panels);
}

function nameOf(model: ModelKind, device: string | undefined): string {
  return device ? `${model} on ${device}` : model;
}
