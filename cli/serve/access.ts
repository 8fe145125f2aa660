/**
 * Who may use the server: whoever has the token or, without one, programs of this machine. Web pages of other origins
 * may not: requests that change something need a content type that browsers ask about first, and a name that was made
 * to point to this machine (DNS rebinding) is refused.
 */
import { UsageError } from "../errors.ts";
import { ApiError } from "./api_error.ts";

/** Whether a host name or address is that of the machine itself. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i.test(host);
}

const FEWEST_CHARACTERS = 16;

/**
 * The token that requests must carry.
 * @param file Of `--token-file`.
 * @param variable Of the environment.
 * @throws {UsageError} if it cannot be read or is too short.
 */
export async function readToken(file: string | undefined, variable: string): Promise<string | undefined> {
  const token = file === undefined ? fromEnvironment(variable) : (await readFile(file)).trim();
  if (token === undefined) return undefined;
  const source = file === undefined ? `the environment variable ${variable}` : `--token-file ${file}`;
  if (!/^[\x21-\x7e]+$/.test(token) || token.length < FEWEST_CHARACTERS) {
    throw new UsageError(
      `${source} has no token: it must have at least ${FEWEST_CHARACTERS} letters, digits and signs without spaces; make one with: openssl rand -hex 24`,
    );
  }
  return token;
}

function fromEnvironment(variable: string): string | undefined {
  if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") return undefined;
  return Deno.env.get(variable) || undefined;
}

async function readFile(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable || !(cause instanceof Error)) throw cause;
    throw new UsageError(`cannot read --token-file ${path}: give a file that holds the token`, { cause });
  }
}

/** Checks requests before anything else. */
export class Access {
  readonly #digest: Promise<Uint8Array> | undefined;

  /** @param token What requests must carry; undefined for any program of this machine. */
  constructor(token: string | undefined) {
    this.#digest = token === undefined ? undefined : digestOf(token);
  }

  /** @throws {ApiError} 401, 403 or 415 if the request is refused. */
  async check(request: Request): Promise<void> {
    if (this.#digest) {
      const given = /^Bearer (\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
      // Digests are compared to the end, so that the time says nothing of the token.
      const own = await this.#digest, other = await digestOf(given ?? "");
      if (given === undefined || own.reduce((sum, byte, i) => sum | byte ^ other[i], 0) !== 0) {
        throw new ApiError(401, "The token is missing or wrong: send the header Authorization: Bearer TOKEN", {
          code: "invalid_api_key",
        });
      }
    } else if (!isLoopback(new URL(request.url).hostname)) {
      throw new ApiError(403, "Without a token this server answers to localhost and 127.0.0.1 only", {
        code: "host_not_allowed",
      });
    }
    const type = request.headers.get("content-type") ?? "";
    if (request.method === "POST" && !/^application\/json\b/i.test(type)) {
      throw new ApiError(415, "The body must be JSON: send the header Content-Type: application/json", {
        code: "unsupported_media_type",
      });
    }
  }
}

async function digestOf(token: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token)));
}
