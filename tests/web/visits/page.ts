/** What all visits of the playground share: looking at a page as people, browsers and assistive technology do. */
import axe from "axe-core";
import type { Page } from "playwright-core";

/** Where tests write. */
export const SCRATCH = new URL("../../../.scratch/web/", import.meta.url);

/** Opens a tab, and waits until it can be used. */
export async function open(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await usable(page);
}

/** Loads the page again, and waits until its tab can be used. */
export async function reload(page: Page): Promise<void> {
  await page.reload();
  await usable(page);
}

/** What listens to a tab's fields is loaded when it is shown. */
async function usable(page: Page): Promise<void> {
  await page.locator("[role=tabpanel][aria-busy=false]:visible").waitFor();
}

/** What a field holds. */
export function value(page: Page, selector: string): Promise<string> {
  return page.locator(selector).inputValue();
}

/** Names as assistive technology computes them, of everything that can be used. */
export async function unnamedControls(page: Page): Promise<string[]> {
  const snapshot = await page.locator("body").ariaSnapshot();
  return snapshot.split("\n").filter((line) =>
    /- (button|textbox|combobox|spinbutton|slider|radio|img)\b(?! ")/.test(line)
  );
}

/** Writes a screenshot of the whole page. */
export async function shoot(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: new URL(`${name}.png`, SCRATCH).pathname, fullPage: true });
}

/** Points of the page that lie beyond the right edge of the screen. */
export function overflowOf(page: Page): Promise<number> {
  return page.evaluate("document.documentElement.scrollWidth - innerWidth") as Promise<number>;
}

/** In shares of the screen, as browsers measure it; what follows an input within half a second does not count. */
export function layoutShift(page: Page): Promise<number> {
  return page.evaluate(`new Promise((resolve) => {
    let sum = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
    setTimeout(() => resolve(sum), 100);
  })`);
}

/** How a page looks to those who see it otherwise. */
export interface Look {
  /** What axe-core finds wrong, on both screens in light, dark and forced colours: the rule and the elements. */
  readonly violations: readonly string[];
  /** Points beyond the edge of screens of 1280 and 360 points. */
  readonly overflow: readonly number[];
  readonly unnamed: readonly string[];
}

/** Finds violations of all rules of accessibility, or of one. */
async function violationsOf(page: Page, rule?: string): Promise<string[]> {
  await page.evaluate(axe.source);
  const options = rule ? { runOnly: { type: "rule", values: [rule] } } : {};
  return await page.evaluate(`axe.run(${JSON.stringify(options)}).then(({ violations }) =>
    violations.map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html).join(" ")))`);
}

/** Looks at what is shown on screens of two widths, in light, dark and forced colours; leaves screenshots. */
export async function look(page: Page, name: string): Promise<Look> {
  const violations: string[] = [], overflow: number[] = [];
  await page.emulateMedia({ reducedMotion: "reduce" });
  for (const [size, width] of [["wide", 1280], ["narrow", 360]] as const) {
    await page.setViewportSize({ width, height: 800 });
    for (const colours of ["light", "dark", "forced"] as const) {
      const isForced = colours === "forced";
      await page.emulateMedia({ colorScheme: isForced ? "light" : colours, forcedColors: isForced ? "active" : null });
      violations.push(...await violationsOf(page, colours === "light" ? undefined : "color-contrast"));
      await shoot(page, `${name}_${size}_${colours}`);
    }
    overflow.push(await overflowOf(page));
  }
  await page.emulateMedia({ colorScheme: "light", forcedColors: null });
  await page.setViewportSize({ width: 1280, height: 800 });
  return { violations, overflow, unnamed: await unnamedControls(page) };
}

/** What every tab must look like. */
export const CLEAN: Look = { violations: [], overflow: [0, 0], unnamed: [] };
