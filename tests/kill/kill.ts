/** A command line in a process of its own, and how it is brought to an end. */
import type { Random } from "./random.ts";

/**
 * How a process is brought to an end. A loss of power is a SIGKILL after which the folder also loses what was not on
 * the disk for certain.
 */
export type Kind = "SIGKILL" | "SIGTERM" | "SIGINT" | "power loss" | "full disk";

/** An object of `--json`. */
export type Event = Readonly<Record<string, unknown>>;

/** A process that ended. */
export interface Ended {
  /** What was done to it; undefined where it came to its own end first. */
  readonly kind: Kind | undefined;
  readonly code: number;
  readonly events: readonly Event[];
  readonly stderr: string;
}

/** When, after the start and after the first sign of work, a process is brought to an end. */
export interface Moment {
  readonly kind: Kind;
  /** Milliseconds after the start, or after the first event that counts as work. */
  readonly after: number;
  /** What to wait for; undefined for the start. */
  readonly work?: string;
  /** Bytes that a file may have from then on, of a full disk. */
  readonly room: number;
}

/** Milliseconds that processes took to come to work, so far. */
export interface Pace {
  startMs: number;
}

const PERMISSIONS = [
  "--no-prompt",
  "--no-check",
  "--allow-read",
  "--allow-write=.scratch",
  "--allow-net=127.0.0.1",
  "--allow-env=NODEVICE_SELECT",
];

/**
 * Whether disks can be filled here: as a limit to the size of files, which is set while the process runs and fails its
 * writes as a full disk does.
 */
export async function canFillDisks(): Promise<boolean> {
  for (const command of ["sh", "prlimit"] as const) {
    if ((await Deno.permissions.query({ name: "run", command })).state !== "granted") return false;
  }
  return await new Deno.Command("prlimit", { args: ["--version"], stdout: "null", stderr: "null" }).output().then(
    ({ success }) => success,
    () => false,
  );
}

function spawn(args: readonly string[], kind?: Kind): Deno.ChildProcess {
  const words = ["run", ...PERMISSIONS, "main.ts", ...args];
  const options: Deno.CommandOptions = {
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NODEVICE_SELECT: "1" },
  };
  // Who exceeds the limit gets a signal, unless it is ignored: then the write fails.
  if (kind === "full disk") {
    return new Deno.Command("sh", { ...options, args: ["-c", 'trap "" XFSZ; exec deno "$@"', "sh", ...words] }).spawn();
  }
  return new Deno.Command("deno", { ...options, args: words }).spawn();
}

/**
 * Runs a command line, and ends it at a moment.
 * @param moment Undefined to let it come to its own end.
 */
export async function runAndEnd(args: readonly string[], moment: Moment | undefined, pace: Pace): Promise<Ended> {
  const child = spawn(args, moment?.kind), began = performance.now(), events: Event[] = [];
  let timer: number | undefined, kind: Kind | undefined, ended = false;
  const end = async (): Promise<void> => {
    if (ended) return;
    kind = moment!.kind;
    try {
      if (kind === "full disk") {
        await new Deno.Command("prlimit", {
          args: ["--pid", String(child.pid), `--fsize=${moment!.room}:${moment!.room}`],
        }).output();
      } else child.kill(kind === "power loss" ? "SIGKILL" : kind);
    } catch {
      // It was over a moment ago.
      kind = undefined;
    }
  };
  const wait = (): void => {
    timer = setTimeout(end, moment!.after) as unknown as number;
  };
  if (moment && moment.work === undefined) wait();
  const hear = (line: string): void => {
    const event = JSON.parse(line) as Event;
    events.push(event);
    if (event.event !== moment?.work || timer !== undefined) return;
    pace.startMs = 0.8 * pace.startMs + 0.2 * (performance.now() - began);
    wait();
  };
  const [errors, { code }] = await Promise.all([
    new Response(child.stderr).text(),
    child.status,
    lines(child.stdout, hear),
  ]);
  ended = true;
  clearTimeout(timer);
  // What was read of a text is said too, and on a busy machine that a signal was heard within a step.
  const stderr = errors.replace(/^read .*\n/gm, "").replace(/^\nstopping after this step;.*\n/m, "");
  return { kind: moment && isEndOf(kind, code) ? kind : undefined, code, events, stderr };
}

/** Whether a process ended by what was done to it: one may be done, or have failed, before that counts. */
function isEndOf(kind: Kind | undefined, code: number): boolean {
  return kind !== undefined && code !== 0;
}

/** Hears whole lines; one that was cut short by a kill is dropped. */
async function lines(stream: ReadableStream<Uint8Array<ArrayBuffer>>, hear: (line: string) => void): Promise<void> {
  let open = "";
  for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (open + piece).split("\n");
    open = parts.pop()!;
    parts.forEach(hear);
  }
}

/** Takes from a file behind a place what a loss of power may take: its end, or what stands there. */
export async function loseEnd(path: string, from: number, random: Random): Promise<void> {
  const bytes = await Deno.readFile(path).catch(() => undefined);
  if (bytes === undefined || bytes.length <= from) return;
  const at = from + random.integer(bytes.length - from + 1);
  if (random.chance(0.5)) await Deno.truncate(path, at);
  else await Deno.writeFile(path, bytes.fill(0, at));
}

/** Names in a folder, and below it. */
export async function namesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (isDirectory) names.push(...(await namesIn(`${folder}/${name}`)).map((inner) => `${name}/${inner}`));
      else names.push(name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort();
}
