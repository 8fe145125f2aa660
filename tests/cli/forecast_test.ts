/** The command `forecast`: what it says and writes, and what it refuses. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { runMain } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

/** Hours of two sinusoids, one of them with a name to quote. */
function table(rows: number): string {
  const lines = Array.from({ length: rows }, (_, i) => {
    const at = new Date(Date.UTC(2024, 1, 28, i)).toISOString().slice(0, 16).replace("T", " ");
    return `${at};${(50 + 10 * Math.sin(i / 4)).toFixed(3).replace(".", ",")};${i % 7 === 3 ? "" : i % 5}`;
  });
  return `Zeit;"Last, MW";Stufe\n${lines.join("\n")}\n`;
}

const QUICK = ["--device", "cpu", "--lr", "0.05", "--lookback", "16", "--horizon", "4", "--epochs", "3"];

Deno.test("forecast: trains, compares with floors, and writes the rows to come with their times and a page", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/t.csv`, table(400));
    const out = `${folder}/out`, args = ["forecast", "--data", `${folder}/t.csv`, "--out", out, ...QUICK];
    const { code, stdout, stderr } = await runMain(...args);
    assertEquals([code, stderr], [0, ""]);
    assertStringIncludes(stdout, "t.csv: 400 rows of Last, MW, Stufe (57 values missing)");
    assertMatch(stdout, /\nepoch 3: training 0\.\d+, validation mse /);
    assertMatch(stdout, /\ndlinear +mse 0\.\d+ .*\nlast value +mse .*\nseason of 24 +mse .*\nleast squares +mse /);
    const rows = (await Deno.readTextFile(`${out}/forecast.csv`)).trim().split("\n");
    assertEquals(rows.slice(0, 2).map((row) => row.replace(/,[-\d.,]+$/, "")), [
      'Zeit,"Last, MW",Stufe',
      "2024-03-15 16:00:00",
    ]);
    assertEquals(rows.length, 5);
    const forecast = Number(rows[4].split(",")[1]), truth = 50 + 10 * Math.sin(403 / 4);
    assert(Math.abs(forecast - truth) < 4, `${forecast} where ${truth} follows`);
    const page = await Deno.readTextFile(`${out}/report.html`);
    assertMatch(page, /<h2>Last, MW<\/h2>/);
    assert(!/https?:|<script/.test(page.replaceAll("http-equiv", "")), "the page loads nothing");
    const { events } = await runMain(...args, "--json");
    assertEquals([...new Set(events.map(({ event }) => event))], ["start", "epoch", "test", "done"]);
    const said = stdout.match(/\ndlinear +mse (\S+)/)![1];
    assertEquals(
      Number(events.find(({ event }) => event === "test")!.mse).toFixed(4),
      said,
      "the same seed, the same figures",
    );
  }));

Deno.test("forecast: what cannot be done is refused in one line", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/t.csv`, table(60));
    await Deno.writeTextFile(`${folder}/gap.csv`, "date,x\n2024-01-01,1\n2024-01-02,2\n2024-01-03,1\n2024-01-09,2\n");
    await Deno.writeTextFile(`${folder}/twice.csv`, "date,x\n2024-01-01,1\n2024-01-02,2\n2024-01-02,1\n2024-01-03,2\n");
    await Deno.writeFile(`${folder}/t.csv.xz`, Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0));
    const wild = [
      "--data",
      `${folder}/t.csv`,
      ...QUICK.with(QUICK.indexOf("--lr") + 1, "1e30"),
      "--out",
      `${folder}/out`,
      "--json",
    ];
    const cases: [args: string[], message: string, code?: number][] = [
      [[], "forecast needs a table: give --data FILE"],
      [["--data", `${folder}/none.csv`], "as the table of forecast: there is no such file or folder; give one"],
      [["--data", `${folder}/t.csv.xz`], "t.csv.xz is compressed with xz, not text: decompress it with unxz"],
      [wild, "and nothing was written: train again with a lower rate than --lr 1e+30", 1],
      [["--data", `${folder}/t.csv`], "one window takes 192"],
      [["--data", `${folder}/gap.csv`], "line 5 is of 2024-01-09 00:00:00"],
      [
        ["--data", `${folder}/gap.csv`],
        "give --gaps fill to put the missing rows in, or --gaps ignore to take the rows",
      ],
      [["--data", `${folder}/twice.csv`], "or give the column that tells series apart as --by"],
      [["--data", `${folder}/t.csv`, ...QUICK, "--model", "arima"], 'Cannot forecast with "arima"'],
      [["--data", `${folder}/t.csv`, ...QUICK, "--target", "MW"], 'it has no column "MW", there are Last, MW, Stufe'],
      [
        ["--data", `${folder}/t.csv`, ...QUICK, "--covariates", "Stufe"],
        "--covariates changes nothing with --model dlinear",
      ],
    ];
    for (const [args, message, expected = 2] of cases) {
      const { code, stderr } = await runMain("forecast", ...args);
      assertEquals([code, stderr.trim().split("\n").length], [expected, 1], stderr);
      assertStringIncludes(stderr, message);
    }
  }));
