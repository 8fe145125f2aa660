import { assert, assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import { describeFlags, flagName, type Flags, parseFlags } from "../../cli/flags.ts";
import { asTyped, flagKey, flagsOf, optionsGiven } from "../../cli/table_flags.ts";
import type { OptionTable } from "../../titans/options/option_table.ts";
import { inside, outside, OWN, TABLES } from "../titans/option_cases.ts";

const EVERY: Readonly<Record<string, OptionTable>> = { ...TABLES, "a test": OWN };

function optionsOf(table: OptionTable, ...args: string[]): object {
  return optionsGiven(table, parseFlags(args, flagsOf(table) as unknown as Flags, "train").values);
}

Deno.test("table flags: a value of a row goes through its flag and back, and what is not given is no option", () => {
  for (const table of Object.values(EVERY)) {
    assertEquals(optionsOf(table), {});
    for (const [name, row] of Object.entries(table)) {
      const key = flagKey(name, row);
      for (const value of inside(row)) {
        const typed = asTyped(table, name, value);
        if (key === undefined || row.kind === "toggle" && value === row.default) {
          assertEquals(typed, `${name} ${value}`);
        } else assertEquals(optionsOf(table, ...typed.split(" ")), { [name]: value });
      }
    }
  }
});

Deno.test("table flags: what a row does not take is refused in one line that names the flag", () => {
  for (const table of Object.values(EVERY)) {
    for (const [name, row] of Object.entries(table)) {
      const key = flagKey(name, row);
      if (key === undefined) continue;
      const flag = flagName(key);
      if (row.kind === "toggle") {
        assertThrows(() => optionsOf(table, `${flag}=1`), UsageError, `${flag} takes no value`);
        continue;
      }
      if (row.kind === "text") {
        assertThrows(() => optionsOf(table, `${flag}=two\nlines`), UsageError, `${flag} cannot be "two\\nlines"`);
        continue;
      }
      // A command line has texts only: "1" is a number there.
      for (const value of outside(row).filter((value) => typeof value !== "object" && value !== "1")) {
        const error = assertThrows(() => optionsOf(table, `${flag}=${value}`), UsageError);
        assert(error.message.startsWith(`${flag} cannot be `) && !error.message.includes("\n"), error.message);
      }
    }
  }
  const refused = (...args: string[]): string => assertThrows(() => optionsOf(OWN, ...args), UsageError).message;
  assertEquals(refused("--depth", "5"), "--depth cannot be 5: it must be an integer from 1 to 4");
  assertEquals(refused("--rate", "1"), "--rate cannot be 1: it must be above 0 and below 1");
  assertEquals(refused("--n", "x"), '--n cannot be "x": it must be an integer of at least 0');
  assertEquals(refused("--shape", "falt"), '--shape cannot be "falt": it is one of round, flat: did you mean flat?');
  assertEquals(refused("--secret", "1"), "unknown flag --secret: see train --help");
});

Deno.test("table flags: names of flags are told apart, and values have the types of their rows", () => {
  for (const [of, table] of Object.entries(EVERY)) {
    const keys = Object.entries(table).flatMap(([name, row]) => flagKey(name, row) ?? []);
    assertEquals(new Set(keys).size, keys.length, of);
  }
  const { values } = parseFlags(["--no-spins"], flagsOf(OWN, { fallback: { depth: 3 } }), "train");
  const depth: number = values.depth, shape: "round" | "flat" | undefined = values.shape;
  assertEquals([depth, shape, values.noSpins, values.isLoud, values.n], [3, undefined, true, false, undefined]);
});

Deno.test("table flags: help comes from the rows, group by group", () => {
  const unless = (name: string): string | undefined => name === "rate" ? "by the weather" : undefined;
  assertEquals(
    describeFlags(flagsOf(OWN, { fallback: { depth: 3 }, unless })),
    [
      "  --n N               how often it turns",
      "  --rate X            how fast it is [by the weather]",
      "  --offset X          where it starts",
      "  --no-spins          without spinning: it stands",
      "  --is-loud           it makes noise with --n",
      "  --shape round|flat  its form",
      "                        round: like a ball of --depth",
      "                        flat: like a disc",
      "  --name NAME         what it is called",
      "",
      "Shape:",
      "  --depth N           how deep it is [3]",
    ].join("\n"),
  );
});
