/** Installs Debian's packages that tests need, where that is possible: on Linux, as root, with apt. */

/** The command that installs packages, for messages. */
export function installCommand(...packages: readonly string[]): string {
  return ["apt-get", ...argumentsFor(packages)].join(" ");
}

/** Installs packages, or does nothing where it cannot. */
export async function install(purpose: string, ...packages: readonly string[]): Promise<void> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return;
  console.error(`Installing ${purpose}: ${installCommand(...packages)}`);
  const args = argumentsFor(packages);
  // Package lists may be missing or stale: then fetch them and try once more.
  if (!await apt(args) && await apt(["update"])) await apt(args);
}

function argumentsFor(packages: readonly string[]): string[] {
  return ["install", "--yes", "--no-install-recommends", ...packages];
}

async function apt(args: readonly string[]): Promise<boolean> {
  try {
    const options: Deno.CommandOptions = {
      args: ["-q", ...args],
      stdin: "null",
      stdout: "null",
      env: { DEBIAN_FRONTEND: "noninteractive" },
    };
    return (await new Deno.Command("apt-get", options).output()).success;
  } catch {
    return false;
  }
}
