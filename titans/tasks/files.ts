/** Data of tasks: held in memory, however it was read. */
import { ConfigError } from "../errors.ts";
import type { TaskFile, TaskFiles } from "./task.ts";

/** Files by path; a path of a folder has several. */
export function taskFiles(byPath: Readonly<Record<string, readonly TaskFile[]>>): TaskFiles {
  return {
    of: (path) => {
      if (Object.hasOwn(byPath, path)) return byPath[path];
      throw new ConfigError(`Cannot use the data ${JSON.stringify(path)}: it was not read`, "files");
    },
  };
}

/**
 * The files that an option names.
 * @throws {ConfigError} if it names none, or they were not read.
 */
export function filesOf(
  task: string,
  { option, path, files }: { readonly option: string; readonly path: string; readonly files?: TaskFiles },
): readonly TaskFile[] {
  if (path !== "" && files !== undefined) return files.of(path);
  throw new ConfigError(`Cannot make the task ${task} without data: give its option ${option}, a path`, option);
}
