/** Parses `--data`: a place, and a weight after the last `=`. */
import { UsageError } from "../errors.ts";

/** A training text as named on the command line. */
export interface SourceSpec {
  /** `sotu`, `-` for standard input, a file or folder, a URL, or `hf:owner/name/path`. */
  readonly place: string;
  /** How often a byte of it is seen, relative to the other texts. */
  readonly weight: number;
}

const WEIGHT = /^(.+)=([^=/\\]*)$/;
const NUMBER = /^(\d+\.?\d*|\.\d+)$/;

/**
 * Parses one `--data`: `PLACE` or `PLACE=WEIGHT`. Only a number after the last `=` is a weight, so paths can contain
 * colons, commas and `=`; if a place itself ends in `=` and a number, append `=1`.
 * @throws {UsageError} if the place is empty or the weight is not above 0.
 */
export function parseSource(text: string): SourceSpec {
  const [, place, digits] = WEIGHT.exec(text) ?? [];
  const weighted = digits !== undefined && NUMBER.test(digits);
  const spec = weighted ? { place, weight: Number(digits) } : { place: text, weight: 1 };
  if (spec.place === "" || spec.place.startsWith("=")) {
    throw new UsageError(`--data cannot be ${JSON.stringify(text)}: give a file, a folder, a URL, - or sotu`);
  }
  if (!(spec.weight > 0)) {
    throw new UsageError(`the weight of --data ${text} must be above 0: omit the text if it should not be used`);
  }
  return spec;
}

/** Whether a place is on the network: a URL or a path on Hugging Face. */
export function isRemote(place: string): boolean {
  return /^(https?:\/\/|hf:)/.test(place);
}
