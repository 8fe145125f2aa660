/** `serve`: a model over HTTP, with a memory for each user. */
import { type Device, requestDevice } from "../../kernels/mod.ts";
import { Decoder, fingerprint, Model } from "../../titans/mod.ts";
import { BUILTIN_TEXT, builtinFolder } from "../builtin_models.ts";
import { findCheckpoint } from "../checkpoint_file.ts";
import { CHECKPOINT_FLAGS, DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "../common_flags.ts";
import { notedVocabulary } from "../data/vocabulary.ts";
import { CommandError, formatError, UsageError } from "../errors.ts";
import { folderOf } from "../files.ts";
import { integer, number, parseFlags, text, under, type Values } from "../flags.ts";
import type { Command } from "../help.ts";
import { listenForInterrupt } from "../interrupt.ts";
import { asCalled } from "../program.ts";
import { latestRunIfAny, RUNS } from "../run_folder.ts";
import type { Terminal } from "../terminal.ts";
import { readPaths, userPath } from "../user_path.ts";
import { Access, isLoopback, readToken } from "./access.ts";
import { Admission } from "./admission.ts";
import { Engine } from "./engine.ts";
import { MemoryStore } from "./memories.ts";
import { Metrics } from "./metrics.ts";
import { Server } from "./server.ts";
import type { Service } from "./service.ts";

/** The environment variable that may hold the token. */
const TOKEN_VARIABLE = "MNEME_TOKEN";

const FLAGS = {
  ...CHECKPOINT_FLAGS,
  state: {
    ...text("DIR", "folder of the memories"),
    unless: `\`memories\` beside the checkpoint; in \`${RUNS}\` for a model that comes with Mneme`,
  },
  name: { ...text("NAME", "what clients call the model"), unless: "the name of the run" },
  host: text("HOST", "address to listen on; beyond this machine only with a token", "127.0.0.1"),
  port: integer("port to listen on; 0 for any that is free", 8000, { min: 0, max: 65535 }),
  tokenFile: {
    ...text("FILE", "file with the token that clients must send as their API key"),
    unless: `the environment variable ${TOKEN_VARIABLE}, if it is set`,
  },
  ...under("Limits", {
    batch: integer("texts that are written at once", 8, { min: 1, max: 256 }),
    queue: integer("texts that may wait beside them; more are refused with status 429", 64, { min: 0 }),
    maxTokens: integer("tokens that a request may ask for", 4096, { min: 1 }),
    maxBody: integer("bytes that the body of a request may have", 1024 * 1024, { min: 1024 }),
    timeout: number("seconds that a request may take", 120, { min: 0, aboveMin: true }),
    grace: number("seconds that requests may go on once the server was asked to stop", 10, { min: 0 }),
  }),
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
} as const;

/** The command `serve`. */
export const serveCommand: Command = {
  summary: "serve a model over HTTP, with a memory for each user",
  description: [
    "Serves a trained model with the completions of OpenAI's API, and memories: each keeps what was read into it, and completions may start",
    "from one and learn into it. A change is on disk before it is answered. The first Ctrl-C or SIGTERM stops gracefully. The task may use",
    "127.0.0.1 only; for another address: deno run --allow-net=HOST and the other permissions of the task. See docs/serve.md.",
  ].join("\n"),
  examples: [
    ["deno task serve", "serve the newest run at http://127.0.0.1:8000/v1"],
    ["deno task serve --checkpoint runs/lmm --port 9000", "a given run at another port"],
    ["deno task serve --state runs/memories --batch 16", "memories in a folder of their own, 16 texts at once"],
    ["deno task serve --token-file runs/token", "only for clients that have the token"],
  ],
  flags: FLAGS,
  network: true,
  run: serve,
};

type ServeFlags = Values<typeof FLAGS>;

async function serve(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseFlags(args, FLAGS, "serve"), flags: ServeFlags = { ...values, ...readPaths(values) };
  const tokenFile = flags.tokenFile === undefined ? undefined : userPath(flags.tokenFile);
  const token = await readToken(tokenFile, TOKEN_VARIABLE);
  checkHost(flags, token);
  using interrupt = listenForInterrupt(terminal);
  const device = await requestDevice(deviceOptions(flags));
  try {
    await using served = await openService({ ...flags, checkpoint: await modelHere(flags, terminal) }, device);
    const report = (error: unknown): void => terminal.err(`${formatError(error, flags.verbose)}\n`);
    const { host, port } = flags,
      server = new Server(served.service, { host, port, access: new Access(token), report });
    announce(terminal, { flags, server, device, ...served, token: token !== undefined });
    const failed = served.service.engine.failed.then((error) => ({ error }));
    let failure: { readonly error: unknown } | undefined;
    while (!interrupt.requested && !failure) failure = await Promise.race([failed, delay(100)]);
    if (!flags.json) terminal.out(failure ? "" : "stopping: requests may end\n");
    await server.stop(failure ? 0 : flags.grace * 1000);
    if (failure) {
      throw new CommandError("the device failed; memories are as they were last answered", { cause: failure.error });
    }
    terminal.out(flags.json ? `${JSON.stringify({ event: "stopped" })}\n` : "stopped\n");
    return 0;
  } finally {
    device.dispose();
  }
}

/** Nobody but programs of this machine may use a server that has no token. */
function checkHost({ host, port }: ServeFlags, token: string | undefined): void {
  if (token === undefined && !isLoopback(host)) {
    throw new UsageError(
      `--host ${host} lets other machines in: set a token with --token-file FILE or ${TOKEN_VARIABLE}, or serve on 127.0.0.1`,
    );
  }
  if (Deno.permissions.querySync({ name: "net", host: `${host}:${port}` }).state !== "granted") {
    throw new UsageError(
      `this task may not use ${host}, only 127.0.0.1: run its command in deno.json yourself with --allow-net=${host}`,
    );
  }
}

interface Served extends AsyncDisposable {
  readonly service: Service;
  readonly file: string;
  readonly state: string;
}

/** The model that is asked for, or the newest run; before anything was trained, one that comes with Mneme. */
async function modelHere({ checkpoint }: ServeFlags, terminal: Terminal): Promise<string> {
  const found = checkpoint ?? await latestRunIfAny(RUNS);
  if (found === undefined) {
    terminal.err(
      asCalled(`there is no run in ${RUNS}/: ${BUILTIN_TEXT} is served; train your own with deno task train\n`),
    );
  }
  return found ?? BUILTIN_TEXT;
}

/** Loads the model and compiles what requests need, so that none waits for it. */
async function openService(flags: ServeFlags & { readonly checkpoint: string }, device: Device): Promise<Served> {
  const { checkpoint, file } = await findCheckpoint(flags.checkpoint, flags.which);
  const vocabulary = await notedVocabulary(checkpoint.notes);
  const model = new Model(checkpoint.config), params = model.layout.pack(checkpoint.state.params);
  const folder = folderOf(file), name = folder.split(/[/\\]/).at(-1) || "mneme";
  // Nothing is written beside the models that come with Mneme.
  const beside = builtinFolder(flags.checkpoint) === undefined ? folder : `${RUNS}/builtin-${name}`;
  const state = flags.state ?? (beside === "" ? "memories" : `${beside}/memories`);
  const memories = await MemoryStore.open(state, { model, weights: fingerprint(params) });
  const decoder = await Decoder.create(device, model, params), engine = await Engine.create(decoder, flags.batch);
  await warmUp(decoder);
  const service: Service = {
    name: flags.name ?? name,
    created: Math.floor(Date.now() / 1000),
    decoder,
    vocabulary,
    engine,
    memories,
    admission: new Admission({ rows: flags.batch, queue: flags.queue }),
    metrics: new Metrics(),
    limits: { maxTokens: flags.maxTokens, bodyBytes: flags.maxBody, timeoutMs: flags.timeout * 1000 },
  };
  return {
    service,
    file,
    state,
    [Symbol.asyncDispose]: async () => {
      await engine.dispose();
      memories.close();
      decoder.dispose();
    },
  };
}

/** Tokens beyond those that are read at once which compile the shorter program too. */
const SHORT_TEXT = 64;

async function warmUp(decoder: Decoder): Promise<void> {
  const { interval, maxLength } = decoder.model;
  const length = Math.min(decoder.tokensAtOnce + Math.max(interval, SHORT_TEXT), maxLength);
  (await decoder.prefill(new Int32Array(length))).state.dispose();
}

interface Announced extends Pick<Served, "service" | "file" | "state"> {
  readonly flags: ServeFlags;
  readonly server: Server;
  readonly device: Device;
  /** Whether clients must send a token. */
  readonly token: boolean;
}

function announce(
  terminal: Terminal,
  { flags, server: { url }, device, service, file, state, token }: Announced,
): void {
  const { name, memories: { count } } = service, { kind, description } = device.info;
  if (flags.json) {
    terminal.out(
      `${
        JSON.stringify({ event: "listening", url, model: name, checkpoint: file, state, memories: count, device: kind })
      }\n`,
    );
    return;
  }
  terminal.out(`serving ${name} (${file}) on ${kind}: ${description}\n`);
  terminal.out(`${count} ${count === 1 ? "memory" : "memories"} in ${state}\n`);
  terminal.out(`listening on ${url}/v1 (Ctrl-C stops)\n`);
  terminal.out(
    asCalled(
      `try: curl ${url}/v1/completions ${
        token ? "-H 'authorization: Bearer TOKEN' " : ""
      }-H 'content-type: application/json' -d '{"prompt": "The "}'\n`,
    ),
  );
}

function delay(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}
