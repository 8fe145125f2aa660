/** A visitor of the training tab: trains, stops, generates, looks at the memory, saves and loads. */
import type { Page } from "playwright-core";
import { decodeCheckpoint, defineConfig, encodeCheckpoint, Model } from "../../../titans/mod.ts";
import { layoutShift, type Look, look, open, reload, SCRATCH, shoot, value } from "./page.ts";

/** What the page showed. */
export interface TrainingReport {
  readonly look: Look;
  readonly device: string;
  /** The losses of the table, in bits per byte. */
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
  /** What is said of another text, and the losses of all steps when training goes on with it. */
  readonly changedText: { readonly note: string; readonly losses: readonly number[] };
  /** What a file that is no checkpoint, and a text that is too short, are answered with. */
  readonly refusals: readonly string[];
  /** On a page that may not share memory. */
  readonly plain: {
    readonly device: string;
    /** What is said of the rest while it trains, and after a reload in the midst of it. */
    readonly left: string;
    readonly offer: string;
    readonly stopped: string;
    readonly stoppedReading: string;
  };
  /** Parameters as shown, and as the checkpoint has them. */
  readonly parameters: readonly [string, number];
  /**
   * The text to read follows the text to learn until somebody writes one; what is said of one that is too long, and of
   * how much of it was read.
   */
  readonly samples: { readonly followed: string; readonly own: string; readonly size: string; readonly read: string };
  /** How far the page is scrolled when it is opened at this tab, and what has the focus then. */
  readonly opened: readonly [number, string];
  /** Where the focus is after a start. */
  readonly focus: string;
  /** How much of the screen moved by itself while the page was loaded and trained for the first time. */
  readonly shift: number;
  /** Backgrounds of the strongest byte and of the strip, with forced colours. */
  readonly forced: readonly [string, string];
  /**
   * A start that fails: what was asked, the error, what is said, what the form says of the changes, and that writing
   * goes on.
   */
  readonly failed: {
    readonly asked: readonly string[];
    readonly error: string;
    readonly said: string;
    readonly changes: string;
    readonly written: string;
  };
  /** After a reload: what is said, what comes back, and what the form says then. */
  readonly restored: { readonly offer: string; readonly said: string; readonly chosen: readonly string[] };
}

/** Clicks, and waits until the worker is done. */
async function use(page: Page, selector: string): Promise<string> {
  await page.click(selector);
  return await settled(page);
}

async function settled(page: Page): Promise<string> {
  await page.locator("#stop[aria-disabled=true]").waitFor({ timeout: 120_000 });
  return await page.locator("#status").innerText();
}

async function tableOfLosses(page: Page): Promise<number[]> {
  return (await page.locator("#loss-table tbody td:nth-child(2)").allTextContents()).map(Number);
}

/** The text to read before anything is trained. */
async function sampleTexts(page: Page): Promise<Pick<TrainingReport["samples"], "followed" | "own" | "size">> {
  await page.fill("#text", "A visitor's own text. ".repeat(30) + "It ends so.");
  const followed = await value(page, "#sample");
  await page.fill("#sample", "0123456789".repeat(50));
  const size = await page.locator("#sample-size").innerText();
  await page.fill("#text", "Another one. ".repeat(30));
  const own = await value(page, "#sample");
  await page.selectOption("#text-choice", "0");
  await page.fill("#sample", "");
  return { followed, own, size };
}

/** Tries another device, which there is not: the model that was trained must be there as before. */
async function failedStart(page: Page): Promise<TrainingReport["failed"]> {
  const asked: string[] = [];
  page.once("dialog", (dialog) => {
    asked.push(dialog.message());
    dialog.accept();
  });
  await page.selectOption("#device", "webgpu");
  await page.selectOption("#size", "nano");
  const changes = await page.locator("#options-note").innerText();
  await page.click("#start");
  await page.locator("#error:visible").waitFor({ timeout: 60_000 });
  await shoot(page, "error");
  const error = await page.locator("#error").innerText(), said = await page.locator("#status").innerText();
  await page.selectOption("#device", "auto");
  await page.selectOption("#size", "tiny");
  return { asked, error, said, changes, written: await use(page, "#write") };
}

/** A checkpoint whose tokens are no bytes. */
function tokenCheckpoint(): Uint8Array {
  const config = defineConfig({ model: "lmm", width: 8, heads: 1, blocks: 1, mlpHidden: 8, vocabulary: 300 }),
    { layout } = new Model(config);
  const params = layout.initialize(1), zeros = layout.unpack(new Float32Array(layout.size));
  return encodeCheckpoint({
    config,
    seed: 1,
    state: { step: 0, params, optimizer: { name: "adamW", slots: { first: zeros, second: zeros } } },
  });
}

function colours(page: Page): Promise<TrainingReport["coloured"]> {
  return page.evaluate(`(() => {
    const spans = [...document.querySelectorAll("#strip span")];
    const strong = spans.filter((span) => Number(span.style.getPropertyValue("--strength")) > 0.5).length;
    return { characters: spans.length, strong, classes: [...new Set(spans.map((span) => span.className.split(" ")[0]))].sort() };
  })()`);
}

export async function isolatedVisit(
  page: Page,
  url: string,
): Promise<Omit<TrainingReport, "plain">> {
  // A machine without an adapter.
  const noAdapter = 'Object.defineProperty(navigator, "gpu", { value: { requestAdapter: async () => null } });';
  await page.route("**/worker.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${noAdapter}${await response.text()}` });
  });
  await open(page, `${url}#train`);
  const opened = await page.evaluate("[scrollY, document.activeElement.tagName]") as [number, string];
  const sampled = await sampleTexts(page);
  await page.selectOption("#model", "mac");
  await page.fill("#steps", "50");
  await page.fill(
    "#sample",
    "Ada keeps the red lamp. Ben keeps the blue drum. Cleo keeps the green kite. What does Ada keep? The red lamp.",
  );
  await page.click("#start");
  await page.locator("#step", { hasText: /^([2-9]|\d\d+)$/ }).waitFor();
  await shoot(page, "training");
  const trained = await settled(page),
    losses = await tableOfLosses(page),
    device = await page.locator("#device-name").innerText();
  const focus = await page.evaluate("document.activeElement.id") as string, shift = await layoutShift(page);
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
  await page.check("input[value=surprise]");
  await page.emulateMedia({ forcedColors: "active" });
  const forced = await page.evaluate(`(() => {
    const strength = (span) => Number(span.style.getPropertyValue("--strength"));
    const strongest = [...document.querySelectorAll("#strip span")].reduce((best, span) => strength(span) > strength(best) ? span : best);
    return [strongest, document.querySelector("#strip")].map((element) => getComputedStyle(element).backgroundColor);
  })()`) as [string, string];
  await shoot(page, "forced_colours");
  await page.emulateMedia({ forcedColors: null });
  const failed = await failedStart(page);
  await page.fill("#sample", "0123456789".repeat(50));
  const samples = { ...sampled, read: await use(page, "#read") };
  const looked = await look(page, "train");

  const download = page.waitForEvent("download");
  const said = await use(page, "#save");
  const file = await download, path = new URL("playground.safetensors", SCRATCH).pathname;
  await file.saveAs(path);
  const saved = { name: file.suggestedFilename(), sizeBytes: (await Deno.stat(path)).size, said };
  const { config } = decodeCheckpoint(await Deno.readFile(path));
  const parameters = [await page.locator("#parameters").innerText(), new Model(config).layout.parameterCount] as const;

  await reload(page);
  await page.locator("#status", { hasText: "The browser stores" }).waitFor({ timeout: 10_000 });
  const offer = await page.locator("#status").innerText(), came = await use(page, "#restore");
  const restored = { offer, said: came, chosen: [await value(page, "#model"), await value(page, "#size")] };
  await reload(page);
  const broken = new URL("broken.safetensors", SCRATCH);
  await Deno.writeFile(broken, new Uint8Array(100));
  await page.setInputFiles("#load", broken.pathname);
  await page.locator("#error:visible").waitFor({ timeout: 60_000 });
  const refusals = [await page.locator("#error").innerText()];
  const tokens = new URL("tokens.safetensors", SCRATCH);
  await Deno.writeFile(tokens, tokenCheckpoint());
  await page.setInputFiles("#load", tokens.pathname);
  await page.locator("#error", { hasText: "vocabulary" }).waitFor({ timeout: 60_000 });
  refusals.push(await page.locator("#error").innerText());
  // A text that is too short to learn does not keep a model from being loaded.
  const text = await value(page, "#text");
  await page.fill("#text", "Too short.");
  await page.setInputFiles("#load", path);
  await page.locator("#status", { hasText: /^Loaded/ }).waitFor({ timeout: 60_000 });
  const loaded = await settled(page);
  await page.fill("#steps", "5");
  await page.click("#continue");
  refusals.push(await page.locator("#error").innerText());
  await page.fill("#text", text);
  await use(page, "#continue");
  const continued = { step: await page.locator("#step").innerText(), losses: await tableOfLosses(page) };
  await page.fill("#text", "QXZ#@!".repeat(100));
  const note = await page.locator("#options-note").innerText();
  await use(page, "#continue");
  const changedText = { note, losses: await tableOfLosses(page) };
  const learning = { losses, trained, opened, focus, shift, parameters },
    looking = { coloured, summary, details, gates, forced, samples };
  return {
    look: looked,
    device,
    written,
    failed,
    saved,
    restored,
    loaded,
    continued,
    changedText,
    refusals,
    ...learning,
    ...looking,
  };
}

/** One thread, and stopped while it trains; narrow, as on a phone. */
export async function plainVisit(page: Page, url: string): Promise<TrainingReport["plain"]> {
  await page.setViewportSize({ width: 390, height: 800 });
  await open(page, `${url}#train`);
  await page.selectOption("#model", "lmm");
  await page.click("#start");
  await page.locator("#step", { hasText: /^([3-9]|\d\d+)$/ }).waitFor({ timeout: 120_000 });
  await page.locator("#stored", { hasText: "The browser stores step" }).waitFor({ timeout: 120_000 });
  const left = await page.locator("#left").innerText();
  page.once("dialog", (dialog) => dialog.accept());
  await reload(page);
  await page.locator("#status", { hasText: "The browser stores" }).waitFor({ timeout: 60_000 });
  const offer = await page.locator("#status").innerText();
  await use(page, "#restore");
  await page.click("#continue");
  await page.locator("#left", { hasText: / (s|min)$/ }).waitFor({ timeout: 120_000 });
  const stopped = await use(page, "#stop");
  await shoot(page, "narrow");
  await page.click("#read");
  const stoppedReading = await use(page, "#stop");
  return { device: await page.locator("#device-name").innerText(), left, offer, stopped, stoppedReading };
}
