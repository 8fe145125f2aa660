/** A visitor of the tab that compares models: measures, stops, and measures again. */
import type { Page } from "playwright-core";
import { type Look, look, open } from "./page.ts";

/** What the tab showed. */
export interface CompareReport {
  /** What is said while it measures, when it was stopped, and at the end. */
  readonly said: readonly string[];
  /** Rows of the table at the end: model, tokens, parameters, state, time. */
  readonly rows: readonly (readonly string[])[];
  /** Lines of the charts. */
  readonly lines: number;
  readonly refused: string;
  readonly look: Look;
}

/** Measures. */
export async function compareVisit(page: Page, url: string): Promise<CompareReport> {
  await open(page, `${url}#compare`);
  const status = page.locator("#compare-status");
  await page.click("#compare-start");
  await page.locator("#compare-status", { hasText: "s left" }).waitFor({ timeout: 60_000 });
  const said = [await status.innerText()];
  await page.click("#compare-stop");
  await page.locator("#compare-status", { hasText: "Stopped" }).waitFor({ timeout: 60_000 });
  said.push(await status.innerText());
  for (const box of await page.locator("input[name=compared]").all()) await box.uncheck();
  await page.click("#compare-start");
  const refused = await page.locator("#compare-error").innerText();
  for (const model of ["lmm", "transformer"]) await page.check(`input[value=${model}][name=compared]`);
  await page.selectOption("#compare-longest", "1024");
  await page.click("#compare-start");
  await page.locator("#compare-status", { hasText: "Done" }).waitFor({ timeout: 120_000 });
  said.push(await status.innerText());
  await page.click("#panel-compare summary");
  const rows = await page.locator("#compare-table tbody tr").evaluateAll((all) =>
    all.map((row) => [...row.children].map((cell) => cell.textContent!))
  );
  const lines = await page.locator("#panel-compare polyline").count();
  return { said, rows, lines, refused, look: await look(page, "compare") };
}
