/**
 * Options are records, and an unknown name is an error: it is rejected with a suggestion rather than ignored. Every
 * public function with options calls {@link checkOptions} first (or its counterpart in titans/errors.ts).
 */
import { OptionError } from "./errors.ts";
import { describe } from "./describe.ts";

/** The names of an interface's options, in the order in which messages list them. */
export type OptionNames = readonly string[];

/** The names of the options of `T`; the type checker ensures that the list is complete. */
export function optionNames<T extends object>(names: { readonly [K in keyof T]-?: true }): OptionNames {
  return Object.keys(names);
}

/** What is wrong with options. */
export interface OptionFault {
  /** One line: what was attempted, what is wrong, and what to do. */
  readonly message: string;
  /** The name concerned; empty if the options are not a record. */
  readonly option: string;
}

/**
 * What is wrong with the names of options, if anything.
 * @param of The function that takes them, such as `sum`.
 * @param options The options as given by the user; undefined means none.
 * @param names The valid names.
 */
export function optionFault(of: string, options: unknown, names: OptionNames): OptionFault | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== "object" || options === null || Array.isArray(options) || ArrayBuffer.isView(options)) {
    return {
      message: `Cannot call ${of} with ${describe(options)} as its options: write a record, such as { ${
        names[0]
      }: ... }`,
      option: "",
    };
  }
  for (const name in options) {
    if (names.includes(name) || !Object.hasOwn(options, name)) continue;
    const meant = nearest(name, names);
    const kind = options.constructor?.name ?? "Object";
    const holder = kind === "Object" ? "" : ` (a ${kind} was given)`;
    const answer = meant ? `did you mean ${meant}? It` : "there is no such option; it";
    return {
      message: `Cannot use the option ${name} of ${of}${holder}: ${answer} takes ${listed(names)}`,
      option: name,
    };
  }
  return undefined;
}

/**
 * Checks the names of options.
 * @throws {OptionError} in one line with the option, a suggestion, and the valid names.
 */
export function checkOptions(of: string, options: unknown, names: OptionNames): void {
  const fault = optionFault(of, options, names);
  if (fault) throw new OptionError(fault.message, fault.option);
}

function listed(names: OptionNames): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]}`;
}

/** Names used by other libraries. */
const ELSEWHERE: ReadonlyMap<string, readonly string[]> = new Map([["dim", ["axis", "axes"]], ["dims", [
  "axes",
  "axis",
]], ["dimension", ["axis", "axes"]]]);

/** The most similar valid name. */
export function nearest(name: string, names: OptionNames): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  const initials = (text: string): string => text.replaceAll(/(?<!^)[a-z]/g, "").toLowerCase();
  const given = plain(name);
  const same = names.find((known) => plain(known) === given) ??
    ELSEWHERE.get(given)?.find((known) => names.includes(known)) ??
    names.find((known) => given.length > 1 && initials(known) === given) ??
    names.find((known) => given.length > 2 && plain(known).startsWith(given));
  if (same) return same;
  for (let edits = 1; edits <= Math.min(4, Math.max(1, given.length / 3)); edits++) {
    const close = names.find((known) => isWithin(given, plain(known), edits));
    if (close) return close;
  }
  return undefined;
}

/** Whether so many letters to insert, drop, replace or swap with their neighbour make one text of the other. */
function isWithin(from: string, to: string, edits: number): boolean {
  let at = 0;
  while (at < from.length && from[at] === to[at]) at++;
  const a = from.slice(at), b = to.slice(at);
  const rest = (i: number, j: number): boolean => isWithin(a.slice(i), b.slice(j), edits - 1);
  return a === b ||
    edits > 0 && (rest(1, 0) || rest(0, 1) || rest(1, 1) || a[0] === b[1] && a[1] === b[0] && rest(2, 2));
}
