import { assert, assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import {
  asksHelp,
  choice,
  describeFlags,
  integer,
  number,
  parseFlags,
  phrase,
  suggestion,
  text,
  texts,
  toggle,
} from "../../cli/flags.ts";

const FLAGS = {
  seqLen: integer("bytes a sequence", 128, { min: 1 }),
  lr: number("step size", 3e-3, { min: 0, aboveMin: true }),
  model: choice(["lmm", "mac"], "which model", "mac"),
  out: text("DIR", "where"),
  json: toggle("for machines"),
} as const;

const parse = (...args: string[]) => parseFlags(args, FLAGS, "train");
const refuses = (args: string[], message: string) => assertThrows(() => parse(...args), UsageError, message);

Deno.test("flags: values are read, in both spellings, and the rest keeps its default", () => {
  const { values, given } = parse("--seq-len", "64", "--lr=1e-4", "--model", "lmm", "--json");
  assertEquals(values, { seqLen: 64, lr: 1e-4, model: "lmm", out: undefined, json: true });
  assertEquals([...given].sort(), ["json", "lr", "model", "seqLen"]);
  assertEquals(parse().values.seqLen, 128);
});

Deno.test("flags: some may be given several times", () => {
  const flags = {
    stop: texts("TEXT", "end before it"),
    rate: number("may be absent", undefined),
    kind: choice(["a", "b"], "may be absent"),
  };
  assertEquals(parseFlags([], flags, "generate").values, { stop: [], rate: undefined, kind: undefined });
  assertEquals(parseFlags(["--stop", "a b", "--kind=b", "--stop=."], flags, "generate").values, {
    stop: ["a b", "."],
    rate: undefined,
    kind: "b",
  });
  assertEquals(
    describeFlags(flags),
    "  --stop TEXT  end before it\n  --rate X     may be absent\n  --kind a|b   may be absent",
  );
});

Deno.test("flags: an unknown flag names the nearest known one", () => {
  refuses(["--seqlen", "64"], "unknown flag --seqlen: did you mean --seq-len?");
  refuses(["--modle=mac"], "unknown flag --modle: did you mean --model?");
  refuses(["--completely-different"], "unknown flag --completely-different: see train --help");
});

Deno.test("flags: values that cannot be are refused with what can", () => {
  refuses(["--seq-len", "many"], '--seq-len cannot be "many": it must be an integer of at least 1');
  refuses(["--seq-len", "1.5"], '--seq-len cannot be "1.5"');
  refuses(["--seq-len", "0"], "--seq-len cannot be 0: it must be an integer of at least 1");
  refuses(["--lr", "0"], "--lr cannot be 0: it must be above 0");
  refuses(["--lr", "fast"], '--lr cannot be "fast": it must be a finite number above 0');
  refuses(["--lr", "-1"], "--lr cannot be -1: it must be above 0");
  refuses(["--model", "mca"], '--model cannot be "mca": it is one of lmm, mac: did you mean mac?');
});

Deno.test("flags: missing values, stray words and repeated flags are refused", () => {
  refuses(["--out"], "--out needs a value: --out DIR");
  refuses(["--out", "--json"], "--out needs a value: --out DIR");
  refuses(["--json=yes"], "--json takes no value");
  refuses(["mac"], 'train takes no argument "mac"');
  refuses(["--json", "--json"], "--json is given twice");
  refuses(["--out", ""], "--out cannot be empty: give a folder");
  refuses(["--out="], "--out cannot be empty: give a folder");
});

Deno.test("flags: the help shows every flag with its default", () => {
  assertEquals(
    describeFlags(FLAGS),
    [
      "  --seq-len N      bytes a sequence [128]",
      "  --lr X           step size [0.003]",
      "  --model lmm|mac  which model [mac]",
      "  --out DIR        where",
      "  --json           for machines",
    ].join("\n"),
  );
});

Deno.test("flags: what somebody wrote may look like a flag; -- in front says nothing, and behind it there is nothing", () => {
  const flags = { prompt: phrase("a text", "The "), out: text("DIR", "where"), json: toggle("for machines") };
  const prompt = (...args: string[]): string => parseFlags(args, flags, "generate").values.prompt;
  for (const value of ["--- x", "--help", "--", "--json", "-", ""]) {
    assertEquals([prompt("--prompt", value), prompt(`--prompt=${value}`)], [value, value]);
    assertEquals(asksHelp(["--prompt", value], flags), false);
  }
  assertEquals([prompt("--", "--prompt", "a"), prompt("--prompt", "a", "--")], ["a", "a"]);
  assertThrows(
    () => prompt("--prompt", "a", "--", "b"),
    UsageError,
    'generate takes no argument "b" after --: omit both',
  );
  assertThrows(
    () => prompt("--out", "--- x"),
    UsageError,
    "--out needs a value: --out DIR, or --out=--- x if that is the value",
  );
  assertEquals([
    asksHelp(["--help"], flags),
    asksHelp(["--json", "-h"], flags),
    asksHelp(["--prompt", "--help", "--help"], flags),
  ], [true, true, true]);
});

Deno.test("flags: words that nobody would mistype are not compared with what is known", () => {
  const began = performance.now();
  assertEquals(suggestion("-".repeat(1e6), ["--prompt"]), "");
  assert(performance.now() - began < 1000);
});
