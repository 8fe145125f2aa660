/** Watches a process that reads inputs: what it says, how much memory it takes, and whether it goes on. */

/** A bad end of an input. */
export interface Failure {
  readonly reader: string;
  readonly seed: number;
  readonly index: number;
  readonly verdict: string;
}

/** Inputs to read. */
export interface Share {
  readonly reader: string;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
}

/** What came of them. */
export interface Watched {
  readonly failures: readonly Failure[];
  /** The most memory the process had, in bytes. */
  readonly peakRss: number;
}

// Inputs between two signs of life, and how long none may be missing.
const EVERY = 200;
const HANG_MS = 30_000;

/** How a child is started: with what it may do, and no more. */
const CHILD = [
  "run",
  "--quiet",
  "--no-check",
  "--allow-read",
  "--allow-write=.scratch",
  "--allow-env=NODEVICE_SELECT",
  "tests/fuzz_bytes/child.ts",
];

/** Reads inputs in a process of their own; after a hang or a crash, goes on behind the input that caused it. */
export async function watch(share: Share, hangMs: number = HANG_MS): Promise<Watched> {
  const failures: Failure[] = [];
  let peakRss = 0;
  for (let from = share.from; from < share.to;) {
    const first = await runChild({ ...share, from }, EVERY, hangMs);
    failures.push(...first.failures);
    peakRss = Math.max(peakRss, first.peakRss);
    if (first.lost === undefined) break;
    // Once more, one input at a time, to find which one it was.
    const again = await runChild({ ...share, from: first.lost, to: Math.min(share.to, first.lost + EVERY) }, 1, hangMs);
    peakRss = Math.max(peakRss, again.peakRss);
    const index = again.lost ?? first.lost;
    failures.push({
      ...share,
      index,
      verdict: again.lost === undefined ? `${first.why}, not again by itself` : again.why!,
    });
    from = again.lost === undefined ? first.lost + EVERY : index + 1;
  }
  return { failures, peakRss };
}

interface ChildEnd extends Watched {
  /** The last input that was begun, if the process did not come to its end. */
  readonly lost?: number;
  readonly why?: string;
}

async function runChild({ reader, seed, from, to }: Share, every: number, hangMs: number): Promise<ChildEnd> {
  const child = new Deno.Command("deno", {
    args: [...CHILD, reader, ...[seed, from, to, every].map(String)],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  })
    .spawn();
  const failures: Failure[] = [], stderr = new Response(child.stderr).text();
  let at = from, peakRss = 0, finished = false, hung = false, timer: ReturnType<typeof setTimeout> | undefined;
  const alive = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      hung = true;
      child.kill("SIGKILL");
    }, hangMs);
  };
  alive();
  for await (const line of linesOf(child.stdout)) {
    alive();
    const event = JSON.parse(line) as { at?: number; rss?: number; index?: number; verdict?: string; done?: number };
    at = event.at ?? at;
    peakRss = Math.max(peakRss, event.rss ?? 0);
    if (event.index !== undefined) failures.push({ reader, seed, index: event.index, verdict: event.verdict! });
    finished ||= event.done !== undefined;
  }
  clearTimeout(timer);
  const { code, signal } = await child.status, said = (await stderr).trim().split("\n").slice(-1)[0];
  if (finished) return { failures, peakRss };
  return {
    failures,
    peakRss,
    lost: at,
    why: hung ? `hangs for more than ${hangMs} ms` : `ends the process (${signal ?? code}): ${said}`,
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let open = "";
  for await (const piece of stream) {
    const lines = (open + decoder.decode(piece, { stream: true })).split("\n");
    open = lines.pop()!;
    yield* lines;
  }
}
