/**
 * The C compiler for the tests of the native device.
 *
 *     deno task setup:compiler    is there one? Where there is none, and apt and root are at hand, gcc is installed
 */
import { install, installCommand } from "../install.ts";

const PACKAGES = ["gcc", "libc6-dev"];

/** The first of the commands that the device tries which runs; undefined if there is none. */
async function compiler(): Promise<string | undefined> {
  for (const command of ["cc", "gcc", "clang", "zig"]) {
    try {
      const args = command === "zig" ? ["version"] : ["--version"];
      if ((await new Deno.Command(command, { args, stdout: "null", stderr: "null" }).output()).success) return command;
    } catch {
      // The next one.
    }
  }
}

if (await compiler() === undefined) await install("a C compiler for the tests of the native device", ...PACKAGES);
const found = await compiler();
// Not an error here: the tests that need it say so.
console.error(
  found
    ? `C compiler: ${found}`
    : `There is no C compiler, so the tests of the native device will fail: run \`${
      installCommand(...PACKAGES)
    }\` as root`,
);
