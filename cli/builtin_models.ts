/** The trained models that come with Mneme: exported models in the folder `models`, named `builtin:NAME`. */
import { UsageError } from "./errors.ts";

/** What stands before their names. */
const PREFIX = "builtin:";
/** The models, and what each is for. */
export const BUILTIN_MODELS: Readonly<Record<string, string>> = {
  recall: "keeps facts such as “the key: Q.” in its memory",
};

/**
 * The folder of a model that comes with Mneme; undefined for any other path. @throws {UsageError} for an unknown name.
 */
export function builtinFolder(path: string): string | undefined {
  if (!path.startsWith(PREFIX)) return undefined;
  const name = path.slice(PREFIX.length);
  if (Object.hasOwn(BUILTIN_MODELS, name)) return new URL(`../models/${name}`, import.meta.url).pathname;
  const known = Object.keys(BUILTIN_MODELS).map((known) => PREFIX + known).join(", ");
  throw new UsageError(`there is no model ${path} in Mneme: it has ${known}`);
}
