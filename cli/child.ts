/** Commands of this program in processes of their own, whose output is JSON lines. */
import { loaderVariables } from "../kernels/devices/native/host.ts";
import { RUNS } from "./run_folder.ts";

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
  /**
   * Whether its process was killed, or its machine or launcher was lost: nobody asked for that, and it said nothing.
   */
  readonly isLost?: boolean;
}

/**
 * How a command ends that is killed: by its parent's word, by a shell's or a launcher's, and by ssh's for a lost host.
 */
const LOST: readonly (number | string | null)[] = ["SIGKILL", 137, 255];

/** How a command ends that was asked to, whether or not it had begun to listen. */
const STOPPED: readonly (number | string | null)[] = [130, 143, "SIGINT", "SIGTERM"];

/** Runs a command to its end. @param signal Ends it as Ctrl-C does. */
export type RunCommand = (args: readonly string[], signal: AbortSignal) => Promise<Finished>;

/**
 * How often a command is started whose process is lost, on another machine if the launcher has one; one that runs out
 * of memory is killed each time.
 */
export const LOST_TRIES = 3;

/** Starts commands that are lost again, as long as that promises anything. */
export function persistently(run: RunCommand): RunCommand {
  return async (args, signal) => {
    for (let tries = 1;; tries++) {
      const finished = await run(args, signal);
      if (!finished.isLost || tries === LOST_TRIES || signal.aborted) return finished;
    }
  };
}

/** The permissions of a command that trains, as the task `train` has them, but for the folder that it writes to. */
export const PERMISSIONS: readonly string[] = [
  "--allow-read",
  "--allow-env=NODEVICE_SELECT,CC,MESA_SHADER_CACHE_DIR,__GL_SHADER_DISK_CACHE_PATH,INIT_CWD,OMPI_COMM_WORLD_SIZE,PMI_SIZE,SLURM_STEP_NUM_TASKS",
  "--allow-run=cc,gcc,clang,zig",
  "--allow-ffi=runs/.native",
];

/** The words that start a command elsewhere, as a flag has them. */
export const launcherWords = (words = ""): readonly string[] => words.split(/\s+/).filter(Boolean);

/**
 * Runs commands of this program that write to a folder, and to that of compiled kernels.
 * @param launcher Words before each command, such as those of srun. Default: none.
 */
export function commandsIn(folder: string, launcher: readonly string[] = []): RunCommand {
  const writable = `--allow-write=${RUNS},${folder.replaceAll(",", ",,")}`;
  const program = [...launcher, "deno", "run", "--quiet", "--no-prompt", ...PERMISSIONS, writable, "main.ts"];
  return (args, signal) => runProgram([...program, ...args], signal);
}

const runProgram: RunCommand = async ([program, ...args], signal) => {
  const child = new Deno.Command(program, {
    args,
    env: loaderVariables(),
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
      isLost: LOST.includes(code) || LOST.includes(cause),
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
