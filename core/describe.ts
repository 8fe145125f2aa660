/** What a value is, and errors of arguments that are something else, as JavaScript without types passes them. */
import { CompileError, DTypeError } from "./errors.ts";

/** Such as `null`, `3`, `a string`, `a list of 3`, `a Map`, `a Function`. */
export function describe(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "string") return "a string";
  return Object(value) === value ? `a ${(value as object).constructor?.name ?? "record"}` : String(value);
}

/** Checks what kind of thing an argument is. @throws an error of the class `of`, which says what was attempted with it. */
export function checkKind(
  holds: boolean,
  action: string,
  value: unknown,
  kind: string,
  of: new (message: string) => Error = DTypeError,
): void {
  if (!holds) throw new of(`Cannot ${action} ${describe(value)}: it must be ${kind}`);
}

/** Checks that an argument is a function. @throws {CompileError} if not. */
export function checkFunction(action: string, value: unknown): void {
  checkKind(typeof value === "function", action, value, "a function", CompileError);
}
