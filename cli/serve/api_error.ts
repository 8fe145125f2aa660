/** Errors of the server in the format of OpenAI's API, which clients turn into exceptions. */
import { isSelfExplaining } from "../errors.ts";

/** What an error says beside its message. */
export interface ApiErrorDetails {
  /** The parameter that is wrong. */
  readonly param?: string;
  /** A word for programs, such as `memory_not_found`. */
  readonly code?: string;
  /** Seconds after which to try again. */
  readonly retryAfter?: number;
}

/** A request that is refused or failed, with the status to answer. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(readonly status: number, message: string, readonly details: ApiErrorDetails = {}) {
    super(message);
  }

  /** The body of the answer. */
  toJSON(): unknown {
    const { param = null, code = null } = this.details;
    return { error: { message: this.message, type: TYPES[this.status] ?? typeOf(this.status), param, code } };
  }
}

/** Names of OpenAI's API for kinds of errors. */
const TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  429: "rate_limit_error",
};

function typeOf(status: number): string {
  return status < 500 ? "invalid_request_error" : "server_error";
}

/** A parameter that cannot be what it is. */
export function invalid(param: string, message: string, code = "invalid_value"): ApiError {
  return new ApiError(400, message, { param, code });
}

/** A model that this server does not have. */
export function noSuchModel(name: unknown, own: string): ApiError {
  return new ApiError(404, `The model ${JSON.stringify(name)} does not exist: this server has ${own}`, {
    param: "model",
    code: "model_not_found",
  });
}

/** Why work was given up before its end; thrown by signals. */
export const STOPPING: ApiError = new ApiError(503, "The server is stopping: send the request again later", {
  code: "server_stopping",
  retryAfter: 5,
});

/** A request took too long. */
export const TIMED_OUT: ApiError = new ApiError(
  504,
  "The request took longer than the server allows: ask for fewer tokens, or try again later",
  { code: "timeout" },
);

/** Nobody waits for the answer; the status is the one that nginx logs. */
export const LEFT: ApiError = new ApiError(499, "The client left", { code: "client_left" });

/** Anything thrown as an error to answer; what is nobody's fault but the server's says nothing of its insides. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(500, isSelfExplaining(error) ? error.message : "The server failed; its log says why", {
    code: "internal_error",
  });
}

/** The answer to a request that failed. */
export function errorResponse(error: ApiError): Response {
  const { status, details: { retryAfter } } = error;
  return Response.json(error, { status, headers: retryAfter === undefined ? {} : { "retry-after": `${retryAfter}` } });
}
