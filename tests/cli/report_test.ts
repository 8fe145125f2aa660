import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Curve } from "../../cli/curve.ts";
import type { StepEvent, ValidationEvent } from "../../cli/events.ts";
import { linePlot } from "../../cli/line_plot.ts";
import { renderReport } from "../../cli/report.ts";
import { RunHistory } from "../../cli/run_history.ts";

function step(step: number, bitsPerByte: number): StepEvent {
  return {
    event: "step",
    step,
    device: "cpu",
    loss: bitsPerByte * Math.LN2,
    bitsPerByte,
    learningRate: 1e-3,
    gradientNorm: 2,
    tokensPerSecond: 1,
  };
}

function validation(step: number, bitsPerByte: number): ValidationEvent {
  const norms = { memoryNorm: 1, surpriseNorm: 1, memoryChange: 1, innerLoss: 1, updateNorm: 1 };
  return {
    event: "validation",
    step,
    device: "cpu",
    loss: bitsPerByte * Math.LN2,
    bitsPerByte,
    bigramBitsPerByte: 3.5,
    bytes: 64,
    ...norms,
  };
}

Deno.test("curve: a long series keeps few points, each the mean of its neighbours, up to the last step", () => {
  const curve = new Curve(8);
  for (let i = 1; i <= 1000; i++) curve.add(i, i);
  const { points } = curve;
  assert(points.length >= 4 && points.length <= 8, `${points.length} points`);
  assertEquals(points.at(-1)!.step, 1000);
  // Buckets of 128: the first is the mean of 1 to 128.
  assertEquals(points[0], { step: 128, value: 64.5 });
  curve.add(1001, NaN);
  assertEquals(curve.points, points);
});

Deno.test("history: the best validation is the lowest, and one that is no number never is", () => {
  const history = new RunHistory();
  assert(history.isBest(9) && !history.isBest(NaN) && !history.isBest(Infinity));
  for (const [at, bits] of [[10, 4], [20, 3], [30, 3.5], [40, NaN]]) history.add(validation(at, bits));
  assertEquals(history.best, { step: 20, loss: 3 * Math.LN2, bitsPerByte: 3 });
  assert(history.isBest(2) && !history.isBest(3 * Math.LN2), "as good as the best is not better");
});

Deno.test("plot: axes have round ticks, values lie between them, and words are escaped", () => {
  const points = [{ step: 1, value: 8 }, { step: 100, value: 2.5 }];
  const svg = linePlot({
    id: "p",
    title: "a < b",
    description: "d",
    xLabel: "step",
    yLabel: "bits",
    lines: [{ label: "x & y", points }],
  });
  assertStringIncludes(svg, '<title id="p-title">a &lt; b</title>');
  assertStringIncludes(svg, "x &amp; y");
  const ticks = [...svg.matchAll(/<text class="tick"[^>]*>([^<]*)</g)].map((match) => match[1]);
  assertEquals(ticks, ["4", "6", "8", "20", "40", "60", "80", "100"]);
  const [from, to] = /points="([^"]*)"/.exec(svg)![1].split(" ").map((pair) => pair.split(",").map(Number));
  assertEquals([from, to], [[64, 27.6], [704, 260.4]]);
});

Deno.test("report: one page with curves, the same as tables, the sample and the configuration, and nothing from elsewhere", () => {
  const history = new RunHistory();
  for (let i = 1; i <= 60; i++) history.add(step(i, 8 - i / 20));
  history.add(validation(30, 6.75));
  history.add(validation(60, 5.125));
  const page = renderReport({
    title: "runs/<mine>",
    status: "Complete: 60 of 60 steps.",
    facts: [["model", 'lmm "nano"']],
    history,
    sample: "<script>alert(1)</script>",
    config: { seed: 7 },
  });
  assertMatch(page, /^<!doctype html>\n<html lang="en">/);
  assertStringIncludes(page, "<h1>runs/&lt;mine&gt;</h1>");
  assertStringIncludes(page, "&lt;script&gt;alert(1)&lt;/script&gt;");
  assertStringIncludes(page, "&quot;seed&quot;: 7");
  assertStringIncludes(page, "The best result on held-out text is 5.125, at step 60. The bigram baseline has 3.5.");
  assertStringIncludes(page, "@media (prefers-color-scheme: dark)");
  assertStringIncludes(page, "default-src 'none'");
  assertEquals(
    [...page.matchAll(/<(script|link|img|iframe|object|embed)\b|\b(src|href)=|url\(|@import|https?:/g)].map(([what]) =>
      what
    ),
    [],
  );
  assertEquals([...page.matchAll(/<svg [^>]*role="img"/g)].length, 3);
  // Both validations stand in the table, with the training loss of their steps.
  assertStringIncludes(page, '<tr><th scope="row">30</th><td>6.5</td><td>6.75</td></tr>');
  assertStringIncludes(page, '<tr><th scope="row">60</th><td>5</td><td>5.125</td></tr>');
  assert([...page.matchAll(/<tr><th scope="row">\d+<\/th>/g)].length <= 60, "tables are thinned out");
  for (const tag of ["table", "figure", "details", "svg", "main", "ul", "pre"]) {
    assertEquals(page.split(`<${tag}`).length, page.split(`</${tag}>`).length, tag);
  }
});

Deno.test("report: before the first step it says so", () => {
  const page = renderReport({ title: "t", status: "Stopped.", facts: [], history: new RunHistory(), config: {} });
  assertStringIncludes(page, "There are no steps yet.");
  assert(!page.includes("NaN") && !page.includes("Infinity") && !page.includes("undefined"), page);
});
