/**
 * Chromium, driven by Playwright, for the tests of what runs in browsers.
 *
 *     deno task setup:browser    is it there? Where it is not, and apt and root are at hand, it is installed
 */
import { install, installCommand } from "../install.ts";

/** Where Debian puts it; another place can be given in the environment. */
const PATH = "/usr/bin/chromium", VARIABLE = "MNEME_CHROMIUM";

/**
 * No sandbox, since containers rarely allow one; WebGPU in software; nothing in the background that asks the network.
 */
const FLAGS = [
  "--no-sandbox",
  "--enable-unsafe-webgpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** What to do where there is no browser. */
const REMEDY = `run \`${
  installCommand("chromium")
}\` as root, or say where Chromium is with ${VARIABLE}=/path/to/chromium`;

function browserPath(): string {
  return Deno.env.get(VARIABLE) ?? PATH;
}

function isThere(): boolean {
  try {
    return Deno.statSync(browserPath()).isFile;
  } catch {
    return false;
  }
}

/**
 * Starts the browser.
 * @throws {Error} in one line that says what to do if there is none.
 */
export async function launch(): Promise<import("playwright-core").Browser> {
  if (!isThere()) throw new Error(`There is no Chromium at ${browserPath()}: ${REMEDY}`);
  const { chromium } = await import("playwright-core");
  return await chromium.launch({ executablePath: browserPath(), headless: true, args: FLAGS });
}

/** Installs Debian's Chromium where that is possible. */
async function setUp(): Promise<void> {
  if (!isThere()) await install("Chromium for the browser tests", "chromium");
  // Not an error here: the tests that need it say so.
  console.error(
    isThere() ? `Chromium: ${browserPath()}` : `There is no Chromium, so the browser tests will fail: ${REMEDY}`,
  );
}

if (import.meta.main) await setUp();
