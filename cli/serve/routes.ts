/** The paths of the server, and what answers them. */
import { ApiError, noSuchModel } from "./api_error.ts";
import { complete } from "./completions.ts";
import {
  createMemory,
  deleteMemory,
  forkMemory,
  getMemory,
  listMemories,
  putMemory,
  readIntoMemory,
} from "./memory_routes.ts";
import type { Answer, Call, Service } from "./service.ts";

/** Answers a request. */
export type Handler = (service: Service, call: Call) => Answer | Promise<Answer>;

/** A path with a method. */
interface Route {
  readonly method: string;
  /** With `{id}` for what names something. */
  readonly path: string;
  readonly handler: Handler;
  /** Whether it is answered without the token. */
  readonly open?: boolean;
}

const ROUTES: readonly Route[] = [
  { method: "POST", path: "/v1/completions", handler: complete },
  { method: "GET", path: "/v1/models", handler: listModels },
  { method: "GET", path: "/v1/models/{id}", handler: getModel },
  { method: "GET", path: "/v1/memories", handler: listMemories },
  { method: "POST", path: "/v1/memories", handler: createMemory },
  { method: "GET", path: "/v1/memories/{id}", handler: getMemory },
  { method: "PUT", path: "/v1/memories/{id}", handler: putMemory },
  { method: "DELETE", path: "/v1/memories/{id}", handler: deleteMemory },
  { method: "POST", path: "/v1/memories/{id}/read", handler: readIntoMemory },
  { method: "POST", path: "/v1/memories/{id}/fork", handler: forkMemory },
  { method: "GET", path: "/metrics", handler: showMetrics },
  { method: "GET", path: "/healthz", handler: () => ({ response: Response.json({ status: "ok" }) }), open: true },
];

/** A route that fits a request, with the id in its path. */
export interface Found {
  readonly route: Route;
  readonly id: string;
}

/** Where a request goes. @throws {ApiError} 404 or 405 if nowhere. */
export function findRoute(method: string, pathname: string): Found {
  const fitting = ROUTES.flatMap((route): Found[] => {
    const [before, after] = route.path.split("{id}");
    if (after === undefined) return pathname === before ? [{ route, id: "" }] : [];
    if (!pathname.startsWith(before) || !pathname.endsWith(after)) return [];
    const id = pathname.slice(before.length, pathname.length - after.length);
    return /^[^/]+$/.test(id) ? [{ route, id: decoded(id) }] : [];
  });
  const found = fitting.find(({ route }) => route.method === method);
  if (found) return found;
  if (fitting.length === 0) {
    throw new ApiError(404, `Unknown request URL: ${method} ${pathname}`, { code: "unknown_url" });
  }
  throw new ApiError(405, `${pathname} takes ${fitting.map(({ route }) => route.method).join(", ")}, not ${method}`, {
    code: "method_not_allowed",
  });
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function describeModel({ name, created }: Service): unknown {
  return { id: name, object: "model", created, owned_by: "mneme" };
}

function listModels(service: Service): Answer {
  return { response: Response.json({ object: "list", data: [describeModel(service)] }) };
}

function getModel(service: Service, { id }: Call): Answer {
  if (id === service.name) return { response: Response.json(describeModel(service)) };
  throw noSuchModel(id, service.name);
}

function showMetrics({ metrics, engine, memories }: Service): Answer {
  const { writing, waiting, steps } = engine.load;
  const text = metrics.format({
    queueLength: waiting,
    activeTexts: writing,
    batchSteps: steps,
    memories: memories.count,
    memoryBytes: memories.sizeBytes,
    residentBytes: Deno.memoryUsage().rss,
  });
  return { response: new Response(text, { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } }) };
}
