/** Bodies of requests, of bounded size and within a bounded time. */
import { ApiError, invalid } from "./api_error.ts";

/** Bounds of a body. */
export interface BodyLimits {
  /** Most bytes. */
  readonly bytes: number;
  /** Gives up waiting for the rest. */
  readonly signal: AbortSignal;
}

/** Time in which a body must have arrived. */
const BODY_MS = 30_000;

const LATE = new ApiError(408, `The body did not arrive within ${BODY_MS / 1000} seconds`, { code: "body_timeout" });

/** Reads a body. @throws {ApiError} 413 if it is too large, 408 if it does not arrive. */
export async function readBytes(request: Request, { bytes: most, signal }: BodyLimits): Promise<Uint8Array> {
  const tooLarge = new ApiError(413, `The body may have ${most} bytes at most`, { code: "body_too_large" });
  if (Number(request.headers.get("content-length") ?? 0) > most) throw tooLarge;
  const body = new Uint8Array(new ArrayBuffer(0, { maxByteLength: most })), buffer = body.buffer as ArrayBuffer;
  if (!request.body) return body;
  const reader = request.body.getReader();
  let lateness: unknown;
  const giveUp = (reason: unknown): void => {
    lateness ??= reason;
    reader.cancel().catch(() => {});
  };
  const onAbort = (): void => giveUp(signal.reason), timer = setTimeout(() => giveUp(LATE), BODY_MS);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (lateness !== undefined) throw lateness;
      if (done) return body.slice();
      const at = buffer.byteLength;
      if (at + value.length > most) {
        giveUp(tooLarge);
        throw tooLarge;
      }
      buffer.resize(at + value.length);
      body.set(value, at);
    }
  } catch (error) {
    throw lateness ?? error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** Reads a body that is a JSON object; nothing counts as an empty one. */
export async function readObject(request: Request, limits: BodyLimits): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await readBytes(request, limits);
  if (bytes.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new ApiError(400, "The body is no valid JSON", { code: "invalid_json" });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ApiError(400, "The body must be a JSON object", { code: "invalid_json" });
}

/** @throws {ApiError} naming the first parameter that there is not. */
export function checkKnown(given: Readonly<Record<string, unknown>>, known: readonly string[]): void {
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw invalid(unknown, `Unrecognized request argument supplied: ${unknown}`, "unknown_parameter");
}

/** A text that may be missing. */
export function textOf(given: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = given[name] ?? undefined;
  if (value === undefined || typeof value === "string") return value;
  throw invalid(name, `${name} must be a string`);
}
