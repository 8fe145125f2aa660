/**
 * Kills a server while texts are read into its memories, starts it again, and compares: every acknowledged change must be
 * there, and every memory must be, bit for bit, that of somebody who has read the same texts without being killed.
 */
import { fingerprint } from "../../../titans/mod.ts";
import { decodeSafetensors } from "../../../titans/models/safetensors.ts";
import { download, send, serveArgs } from "./serving.ts";
import { wordsOf } from "../run_main.ts";

/** A server in a process of its own. */
export interface Process {
  readonly url: string;
  readonly child: Deno.ChildProcess;
}

/** Serves a run in a process of its own, with the permissions of the task. */
export async function spawnServer(run: string, ...more: string[]): Promise<Process> {
  const permissions = wordsOf(
    "--no-prompt --no-check --allow-net=127.0.0.1 --allow-read --allow-write=.scratch --allow-env=NODEVICE_SELECT",
  );
  const child = new Deno.Command("deno", {
    args: ["run", "--quiet", ...permissions, "main.ts", ...serveArgs(run, ...more)],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  while (!seen.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the server ended at once: ${seen}`);
    seen += value;
  }
  (async () => {
    while (!(await reader.read()).done);
  })().catch(() => {});
  return { url: JSON.parse(seen.split("\n")[0]).url, child };
}

/** What {@link killCampaign} does. */
export interface KillOptions {
  /** A run folder. */
  readonly run: string;
  readonly kills: number;
  /** Memories that are read into at the same time. */
  readonly memories: number;
  /** How many changes are acknowledged at most between a start and a kill, which comes within a moment then. */
  readonly mostChanges: number;
  /** Further flags of the server. */
  readonly flags?: readonly string[];
  readonly progress?: (kills: number) => void;
}

/** What was found. */
export interface KillReport {
  readonly acknowledged: number;
  /** Changes that were stored, but killed before they were acknowledged. */
  readonly unacknowledged: number;
  /** What was lost or wrong, in words. */
  readonly failures: readonly string[];
}

/** A change is about this long on its way. */
const MOMENT_MS = 100;

/** The text that makes revision `revision` of a memory. */
function textOf(memory: number, revision: number): string {
  return `${memory} reads ${revision} ${"on and on ".repeat(revision % 5)}`;
}

/** Kills a server again and again. */
export async function killCampaign(
  { run, kills, memories, mostChanges, flags = [], progress }: KillOptions,
): Promise<KillReport> {
  const acknowledged: number[] = Array(memories).fill(0), failures: string[] = [];
  let unacknowledged = 0, total = 0;
  for (let kill = 0; kill < kills; kill++) {
    const { url, child } = await spawnServer(run, ...flags);
    const stored = await Promise.all(acknowledged.map((_, m) => revisionOf(url, m)));
    stored.forEach((revision, m) => {
      if (revision < acknowledged[m]) {
        failures.push(`memory m${m}: revision ${acknowledged[m]} was acknowledged, ${revision} is there`);
      }
      unacknowledged += revision - acknowledged[m];
      acknowledged[m] = revision;
    });
    let alive = true, left = 1 + Math.floor(Math.random() * mostChanges);
    const enough = Promise.withResolvers<void>();
    const load = acknowledged.map(async (_, m) => {
      while (alive) {
        const revision = acknowledged[m] + 1, text = textOf(m, revision);
        const answer = revision === 1
          ? await send(`${url}/v1/memories`, "POST", { id: `m${m}`, text }).catch(() => undefined)
          : await send(`${url}/v1/memories/m${m}/read`, "POST", { text }).catch(() => undefined);
        if (!answer) return;
        // A server that waited too long for the machine refuses: that acknowledges nothing.
        if (answer.status >= 500) {
          const stored = await revisionOf(url, m).catch(() => acknowledged[m]);
          unacknowledged += stored - acknowledged[m];
          acknowledged[m] = stored;
          continue;
        }
        if (answer.body.revision !== revision) {
          failures.push(`memory m${m}: ${JSON.stringify(answer.body)} for revision ${revision}`);
        }
        acknowledged[m] = revision;
        total++;
        if (--left === 0) enough.resolve();
      }
    });
    await enough.promise;
    await new Promise((resolve) => setTimeout(resolve, Math.random() * MOMENT_MS));
    child.kill("SIGKILL");
    await child.status;
    alive = false;
    await Promise.all(load);
    progress?.(kill + 1);
  }
  const { url, child } = await spawnServer(run, ...flags);
  for (let m = 0; m < memories; m++) {
    const revision = await revisionOf(url, m);
    if (revision < acknowledged[m]) {
      failures.push(`memory m${m}: revision ${acknowledged[m]} was acknowledged, ${revision} is there`);
    }
    if (revision === 0) continue;
    await send(`${url}/v1/memories`, "POST", { id: "control", text: textOf(m, 1) });
    for (let next = 2; next <= revision; next++) {
      await send(`${url}/v1/memories/control/read`, "POST", { text: textOf(m, next) });
    }
    const [own, control] = [arraysOf(await download(url, `m${m}`)), arraysOf(await download(url, "control"))];
    if (own !== control) failures.push(`memory m${m} of revision ${revision} is not what ${revision} texts make`);
    await send(`${url}/v1/memories/control`, "DELETE");
  }
  child.kill("SIGTERM");
  const { code } = await child.status;
  if (code !== 0) failures.push(`the server stopped with ${code}`);
  return { acknowledged: total, unacknowledged, failures };
}

async function revisionOf(url: string, memory: number): Promise<number> {
  const { status, body } = await send(`${url}/v1/memories/m${memory}`, "GET", undefined, {
    accept: "application/json",
  });
  return status === 404 ? 0 : body.revision;
}

/** The names, shapes and bits of all arrays. */
function arraysOf(file: Uint8Array): string {
  const { tensors } = decodeSafetensors(file);
  return JSON.stringify(
    Object.entries(tensors).map(([name, { shape, data }]) => [name, shape, fingerprint(data as Float32Array)]).sort(),
  );
}
