/** The page of a study: figures by place, charts, published values beside it, nothing that is loaded or run. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { placeOf, seriesOf } from "../../../cli/study/report/axes.ts";
import { renderStudy } from "../../../cli/study/report/page.ts";
import { disagreements, PUBLISHED } from "../../../cli/study/report/paper.ts";
import { summarize } from "../../../cli/study/summary.ts";
import { PLAN, resultsOfPlan } from "./report_cases.ts";

Deno.test("study report: the place of a figure is read off its name", () => {
  assertEquals(placeOf("accuracy"), { figure: "accuracy", at: {} });
  assertEquals(placeOf("accuracy, length 2,048, depth 12.5"), {
    figure: "accuracy",
    at: { length: 2048, depth: 12.5 },
  });
  assertEquals(placeOf("accuracy, round 2, of all"), { figure: "accuracy, of all", at: { round: 2 } });
  const names = ["loss", "a, length 1", "b, length 1", "a, length 2", "a, length 2, depth 3", "a, length 2, depth 4"];
  assertEquals(seriesOf(names).map(({ figure, axes, points }) => [figure, axes, points.map(({ name }) => name)]), [
    ["a", ["length"], ["a, length 1", "a, length 2"]],
    ["a", ["length", "depth"], ["a, length 2, depth 3", "a, length 2, depth 4"]],
  ]);
});

Deno.test("study report: orders of models that differ from the published ones are found, with whether seeds agree", () => {
  const found = {
    a: { mean: 1, min: 0.9, max: 1.1 },
    b: { mean: 2, min: 1.5, max: 2.5 },
    c: { mean: 3, min: 2.4, max: 4 },
  };
  const low = { best: "lowest" as const };
  assertEquals(disagreements({ ...low, values: { a: 10, b: 20, c: 30 } }, found), []);
  assertEquals(
    disagreements({ ...low, values: { b: 10, a: 20, c: 5 } }, found),
    [
      { here: "a", there: "b", clear: true },
      { here: "b", there: "c", clear: false },
      { here: "a", there: "c", clear: true },
    ].sort((x, y) => ["b", "a", "c"].indexOf(x.there) - ["b", "a", "c"].indexOf(y.there)),
  );
  assertEquals(disagreements({ best: "highest", values: { a: 3, b: 2, x: 9 } }, found), [{
    here: "b",
    there: "a",
    clear: true,
  }]);
});

Deno.test("study report: one page with charts, tables, commands and what differs from the paper; it loads nothing", async () => {
  const drawing = { number: 1, title: "A drawing", text: "what it shows", svg: "<svg></svg>" };
  const facts = [["Machine", "two <cores>"]] as const;
  const page = await renderStudy({
    plan: PLAN,
    summaries: summarize(PLAN, resultsOfPlan()),
    drawings: [drawing],
    facts,
  });
  assert(!/<script|src=|url\(|@import|href="(?!#)/.test(page), "nothing is loaded or run");
  assertMatch(page, /default-src 'none'/);
  assertMatch(page, /<h2>Language &lt;modelling&gt;<\/h2>/);
  assertMatch(page, /two &lt;cores&gt;/);
  assertMatch(page, /<h2>Figure 1\. A drawing<\/h2>/);
  // A dot plot in figure 6, a line chart over lengths, and heat maps over length and depth.
  assertEquals(page.match(/<svg role="img"/g)?.length, 3);
  assertMatch(page, /<h2>Figure 6\. Language modelling and multiple choice against baselines<\/h2>/);
  assertMatch(page, /aria-label="accuracy over length, 2 models"/);
  assertMatch(page, /aria-label="found over length and depth, a map for each model"/);
  assertMatch(
    page,
    /<th scope="row">lmm<\/th><td>200,000<\/td><td>as given<\/td><td>3<\/td><td>2\.71 <span class="range">\(2\.7 to 2\.72\)<\/span><\/td><td>25\.03<\/td>/,
  );
  assertMatch(page, /<td>30\.63 <abbr class="mark" title="another order here than with 1 of these models">/);
  assertMatch(page, /Of 3 pairs of models 2 have the order of the paper, 1 another one:/);
  assertMatch(
    page,
    /transformer 2\.76 is ahead of mac 2\.81; in the paper mac 25\.61 comes before transformer 30\.63\.</,
  );
  assertMatch(page, /Because it is small\./);
  assertMatch(page, /<code>deno task train --steps 5 --seed 0<\/code><br><code>deno task evaluate<\/code>/);
  assert(PUBLISHED.every(({ source }) => /arXiv \d{4}\.\d{5}/.test(source)));
});
