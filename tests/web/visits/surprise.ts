/** A visitor of the surprise tab: reads texts, and looks at single characters. */
import type { Page } from "playwright-core";
import { type Look, look, open, shoot, value } from "./page.ts";

/** What the tab showed. */
export interface SurpriseReport {
  /** What is said of the first text, and of the visitor's. */
  readonly summaries: readonly string[];
  /** Names of the rows. */
  readonly rows: readonly string[];
  /** What a second and a third telling of a fact cost, in bits: the answer's character. */
  readonly answers: readonly number[];
  /** Which character is chosen, in text, chart and figures, after the pointer and after a key. */
  readonly chosen: readonly (readonly string[])[];
  /** Characters and rows of the table for the visitor's text of other scripts. */
  readonly table: { readonly rows: number; readonly first: string; readonly last: string };
  /** What a model with momentum and forgetting shows with both, without forgetting, without either, and with both. */
  readonly parts: {
    /** Whether there is something to turn off in the first model, and in this one. */
    readonly offered: readonly boolean[];
    readonly rows: readonly (readonly string[])[];
    readonly said: readonly string[];
    /** The lines of the chart. */
    readonly lines: readonly number[];
  };
  /** What is said of a text that is too short, and of a model that is not there. */
  readonly refusals: readonly string[];
  /** What is said of a text that is too long. */
  readonly long: string;
  readonly look: Look;
}

/** What is said once a text was read. */
async function summary(page: Page, characters: number): Promise<string> {
  const said = page.locator("#surprise-status", { hasText: `Read ${characters} characters` });
  await said.waitFor({ timeout: 60_000 });
  return await said.innerText();
}

/** The chosen character in the text, where the chart is marked, and what the figures are of. */
async function chosen(page: Page): Promise<string[]> {
  return [
    await page.locator("#surprise-ribbon .chosen").innerText(),
    Number(await page.locator("#surprise-chart .mark").getAttribute("x1")).toFixed(0),
    await page.locator("#surprise-chosen").innerText(),
  ];
}

/** The bits of a character, counted from 0. */
async function cost(page: Page, at: number): Promise<number> {
  await page.locator("#surprise-ribbon .word span").nth(at).hover();
  return Number(await page.locator("#surprise-figures tr:first-child td").first().innerText());
}

/** Reads English with a memory that has all its parts, without forgetting, without momentum either, and with all. */
async function partsVisit(page: Page): Promise<SurpriseReport["parts"]> {
  const names = page.locator("#surprise-figures th"), rows: string[][] = [], said: string[] = [];
  const lines: number[] = [], offered = [await page.locator("#surprise-momentum").isEnabled()];
  const shown = async (pattern: RegExp): Promise<void> => {
    const status = page.locator("#surprise-status", { hasText: pattern });
    await status.waitFor({ timeout: 120_000 });
    said.push(await status.innerText());
    rows.push(await names.allInnerTexts());
    lines.push(await page.locator("#surprise-chart polyline").count());
  };
  await page.selectOption("#surprise-example", "2");
  await page.selectOption("#surprise-source", "text");
  // The model is another when its momentum can be turned off.
  await page.locator("#surprise-momentum:enabled:checked").waitFor({ timeout: 120_000 });
  offered.push(await page.locator("#surprise-forgetting").isEnabled());
  const whole = / bits each\. /, less = / bits each; [\d.]+ as trained\. /;
  await shown(whole);
  await page.uncheck("#surprise-forgetting");
  await shown(less);
  await shoot(page, "surprise_without_forgetting");
  await page.uncheck("#surprise-momentum");
  await shown(less);
  await page.check("#surprise-momentum");
  await page.check("#surprise-forgetting");
  await shown(whole);
  return { offered, rows, said, lines };
}

/** Reads texts. */
export async function surpriseVisit(page: Page, url: string): Promise<SurpriseReport> {
  await open(page, `${url}#surprise`);
  const text = await value(page, "#surprise-text"), summaries = [await summary(page, text.length)];
  const rows = await page.locator("#surprise-figures th").allInnerTexts();
  const answers: number[] = [];
  for (let at = text.indexOf("door: B"); at >= 0; at = text.indexOf("door: B", at + 1)) {
    answers.push(await cost(page, at + 6));
  }
  const pointed = await chosen(page);
  await page.focus("#surprise-position");
  await page.keyboard.press("ArrowLeft");
  const stepped = await chosen(page), looked = await look(page, "surprise");
  const parts = await partsVisit(page);
  await page.selectOption("#surprise-source", "recall");
  await page.locator("#surprise-momentum:disabled").waitFor();
  const own = "Ключ: Я.\n鍵：あ。";
  await page.fill("#surprise-text", own);
  summaries.push(await summary(page, Array.from(own).length));
  await page.click("#surprise-as-table summary");
  const cells = page.locator("#surprise-table tbody td:nth-child(2)");
  await cells.first().waitFor();
  const names = await cells.allInnerTexts();
  const table = { rows: names.length, first: names[0], last: names.at(-1)! };
  await page.fill("#surprise-text", "x");
  await page.locator("#surprise-error:visible").waitFor();
  const refusals = [await page.locator("#surprise-error").innerText()];
  await page.fill("#surprise-text", "long ".repeat(1000));
  await page.locator("#surprise-size", { hasText: "is longer" }).waitFor();
  const long = await page.locator("#surprise-size").innerText();
  await page.selectOption("#surprise-source", "own");
  await page.locator("#surprise-error", { hasText: "stores no model" }).waitFor();
  refusals.push(await page.locator("#surprise-error").innerText());
  return { summaries, rows, answers, chosen: [pointed, stepped], table, parts, refusals, long, look: looked };
}
