/** The arithmetic peak of the CPU, by a loop of multiply-adds in C (fma.c): what products are measured against. */
import { askCompiler, compilerCommands } from "../../../kernels/devices/native/toolchain.ts";

/** Multiply-adds in registers, compiled for this machine. */
export interface Peak {
  /** GFLOP/s at this moment, over all threads. */
  measure(): Promise<number>;
}

const SOURCE = decodeURIComponent(new URL("fma.c", import.meta.url).pathname);
const FLAGS = ["-O2", "-ffp-contract=fast", "-pthread"];

/** Milliseconds of a measurement. */
const MEASURE_MS = 20;

/**
 * Compiles the loop.
 * @param path Where the program is written.
 * @param threads Threads that compute.
 * @returns undefined if no C compiler is found.
 */
export async function openPeak(path: string, threads = navigator.hardwareConcurrency): Promise<Peak | undefined> {
  const folder = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  if (folder) Deno.mkdirSync(folder, { recursive: true });
  for (const name of compilerCommands()) {
    if (!await compile(name, path)) continue;
    const program = Deno.realPathSync(path);
    return {
      measure: async () => {
        const { stdout } = await new Deno.Command(program, { args: [`${threads}`, `${MEASURE_MS}`] }).output();
        return Number(new TextDecoder().decode(stdout));
      },
    };
  }
  return undefined;
}

/** Whether a compiler is found and compiles the loop. */
async function compile(name: string, path: string): Promise<boolean> {
  try {
    const { command: [command, ...words], machine } = await askCompiler(name);
    const args = [...words, ...machine, ...FLAGS, SOURCE, "-o", path];
    return (await new Deno.Command(command, { args, stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}
