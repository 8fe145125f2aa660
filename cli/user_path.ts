/**
 * Resolves paths as the user means them: `deno task` runs commands in the project's folder, wherever they are typed.
 */
import { isRemote, parseSource } from "./data/source_spec.ts";
import { STANDALONE } from "./program.ts";

/**
 * Resolves a path to read relative to the folder in which the user typed the command; if it does not exist there,
 * relative to the project's folder.
 * @param path The path as typed.
 * @param typedIn The folder. Default: where `deno task` was called, if it was.
 */
export function userPath(path: string, typedIn: string | undefined = callersFolder()): string {
  if (typedIn === undefined || path === "" || path === "-" || isAbsolute(path) || !isAbsolute(typedIn)) return path;
  const here = Deno.cwd();
  if (normal(typedIn) === normal(here)) return path;
  const meant = normal(`${typedIn}/${path}`);
  try {
    Deno.statSync(meant);
  } catch {
    return path;
  }
  // Relative, which is shorter and remains valid if the project's folder is moved.
  const root = `${normal(here)}/`;
  return meant.startsWith(root) ? meant.slice(root.length) : meant;
}

/** A value of `--data` with its path resolved. */
export function userSource(source: string, typedIn?: string): string {
  const { place } = parseSource(source);
  return place === "sotu" || isRemote(place) ? source : `${userPath(place, typedIn)}${source.slice(place.length)}`;
}

/** The flags that name files to read. */
interface ReadFlags {
  readonly text?: string;
  readonly memory?: string;
  readonly checkpoint?: string;
}

/** Resolves the flags that name files to read, see {@link userPath}. */
export function readPaths(flags: ReadFlags): ReadFlags {
  const keys = ["text", "memory", "checkpoint"] as const;
  return Object.fromEntries(keys.flatMap((key) => flags[key] === undefined ? [] : [[key, userPath(flags[key])]]));
}

/** The folder in which `deno task` was called; undefined if the command was started otherwise. */
function callersFolder(): string | undefined {
  if (STANDALONE || Deno.permissions.querySync({ name: "env", variable: "INIT_CWD" }).state !== "granted") {
    return undefined;
  }
  return Deno.env.get("INIT_CWD");
}

function isAbsolute(path: string): boolean {
  return /^([/\\]|[A-Za-z]:[/\\])/.test(path);
}

/** A path without `.` and `..`, with one slash between two names and none at its end. */
function normal(path: string): string {
  const parts: string[] = [];
  for (const part of path.replaceAll("\\", Deno.build.os === "windows" ? "/" : "\\").split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `${path.startsWith("/") ? "/" : ""}${parts.join("/")}`;
}
