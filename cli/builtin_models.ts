/** The trained models that come with Mneme: exported models in the folder `models`, named `builtin:NAME`. */
import { UsageError } from "./errors.ts";

/** What stands before their names. */
const PREFIX = "builtin:";
/** The models, and what each is for. */
export const BUILTIN_MODELS: Readonly<Record<string, string>> = {
  recall: "keeps facts such as “the key: Q.” in its memory",
  text: "writes English, as the State of the Union addresses do",
};
/** The model that writes before any is trained here. */
export const BUILTIN_TEXT = `${PREFIX}text`;
/** Their names as commands take them. */
export const BUILTIN_NAMES: readonly string[] = Object.keys(BUILTIN_MODELS).map((name) => PREFIX + name);

/**
 * The folder of a model that comes with Mneme; undefined for any other path. @throws {UsageError} for an unknown name.
 */
export function builtinFolder(path: string): string | undefined {
  if (!path.startsWith(PREFIX)) return undefined;
  const name = path.slice(PREFIX.length);
  if (Object.hasOwn(BUILTIN_MODELS, name)) return new URL(`../models/${name}`, import.meta.url).pathname;
  throw new UsageError(`there is no model ${path} in Mneme: it has ${BUILTIN_NAMES.join(", ")}`);
}
