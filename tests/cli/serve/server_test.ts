/** The server around the handlers: limits, access, streams, metrics, and how it stops. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { runMain } from "../run_main.ts";
import { withFolder } from "../scratch.ts";
import { send, serving, start, writeRun } from "./serving.ts";

const LONG = { prompt: "a", max_tokens: 4000, seed: 1 };

/** The events of a stream, as they were sent. */
async function eventsOf(response: Response): Promise<string[]> {
  return (await response.text()).trim().split("\n\n").map((event) => event.replace(/^data: /, ""));
}

const JSON_TYPE = { "content-type": "application/json" };

function stream(url: string, request: object, signal?: AbortSignal): Promise<Response> {
  const headers = JSON_TYPE, body = JSON.stringify({ stream: true, ...request });
  return fetch(`${url}/v1/completions`, { method: "POST", headers, body, signal });
}

/** Waits until a figure of the metrics has a value. */
async function waitForMetric(url: string, line: string): Promise<void> {
  for (;;) {
    const { body } = await send(`${url}/metrics`, "GET");
    if (body.split("\n").includes(line)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

Deno.test("serve: a stream is the completion in pieces, and ends with the reason, the tokens and [DONE]", () =>
  serving([], async ({ url }) => {
    const request = { prompt: "it keeps", max_tokens: 15, seed: 5, n: 2, logprobs: 1 };
    const whole = (await send(`${url}/v1/completions`, "POST", request)).body;
    const events = await eventsOf(await stream(url, { ...request, stream_options: { include_usage: true } }));
    assertEquals(events.pop(), "[DONE]");
    const chunks = events.map((event) => JSON.parse(event)), last = chunks.pop();
    assertEquals([last.choices, last.usage], [[], whole.usage]);
    for (const { index, text, finish_reason, logprobs } of whole.choices) {
      const own = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.index === index);
      assertEquals(own.map((choice) => choice.text).join(""), text);
      assertEquals(own.map((choice) => choice.finish_reason).filter(Boolean), [finish_reason]);
      assertEquals(own.flatMap((choice) => choice.logprobs?.tokens ?? []), logprobs.tokens);
    }
    assertEquals(new Set(chunks.map(({ id }) => id)).size, 1);
  }));

Deno.test("serve: beyond the queue requests are refused at once, and places are free again when clients leave", () =>
  serving(["--batch", "1", "--queue", "1"], async ({ url, terminal }) => {
    const leave = new AbortController();
    const held = [await stream(url, LONG, leave.signal), await stream(url, LONG, leave.signal)];
    const refused = await send(`${url}/v1/completions`, "POST", { prompt: "a" });
    assertEquals([refused.status, refused.body.error.code], [429, "queue_full"]);
    assert(Number(refused.headers.get("retry-after")) >= 1);
    assertEquals((await send(`${url}/v1/memories`, "POST", { text: "a" })).status, 429);
    const { body } = await send(`${url}/metrics`, "GET");
    assertMatch(body, /^mneme_requests_total\{route="POST \/v1\/completions",status="429"\} 1$/m);
    leave.abort();
    for (const { body } of held) await body!.cancel().catch(() => {});
    await waitForMetric(url, "mneme_active_texts 0");
    const left = new AbortController(),
      whole = fetch(`${url}/v1/completions`, {
        method: "POST",
        headers: JSON_TYPE,
        body: JSON.stringify(LONG),
        signal: left.signal,
      });
    await waitForMetric(url, "mneme_active_texts 1");
    left.abort();
    await whole.catch(() => {});
    await waitForMetric(url, 'mneme_requests_total{route="POST /v1/completions",status="499"} 1');
    assertEquals(terminal.stderr, "", "it is no failure of the server's");
    assertEquals((await send(`${url}/v1/completions`, "POST", { prompt: "a" })).status, 200);
  }));

Deno.test("serve: what takes too long is ended with 504, in a stream with an error, and the others go on", () =>
  serving(["--timeout", "0.4"], async ({ url }) => {
    const [whole, streamed] = await Promise.all([
      send(`${url}/v1/completions`, "POST", LONG),
      stream(url, LONG).then(eventsOf),
    ]);
    assertEquals([whole.status, whole.body.error.code], [504, "timeout"]);
    assertEquals(JSON.parse(streamed.at(-1)!).error.code, "timeout");
    assertEquals((await send(`${url}/v1/completions`, "POST", { prompt: "a", max_tokens: 1 })).status, 200);
  }));

Deno.test("serve: with a token only its holders are answered; without one only this machine, and no web page", () =>
  withFolder(async (folder) => {
    await writeRun(`${folder}/run`);
    await Deno.writeTextFile(`${folder}/token`, "secret-of-the-house\n");
    const guarded = await start(folder, "--token-file", `${folder}/token`), models = `${guarded.url}/v1/models`;
    for (const headers of [{}, { authorization: "Bearer wrong" }, { authorization: "secret-of-the-house" }]) {
      const { status, body } = await send(models, "GET", undefined, headers);
      assertEquals([status, body.error.type, body.error.code], [401, "authentication_error", "invalid_api_key"]);
    }
    assertEquals((await send(`${guarded.url}/metrics`, "GET")).status, 401);
    assertEquals((await send(`${guarded.url}/healthz`, "GET")).body, { status: "ok" });
    const known = await send(models, "GET", undefined, { authorization: "Bearer secret-of-the-house" });
    assertEquals([known.status, known.body.data[0].id], [200, "run"]);
    assertEquals(await guarded.stop(), 0);
    const { url, stop } = await start(folder), { port } = new URL(url);
    // What a page sends without asking, and by a name that points to this machine.
    assertEquals((await send(`${url}/v1/memories`, "POST", {}, { "content-type": "text/plain" })).status, 415);
    assertMatch(await rawGet(Number(port), "evil.example"), /^HTTP\/1\.1 403 /);
    assertMatch(await rawGet(Number(port), `localhost:${port}`), /^HTTP\/1\.1 200 /);
    assertEquals(await stop(), 0);
  }));

/** GET /v1/models with a Host header of its own. */
async function rawGet(port: number, host: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(
    new TextEncoder().encode(`GET /v1/models HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
  );
  return await new Response(connection.readable).text();
}

Deno.test("serve: command lines that cannot be served are refused in one line", () =>
  serving([], async ({ url, folder }) => {
    const { port } = new URL(url), run = ["--checkpoint", `${folder}/run`, "--device", "reference"];
    await Deno.writeTextFile(`${folder}/short`, "short");
    const cases: readonly (readonly [args: readonly string[], message: RegExp])[] = [
      [
        ["--host", "0.0.0.0"],
        /^error: --host 0\.0\.0\.0 lets other machines in: set a token with --token-file FILE or MNEME_TOKEN, or serve on 127\.0\.0\.1\n$/,
      ],
      [["--port", "70000"], /^error: --port cannot be 70000: it must be .*65535\n$/],
      [["--token-file", `${folder}/short`], /has no token: it must have at least 16 letters.*openssl rand -hex 24\n$/],
      [
        ["--token-file", `${folder}/none`],
        /^error: cannot read --token-file .*none: give a file that holds the token\n$/,
      ],
      [
        ["--port", port, "--state", `${folder}/m`],
        /^error: port \d+ is in use by another program: give another one with --port, 0 for any\n$/,
      ],
    ];
    for (const [args, message] of cases) {
      const { code, stderr } = await runMain("serve", ...run, ...args);
      assertEquals(code, 2, stderr);
      assertMatch(stderr, message);
    }
  }));

Deno.test("serve: when it is asked to stop, what is done within the time is answered, and the rest is told", () =>
  withFolder(async (folder) => {
    await writeRun(`${folder}/run`);
    const patient = await start(folder, "--grace", "60");
    const short = stream(patient.url, { prompt: "a", max_tokens: 40 }).then(eventsOf);
    await waitForMetric(patient.url, "mneme_active_texts 1");
    const [code, events] = await Promise.all([patient.stop(), short]);
    assertEquals([code, events.at(-1)], [0, "[DONE]"]);
    const hasty = await start(folder);
    const whole = send(`${hasty.url}/v1/completions`, "POST", LONG), streamed = stream(hasty.url, LONG).then(eventsOf);
    await waitForMetric(hasty.url, "mneme_active_texts 2");
    assertEquals(await hasty.stop(), 0);
    assertEquals([(await whole).status, (await whole).headers.get("retry-after")], [503, "5"]);
    assertEquals(JSON.parse((await streamed).at(-1)!).error.code, "server_stopping");
    assertEquals(hasty.terminal.events.at(-1), { event: "stopped" });
  }));
