/** The official client of OpenAI's API understands the server: answers, streams and errors. */
import { assert, assertEquals } from "@std/assert";
import { withFolder } from "../scratch.ts";
import { start, writeRun } from "./serving.ts";

const TOKEN = "a-token-of-some-length";

Deno.test("serve: the official OpenAI client completes, streams, lists models and raises errors", () =>
  withFolder(async (folder) => {
    await writeRun(`${folder}/run`);
    await Deno.writeTextFile(`${folder}/token`, TOKEN);
    const { url, stop } = await start(folder, "--token-file", `${folder}/token`);
    const hasty = await start(folder, "--state", `${folder}/none`, "--timeout", "0.3");
    const script = new URL("openai_child.ts", import.meta.url).pathname;
    const args = [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-check",
      "--allow-env",
      "--allow-net=127.0.0.1",
      script,
      url,
      TOKEN,
      hasty.url,
    ];
    const { success, stdout, stderr } = await new Deno.Command("deno", { args }).output();
    assert(success, new TextDecoder().decode(stderr));
    const seen = JSON.parse(new TextDecoder().decode(stdout));
    assertEquals(seen.whole[2], "length");
    assertEquals(seen.streamed, seen.whole);
    assertEquals([seen.models, seen.model], [["run"], "mneme"]);
    assertEquals(seen.memory, ["a text ".length, 2]);
    assertEquals(seen.errors.slice(0, 4), [
      ["AuthenticationError", 401, "invalid_api_key", null],
      ["NotFoundError", 404, "model_not_found", "model"],
      ["BadRequestError", 400, "invalid_value", "max_tokens"],
      ["BadRequestError", 400, "unsupported_parameter", "frequency_penalty"],
    ]);
    assertEquals(seen.errors[4].slice(0, 1).concat(seen.errors[4][2]), ["APIError", "timeout"]);
    assertEquals([await stop(), await hasty.stop()], [0, 0]);
  }));
