/**
 * How a contestant in a process of its own is spoken to: one request a line on its standard input, one answer a line on
 * its standard output, both JSON.
 *
 *     {"ask":"open"}                               {"answer":{"description":"jax-js 0.1.25, wasm","jobs":["matmul 512"]}}
 *     {"ask":"prepare","job":"matmul 512"}         {"answer":{"firstMs":81.2,"check":9216430.5}}
 *     {"ask":"run","turnMs":10}                    {"answer":[{"ms":6.1,"cpuMs":11.8},{"ms":5.9,"cpuMs":11.7}]}
 *     {"ask":"memory"}                             {"answer":{"rssBytes":81788928}}
 *     {"ask":"close"}                              {"answer":{}}                                      and the process ends
 *
 * A request that fails is answered by {"error":"one line"}; the process goes on. It also ends when its standard input
 * does.
 */
import process from "node:process";
import type { Contestant, JobName, Prepared, RunTime } from "../contestant.ts";
import { JOBS } from "../jobs.ts";

/** What a process is asked. */
export type Request =
  | { readonly ask: "open" }
  | { readonly ask: "prepare"; readonly job: JobName }
  | { readonly ask: "run"; readonly turnMs: number }
  | { readonly ask: "memory" }
  | { readonly ask: "close" };

/** The kinds of requests. */
export type Ask = Request["ask"];

/** What each kind of request is answered by. */
export interface Answers {
  /** Once the library is loaded and its device open. */
  readonly open: { readonly description: string; readonly jobs: readonly JobName[] };
  readonly prepare: Prepared;
  readonly run: readonly RunTime[];
  readonly memory: { readonly rssBytes?: number; readonly deviceBytes?: number };
  readonly close: Readonly<Record<never, never>>;
}

/** A line of a process. */
export type Reply<A extends Ask> = { readonly answer: Answers[A] } | { readonly error: string };

/** What a process serves: a contestant without what the process itself knows. */
export interface Served extends Pick<Contestant, "description" | "knows" | "prepare" | "memory"> {
  /** Milliseconds of one run of the prepared job. */
  run(): Promise<number>;
}

/** The first line of what went wrong. */
export function lineOf(error: unknown): string {
  const text = error instanceof Error
    ? `${error.name === "Error" ? "" : `${error.name}: `}${error.message}`
    : String(error);
  return text.split("\n").find((line) => line.trim() !== "")?.trim() ?? "failed without a message";
}

/** A stream of text as lines, without their ends; what follows the last end counts if it is not empty. */
export async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}

/**
 * The largest resident set of this process so far, in bytes; undefined where it cannot be read: Deno gives /proc to
 * `--allow-all` only. `getrusage` needs no permission, but the peak of the process that started this one counts in its
 * `maxRSS`.
 */
export function peakRssBytes(): number | undefined {
  try {
    const kilobytes = /VmHWM:\s+(\d+) kB/.exec(Deno.readTextFileSync("/proc/self/status"))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}

/**
 * The whole life of a contestant's process: answers requests until it is asked to close or its standard input ends,
 * then ends the process. What libraries print goes to standard error, so that it cannot be taken for an answer.
 * @param open Loads the library and opens its device; called at the first request.
 */
export async function serve(open: () => Promise<Served>): Promise<never> {
  console.log = console.info = console.debug = console.error;
  let served: Served | undefined;
  for await (const line of linesOf(Deno.stdin.readable)) {
    const request = JSON.parse(line) as Request;
    let reply: Reply<Ask>;
    try {
      reply = { answer: request.ask === "close" ? {} : await answer(served ??= await open(), request) };
    } catch (error) {
      reply = { error: lineOf(error) };
    }
    writeLine(JSON.stringify(reply));
    if (request.ask === "close") break;
  }
  Deno.exit(0);
}

async function answer(served: Served, request: Exclude<Request, { readonly ask: "close" }>): Promise<Answers[Ask]> {
  switch (request.ask) {
    case "open":
      return {
        description: served.description,
        jobs: JOBS.map(({ name }) => name).filter((name) => served.knows(name)),
      };
    case "prepare": {
      const prepared = await served.prepare(request.job);
      // JSON has no NaN: it would arrive as null and pass for a contestant that checks nothing.
      if (prepared.check !== undefined && !Number.isFinite(prepared.check)) {
        throw new Error(`the result of ${request.job} is ${prepared.check}`);
      }
      return prepared;
    }
    case "run":
      return await timeRuns(served, request.turnMs);
    case "memory":
      return await served.memory();
  }
}

async function timeRuns(served: Served, turnMs: number): Promise<RunTime[]> {
  const runs: RunTime[] = [], started = performance.now();
  do {
    const before = process.cpuUsage(), ms = await served.run(), { user, system } = process.cpuUsage(before);
    runs.push({ ms, cpuMs: (user + system) / 1000 });
  } while (performance.now() - started < turnMs);
  return runs;
}

function writeLine(line: string): void {
  const bytes = new TextEncoder().encode(`${line}\n`);
  for (let written = 0; written < bytes.length;) written += Deno.stdout.writeSync(bytes.subarray(written));
}
