/** Which C compiler there is, and what it takes for granted about this machine. */
import { DeviceError } from "../../../core/errors.ts";
import { environment, runCommand, SYSTEM } from "./host.ts";

/** A compiler with what it is called with. */
export interface Toolchain {
  /** The command, such as `gcc`, with arguments of its own. */
  readonly command: readonly string[];
  /** How it is told to use all that this processor has. */
  readonly machine: readonly string[];
  /**
   * All macros that it defines by itself: its version and the processor's instructions among them, so that equal macros
   * mean equal code.
   */
  readonly macros: string;
}

/** Compilers that are tried, the first first. */
const COMMANDS: readonly string[] = ["cc", "gcc", "clang", "zig cc"];

/** Ways to ask for the instructions of this processor. Without any, code runs on all of its kind. */
const MACHINES: readonly (readonly string[])[] = [["-march=native"], ["-mcpu=native"], []];

/** Commands that are tried: what the environment variable CC says comes first, if it may be read. */
export function compilerCommands(): readonly string[] {
  const named = environment("CC")?.trim();
  return named ? [named, ...COMMANDS] : COMMANDS;
}

/** The words of a command; the first is the program. */
function wordsOf(command: string): string[] {
  return command.split(/\s+/).filter(Boolean);
}

/** The program of a command, for which a permission is given. */
export function programOf(command: string): string {
  return wordsOf(command)[0];
}

/**
 * Asks a compiler what it is.
 * @throws {Error} with one line that says why it cannot be used.
 */
export async function askCompiler(command: string): Promise<Toolchain> {
  const words = wordsOf(command);
  let reason = "";
  for (const machine of MACHINES) {
    const result = await start([...words, ...machine, "-dM", "-E", "-x", "c", "-"], "", { prints: true });
    if (result.success && result.stdout.includes("#define")) return { command: words, machine, macros: result.stdout };
    reason ||= firstLine(result.stderr) || "it does not print its macros";
  }
  throw new Error(`${command}: ${reason}`);
}

/** Flags of every object. */
const OBJECT_FLAGS: readonly string[] = ["-shared", "-fvisibility=hidden", "-w", "-x", "c", "-"];

/** Flags of a system's objects. */
const SYSTEM_FLAGS: readonly string[] = SYSTEM === "windows" ? [] : ["-fPIC"];

/** Libraries that objects are linked with. */
const LIBRARIES: readonly string[] = SYSTEM === "windows" ? ["-lsynchronization"] : ["-lpthread", "-lm", "-ldl"];

/**
 * Compiles a text to an object.
 * @returns What the compiler says against it; undefined if the object is there.
 * @throws {Error} with one line, if it cannot be run.
 */
export async function compileObject(
  { command, machine }: Toolchain,
  { text, flags, to, signal }: {
    readonly text: string;
    readonly flags: readonly string[];
    readonly to: string;
    readonly signal?: AbortSignal;
  },
): Promise<string | undefined> {
  const words = [...command, ...machine, ...flags, ...SYSTEM_FLAGS, ...OBJECT_FLAGS, "-o", to, ...LIBRARIES];
  const { success, stderr } = await start(words, text, { signal });
  return success ? undefined : stderr.trim() || "it says nothing";
}

async function start(...[words, input, options]: Parameters<typeof runCommand>): ReturnType<typeof runCommand> {
  try {
    return await runCommand(words, input, options);
  } catch (error) {
    const { name, message } = error as Error;
    if (name === "NotFound") throw new Error(`${words[0]}: not found`);
    if (name === "NotCapable") throw new Error(`${words[0]}: not permitted, run with --allow-run=${words[0]}`);
    throw new Error(`${words[0]}: ${firstLine(message)}`);
  }
}

/** The first line of a text that says anything. */
export function firstLine(text: string): string {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  return lines.find((line) => /error/i.test(line)) ?? lines[0] ?? "";
}

/** The error where no compiler can be used. */
export function noCompilerError(reasons: readonly string[]): DeviceError {
  return new DeviceError(
    `Cannot open the device "native": no C compiler can be used (${
      reasons.join("; ")
    }); ${installHint()}, or use the ` +
      `device "cpu", which needs none`,
    "unavailable",
  );
}

function installHint(): string {
  if (SYSTEM === "linux") return "install gcc or clang (on Debian and Ubuntu: apt-get install gcc libc6-dev)";
  if (SYSTEM === "darwin") return "install Apple's command line tools with xcode-select --install";
  return "install clang, gcc or zig";
}
