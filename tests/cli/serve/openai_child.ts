/**
 * The official client of OpenAI's API against a server: `URL TOKEN HASTY`, where HASTY is the URL of a server that gives
 * up soon. Prints what it saw as JSON.
 */
import OpenAI, { APIError } from "openai";

const [baseURL, apiKey, hastyURL] = Deno.args;
const client = new OpenAI({ baseURL: `${baseURL}/v1`, apiKey, maxRetries: 0 });

/** What an error is to the client. */
async function errorOf(action: () => Promise<unknown>): Promise<unknown> {
  try {
    await action();
    return "no error";
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    return [error.constructor.name, error.status, error.code, error.param];
  }
}

const request = { model: "run", prompt: "it keeps", max_tokens: 12, seed: 4, temperature: 0.7 };
const whole = await client.completions.create(request);
let text = "", reason: string | null = null, usage: unknown;
for await (
  const chunk of await client.completions.create({ ...request, stream: true, stream_options: { include_usage: true } })
) {
  text += chunk.choices[0]?.text ?? "";
  reason = chunk.choices[0]?.finish_reason ?? reason;
  usage = chunk.usage ?? usage;
}
const models: string[] = [];
for await (const { id } of client.models.list()) models.push(id);
const memory = await client.post("/memories", { body: { id: "ann", text: "a text " } }) as { tokens_read: number };
// Parameters of this server go along with those of OpenAI's.
const learned = await client.completions.create(
  { ...request, memory: "ann", learn: true } as typeof request,
) as unknown as {
  readonly memory: { readonly revision: number };
};
const anonymous = new OpenAI({ baseURL: `${baseURL}/v1`, apiKey: "wrong", maxRetries: 0 });
const hasty = new OpenAI({ baseURL: `${hastyURL}/v1`, apiKey, maxRetries: 0 });
console.log(JSON.stringify({
  whole: [whole.object, whole.choices[0].text, whole.choices[0].finish_reason, whole.usage],
  streamed: ["text_completion", text, reason, usage],
  models,
  model: (await client.models.retrieve("run")).owned_by,
  memory: [memory.tokens_read, learned.memory.revision],
  errors: [
    await errorOf(() => anonymous.models.list()),
    await errorOf(() => client.completions.create({ ...request, model: "other" })),
    await errorOf(() => client.completions.create({ ...request, max_tokens: 0 })),
    await errorOf(() => client.completions.create({ ...request, frequency_penalty: 1 })),
    await errorOf(async () => {
      const stream = await hasty.completions.create({ ...request, max_tokens: 4000, stream: true });
      for await (const _ of stream);
    }),
  ],
}));
