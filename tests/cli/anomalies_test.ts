/** The command `anomalies`: planted faults are found, little else is, and what is normal sets the threshold. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { addWords, FieldScales, LineRows, recordFields, ROW_WIDTH } from "../../cli/anomaly_lines.ts";
import { SampleRandom } from "../../titans/mod.ts";
import { runMain } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const FAULTS = [
  "kernel: Out of memory: Killed process 4411 (java)",
  "sshd[22]: Accepted password for root from 203.0.113.7",
  "disk sda1 SMART failure predicted",
];

/** A log of a shop, with a fault every 997 lines from line 3,000 on. */
function log(lines: number, withFaults: boolean): { readonly text: string; readonly faults: readonly number[] } {
  const random = new SampleRandom(1, "log"), faults: number[] = [];
  const line = (n: number): string => {
    if (withFaults && n > 3000 && n % 997 === 0) {
      faults.push(n);
      return FAULTS[faults.length % FAULTS.length];
    }
    const usual = [
      `nginx GET /item/${random.integer(10_000)} 200`,
      `nginx POST /cart 302`,
      `app order ${random.integer(100_000)} paid by user${random.integer(300)}`,
      `db query took ${random.integer(100)} ms`,
    ];
    return usual[random.integer(4)];
  };
  const text = Array.from(
    { length: lines },
    (_, i) => `2024-03-01 ${random.integer(24)}:${random.integer(60)} host${random.integer(4)} ${line(i + 1)}`,
  ).join("\n");
  return { text: `${text}\n`, faults };
}

const scores = (stdout: string): number[][] =>
  stdout.trim().split("\n").filter(Boolean).map((line) => line.split(",").map(Number));

Deno.test("anomalies: of a log with planted faults all are found and nothing else, in batches and with a clean file", () =>
  withFolder(async (folder) => {
    const { text, faults } = log(8000, true);
    await Deno.writeTextFile(`${folder}/a.log`, text);
    const clean = new Blob([log(4000, false).text]).stream().pipeThrough(new CompressionStream("gzip"));
    await Deno.writeFile(`${folder}/clean.log.gz`, clean);
    assertEquals(faults.length, 5);
    const watch = async (...args: string[]): Promise<number[]> => {
      const data = ["--data", `${folder}/a.log`, "--device", "cpu"];
      const { code, stdout, stderr } = await runMain("anomalies", ...data, "--csv", ...args);
      assertEquals(code, 0, stderr);
      assertMatch(stderr, /^\d+ of [\d,]+ lines above 0\.\d+; [\d.]+ MB\/s\n$/);
      return scores(stdout).map(([line]) => line);
    };
    for (const args of [["--clean-lines", "3000"], ["--clean", `${folder}/clean.log.gz`]]) {
      const found = await watch(...args), right = found.filter((line) => faults.includes(line)).length;
      assertEquals(right, faults.length, `recall with ${args[0]}: ${found}`);
      assert(right / found.length >= 0.8, `precision with ${args[0]}: ${found}`);
    }
  }));

Deno.test("anomalies: records of tables and of JSON, whose numbers count by their deviations", () =>
  withFolder(async (folder) => {
    const random = new SampleRandom(2, "sensors");
    const rows = Array.from({ length: 3000 }, (_, i) => {
      const noise = random.uniform() + random.uniform() - 1, pump = random.integer(3);
      return { temperature: i === 2222 ? 91 : 20 + 3 * noise, pump: `p${pump}`, state: i === 2600 ? "leaking" : "on" };
    });
    const csv = rows.map(({ temperature, pump, state }) => `${temperature},${pump},${state}`).join("\n");
    await Deno.writeTextFile(`${folder}/s.csv`, `temperature,pump,state\n${csv}\n`);
    await Deno.writeTextFile(`${folder}/s.jsonl`, rows.map((row) => JSON.stringify(row)).join("\n"));
    for (const [name, first] of [["s.csv", 2], ["s.jsonl", 1]] as const) {
      const args = [
        "--data",
        `${folder}/${name}`,
        "--clean-lines",
        "2000",
        "--quantile",
        "1",
        "--device",
        "cpu",
        "--json",
      ];
      const { code, stdout, stderr } = await runMain("anomalies", ...args);
      assertEquals(code, 0, stderr);
      const found = stdout.trim().split("\n").map((line) =>
        JSON.parse(line) as { line: number; score: number; text: string }
      );
      assertEquals(found.map(({ line }) => line), [2222 + first, 2600 + first], JSON.stringify(found));
      assertStringIncludes(found.find(({ line }) => line === 2600 + first)!.text, "leaking");
    }
  }));

Deno.test("anomalies: parts of lines by hand", () => {
  const encode = (line: string): string => {
    const rows = new LineRows(1);
    addWords(rows, new TextEncoder().encode(line));
    rows.end();
    assertEquals([rows.keys.length, rows.count], [ROW_WIDTH, 1]);
    return rows.keys.join() + rows.values.join();
  };
  assertEquals(encode("took 12 ms"), encode("took 7 ms"));
  assertEquals(encode("took 12 ms"), encode("(took: 99, ms)"));
  assert(encode("took 12 ms") !== encode("took 1200 ms") && encode("took 12 ms") !== encode("took 12 s"));
  assertEquals(recordFields({ a: 1, b: { c: "x", d: [2, null] } }), [["a", 1], ["b.c", "x"], ["b.d[]", 2], [
    "b.d[]",
    "null",
  ]]);
  const scales = new FieldScales();
  [1, 3, 1, 3].forEach((value) => scales.learn("x", value));
  assertEquals([2, 3, 2.4, 100].map((value) => scales.stepOf("x", value)), [0, 2, 1, 20]);
});

Deno.test("anomalies: what cannot be read is refused in one line", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/few.log`, "a line\n".repeat(150));
    await Deno.writeTextFile(`${folder}/bad.jsonl`, '{"a": 1}\n{"a":\n');
    await Deno.writeFile(`${folder}/a.log.xz`, Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 10, 10, 10));
    const cases: [args: string[], message: string][] = [
      [["--data", `${folder}/none.log`], "none.log: give a file"],
      [["--data", `${folder}/few.log`, "--clean", folder], "is a directory: give a file"],
      [["--data", `${folder}/a.log.xz`], "a.log.xz is compressed with xz, not text: decompress it with unxz"],
      [["--data", `${folder}/few.log`, "--clean", `${folder}/a.log.xz`], "is compressed with xz, not text"],
      [["--data", `${folder}/few.log`], "ended after 150 lines, all of which were to be normal"],
      [["--data", `${folder}/few.log`, "--clean", `${folder}/bad.jsonl`], "and there are 2: give more"],
      [["--data", `${folder}/bad.jsonl`], "bad.jsonl line 2 is no JSON"],
    ];
    for (const [args, message] of cases) {
      const { code, stderr } = await runMain("anomalies", "--device", "cpu", ...args);
      assertEquals([code, stderr.trim().split("\n").length], [2, 1], stderr);
      assertStringIncludes(stderr, message);
    }
  }));
