/** A tiny model that is served in this process, or in one of its own. */
import { defineConfig, encodeCheckpoint, Model, type ModelConfig } from "../../../titans/mod.ts";
import { main } from "../../../main.ts";
import { TINY } from "../../titans/builders.ts";
import { FakeTerminal } from "../fake_terminal.ts";
import { withFolder } from "../scratch.ts";

/** A server of a test. */
export interface Serving {
  readonly folder: string;
  /** Such as `http://127.0.0.1:40000`. */
  readonly url: string;
  readonly terminal: FakeTerminal;
  /** Asks it to stop, and waits for its exit code. */
  stop(): Promise<number>;
}

/** Writes a run whose model knows nothing. */
export async function writeRun(folder: string, options: Partial<ModelConfig> = {}): Promise<void> {
  const config = defineConfig({ ...TINY, model: "mac", vocabulary: 256, width: 16, blocks: 1, ...options });
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(
    `${folder}/checkpoint.safetensors`,
    encodeCheckpoint({
      config,
      seed: 1,
      state: { step: 0, params: new Model(config).initialize(1), optimizer: { slots: {}, step: 0 } } as never,
    }),
  );
}

/** The command line of a server, on the device that compiles nothing. */
export function serveArgs(run: string, ...more: string[]): string[] {
  const fallbacks = { "--device": "reference", "--port": "0", "--grace": "0" };
  const others = Object.entries(fallbacks).filter(([flag]) => !more.includes(flag)).flat();
  return ["serve", "--checkpoint", run, "--json", ...others, ...more];
}

/** Serves a run. */
export async function start(folder: string, ...more: string[]): Promise<Serving> {
  const terminal = new FakeTerminal(), ended = main(serveArgs(`${folder}/run`, ...more), terminal);
  let code: number | undefined;
  ended.then((value) => code = value);
  while (!terminal.stdout.includes("\n")) {
    if (code !== undefined) throw new Error(`serve ended with ${code}: ${terminal.stderr}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const stop = (): Promise<number> => {
    terminal.closed = true;
    return ended;
  };
  return { folder, url: terminal.events[0].url as string, terminal, stop };
}

/** Runs a test with a server. */
export async function serving(more: readonly string[], test: (serving: Serving) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    await writeRun(`${folder}/run`);
    const served = await start(folder, ...more);
    try {
      await test(served);
    } finally {
      await served.stop();
    }
  });
}

/** An answer with its body as JSON. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  // deno-lint-ignore no-explicit-any -- tests say what they expect
  readonly body: any;
}

/** Sends JSON, or bytes with PUT. */
export async function send(url: string, method: string, body?: unknown, headers = {}): Promise<Answered> {
  const init = body instanceof Uint8Array
    ? { body: body as Uint8Array<ArrayBuffer>, headers }
    : { body: body === undefined ? undefined : JSON.stringify(body), headers: { ...JSON_TYPE, ...headers } };
  const response = await fetch(url, { method, ...init });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: /^[[{]/.test(text) ? JSON.parse(text) : text };
}

const JSON_TYPE = { "content-type": "application/json" };

/** The bytes of a memory's file. */
export async function download(url: string, id: string): Promise<Uint8Array> {
  const response = await fetch(`${url}/v1/memories/${id}`);
  return new Uint8Array(await response.arrayBuffer());
}
