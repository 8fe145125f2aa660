/** `web`: serves the playground page on this machine. The executable has the page's files inside. */
import { UsageError } from "./errors.ts";
import { exists } from "./files.ts";
import { integer, parseFlags } from "./flags.ts";
import type { Command } from "./help.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { type FolderServer, serveFolder } from "./serve_folder.ts";
import type { Terminal } from "./terminal.ts";

/** Where `deno task bundle` writes the page, and where the executable has it. */
const PAGE = new URL("../web/dist/", import.meta.url);

const FLAGS = {
  port: integer("port to listen on; 0 for any that is free", 8123, { min: 0, max: 65535 }),
} as const;

/** The command `web`. */
export const webCommand: Command = {
  summary: "serve a page on which a memory works, and models train, in the browser",
  description: [
    "Serves the playground page to this machine's browsers until Ctrl-C: a trained model that remembers what you tell it, what surprises it,",
    "how it works, and training on your text. Everything is computed in the browser, and nothing is sent anywhere.",
  ].join("\n"),
  examples: [
    ["deno task web", "at http://127.0.0.1:8123/"],
    ["deno task web --port 0", "at any free port"],
  ],
  flags: FLAGS,
  network: true,
  run: serve,
};

async function serve(args: readonly string[], terminal: Terminal): Promise<number> {
  // A port may stand alone.
  const [first = ""] = args, words = /^\d/.test(first) ? ["--port", ...args] : args;
  const { values: { port } } = parseFlags(words, FLAGS, "web");
  using interrupt = listenForInterrupt(terminal);
  const server = await servePage(port);
  terminal.out(`The playground is at ${server.url} (press Ctrl-C to stop).\n`);
  while (!interrupt.requested) await new Promise((resolve) => setTimeout(resolve, 100));
  await server.close();
  return 0;
}

/**
 * Serves the page.
 * @param folder Where it is.
 * @throws {UsageError} if it is not built, or the port cannot be had.
 */
export async function servePage(port: number, folder: URL = PAGE): Promise<FolderServer> {
  if (!await exists(new URL("index.html", folder).pathname)) {
    throw new UsageError("there is no page in web/dist: build it with deno task bundle");
  }
  try {
    return serveFolder(folder, { isolated: true, port });
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      const next = port < 65535 ? port + 1 : 0;
      throw new UsageError(`port ${port} is in use by another program: give another one, deno task web --port ${next}`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new UsageError(
        `port ${port} needs administrator rights: give one above 1023, such as deno task web --port 8123`,
      );
    }
    throw error;
  }
}
