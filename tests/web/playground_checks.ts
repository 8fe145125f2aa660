/**
 * A user at the playground, in Chromium: trains, stops, writes, looks at the memory, saves and loads. Prints what the page showed as one line of JSON, and leaves
 * screenshots in .scratch/web. Started by playground_test.ts in a process of its own.
 */
import type { Browser, Page } from "playwright-core";
import { buildPage, endBuilds } from "../../web/build.ts";
import { serveFolder } from "../../web/serve.ts";
import { launch } from "./chromium.ts";

/** What the page showed. */
export interface PlaygroundReport {
  /** Requests to anywhere but the page's server, and errors that the page did not show. */
  readonly outside: readonly string[];
  readonly problems: readonly string[];
  /** Form fields and buttons without a name for screen readers. */
  readonly unnamed: readonly string[];
  readonly device: string;
  /** The losses of the table, in bits a byte. */
  readonly losses: readonly number[];
  readonly trained: string;
  readonly written: string;
  /** How many characters of the strip have some colour, and in which colours. */
  readonly coloured: { readonly characters: number; readonly strong: number; readonly classes: readonly string[] };
  readonly summary: string;
  /** What is said of a byte before and after an arrow key. */
  readonly details: readonly string[];
  readonly gates: string;
  readonly saved: { readonly name: string; readonly sizeBytes: number; readonly said: string };
  readonly loaded: string;
  /** After the load, steps and losses go on from there. */
  readonly continued: { readonly step: string; readonly losses: readonly number[] };
  /** What a file that is no checkpoint, and a text that is too short, are answered with. */
  readonly refusals: readonly string[];
  /** On a page that may not share memory. */
  readonly plain: { readonly device: string; readonly stopped: string };
}

const SCRATCH = new URL("../../.scratch/web/", import.meta.url), SITE = new URL("site/", SCRATCH);

/** Clicks, and waits until the worker is done. */
async function use(page: Page, selector: string): Promise<string> {
  await page.click(selector);
  return await settled(page);
}

async function settled(page: Page): Promise<string> {
  await page.locator("#stop:disabled").waitFor({ timeout: 120_000 });
  return await page.locator("#status").innerText();
}

async function tableOfLosses(page: Page): Promise<number[]> {
  return (await page.locator("#loss-table tbody td:nth-child(2)").allTextContents()).map(Number);
}

/** Names as assistive technology computes them, of everything that can be used. */
async function unnamedControls(page: Page): Promise<string[]> {
  const snapshot = await page.locator("body").ariaSnapshot();
  return snapshot.split("\n").filter((line) => /- (button|textbox|combobox|spinbutton|slider|radio|img)\b(?! ")/.test(line));
}

async function shoot(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: new URL(`${name}.png`, SCRATCH).pathname, fullPage: true });
}

function colours(page: Page): Promise<PlaygroundReport["coloured"]> {
  return page.evaluate(`(() => {
    const spans = [...document.querySelectorAll("#strip span")];
    const strong = spans.filter((span) => Number(span.style.getPropertyValue("--strength")) > 0.5).length;
    return { characters: spans.length, strong, classes: [...new Set(spans.map((span) => span.className.split(" ")[0]))].sort() };
  })()`);
}

async function isolatedVisit(page: Page, url: string): Promise<Omit<PlaygroundReport, "outside" | "problems" | "plain">> {
  await page.goto(url);
  await page.selectOption("#model", "mac");
  await page.fill("#steps", "50");
  await page.fill("#sample", "Ada keeps the red lamp. Ben keeps the blue drum. Cleo keeps the green kite. What does Ada keep? The red lamp.");
  await page.click("#start");
  const trained = await settled(page), losses = await tableOfLosses(page), device = await page.locator("#device-name").innerText();
  await page.fill("#count", "60");
  await use(page, "#write");
  const written = await page.locator("#written").innerText();
  await use(page, "#read");
  const coloured = await colours(page), summary = await page.locator("#strip-summary").innerText();
  await shoot(page, "surprise");
  const details = [await page.locator("#detail").innerText()];
  await page.focus("#position");
  await page.keyboard.press("ArrowLeft");
  details.push(await page.locator("#detail").innerText());
  const gates = await page.locator("#gate-description").textContent() ?? "";
  await page.check("input[value=recall]");
  await page.emulateMedia({ colorScheme: "dark" });
  await shoot(page, "recall_dark");
  await page.emulateMedia({ colorScheme: "light" });
  const unnamed = await unnamedControls(page);

  const download = page.waitForEvent("download");
  const said = await use(page, "#save");
  const file = await download, path = new URL("playground.safetensors", SCRATCH).pathname;
  await file.saveAs(path);
  const saved = { name: file.suggestedFilename(), sizeBytes: (await Deno.stat(path)).size, said };

  await page.reload();
  const broken = new URL("broken.safetensors", SCRATCH);
  await Deno.writeFile(broken, new Uint8Array(100));
  await page.setInputFiles("#load", broken.pathname);
  await page.locator("#error:visible").waitFor({ timeout: 60_000 });
  const refusals = [await page.locator("#error").innerText()];
  await page.setInputFiles("#load", path);
  await page.locator("#status", { hasText: /^Loaded/ }).waitFor({ timeout: 60_000 });
  const loaded = await settled(page);
  await page.fill("#steps", "5");
  await use(page, "#continue");
  const continued = { step: await page.locator("#step").innerText(), losses: await tableOfLosses(page) };
  await page.fill("#text", "Too short.");
  await page.click("#start");
  refusals.push(await page.locator("#error").innerText());
  return { unnamed, device, losses, trained, written, coloured, summary, details, gates, saved, loaded, continued, refusals };
}

/** One thread, and stopped while it trains; narrow, as on a phone. */
async function plainVisit(page: Page, url: string): Promise<PlaygroundReport["plain"]> {
  await page.setViewportSize({ width: 390, height: 800 });
  await page.goto(url);
  await page.selectOption("#model", "lmm");
  await page.click("#start");
  await page.locator("#step", { hasText: /^([3-9]|\d\d+)$/ }).waitFor({ timeout: 120_000 });
  const stopped = await use(page, "#stop");
  await shoot(page, "narrow");
  return { device: await page.locator("#device-name").innerText(), stopped };
}

async function visit(browser: Browser): Promise<PlaygroundReport> {
  const outside: string[] = [], problems: string[] = [];
  const open = async (isolated: boolean): Promise<{ page: Page; url: string; close: () => Promise<void> }> => {
    const server = serveFolder(SITE, { isolated, port: 0 }), page = await browser.newPage();
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text());
    });
    page.on("request", (request) => {
      if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(server.url)) outside.push(request.url());
    });
    return {
      page,
      url: server.url,
      close: async () => {
        await page.close();
        await server.close();
      },
    };
  };
  const first = await open(true), visited = await isolatedVisit(first.page, first.url);
  await first.close();
  const second = await open(false), plain = await plainVisit(second.page, second.url);
  await second.close();
  return { outside, problems, ...visited, plain };
}

if (import.meta.main) {
  await buildPage(SITE);
  await endBuilds();
  const browser = await launch();
  try {
    console.log(JSON.stringify(await visit(browser)));
  } finally {
    await browser.close();
  }
}
