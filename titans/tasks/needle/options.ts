/** Options of the needle task, and the settings of papers. */
import type { OptionTable } from "../../options/option_table.ts";

/** Options of the task. */
export const NEEDLE_OPTIONS = {
  value: {
    kind: "choice",
    default: "letter",
    choices: {
      letter: "a capital letter",
      digits3: "a number of three digits",
      digits7: "a number of seven digits",
      uuid: "a random UUID",
    },
    help: "what is hidden",
  },
  haystack: {
    kind: "choice",
    default: "noise",
    choices: { noise: "the same five sentences, line after line", text: "sentences of `data`" },
    help: "what it is hidden in",
  },
  template: {
    kind: "choice",
    default: "short",
    choices: { short: "in few words, for small models", ruler: "in the words of RULER" },
    help: "how it is stated and asked for",
  },
  data: {
    kind: "text",
    default: "",
    placeholder: "PATH",
    help:
      "file or folder of the text to hide it in; from the command line `state-of-the-union` is the default text of `train`",
  },
  words: {
    kind: "text",
    default: "",
    placeholder: "PATH",
    help:
      "words of keys, one per line: a file, or a folder with one of adjectives and one of nouns. Default: a small list",
  },
  shortest: { kind: "integer", default: 192, min: 64, max: 2 ** 20, help: "bytes of a training sequence at least" },
  length: {
    kind: "integer",
    default: 512,
    min: 64,
    max: 2 ** 20,
    help: "bytes of a training sequence at most; lengths are log-uniform between",
  },
  textRows: {
    kind: "number",
    default: 0.5,
    min: 0,
    max: 1,
    help:
      "share of the training sequences of which every byte counts; of the others the value does, and the stop behind it",
  },
  testLengths: {
    kind: "text",
    default: "512,1024,2048,4096,8192,16384",
    placeholder: "LIST",
    help: "bytes of prompt and answer to evaluate at",
  },
  depths: { kind: "integer", default: 10, min: 2, max: 40, help: "depths to evaluate at, from 0 to 100 percent" },
} as const satisfies OptionTable;

const RULER = { template: "ruler", shortest: 512, length: 4096, testLengths: "2048,4096,8192,16384" } as const;
const STATE_OF_THE_UNION = "state-of-the-union";

/** The three tasks of RULER with one needle: among noise, a number among text, and a UUID among text. */
export const NEEDLE_PRESETS = {
  pk: { ...RULER, haystack: "noise", value: "digits7" },
  n: { ...RULER, haystack: "text", value: "digits7", data: STATE_OF_THE_UNION },
  w: { ...RULER, haystack: "text", value: "uuid", data: STATE_OF_THE_UNION },
} as const;
