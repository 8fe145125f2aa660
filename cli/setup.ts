/**
 * The setup step of the tasks: looks for a WebGPU adapter. On Linux it should come from a Vulkan driver: OpenGL, the
 * fallback, translates kernels once more, lacks 16-bit floats and is tested less. If there is none, and apt and root
 * are available, the step installs Debian's software Vulkan driver; otherwise it prints the command to run.
 *
 *     deno task setup    exits with 1 without an adapter
 */
const PACKAGES = ["mesa-vulkan-drivers", "libvulkan1"];
const INSTALL = ["install", "--yes", "--no-install-recommends", ...PACKAGES];

/** What the setup step needs from the machine. */
export interface Machine {
  /** The description of a backend's adapter, or undefined if there is none. Not cached. */
  findAdapter(backend: "any" | "vulkan"): Promise<string | undefined>;
  readonly os: string;
  readonly isRoot: boolean;
  /** Whether apt-get exists. */
  hasApt(): Promise<boolean>;
  /** Runs apt-get; whether it succeeded. */
  apt(args: readonly string[]): Promise<boolean>;
  /** Prints a message. */
  say(line: string): void;
}

/**
 * Finds an adapter, or installs a software one if possible.
 * @returns The adapter's description, or undefined after telling the user what to do.
 */
export async function setUp(machine: Machine): Promise<string | undefined> {
  if (machine.os !== "linux") {
    const adapter = await machine.findAdapter("any");
    if (adapter === undefined) {
      machine.say("error: no WebGPU adapter was found: install or update this machine's graphics driver");
    }
    return adapter;
  }
  const present = await machine.findAdapter("vulkan");
  if (present !== undefined) return present;
  const fallback = await machine.findAdapter("any");
  const found = fallback === undefined ? "no WebGPU adapter was found" : `the WebGPU adapter (${fallback}) uses OpenGL`;
  const leave = (remedy: string): string | undefined => {
    machine.say(`${fallback === undefined ? "error" : "warning"}: ${found}: ${remedy}`);
    return fallback;
  };
  const command = `apt-get ${INSTALL.join(" ")}`;
  if (!await machine.hasApt()) {
    return leave("install a Vulkan driver (Mesa's software driver will do) with this system's package manager");
  }
  if (!machine.isRoot) return leave(`run \`sudo ${command}\` (a software Vulkan driver), then try again`);
  machine.say(`${found[0].toUpperCase()}${found.slice(1)}. Installing a software Vulkan driver: ${command}`);
  // Package lists may be missing (in fresh containers) or stale; in that case update them and try again.
  const installed = await machine.apt(INSTALL) || (await machine.apt(["update"]) && await machine.apt(INSTALL));
  if (!installed) return leave(`the installation failed; run \`${command}\` yourself, then try again`);
  const adapter = await machine.findAdapter("vulkan");
  if (adapter === undefined) {
    return leave(
      `${
        PACKAGES.join(" and ")
      } are installed, yet there is no adapter of theirs; check that this machine's Vulkan loader finds them (vulkaninfo --summary)`,
    );
  }
  machine.say(`Installed. WebGPU adapter: ${adapter}`);
  return adapter;
}

/** Prints the adapter's description for the process that asked. */
async function probe(): Promise<string | undefined> {
  const adapter = await navigator.gpu?.requestAdapter();
  return adapter ? adapter.info.description || adapter.info.vendor || "unnamed" : undefined;
}

function thisMachine(): Machine {
  interface Ended {
    readonly success: boolean;
    readonly text: string;
  }
  const run = async (
    command: string,
    args: readonly string[],
    stdout: "piped" | "null",
    env: Record<string, string> = {},
  ): Promise<Ended> => {
    try {
      const options: Deno.CommandOptions = {
        args: [...args],
        stdin: "null",
        stdout,
        stderr: stdout === "piped" ? "null" : "inherit",
        env: { DEBIAN_FRONTEND: "noninteractive", ...env },
      };
      const output = await new Deno.Command(command, options).output();
      return {
        success: output.success,
        text: stdout === "piped" ? new TextDecoder().decode(output.stdout).trim() : "",
      };
    } catch {
      return { success: false, text: "" };
    }
  };
  return {
    // Each check needs a new process: a process keeps the drivers that it found first.
    findAdapter: async (backend) => {
      const env: Record<string, string> = backend === "any" ? {} : { DENO_WEBGPU_BACKEND: backend };
      return (await run("deno", ["run", "--no-prompt", import.meta.url, "--probe"], "piped", env)).text || undefined;
    },
    os: Deno.build.os,
    isRoot: Deno.uid() === 0,
    hasApt: async () => (await run("apt-get", ["--version"], "piped")).success,
    apt: async (args) => (await run("apt-get", ["-q", ...args], "null")).success,
    say: (line) => console.error(line),
  };
}

if (import.meta.main) {
  if (Deno.args.includes("--probe")) {
    console.log(await probe() ?? "");
  } else {
    const adapter = await setUp(thisMachine());
    if (adapter === undefined) Deno.exit(1);
    console.error(`WebGPU adapter: ${adapter}`);
  }
}
