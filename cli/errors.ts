/** What goes wrong in commands, and how it is said: one line on stderr and an exit code. */
import { CompileError, DeviceError, DTypeError, ShapeError } from "../core/errors.ts";
import { oneLine } from "../core/one_line.ts";
import { CheckpointError, ConfigError, SamplingError, TrainingError } from "../titans/mod.ts";
import { asCalled, STANDALONE } from "./program.ts";

/** Flags, arguments or files that cannot be used as given. The command exits with 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";

  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
}

/** A command that was understood and could not be carried out. It exits with 1. */
export class CommandError extends Error {
  override readonly name = "CommandError";

  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
}

/** A file that could not be written. Its text names the file, why, and what to do about that. */
export class WriteError extends CommandError {}

// Errors whose text says what to do.
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

/** Whether an error's text is one line that says what to do: it is one of ours. */
export function isSelfExplaining(error: unknown): error is Error {
  return SELF_EXPLAINING.some((type) => error instanceof type);
}

/** The exit code that an error stands for: 2 for misuse, 1 for failure. */
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
  return `${name}${message || "unknown"} (add --verbose for where it happened)`;
}

function permissionAdvice(message: string): string {
  if (STANDALONE) {
    return "this executable was made without that permission; choose another way, or run it from a checkout";
  }
  const asked = /--allow-[a-z]+/.exec(message)?.[0] ?? "--allow-read";
  // Deno wants every permission for the system's own folders, such as /dev; a flag of this name takes no path.
  if (asked === "--allow-all") return "the tasks may write below runs/ only; choose a path there";
  const path = /access to "([^"]+)"/.exec(message)?.[1];
  return `the tasks may write below runs/ only; choose a path there, or run \`deno run --allow-read ${asked}${
    path ? `=${path}` : ""
  } main.ts ...\` yourself`;
}
