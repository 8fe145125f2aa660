/**
 * Visitors of the playground, in Chromium: one browser, a visitor for each tab. Prints what the page showed as one line
 * of JSON, and leaves screenshots in .scratch/web. Started by playground_test.ts in a process of its own.
 */
import type { Browser, Page } from "playwright-core";
import { buildPage, type Chunk, endBuilds } from "../../web/build.ts";
import { serveFolder } from "../../cli/serve_folder.ts";
import { launch } from "./chromium.ts";
import { type CompareReport, compareVisit } from "./visits/compare.ts";
import { SCRATCH } from "./visits/page.ts";
import { type RecallReport, recallVisit } from "./visits/recall.ts";
import { type SurpriseReport, surpriseVisit } from "./visits/surprise.ts";
import { type WorksReport, worksVisit } from "./visits/works.ts";
import { isolatedVisit, plainVisit, type TrainingReport } from "./visits/train.ts";

/** What the page showed. */
export interface PlaygroundReport {
  /** Requests to anywhere but the page's server, and errors that the page did not show. */
  readonly outside: readonly string[];
  readonly problems: readonly string[];
  /** All of the page but texts and models. */
  readonly gzipBytes: number;
  /** The modules that were loaded before the first tab had answered. */
  readonly modules: readonly string[];
  readonly training: TrainingReport;
  readonly recall: RecallReport;
  readonly surprise: SurpriseReport;
  readonly works: WorksReport;
  readonly compare: CompareReport;
}

const SITE = new URL("site/", SCRATCH);

async function visit(browser: Browser, chunks: readonly Chunk[]): Promise<PlaygroundReport> {
  const outside: string[] = [], problems: string[] = [], loaded = new Set<string>();
  const visited = async <Report>(
    visitor: (page: Page, url: string) => Promise<Report>,
    isolated = true,
  ): Promise<Report> => {
    const server = serveFolder(SITE, { isolated, port: 0 }), page = await browser.newPage();
    // Where other work shares the machine, half a minute is not enough.
    page.setDefaultTimeout(120_000);
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text());
    });
    page.on("request", (request) => {
      loaded.add(new URL(request.url()).pathname);
      if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(server.url)) outside.push(request.url());
    });
    const report = await visitor(page, server.url);
    await page.close();
    await server.close();
    return report;
  };
  const recall = await visited(recallVisit);
  const modules = chunks.filter(({ path }) => loaded.has(path.slice(SITE.pathname.length - 1)))
    .flatMap(({ modules }) => modules);
  const surprise = await visited(surpriseVisit), works = await visited(worksVisit);
  const compare = await visited(compareVisit);
  const training = { ...await visited(isolatedVisit), plain: await visited(plainVisit, false) };
  const gzipBytes = chunks.reduce((sum, { gzipBytes }) => sum + gzipBytes, 0);
  return { outside, problems, gzipBytes, modules, recall, surprise, works, compare, training };
}

if (import.meta.main) {
  const chunks = await buildPage(SITE);
  await endBuilds();
  const browser = await launch();
  try {
    console.log(JSON.stringify(await visit(browser, chunks)));
  } finally {
    await browser.close();
  }
}
