/** `POST /v1/completions`: continues texts, also from a memory, which learns them if the request says so. */
import type { DecodeState } from "../../titans/mod.ts";
import { asApiError } from "./api_error.ts";
import { readObject } from "./body.ts";
import { type CompletionRequest, parseCompletion, type Prompt } from "./completion_request.ts";
import { EventStream } from "./event_stream.ts";
import type { MemoryFacts } from "./memories.ts";
import { describeMemory } from "./memory_routes.ts";
import { type Answer, type Call, checkRoom, type Service, withState } from "./service.ts";
import { joinLogprobs, type Piece, TextWriter } from "./text_writer.ts";

/** Answers a request. */
export async function complete(service: Service, { request, signal, leave }: Call): Promise<Answer> {
  const { name: model, vocabulary, limits, memories, admission } = service;
  const given = await readObject(request, { bytes: limits.bodyBytes, signal });
  const parsed = parseCompletion(given, { model, vocabulary, maxTokens: limits.maxTokens });
  const { prompts, maxTokens, memory, n } = parsed;
  const before = memory === undefined ? 0 : memories.facts(memory).tokensRead;
  for (const { tokens } of prompts) checkRoom(service, before, tokens.length + maxTokens);
  const place = admission.enter(prompts.length * n), completion = new Completion(service, parsed);
  if (parsed.stream) return streamed(completion, { place, signal, leave });
  using _ = place;
  return { response: Response.json(await completion.whole(signal)) };
}

function streamed(
  completion: Completion,
  { place, signal, leave }: Pick<Call, "signal" | "leave"> & { readonly place: Disposable },
): Answer {
  const events = new EventStream(leave);
  const run = async (): Promise<void> => {
    using _ = place;
    try {
      await completion.stream(events, signal);
      events.send("[DONE]");
    } catch (error) {
      events.send(asApiError(error));
    } finally {
      events.close();
    }
  };
  const headers = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" };
  return { response: new Response(events.body, { headers }), ended: run() };
}

/** What writing gives receivers. */
interface Receiver {
  readonly emit?: (piece: Piece, index: number) => void;
  readonly full?: () => Promise<void> | undefined;
}

interface Choice {
  readonly writer: TextWriter;
  readonly pieces: readonly Piece[];
}

interface Written {
  /** In the order of prompts, and of the texts of each. */
  readonly choices: readonly Choice[];
  /** The memory after it has learned. */
  readonly learned: MemoryFacts | undefined;
}

/** One request while it is answered. */
class Completion {
  readonly #service: Service;
  readonly #request: CompletionRequest;
  readonly #head: Readonly<Record<string, unknown>>;

  constructor(service: Service, request: CompletionRequest) {
    this.#service = service;
    this.#request = request;
    this.#head = {
      id: `cmpl-${crypto.randomUUID().replaceAll("-", "")}`,
      object: "text_completion",
      created: Math.floor(Date.now() / 1000),
      model: service.name,
    };
  }

  /** Writes everything. @returns The body of the answer. */
  async whole(signal: AbortSignal): Promise<unknown> {
    const written = await this.#write({}, signal);
    return {
      ...this.#head,
      choices: written.choices.map(({ writer, pieces }, index) => ({
        text: pieces.map(({ text }) => text).join(""),
        index,
        logprobs: this.#request.logprobs === undefined
          ? null
          : joinLogprobs(pieces.flatMap(({ logprobs }) => logprobs ?? [])),
        finish_reason: writer.reason,
      })),
      usage: this.#usage(written),
      ...shownMemory(written),
    };
  }

  /** Writes everything as events. The last event of a choice says why it ended and comes after the memory is stored. */
  async stream(events: EventStream, signal: AbortSignal): Promise<void> {
    const chunk = (choices: unknown[], more: object = {}): void =>
      events.send({ ...this.#head, choices, ...(this.#request.includeUsage ? { usage: null } : {}), ...more });
    const emit = ({ text, logprobs }: Piece, index: number): void =>
      chunk([{ text, index, logprobs, finish_reason: null }]);
    const written = await this.#write({ emit, full: () => events.full() }, signal);
    written.choices.forEach(({ writer }, index) =>
      chunk([{ text: "", index, logprobs: null, finish_reason: writer.reason }], shownMemory(written))
    );
    if (this.#request.includeUsage) chunk([], { usage: this.#usage(written) });
  }

  async #write(receiver: Receiver, signal: AbortSignal): Promise<Written> {
    const { memory, learn } = this.#request, { memories, decoder } = this.#service;
    if (memory === undefined) {
      return { choices: await this.#choices(decoder.start, receiver, signal), learned: undefined };
    }
    const from = async (): Promise<Written> => {
      signal.throwIfAborted();
      const { reading, notes } = await memories.load(memory);
      return await withState(this.#service, decoder.importState(reading), async (before) => {
        const choices = await this.#choices(before, receiver, signal);
        if (!learn) return { choices, learned: undefined };
        const after = await this.#service.engine.read(before, this.#learnt(choices[0]), signal);
        return await withState(this.#service, after, async (state) => {
          signal.throwIfAborted();
          return { choices, learned: await memories.save(memory, { reading: await state.export(), notes }) };
        });
      });
    };
    return learn ? await memories.exclusive(memory, from) : await from();
  }

  /**
   * What a memory learns: the prompt and what the client was given after it, read as one text, so that it knows the same
   * as if that text had been read into it.
   */
  #learnt({ pieces }: Choice): ArrayLike<number> {
    const { vocabulary } = this.#service, [{ text: prompt, tokens }] = this.#request.prompts;
    const text = pieces.map((piece) => piece.text).join("");
    if (prompt !== undefined) return vocabulary.encode(prompt + text);
    return [...Array.from(tokens), ...Array.from(vocabulary.encode(text))];
  }

  async #choices(before: DecodeState, receiver: Receiver, signal: AbortSignal): Promise<Choice[]> {
    const { prompts } = this.#request;
    const texts = await settled(prompts.map((prompt, p) => this.#continue(before, { prompt, p }, receiver, signal)));
    return texts.flat();
  }

  async #continue(
    before: DecodeState,
    { prompt: { tokens }, p }: { readonly prompt: Prompt; readonly p: number },
    { emit, full }: Receiver,
    signal: AbortSignal,
  ): Promise<Choice[]> {
    const { engine, vocabulary, metrics } = this.#service, { n } = this.#request;
    // An empty prompt at the beginning of a text stands for a new line.
    const given = tokens.length === 0 && !before.logits ? vocabulary.encode("\n") : tokens;
    metrics.tokens("prompt", given.length);
    const write = (state: DecodeState): Promise<Choice[]> =>
      settled(Array.from({ length: n }, async (_, i) => {
        const index = p * n + i, pieces: Piece[] = [];
        const take = (piece: Piece): void => {
          pieces.push(piece);
          emit?.(piece, index);
        };
        const writer = new TextWriter({ request: this.#request, vocabulary, index, emit: take, full });
        try {
          await engine.write(state, writer, signal);
        } finally {
          metrics.tokens("completion", writer.tokens);
        }
        return { writer, pieces };
      }));
    if (given.length === 0) return await write(before);
    return await withState(this.#service, await engine.read(before, given, signal), write);
  }

  #usage({ choices }: Written): unknown {
    const prompt = this.#request.prompts.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const completion = choices.reduce((sum, { writer }) => sum + writer.tokens, 0);
    return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
  }
}

function shownMemory({ learned }: Written): object {
  return learned ? { memory: describeMemory(learned) } : {};
}

/** Waits for all, also when one fails: they share states that may be freed only then. */
async function settled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}
