/** Commands of this program in processes of their own, whose output is JSON lines. */
import { RUNS } from "../run_folder.ts";

/** What a command printed. */
export interface Finished {
  /** 0 if all went well. */
  readonly code: number;
  /** The lines of its output. */
  readonly events: readonly Readonly<Record<string, unknown>>[];
  /** What it said went wrong, in one line; empty if nothing did. */
  readonly error: string;
  /** Whether somebody ended it, as Ctrl-C ends all processes of a terminal. */
  readonly isStopped?: boolean;
}

/** How a command ends that was asked to, whether or not it had begun to listen. */
const STOPPED: readonly (number | string | null)[] = [130, 143, "SIGINT", "SIGTERM"];

/** Runs a command to its end. @param signal Ends it as Ctrl-C does. */
export type RunCommand = (args: readonly string[], signal: AbortSignal) => Promise<Finished>;

/** The permissions of a command that trains, as the task `train` has them, but for the folder that it writes to. */
export const PERMISSIONS: readonly string[] = [
  "--allow-read",
  "--allow-env=NODEVICE_SELECT,CC,MESA_SHADER_CACHE_DIR,__GL_SHADER_DISK_CACHE_PATH,INIT_CWD",
  "--allow-run=cc,gcc,clang,zig",
  "--allow-ffi=runs/.native",
];

/** Runs commands of this program that write to a folder, and to that of compiled kernels. */
export function commandsIn(folder: string): RunCommand {
  const writable = `--allow-write=${RUNS},${folder.replaceAll(",", ",,")}`;
  const program = ["run", "--quiet", "--no-prompt", ...PERMISSIONS, writable, "main.ts"];
  return (args, signal) => runProgram([...program, ...args], signal);
}

const runProgram: RunCommand = async (args, signal) => {
  const child = new Deno.Command("deno", {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stop = () => child.kill(Deno.build.os === "windows" ? "SIGINT" : "SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  try {
    const { code, signal: cause, stdout, stderr } = await child.output();
    return {
      code,
      isStopped: STOPPED.includes(code) || STOPPED.includes(cause),
      events: eventsOf(new TextDecoder().decode(stdout)),
      error: lastLine(new TextDecoder().decode(stderr)),
    };
  } finally {
    signal.removeEventListener("abort", stop);
  }
};

function eventsOf(text: string): Finished["events"] {
  return text.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
}

/** The error, which comes last; without it, the last line. */
function lastLine(text: string): string {
  const lines = text.trim().split("\n");
  return (lines.findLast((line) => line.startsWith("error: ")) ?? lines.at(-1) ?? "").replace(/^error: /, "").trim();
}
