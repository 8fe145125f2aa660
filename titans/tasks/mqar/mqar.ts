/**
 * Multi-query associative recall (Arora et al., "Zoology", 2023): pairs of keys and values, and later each key once more,
 * at which its value is due. Gaps between questions follow a power law; what else stands there is random.
 *
 *     k1 v1 k2 v2  .  .  k2  .  .  .  .  .  k1  .  .  .       answers count at k2 and k1
 *
 * Keys are tokens 1 to V/2 - 1, values V/2 to V - 1, both without repetition.
 */
import { ConfigError } from "../../errors.ts";
import type { OptionsOf, OptionTable } from "../../options/option_table.ts";
import type { BatchArrays } from "../../train/objective.ts";
import { entriesOf } from "../lists.ts";
import { measureVariants } from "../long_rows.ts";
import type { SampleRandom } from "../samples.ts";
import { defineTask, type Task } from "../task.ts";
import { type TokenBatch, tokenRow, tokenTask } from "../token_task.ts";

/** Options of {@link mqar}. */
export const MQAR_OPTIONS = {
  vocabulary: { kind: "integer", default: 256, min: 6, max: 65536, help: "tokens, half of them keys, half values" },
  loads: {
    kind: "text",
    default: "64x4,64x8,64x16",
    placeholder: "LIST",
    help:
      "what sequences to train on, as LENGTHxPAIRS, with how often each comes behind a colon, such as `64x4:5,128x8`; all are padded to the longest",
  },
  testLoads: {
    kind: "text",
    default: "64x4,64x8,64x16,128x32,256x64",
    placeholder: "LIST",
    help: "what sequences to evaluate on, one after the other",
  },
  alpha: {
    kind: "number",
    default: 0.01,
    min: 0,
    aboveMin: true,
    max: 1,
    help: "exponent of the gaps: slot i is asked in with probability proportional to i^(alpha - 1)",
  },
  fill: { kind: "toggle", default: true, help: "fill the rest with random tokens", without: "with token 0" },
} as const satisfies OptionTable;

/** Options of {@link mqar}, resolved. */
export type MqarOptions = OptionsOf<typeof MQAR_OPTIONS>;

/** Sequences of one kind. */
interface Load {
  readonly length: number;
  readonly pairs: number;
  readonly weight: number;
}

/** Multi-query associative recall. */
export const mqar: Task<typeof MQAR_OPTIONS, TokenBatch> = defineTask({
  name: "mqar",
  summary: "multi-query associative recall, keys and values early and questions later",
  options: MQAR_OPTIONS,
  presets: {
    zoology: {
      vocabulary: 8192,
      loads: "64x4:5,128x8,256x16,256x32,256x64",
      testLoads: "64x4,64x8,64x16,128x32,256x64,512x128,1024x256",
    },
  },
  create: (options) => {
    const train = loadsOf(options, "loads"), test = loadsOf(options, "testLoads");
    const instance = (loads: readonly Load[]) => instanceOf(options, loads);
    const label = ({ length, pairs }: Load): string => `length ${length}, pairs ${pairs}`;
    return {
      ...instance(train),
      evaluate: (subject) =>
        measureVariants(subject, Object.fromEntries(test.map((load) => [label(load), instance([load])]))),
    };
  },
});

function instanceOf(options: MqarOptions, loads: readonly Load[]) {
  const { vocabulary } = options, length = Math.max(...loads.map(({ length }) => length));
  const all = loads.reduce((sum, { weight }) => sum + weight, 0);
  return tokenTask({
    name: "mqar",
    vocabulary,
    length,
    sample: (random) => {
      let left = random.uniform() * all;
      const load = loads.find(({ weight }) => (left -= weight) < 0) ?? loads[0];
      return mqarSample(options, load, { random, length });
    },
    chance: 1 / Math.ceil(vocabulary / 2),
    answers: (tokens) => recalled(tokens, vocabulary),
    baselines: { "value of the first pair": (tokens) => tokens.map(() => tokens[1]) },
  });
}

/** One sequence, padded to `length`. */
function mqarSample(
  { vocabulary, alpha, fill }: MqarOptions,
  { length: T, pairs }: Load,
  { random, length }: { readonly random: SampleRandom; readonly length: number },
): BatchArrays<TokenBatch> {
  const half = Math.floor(vocabulary / 2);
  const keys = random.distinct(pairs, half - 1).map((key) => key + 1);
  const values = random.distinct(pairs, vocabulary - half).map((value) => value + half);
  const tokens = new Int32Array(T), answers = new Int32Array(T).fill(-1);
  if (fill) { for (let t = 2 * pairs; t < T; t++) tokens[t] = random.integer(vocabulary); }
  keys.forEach((key, i) => tokens.set([key, values[i]], 2 * i));
  distinctSlots(pairs, { slots: (T - 2 * pairs) >> 1, alpha, random }).forEach((slot, i) => {
    tokens[2 * pairs + 2 * slot] = keys[i];
    answers[2 * pairs + 2 * slot] = values[i];
  });
  return tokenRow(tokens, answers, length);
}

/** Distinct slots, each drawn of those that are left with probability proportional to (slot + 1)^(alpha - 1). */
function distinctSlots(
  count: number,
  { slots, alpha, random }: { readonly slots: number; readonly alpha: number; readonly random: SampleRandom },
): number[] {
  // The largest of log(u) / weight are such a draw (Efraimidis and Spirakis, 2006).
  const keyed = Array.from({ length: slots }, (_, slot) => ({
    slot,
    key: Math.log(1 - random.uniform()) / (slot + 1) ** (alpha - 1),
  }));
  return keyed.sort((a, b) => b.key - a.key).slice(0, count).map(({ slot }) => slot);
}

/** The value of each key: the pairs end where no key and value follow, or a key comes a second time. */
function recalled(tokens: Int32Array, vocabulary: number): number[] {
  const half = Math.floor(vocabulary / 2), known = new Map<number, number>();
  for (let t = 0; tokens[t] > 0 && tokens[t] < half && tokens[t + 1] >= half && !known.has(tokens[t]); t += 2) {
    known.set(tokens[t], tokens[t + 1]);
  }
  return Array.from(tokens, (token) => known.get(token) ?? -1);
}

/** The loads of an option. @throws {ConfigError} naming the first that cannot be. */
function loadsOf(options: MqarOptions, option: "loads" | "testLoads"): readonly Load[] {
  const half = Math.floor(options.vocabulary / 2);
  const loads = entriesOf(options[option]).map((entry): Load => {
    const [, length, pairs, weight] = (/^(\d+)x(\d+)(?::(\d+))?$/.exec(entry) ?? []).map((part) => Number(part ?? 1));
    const refuse = (rule: string): never => {
      throw new ConfigError(`Cannot use ${option} ${JSON.stringify(entry)}: ${rule}`, option);
    };
    if (!(weight > 0)) refuse("it must be LENGTHxPAIRS or LENGTHxPAIRS:TIMES, such as 64x4 or 64x4:5");
    if (pairs < 1 || pairs > half - 1) {
      refuse(`pairs must be from 1 to ${half - 1}, the keys of ${options.vocabulary} tokens`);
    }
    if (length < 4 * pairs || length > 2 ** 20) {
      refuse(`the length must be from 4 x ${pairs} = ${4 * pairs} to ${2 ** 20}`);
    }
    return { length, pairs, weight };
  });
  if (loads.length > 0) return loads;
  throw new ConfigError(`Cannot use an empty ${option}: give at least one LENGTHxPAIRS, such as 64x4`, option);
}
