/** Errors of commands, and how they are reported: one line on stderr and an exit code. */
import { CompileError, DeviceError, DTypeError, ShapeError } from "../core/errors.ts";
import { oneLine } from "../core/one_line.ts";
import { CheckpointError, ConfigError, SamplingError, TrainingError } from "../titans/mod.ts";
import { asCalled, STANDALONE } from "./program.ts";

/** Incorrect usage: flags, arguments or files that cannot be used as given. The command exits with 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";

  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
}

/** A valid command that failed. It exits with 1. */
export class CommandError extends Error {
  override readonly name = "CommandError";

  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
}

/** A file that could not be written. The message names the file, the reason and a remedy. */
export class WriteError extends CommandError {}

// Errors whose message says what to do.
const SELF_EXPLAINING = [
  UsageError,
  CommandError,
  ShapeError,
  DTypeError,
  CompileError,
  DeviceError,
  ConfigError,
  CheckpointError,
  SamplingError,
  TrainingError,
];

/** Whether an error's message is one line that says what to do: it is one of Mneme's own. */
export function isSelfExplaining(error: unknown): error is Error {
  return SELF_EXPLAINING.some((type) => error instanceof type);
}

/** The exit code of an error: 2 for incorrect usage, 1 for failure. */
export function exitCode(error: unknown): 1 | 2 {
  return error instanceof UsageError || error instanceof ConfigError ? 2 : 1;
}

/**
 * An error as one line that says what to do.
 * @param error Anything thrown.
 * @param verbose Whether to add the stack and the causes.
 */
export function formatError(error: unknown, verbose: boolean): string {
  const line = asCalled(`error: ${firstLine(error)}`);
  if (!verbose || !(error instanceof Error)) return line;
  const causes: string[] = [];
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    causes.push(cause.stack ?? String(cause));
  }
  return [line, ...causes].join("\ncaused by ");
}

function firstLine(error: unknown): string {
  const message = (error instanceof Error ? error.message : String(error)).trim().split("\n")[0];
  if (error instanceof Deno.errors.NotCapable) {
    return `${message.replace(/, run again with.*/, "")}: ${permissionAdvice(message)}`;
  }
  if (isSelfExplaining(error) || message.startsWith("Internal:")) return message;
  const name = error instanceof Error && error.name !== "Error" ? `${error.name}: ` : "";
  return `${name}${message || "unknown"} (add --verbose for the stack trace)`;
}

function permissionAdvice(message: string): string {
  if (STANDALONE) {
    return "this executable was built without that permission; run the command from a checkout instead";
  }
  const asked = /--allow-[a-z]+/.exec(message)?.[0] ?? "--allow-read";
  // For system folders such as /dev, Deno requires all permissions; this flag takes no path.
  if (asked === "--allow-all") return "the tasks may write below runs/ only; choose a path there";
  const path = /access to "([^"]+)"/.exec(message)?.[1];
  return `the tasks may write below runs/ only; choose a path there, or run \`deno run --allow-read ${asked}${
    path ? `=${path}` : ""
  } main.ts ...\` yourself`;
}
