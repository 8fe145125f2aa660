/** Parses `--field`: which fields of a record or row form its text. */
import { UsageError } from "../errors.ts";

/** A template that turns the fields of a record into text. */
export interface FieldTemplate {
  /** The distinct fields. */
  readonly names: readonly string[];
  /** Whether numbers and booleans are written out; if the field is the whole text they are an error. */
  readonly writesNumbers: boolean;
  /** The text of the fields' values, in the order of the names; undefined if none has text. */
  readonly fill: (values: readonly (string | undefined)[]) => string | undefined;
}

/**
 * Parses `--field`: a name; several names separated by commas, joined by line breaks; or a template, in which `{name}`
 * stands for a field, `{{` for a brace, `\n` for a line break and `\t` for a tab. A field without text is skipped in a
 * list, and empty in a template.
 * @throws {UsageError} if a name is empty or a brace is never closed.
 */
export function parseField(field: string): FieldTemplate {
  if (/\{/.test(field)) return template(field);
  const names = field.split(",").map((name) => name.trim());
  if (names.includes("")) {
    throw new UsageError(
      `--field cannot be ${JSON.stringify(field)}: give the name of a field, or several separated by commas`,
    );
  }
  return {
    names,
    writesNumbers: false,
    fill: (values) => {
      const texts = values.filter((value) => value !== undefined);
      return texts.length === 0 ? undefined : texts.join("\n");
    },
  };
}

function template(field: string): FieldTemplate {
  const names: string[] = [], parts: (string | number)[] = [];
  const rest = field.replace(/\{\{|\\n|\\t|\{([^{}]*)\}|[^{\\]+|[{\\]/g, (part, name?: string) => {
    if (name !== undefined) {
      if (name === "") throw new UsageError(`--field cannot be ${JSON.stringify(field)}: {} names no field`);
      if (!names.includes(name)) names.push(name);
      parts.push(names.indexOf(name));
    } else if (part === "{") {
      throw new UsageError(
        `--field cannot be ${JSON.stringify(field)}: a brace is never closed; {{ stands for a brace`,
      );
    } else parts.push(part === "{{" ? "{" : part === "\\n" ? "\n" : part === "\\t" ? "\t" : part);
    return "";
  });
  if (rest !== "" || names.length === 0) {
    throw new UsageError(`--field cannot be ${JSON.stringify(field)}: it names no field; write {name} for one`);
  }
  return {
    names,
    writesNumbers: true,
    fill: (values) =>
      values.every((value) => value === undefined)
        ? undefined
        : parts.map((part) => typeof part === "string" ? part : values[part] ?? "").join(""),
  };
}

/**
 * A value of a record as text.
 * @returns The text, undefined if there is explicitly none, or null if the value is not text.
 */
export function valueText(value: unknown, { writesNumbers }: FieldTemplate): string | undefined | null {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return undefined;
  return writesNumbers && ["number", "bigint", "boolean"].includes(typeof value) ? String(value) : null;
}
