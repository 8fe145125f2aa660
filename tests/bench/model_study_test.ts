/** The study of models: points that outlive an interruption, tables and a plot of them, and one glance at a device. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import { withFolder } from "../cli/scratch.ts";
import { type Options, readOptions } from "./flags.ts";
import { EFFORTS } from "./measure.ts";
import { runStudy, studiedModels, type StudyPoint, type StudyReport } from "./model_study.ts";
import { studyPlot, studyTables } from "./model_study_tables.ts";
import { PointFile } from "./point_file.ts";

Deno.test("model study: points are kept as they are taken, also after half a line, and those of another run are not", () =>
  withFolder((folder) => {
    const path = `${folder}/new/points`, run = { commit: "a" };
    const file = PointFile.open<{ at: number }>(path, run);
    file.add({ at: 1 });
    file.add({ at: 2 });
    Deno.writeTextFileSync(path, '{"at":', { append: true });
    assertEquals(PointFile.open<{ at: number }>(path, run).points, [{ at: 1 }, { at: 2 }]);
    const other = PointFile.open<{ at: number }>(path, { commit: "b" });
    assertEquals(other.points, []);
    other.add({ at: 3 });
    assertEquals(PointFile.open<{ at: number }>(path, { commit: "b" }).points, [{ at: 3 }]);
    other.remove();
    return Promise.resolve();
  }));

const TIMING = { runs: 3, minMs: 2, medianMs: 3, p90Ms: 4 };

/** A point of training: throughput halves from 2,048 to 32,768 tokens. */
const trained = (tokens: number, tokensPerSecond: number): StudyPoint => ({
  device: "cpu",
  model: "transformer",
  what: "training",
  tokens,
  ...TIMING,
  tokensPerSecond,
  plannedBytes: 5e6,
  kernels: 40,
  shaders: 30,
  compileMs: 700,
});

const REPORT: StudyReport = {
  extents: { lengths: [512, 2048, 32768], contexts: [1024], stepTokens: 32768, parameters: 200_000 },
  devices: [{ kind: "cpu", description: "two cores", software: false }],
  points: [
    trained(512, 9000),
    trained(2048, 8000),
    trained(32768, 4000),
    { device: "cpu", model: "transformer", what: "decoding", tokens: 1024, ...TIMING, stateBytes: 1500, compileMs: 9 },
    { device: "cpu", model: "lmm", what: "training", tokens: 512, failure: "too large" },
  ],
};

Deno.test("model study: tables have every length, what longer texts cost, and what failed; the plot a line a model", () => {
  const tables = studyTables(REPORT);
  assertMatch(tables, /transformer +9000 +8000 +4000 +2\.00 +5\.00 +40 \(30\) +700/);
  assertMatch(tables, /transformer +2\.00 +1\.50 +9\.00/);
  assert(tables.includes("lmm, training, 512: too large"), tables);
  const svg = studyPlot(REPORT);
  assertEquals([...svg.matchAll(/<circle /g)].length, 4);
  assert(svg.includes("Efficiency of models on two cores") && !svg.includes("lmm"), svg);
});

Deno.test("model study: --models is a mode, and a filter says which", () => {
  assertEquals(readOptions(["--models", "--filter", "GDN"]).mode, "models");
  assertEquals(studiedModels("gdn"), ["gdnH1", "gdnH2"]);
  assert(!studiedModels().includes("attention") && studiedModels().includes("transformer"));
});

Deno.test("model study: a study that was stopped takes the points that are missing", () =>
  withFolder(async (folder) => {
    const options: Options = { ...readOptions(["--models", "--quick", "--device", "cpu"]), filter: "swa" };
    const path = `${folder}/points`, lines: string[] = [];
    const run = (): Promise<StudyReport> =>
      runStudy(options, { ...EFFORTS.quick, rounds: 1, leastRounds: 1 }, {
        write: (line) => lines.push(line),
        file: PointFile.open<StudyPoint>(path, {}),
      });
    const { points } = await run();
    assertEquals(points.map(({ what, tokens }) => `${what} ${tokens}`), [
      "training 64",
      "training 128",
      "training 256",
      "decoding 32",
      "decoding 64",
    ]);
    assert(points.every((point) => !("failure" in point)), JSON.stringify(points));
    // All but the last two lines are there already.
    const kept = (await Deno.readTextFile(path)).split("\n").slice(0, 4).join("\n");
    await Deno.writeTextFile(path, `${kept}\n`);
    lines.length = 0;
    const again = await run();
    assertEquals(again.points.slice(0, 3), points.slice(0, 3));
    assertEquals(lines.map((line) => line.replace(/\d+s.*?: /, "")), [
      "3 of 5 points are there already\n",
      "[1/2] cpu: decoding, swa, 32 tokens\n",
      "[2/2] cpu: decoding, swa, 64 tokens\n",
    ]);
  }));

Deno.test("model study: lengths are those asked for, and whole texts make up a step", () =>
  withFolder(async (folder) => {
    const options = readOptions(["--models", "--lengths", "32768,2048", "--contexts=1024"]);
    assertEquals([options.lengths, options.contexts], [[2048, 32768], [1024]]);
    const file = PointFile.open<StudyPoint>(`${folder}/points`, {});
    await assertRejects(
      () => runStudy({ ...options, lengths: [3000] }, EFFORTS.quick, { write: () => {}, file }),
      UsageError,
      "--lengths cannot have 3000: a training step has 32768 tokens",
    );
  }));
