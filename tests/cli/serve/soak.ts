/**
 * A server under load: killed and started again, and with many sessions at once: `deno task soak:serve --help`.
 *
 * A session is a memory. It completes from it and learns into it, again and again; each connection of the load tool
 * (autocannon) has sessions of its own, so that changes of one memory do not wait for each other.
 */
import autocannon from "autocannon";
import { UsageError } from "../../../cli/errors.ts";
import { integer, text, type Values } from "../../../cli/flags.ts";
import { runTool } from "../../tool.ts";
import { killCampaign, type Process, spawnServer } from "./killing.ts";
import { send, writeRun } from "./serving.ts";

const FLAGS = {
  kills: integer("how often a server is killed", 20, { min: 0 }),
  sessions: integer("memories of the load", 1000, { min: 0 }),
  seconds: integer("how long the load lasts", 60, { min: 1 }),
  connections: integer("connections of the load tool", 32, { min: 1 }),
  tokens: integer("tokens of each completion", 16, { min: 1 }),
  device: text("NAME", "device of the server", "cpu"),
  run: { ...text("DIR", "run folder of the model"), unless: "an untrained LMM of width 64" },
} as const;

/** Latencies in milliseconds, as autocannon gives them. */
interface Distribution {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

interface LoadResult {
  readonly latency: Distribution;
  readonly requests: { readonly total: number };
  readonly duration: number;
  readonly errors: number;
  readonly timeouts: number;
  readonly "2xx": number;
  readonly non2xx: number;
}

interface LoadOptions {
  readonly sessions: number;
  readonly connections: number;
  readonly seconds: number;
  readonly tokens: number;
}

/** Makes a memory for each session. */
async function makeSessions({ url }: Process, { sessions, connections }: LoadOptions): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: Math.min(connections, 32) }, async () => {
    while (next < sessions) {
      const id = `s${next++}`,
        { status } = await send(`${url}/v1/memories`, "POST", { id, text: `I am session ${id}. ` });
      if (status !== 201) throw new Error(`no memory ${id}: status ${status}`);
    }
  }));
}

/** Lets all sessions write and learn for some time. */
async function load({ url }: Process, { sessions, connections, seconds, tokens }: LoadOptions): Promise<LoadResult> {
  let client = 0;
  const bodyOf = (session: number): string =>
    JSON.stringify({ memory: `s${session}`, learn: true, prompt: "And then? ", max_tokens: tokens, seed: session });
  return await autocannon({
    url: `${url}/v1/completions`,
    connections,
    duration: seconds,
    timeout: 120,
    setupClient: (connection: { setRequests(requests: unknown[]): void }) => {
      const first = client++, own: unknown[] = [];
      for (let session = first; session < sessions; session += connections) {
        own.push({ method: "POST", headers: { "content-type": "application/json" }, body: bodyOf(session) });
      }
      connection.setRequests(own);
    },
  }) as LoadResult;
}

/** The server's resident memory in MiB. */
async function residentOf({ url }: Process): Promise<number> {
  const { body } = await send(`${url}/metrics`, "GET");
  return Math.round(Number(/^process_resident_memory_bytes (\d+)$/m.exec(body)![1]) / 2 ** 20);
}

async function loadRun(run: string, options: LoadOptions, flags: readonly string[]): Promise<boolean> {
  const server = await spawnServer(run, ...flags, "--queue", String(2 * options.connections));
  let began = performance.now();
  await makeSessions(server, options);
  console.log(
    `${options.sessions} memories made in ${((performance.now() - began) / 1000).toFixed(1)} s, RSS ${await residentOf(
      server,
    )} MiB`,
  );
  const resident: number[] = [];
  const timer = setInterval(
    () => residentOf(server).then((mib) => resident.push(mib), () => {}),
    options.seconds * 100,
  );
  began = performance.now();
  const result = await load(server, options), seconds = (performance.now() - began) / 1000;
  clearInterval(timer);
  const { latency: { p50, p90, p99, max }, errors, timeouts, non2xx } = result, answered = result["2xx"];
  console.log(
    `${answered} completions of ${options.tokens} tokens in ${
      seconds.toFixed(1)
    } s over ${options.connections} connections:`,
  );
  console.log(
    `  ${(answered / seconds).toFixed(1)} requests/s, ${
      (answered * options.tokens / seconds).toFixed(0)
    } tokens/s written`,
  );
  console.log(`  latency ms: p50 ${p50}, p90 ${p90}, p99 ${p99}, max ${max}`);
  console.log(`  errors ${errors}, timeouts ${timeouts}, other statuses ${non2xx}`);
  console.log(`  RSS MiB by time: ${resident.join(", ")}`);
  server.child.kill("SIGTERM");
  const { code } = await server.child.status;
  console.log(`  stopped with ${code}`);
  return errors + timeouts + non2xx === 0 && code === 0;
}

async function soak({ kills, device, run: given, ...options }: Values<typeof FLAGS>): Promise<number> {
  if (options.sessions > 0 && options.connections > options.sessions) {
    throw new UsageError("--connections cannot exceed --sessions: each has sessions of its own");
  }
  await Deno.mkdir(".scratch", { recursive: true });
  const folder = await Deno.makeTempDir({ dir: ".scratch", prefix: "serve-" }), run = given ?? `${folder}/run`;
  if (given === undefined) await writeRun(run, { model: "lmm", width: 64, heads: 4, blocks: 2, mlpHidden: 128 });
  let isFine = true;
  if (kills > 0) {
    const progress = (done: number): void => console.log(`${done}/${kills} kills`);
    const flags = ["--device", device, "--state", `${folder}/killed`];
    const report = await killCampaign({ run, kills, memories: 8, mostChanges: 40, flags, progress });
    const { acknowledged, unacknowledged, failures } = report;
    console.log(`${kills} kills: ${acknowledged} changes acknowledged, ${unacknowledged} stored and not acknowledged`);
    console.log([`lost or different: ${failures.length}`, ...failures.map((failure) => `  ${failure}`)].join("\n"));
    isFine = failures.length === 0;
  }
  if (options.sessions > 0) {
    isFine = await loadRun(run, options, ["--device", device, "--state", `${folder}/sessions`]) && isFine;
  }
  await Deno.remove(folder, { recursive: true });
  return isFine ? 0 : 1;
}

if (import.meta.main) {
  await runTool({
    task: "soak:serve",
    about:
      `Kills a server under load and compares its memories, then loads many sessions at once and prints latencies and
resident memory.`,
    flags: FLAGS,
    run: soak,
  });
}
