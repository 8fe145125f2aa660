/** Runs command lines, in this process or in one of their own. */
import { assert } from "@std/assert";
import { CommandError } from "../../cli/errors.ts";
import { main } from "../../main.ts";
import { FakeTerminal } from "./fake_terminal.ts";

/** A command line that ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly events: Record<string, unknown>[];
}

/** The words of a command line without quotes. */
export function wordsOf(line: string): string[] {
  return line.split(" ");
}

/** Runs a command line in this process. */
export async function runMain(...args: string[]): Promise<Ended> {
  const terminal = new FakeTerminal();
  const code = await main(args, terminal);
  const { stdout, stderr } = terminal;
  return { code, stdout, stderr, events: args.includes("--json") ? terminal.events : [] };
}

/**
 * Runs a command line with `--json` in this process.
 * @param onEvent Called with each event as soon as it is there.
 * @throws {CommandError} if it fails, with what it says.
 */
export async function eventsOf(
  args: readonly string[],
  onEvent: (event: Record<string, unknown>) => void = () => {},
): Promise<Record<string, unknown>[]> {
  const terminal = new (class extends FakeTerminal {
    override out(text: string): void {
      super.out(text);
      onEvent(JSON.parse(text));
    }
  })();
  if (await main([...args, "--json"], terminal) !== 0) throw new CommandError(terminal.stderr);
  return terminal.events;
}

/** Starts a command line in a process of its own, with the permissions of the tasks. */
export function spawnMain(args: readonly string[], env: Record<string, string> = {}): Deno.ChildProcess {
  const permissions = ["--no-prompt", "--allow-read", "--allow-write=.scratch", "--allow-env=NODEVICE_SELECT"];
  const options: Deno.CommandOptions = {
    args: ["run", ...permissions, "main.ts", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env,
  };
  return new Deno.Command("deno", options).spawn();
}

/** Reads a child's standard output until a line contains a text. */
export async function waitFor(child: Deno.ChildProcess, needle: string): Promise<void> {
  let seen = "";
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  while (!seen.includes(needle)) {
    const { value, done } = await reader.read();
    assert(!done, `the run ended before ${needle}: ${seen}`);
    seen += value;
  }
  // The rest is read and dropped, so that the child never waits for us.
  (async () => {
    while (!(await reader.read()).done);
  })().catch(() => {});
}

/** What a run measured, without its speed. */
export async function metricsOf(run: string): Promise<unknown[]> {
  const lines = (await Deno.readTextFile(`${run}/metrics.jsonl`)).trim().split("\n");
  return lines.map((line) => ({ ...JSON.parse(line), tokensPerSecond: 0 }));
}

/** A text that a model can learn a little of: deterministic, with words and line ends. */
export function someText(bytes: number): string {
  const words = ["the", "memory", "keeps", "learning", "while", "it", "reads", "and", "forgets", "slowly"];
  let text = "", state = 1;
  while (text.length < bytes) {
    state = (state * 48271) % 2147483647;
    text += words[state % words.length] + (state % 7 === 0 ? ".\n" : " ");
  }
  return text.slice(0, bytes);
}
