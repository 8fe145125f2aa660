/** Where and when figures were taken. */
import { cpus } from "node:os";
import { VERSION } from "../../cli/version.ts";

/** The circumstances of a run. */
export interface Machine {
  readonly date: string;
  /** Mneme's version. */
  readonly version: string;
  /** Of the working tree; undefined outside one. Changes that are not committed do not show. */
  readonly commit?: string;
  readonly deno: string;
  readonly v8: string;
  readonly system: string;
  readonly processor?: string;
  readonly cores: number;
  /** Over 1, 5 and 15 minutes: other work than the benchmark's own shows at its beginning. */
  readonly load?: readonly number[];
}

const ROOT = new URL("../../", import.meta.url);

/** Asks the system; what is not permitted is left out. */
export function describeMachine(): Machine {
  const permitted = (kind: "cpus" | "loadavg"): boolean =>
    Deno.permissions.querySync({ name: "sys", kind }).state === "granted";
  return {
    date: new Date().toISOString(),
    version: VERSION,
    commit: commit(),
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    system: `${Deno.build.os} ${Deno.build.arch}`,
    processor: permitted("cpus") ? cpus()[0]?.model : undefined,
    cores: navigator.hardwareConcurrency,
    load: permitted("loadavg") ? Deno.loadavg() : undefined,
  };
}

/** The commit that is checked out, read from the repository's files. */
function commit(): string | undefined {
  const read = (path: string): string | undefined => {
    try {
      return Deno.readTextFileSync(new URL(`.git/${path}`, ROOT)).trim();
    } catch {
      return undefined;
    }
  };
  const head = read("HEAD"), reference = head?.startsWith("ref: ") ? head.slice(5) : undefined;
  if (!reference) return head;
  return read(reference) ??
    read("packed-refs")?.split("\n").find((line) => line.endsWith(` ${reference}`))?.split(" ")[0];
}

/** The circumstances in a line. */
export function machineLine({ version, commit, deno, system, processor, cores, load }: Machine): string {
  const parts = [
    `mneme ${version}${commit ? ` (${commit.slice(0, 7)})` : ""}`,
    `Deno ${deno}`,
    system,
    `${cores} x ${processor ?? "processor"}`,
    ...(load ? [`load ${load.map((value) => value.toFixed(2)).join(" ")}`] : []),
  ];
  return parts.join(", ");
}
