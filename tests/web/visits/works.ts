/** A visitor of the tab on how it works: points at symbols, and changes what the small memories read. */
import type { Page } from "playwright-core";
import { type Look, look, open } from "./page.ts";

/** What the tab showed. */
export interface WorksReport {
  /** The longest text whose cost is drawn, and what is said of it. */
  readonly costs: readonly string[];
  /** Boxes of each diagram. */
  readonly boxes: Readonly<Record<string, number>>;
  /** The norms of what two equal letters write, and of what is kept after each. */
  readonly linear: readonly string[];
  /** What each letter of a repeated pair surprised, with and without steps. */
  readonly surprises: readonly (readonly number[])[];
  /** What is said of a symbol that is pointed at or focused, and which parts are marked. */
  readonly symbols: readonly { readonly said: string; readonly marked: readonly string[] }[];
  /** Symbols that say nothing. */
  readonly silent: number;
  readonly look: Look;
}

async function surprises(page: Page): Promise<number[]> {
  const said = await page.locator("#works-surprise desc").textContent() ?? "";
  return [...said.matchAll(/surprise ([\d.]+)/g)].map(([, value]) => Number(value));
}

/** What a symbol says and marks. */
async function symbol(page: Page, heading: string): Promise<WorksReport["symbols"][number]> {
  const section = page.locator(`section[aria-labelledby=${heading}]`);
  const marked = await section.locator("figure .lit").evaluateAll((
    parts,
  ) => [...new Set(parts.map((part) => part.getAttribute("data-station") ?? part.getAttribute("data-symbol")!))]);
  return { said: await section.locator(".meaning").innerText(), marked };
}

/** Looks at the figures. */
export async function worksVisit(page: Page, url: string): Promise<WorksReport> {
  await open(page, `${url}#works`);
  await page.locator("#works-cost-status", { hasText: /^$/ }).waitFor({ state: "attached", timeout: 120_000 });
  const costs = [
    await page.locator("#works-cost text", { hasText: /^4096$/ }).textContent() ?? "",
    await page.locator("#works-cost desc").textContent() ?? "",
  ];
  const boxes = await page.evaluate(`Object.fromEntries([...document.querySelectorAll(".diagram")].map((diagram) =>
    [diagram.dataset.model, diagram.querySelectorAll("[data-station]").length]))`) as Record<string, number>;
  await page.fill("#works-linear-text", "cc");
  await page.locator("#works-linear li:nth-child(2):last-child").waitFor();
  const linear = await page.locator("#works-linear svg").evaluateAll((all) =>
    all.map((each) => each.getAttribute("aria-label")!)
  );
  await page.fill("#works-update-text", "abab");
  await page.locator("#works-update li:nth-child(4):last-child").waitFor();
  const learned = await surprises(page);
  await page.locator("#works-theta").fill("0");
  await page.locator("#works-surprise desc", { hasNotText: `surprise ${learned[2].toFixed(2)}` }).waitFor({
    state: "attached",
  });
  const still = await surprises(page);
  await page.hover("section[aria-labelledby=works-update-heading] [data-key=surprise]");
  const symbols = [await symbol(page, "works-update-heading")];
  await page.focus("section[aria-labelledby=works-mac-heading] [data-key=persistent]");
  symbols.push(await symbol(page, "works-mac-heading"));
  const silent = await page.locator("[data-key]:not([title])").count();
  return { costs, boxes, linear, surprises: [learned, still], symbols, silent, look: await look(page, "works") };
}
