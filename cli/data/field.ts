/** What `--field` says: which fields of a record or a row make its text. */
import { UsageError } from "../errors.ts";

/** How the fields of a record become a text. */
export interface FieldTemplate {
  /** The fields, each once. */
  readonly names: readonly string[];
  /** Whether numbers and truth values are written out; where the field is the whole text they are a mistake. */
  readonly writesNumbers: boolean;
  /** The text of the fields' values, in the order of the names; undefined where none has one. */
  readonly fill: (values: readonly (string | undefined)[]) => string | undefined;
}

/**
 * Reads `--field`: a name; several with commas between, joined by line ends; or a template, in which `{name}` stands
 * for a field, `{{` for a brace, `\n` for a line end and `\t` for a tab. A field without a text is left out of a list,
 * and is nothing in a template.
 * @throws {UsageError} if a name is empty or a brace is never closed.
 */
export function parseField(field: string): FieldTemplate {
  if (/\{/.test(field)) return template(field);
  const names = field.split(",").map((name) => name.trim());
  if (names.includes("")) {
    throw new UsageError(
      `--field cannot be ${JSON.stringify(field)}: give the name of a field, or several with commas between`,
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
 * @returns The text, undefined for one that says that there is none, or null if it is something other than text.
 */
export function valueText(value: unknown, { writesNumbers }: FieldTemplate): string | undefined | null {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return undefined;
  return writesNumbers && ["number", "bigint", "boolean"].includes(typeof value) ? String(value) : null;
}
