/** The HTTP server: takes requests to their handlers, within limits, and stops gracefully. */
import { UsageError } from "../errors.ts";
import type { Access } from "./access.ts";
import { asApiError, errorResponse, LEFT, STOPPING, TIMED_OUT } from "./api_error.ts";
import { findRoute } from "./routes.ts";
import type { Answer, Service } from "./service.ts";

/** Where and for whom to serve. */
export interface ServerOptions {
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  readonly access: Access;
  /** Receives what went wrong on the server's side. */
  readonly report: (error: unknown) => void;
}

/** Time for answers to go out after work was cut off. */
const LAST_WORDS_MS = 2000;

/** A running server. */
export class Server {
  readonly #service: Service;
  readonly #options: ServerOptions;
  readonly #http: Deno.HttpServer<Deno.NetAddr>;
  /** The work for each request that has not been answered to its end. */
  readonly #work = new Set<AbortController>();
  #stopping = false;

  /** @throws {UsageError} if the address cannot be had. */
  constructor(service: Service, options: ServerOptions) {
    this.#service = service;
    this.#options = options;
    const { host: hostname, port } = options;
    try {
      this.#http = Deno.serve({ hostname, port, onListen() {} }, (request) => this.#answer(request));
    } catch (cause) {
      throw addressError(cause, hostname, port);
    }
  }

  /** Such as `http://127.0.0.1:8000`. */
  get url(): string {
    const { hostname, port } = this.#http.addr;
    return `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  }

  /** Accepts nothing more, lets requests end for some time, and cuts off the rest. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    const ended = this.#http.shutdown(), cut = setTimeout(() => this.#cutOff(), graceMs);
    let last: ReturnType<typeof setTimeout> | undefined;
    // A reader that never reads does not keep the server.
    const late = new Promise<void>((resolve) => last = setTimeout(resolve, graceMs + LAST_WORDS_MS));
    await Promise.race([ended, late]);
    clearTimeout(cut);
    clearTimeout(last);
    this.#cutOff();
  }

  #cutOff(): void {
    for (const work of this.#work) work.abort(STOPPING);
  }

  async #answer(request: Request): Promise<Response> {
    const began = performance.now(), work = new AbortController(), url = new URL(request.url);
    // A timer and a set rather than AbortSignal.timeout and .any, which keep a request until its time would be over.
    const timer = setTimeout(() => work.abort(TIMED_OUT), this.#service.limits.timeoutMs);
    const leave = (): void => work.abort(LEFT);
    request.signal.addEventListener("abort", leave, { once: true });
    this.#work.add(work);
    let label = "none";
    const end = (status: number): void => {
      clearTimeout(timer);
      request.signal.removeEventListener("abort", leave);
      this.#work.delete(work);
      this.#service.metrics.request(label, status, (performance.now() - began) / 1000);
    };
    try {
      const { route, id } = findRoute(request.method, url.pathname);
      label = `${route.method} ${route.path}`;
      if (this.#stopping) throw STOPPING;
      if (!route.open) await this.#options.access.check(request);
      const call = { request, id, url, signal: work.signal, leave };
      const { response, ended }: Answer = await route.handler(this.#service, call);
      if (ended) ended.finally(() => end(response.status));
      else end(response.status);
      return response;
    } catch (error) {
      const answer = asApiError(error);
      if (answer.status === 500) this.#options.report(error);
      end(answer.status);
      return errorResponse(answer);
    }
  }
}

function addressError(cause: unknown, host: string, port: number): unknown {
  if (cause instanceof Deno.errors.AddrInUse) {
    return new UsageError(`port ${port} is in use by another program: give another one with --port, 0 for any`, {
      cause,
    });
  }
  if (cause instanceof Deno.errors.PermissionDenied) {
    return new UsageError(`port ${port} needs administrator rights: give one above 1023 with --port`, { cause });
  }
  if (cause instanceof Deno.errors.AddrNotAvailable) {
    return new UsageError(`this machine has no address ${host}: give one that it has with --host`, { cause });
  }
  return cause;
}
