/** `/v1/memories`: what the model has read for each user. */
import { ApiError, invalid } from "./api_error.ts";
import { checkKnown, readBytes, readObject, textOf } from "./body.ts";
import { checkId, type MemoryFacts } from "./memories.ts";
import { type Answer, type Call, checkRoom, type Service, withState } from "./service.ts";
import type { MemoryFile } from "../../titans/mod.ts";

/** A memory as answers show it. */
export function describeMemory({ id, created, revision, tokensRead, sizeBytes }: MemoryFacts): unknown {
  return { id, object: "memory", created, revision, tokens_read: tokensRead, bytes: sizeBytes };
}

const MOST_LISTED = 1000;

/** `GET /v1/memories?limit=N&after=ID` */
export function listMemories({ memories }: Service, { url }: Call): Answer {
  const limit = Number(url.searchParams.get("limit") ?? 100), after = url.searchParams.get("after") ?? "";
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_LISTED) {
    throw invalid("limit", `limit must be an integer from 1 to ${MOST_LISTED}`);
  }
  const rest = memories.list().filter(({ id }) => id > after), data = rest.slice(0, limit);
  return {
    response: Response.json({ object: "list", data: data.map(describeMemory), has_more: rest.length > data.length }),
  };
}

/** `POST /v1/memories`: makes one, from a text if there is one. */
export async function createMemory(service: Service, { request, signal }: Call): Promise<Answer> {
  const { memories, decoder, limits } = service;
  const given = await readObject(request, { bytes: limits.bodyBytes, signal });
  checkKnown(given, ["id", "text"]);
  const text = textOf(given, "text") ?? "", id = newId(textOf(given, "id"));
  using _ = service.admission.enter(1);
  const facts = await memories.exclusive(id, async () => {
    requireFree(service, id);
    const start: MemoryFile = { reading: await decoder.start.export(), notes: {} };
    return text === "" ? await memories.save(id, start) : await learn(service, id, { before: start, text, signal });
  });
  return { response: Response.json(describeMemory(facts), { status: 201 }) };
}

/** `POST /v1/memories/{id}/read`: reads a text into it. */
export async function readIntoMemory(service: Service, { request, id, signal }: Call): Promise<Answer> {
  const { memories, limits } = service;
  const given = await readObject(request, { bytes: limits.bodyBytes, signal });
  checkKnown(given, ["text"]);
  const text = textOf(given, "text") ?? "";
  if (text === "") throw invalid("text", "text must be a text of at least one character");
  memories.facts(id);
  using _ = service.admission.enter(1);
  const facts = await memories.exclusive(
    id,
    async () => learn(service, id, { before: await memories.load(id), text, signal }),
  );
  return { response: Response.json(describeMemory(facts)) };
}

/** `POST /v1/memories/{id}/fork`: makes another one that knows the same. */
export async function forkMemory(service: Service, { request, id, signal }: Call): Promise<Answer> {
  const { memories, limits } = service;
  const given = await readObject(request, { bytes: limits.bodyBytes, signal });
  checkKnown(given, ["id"]);
  const other = newId(textOf(given, "id"));
  memories.facts(id);
  const facts = await memories.exclusive(other, async () => {
    requireFree(service, other);
    return await memories.save(other, await memories.load(id));
  });
  return { response: Response.json(describeMemory(facts), { status: 201 }) };
}

/** `GET /v1/memories/{id}`: its file, as `generate --memory` reads it; what is known of it to who accepts JSON. */
export async function getMemory({ memories }: Service, { request, id }: Call): Promise<Answer> {
  const facts = memories.facts(id);
  if (/\bapplication\/json\b/.test(request.headers.get("accept") ?? "")) {
    return { response: Response.json(describeMemory(facts)) };
  }
  const headers = {
    "content-type": "application/octet-stream",
    "content-disposition": `attachment; filename="${id}.memory"`,
  };
  return { response: new Response(await memories.bytes(id), { headers }) };
}

/** Room in a file beside its arrays: the configuration, names and notes. */
const HEADER_BYTES = 2 ** 20;

/** `PUT /v1/memories/{id}`: stores a file, in place of the memory that has the id. */
export async function putMemory(service: Service, { request, id, signal }: Call): Promise<Answer> {
  const { memories, decoder } = service;
  checkId(id);
  const most = decoder.start.sizeBytes + 4 * decoder.model.config.vocabulary + HEADER_BYTES;
  const file = memories.decode(await readBytes(request, { bytes: most, signal }));
  const [facts, isNew] = await memories.exclusive(id, async () => {
    const isNew = !memories.has(id);
    return [await memories.save(id, file), isNew];
  });
  return { response: Response.json(describeMemory(facts), { status: isNew ? 201 : 200 }) };
}

/** `DELETE /v1/memories/{id}` */
export async function deleteMemory({ memories }: Service, { id }: Call): Promise<Answer> {
  await memories.exclusive(id, () => memories.remove(id));
  return { response: Response.json({ id, object: "memory.deleted", deleted: true }) };
}

interface Learning {
  readonly before: MemoryFile;
  readonly text: string;
  readonly signal: AbortSignal;
}

/** Reads a text after what a memory knows, and stores it. */
async function learn(service: Service, id: string, { before, text, signal }: Learning): Promise<MemoryFacts> {
  const { engine, decoder, vocabulary, memories, metrics } = service, tokens = vocabulary.encode(text);
  checkRoom(service, before.reading.tokensRead, tokens.length);
  return await withState(
    service,
    decoder.importState(before.reading),
    async (state) =>
      await withState(service, await engine.read(state, tokens, signal), async (after) => {
        metrics.tokens("memory", tokens.length);
        signal.throwIfAborted();
        return await memories.save(id, { reading: await after.export(), notes: before.notes });
      }),
  );
}

function newId(given: string | undefined): string {
  return given === undefined ? `mem-${crypto.randomUUID().replaceAll("-", "")}` : checkId(given);
}

function requireFree({ memories }: Service, id: string): void {
  if (!memories.has(id)) return;
  throw new ApiError(409, `There is a memory ${id} already: choose another id, or read into that one`, {
    param: "id",
    code: "memory_exists",
  });
}
