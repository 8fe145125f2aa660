/** A visitor of the recall tab: tells facts, and asks for them. */
import type { Page } from "playwright-core";
import { type Look, look, open, overflowOf, shoot, value } from "./page.ts";

/** What the first tab showed. */
export interface RecallReport {
  /** What is said after the page was opened, of a visitor's fact, and of one that the memory did not learn. */
  readonly opened: string;
  readonly own: string;
  readonly unlearned: string;
  /** Both bars for the visitor's fact. */
  readonly bars: readonly string[];
  /** What is said of a byte that was chosen by the keyboard, before and after a step back. */
  readonly details: readonly string[];
  /** How many different colours the picture of the memory has. */
  readonly colours: number;
  readonly refused: string;
  /** The address of the visitor's fact, and the fact on a page that was opened with it. */
  readonly shared: { readonly link: string; readonly name: string; readonly value: string };
  /** What the memory answers that was told something else since a fork, and the one that was not. */
  readonly forked: readonly string[];
  /** What is said of the places that keys on the text, and the buttons, go to. */
  readonly steps: readonly string[];
  readonly look: Look;
  /** The tab and panel after an arrow key. */
  readonly tabs: readonly string[];
  /** Points of the page that lie beyond the edge of a narrow screen. */
  readonly overflow: number;
}

async function verdict(page: Page, about: string): Promise<string> {
  const said = page.locator("#recall-verdict", { hasText: `Asked “${about}:”` });
  await said.waitFor({ timeout: 120_000 });
  return await said.innerText();
}

/** Tells facts, and asks for them. Nothing plays by itself, so that what is shown is the end. */
export async function recallVisit(page: Page, url: string): Promise<RecallReport> {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(page, url);
  const opened = await verdict(page, "the key");
  await page.fill("#recall-name", "my bus");
  await page.fill("#recall-value", "4");
  await page.fill("#recall-distance", "2000");
  await page.click("#recall-form button");
  const own = await verdict(page, "my bus");
  await page.locator("#recall-detail", { hasText: /^Byte \d+ of/ }).waitFor();
  const bars = await page.locator(".bar").allInnerTexts(), detail = page.locator("#recall-detail");
  const details = [await detail.innerText()];
  await page.focus("#recall-position");
  await page.keyboard.press("ArrowLeft");
  details.push(await detail.innerText());
  const steps: string[] = [];
  await page.focus("#recall-strip");
  for (const key of ["Home", "ArrowRight", "PageDown", "End"]) {
    await page.keyboard.press(key);
    steps.push(await detail.innerText());
  }
  await page.click("#recall-back");
  steps.push(await detail.innerText());
  await page.click("#fork-submit");
  await page.locator("#fork-status", { hasText: "From one memory" }).waitFor({ timeout: 60_000 });
  const forked = [await page.locator("#fork-status").innerText(), await page.locator("#fork-submit").innerText()];
  const looked = await look(page, "recall");
  const colours = await page.evaluate(`(() => {
    const canvas = document.querySelector("#recall-matrix");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  })()`) as number;
  await shoot(page, "fact");
  const link = await page.locator("#recall-share").getAttribute("href") ?? "";
  await page.selectOption("#recall-learning", "not the fact");
  await page.locator("#recall-verdict", { hasText: "Reading" }).waitFor();
  const unlearned = await verdict(page, "my bus");
  await page.fill("#recall-value", "?");
  await page.click("#recall-form button");
  const refused = await page.locator("#recall-error").innerText();
  await page.setViewportSize({ width: 360, height: 800 });
  await page.emulateMedia({ colorScheme: "dark" });
  await shoot(page, "fact_narrow_dark");
  const overflow = await overflowOf(page);
  // An observer is called after the layout.
  await page.waitForFunction(() => {
    const [box, chosen] = ["#recall-strip", "#recall-strip .chosen"].map((selector) =>
      document.querySelector(selector)!.getBoundingClientRect()
    );
    return chosen.top >= box.top && chosen.bottom <= box.bottom;
  });
  await page.focus("#tab-recall");
  await page.keyboard.press("ArrowRight");
  const selected = page.locator("[role=tab][aria-selected=true]"), panel = page.locator("[role=tabpanel]:visible");
  // Browsers say that an address has changed after the key's own events.
  await page.locator("#panel-recall").waitFor({ state: "hidden" });
  const tabs = [await selected.innerText(), await panel.getAttribute("id") ?? ""];
  await page.goto("about:blank");
  await page.goto(url + link);
  await verdict(page, "my bus");
  const shared = {
    link,
    name: await value(page, "#recall-name"),
    value: await value(page, "#recall-value"),
  };
  return {
    opened,
    own,
    unlearned,
    bars,
    details,
    colours,
    refused,
    shared,
    forked,
    steps,
    tabs,
    overflow,
    look: looked,
  };
}
