/**
 * What lm-evaluation-harness writes of each question with `--log_samples`, a line of `samples_TASK_TIME.jsonl`:
 *
 *     {"doc_id": 0, "doc": {...}, "target": "1", "filter": "none",
 *      "arguments": {"gen_args_0": {"arg_0": "Question: ..\nAnswer:", "arg_1": " honey"}, "gen_args_1": {..}},
 *      "filtered_resps": [["-6.03", "False"], ["-21.3", "False"]], ..}
 *
 * Versions before 0.4.3 have lists for the arguments, `[["Question: ..\nAnswer:", " honey"], ..]`, and some have
 * numbers and booleans for their texts.
 */
import type { Answer } from "../benchmark.ts";
import { type DataRecord, recordsOf } from "../records.ts";
import type { TaskFile } from "../task.ts";

/** A question as another program asked it, with what its model said; `greedy` is of the first choice. */
export interface HarnessSample extends Answer {
  /** What was read before each choice, with solved examples if there were any. */
  readonly contexts: readonly string[];
  /** Each choice, with the space before it. */
  readonly continuations: readonly string[];
}

/** The samples of a file. @throws {ConfigError} naming the line that is no sample with log-likelihoods. */
export function harnessSamples(file: TaskFile): HarnessSample[] {
  return recordsOf(file).map((record) => {
    const asked = requestsOf(record), said = responsesOf(record);
    if (said.length !== asked.length) {
      record.refuse(
        `it has ${asked.length} arguments and ${said.length} responses, one of each is needed for a choice`,
      );
    }
    // What asks for mutual information asks once more without a context.
    const kept = [...asked.keys()].filter((i) => asked[i][0] !== "" || asked.every(([context]) => context === ""));
    return {
      contexts: kept.map((i) => asked[i][0]),
      continuations: kept.map((i) => asked[i][1]),
      logLikelihoods: kept.map((i) => said[i].logLikelihood),
      greedy: said[kept[0]].greedy,
    };
  });
}

/** Whether a file is a `results_TIME.json`, which stands beside the samples and has means only. */
export function isSummary({ name, bytes }: TaskFile): boolean {
  if (!name.endsWith(".json")) return false;
  try {
    const found: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof found === "object" && found !== null && "results" in found && !("arguments" in found);
  } catch {
    return false;
  }
}

function requestsOf(record: DataRecord): (readonly [context: string, continuation: string])[] {
  const given = record.fields.arguments ?? {}, requests = Object.values(given).map((one) => Object.values(one ?? {}));
  if (requests.length === 0) record.refuse("its arguments must be what was asked, as --log_samples writes them");
  return requests.map(([context, continuation]) => {
    if (typeof context === "string" && typeof continuation === "string") return [context, continuation];
    return record.refuse("its arguments are no contexts with a choice each: only answers by likelihood can be paired");
  });
}

function responsesOf(record: DataRecord): { readonly logLikelihood: number; readonly greedy: boolean }[] {
  const given = record.fields.filtered_resps ?? record.fields.resps;
  if (!Array.isArray(given)) record.refuse("its filtered_resps must be a list");
  return (given as unknown[]).map((one) => {
    // Unfiltered ones are lists of as many responses as were asked for.
    const [value, greedy] = Array.isArray(one) && Array.isArray(one[0]) ? one[0] : Array.isArray(one) ? one : [one];
    const logLikelihood = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
    if (typeof logLikelihood !== "number" || !Number.isFinite(logLikelihood)) {
      record.refuse(`its filtered_resps must be log-likelihoods, one is ${JSON.stringify(value)}`);
    }
    return { logLikelihood: logLikelihood as number, greedy: greedy === true || greedy === "True" };
  });
}
