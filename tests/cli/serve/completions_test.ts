/** Completions: what is written is what `generate` writes, alone or with others, and what cannot be is refused in OpenAI's format. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { runMain } from "../run_main.ts";
import { withFolder } from "../scratch.ts";
import { send, serving, start, writeRun } from "./serving.ts";

const PATH = "/v1/completions";

Deno.test("serve: a completion is what generate writes, alone and among others", () =>
  serving(["--batch", "3"], async ({ url, folder }) => {
    const seeds = [0, 1, 2, 3, 4], prompts = seeds.map((seed) => "it keeps learning".slice(0, 3 + 2 * seed));
    const request = (seed: number) => ({ prompt: prompts[seed], max_tokens: 20, temperature: 0.8, seed });
    const texts = await Promise.all(seeds.map(async (seed) => {
      const { status, body } = await send(url + PATH, "POST", request(seed));
      assertEquals([status, body.object, body.model], [200, "text_completion", "run"]);
      const [choice] = body.choices, prompt_tokens = prompts[seed].length;
      assertEquals([choice.index, choice.finish_reason, choice.logprobs], [0, "length", null]);
      assertEquals(body.usage, { prompt_tokens, completion_tokens: 20, total_tokens: prompt_tokens + 20 });
      return choice.text as string;
    }));
    for (const seed of seeds) {
      assertEquals((await send(url + PATH, "POST", request(seed))).body.choices[0].text, texts[seed]);
    }
    const args = ["--checkpoint", `${folder}/run`, "--device", "reference", "--prompt", prompts[3]];
    const { stdout } = await runMain("generate", ...args, "--tokens", "20", "--seed", "3", "--json");
    const written = JSON.parse(stdout.trim().split("\n").at(-1)!).text as string;
    // What generate ends with may be a part of a character.
    assertEquals(texts[3], written.slice(0, texts[3].length));
    assert(written.length - texts[3].length <= 1);
  }));

Deno.test("serve: prompts, n, stop, seeds, tokens and log probabilities", () =>
  serving([], async ({ url }) => {
    const one = async (request: object) =>
      (await send(url + PATH, "POST", { max_tokens: 12, seed: 7, ...request })).body;
    const many = await one({ prompt: ["ab", "cd"], n: 2 });
    assertEquals(many.choices.map(({ index }: { index: number }) => index), [0, 1, 2, 3]);
    assertEquals(many.choices[0].text, (await one({ prompt: "ab" })).choices[0].text);
    assertEquals(many.choices[1].text, (await one({ prompt: [97, 98], seed: 8 })).choices[0].text);
    assertEquals(many.choices[3].text, (await one({ prompt: [[99, 100]], seed: 10 })).choices[0].text);
    const { text, logprobs } = (await one({ prompt: "ab", logprobs: 3 })).choices[0];
    assertEquals(text, many.choices[0].text);
    assertEquals(logprobs.tokens.length, logprobs.text_offset.length);
    logprobs.top_logprobs.forEach((top: Record<string, number>, i: number) => {
      const likeliest = Object.values(top);
      assertEquals(likeliest.length, 3);
      assert(logprobs.token_logprobs[i] <= likeliest[0] && likeliest[0] < 0);
    });
    const stop = text.slice(3, 5), stopped = (await one({ prompt: "ab", stop })).choices[0];
    assertEquals([stopped.text, stopped.finish_reason], [text.slice(0, text.indexOf(stop)), "stop"]);
    const greedy = { prompt: "", temperature: 0 };
    assertEquals((await one(greedy)).choices[0].text, (await one({ ...greedy, seed: 1 })).choices[0].text);
  }));

Deno.test("serve: what cannot be is refused with the parameter, in OpenAI's format", () =>
  serving(["--max-tokens", "50", "--max-body", "2048"], async ({ url }) => {
    const cases: readonly (readonly [request: unknown, status: number, param: string | null, code: string])[] = [
      [{ promt: "a" }, 400, "promt", "unknown_parameter"],
      [{ prompt: { a: 1 } }, 400, "prompt", "invalid_value"],
      [{ prompt: [1, 256] }, 400, "prompt", "invalid_value"],
      [{ prompt: "a", max_tokens: 51 }, 400, "max_tokens", "invalid_value"],
      [{ prompt: "a", temperature: "hot" }, 400, "temperature", "invalid_value"],
      [{ prompt: "a", stop: ["a", ""] }, 400, "stop", "invalid_value"],
      [{ prompt: "a", echo: true }, 400, "echo", "unsupported_parameter"],
      [{ prompt: "a", model: "gpt" }, 404, "model", "model_not_found"],
      [{ prompt: "a", memory: "none" }, 404, "memory", "memory_not_found"],
      [{ prompt: "a", learn: true }, 400, "learn", "invalid_value"],
      [{ prompt: "a".repeat(3000) }, 413, null, "body_too_large"],
      [{ prompt: Array(90).fill("a") }, 400, "n", "too_many_texts"],
    ];
    for (const [request, status, param, code] of cases) {
      const answer = await send(url + PATH, "POST", request), { error } = answer.body;
      assertEquals(
        [answer.status, error.param, error.code],
        [status, param, code],
        JSON.stringify(request).slice(0, 80),
      );
      assertMatch(error.message, /^\S.*\S$/);
      assertEquals(Object.keys(error), ["message", "type", "param", "code"]);
    }
    const neutral = {
      prompt: "a",
      echo: false,
      logit_bias: {},
      best_of: 1,
      presence_penalty: 0,
      suffix: null,
      user: "x",
    };
    assertEquals((await send(url + PATH, "POST", { ...neutral, max_tokens: 1 })).status, 200);
    const raw = await fetch(url + PATH, { method: "POST", body: "{", headers: { "content-type": "application/json" } });
    assertEquals([raw.status, (await raw.json()).error.code], [400, "invalid_json"]);
    for (
      const [method, path, status] of [["GET", PATH, 405], ["GET", "/v1/none", 404], [
        "PATCH",
        "/v1/memories/a",
        405,
      ]] as const
    ) {
      assertEquals((await send(url + path, method)).status, status);
    }
  }));

Deno.test("serve: a text that attention cannot hold is refused before it is begun", () =>
  withFolder(async (folder) => {
    await writeRun(`${folder}/run`, { model: "attention", maxLength: 32 });
    const { url, stop } = await start(folder);
    const { status, body } = await send(url + PATH, "POST", { prompt: "a".repeat(20), max_tokens: 20 });
    assertEquals([status, body.error.code], [400, "context_length_exceeded"]);
    assertMatch(body.error.message, /holds 32 tokens, and the request comes to 40/);
    assertEquals((await send(url + PATH, "POST", { prompt: "a".repeat(20), max_tokens: 12 })).status, 200);
    assertEquals(await stop(), 0);
  }));
