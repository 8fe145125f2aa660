/**
 * A static server for a folder, on the loopback interface.
 *
 *     deno task web    builds the playground and serves it
 */

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
  txt: "text/plain; charset=utf-8",
};

/** These headers let a page share memory between threads, so that the cpu device uses all cores. */
const ISOLATION = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

/** Options of {@link serveFolder}. */
export interface ServeOptions {
  /** Whether pages are isolated from other origins. */
  readonly isolated: boolean;
  /** The port; 0 for any that is free. */
  readonly port: number;
}

/** A running server. */
export interface FolderServer {
  /** Its URL, ending in a slash. */
  readonly url: string;
  /** Stops it. */
  close(): Promise<void>;
}

/** Serves the files of a folder, `index.html` for a path that ends in a slash. */
export function serveFolder(folder: URL, { isolated, port }: ServeOptions): FolderServer {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port, onListen() {} },
    (request) => answer(folder, request, isolated),
  );
  return { url: `http://127.0.0.1:${server.addr.port}/`, close: () => server.shutdown() };
}

async function answer(folder: URL, request: Request, isolated: boolean): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") return new Response("Only GET and HEAD", { status: 405 });
  const path = new URL(request.url).pathname;
  // Names in this folder need no escapes; escapes could hide a way out of the folder.
  if (/%|\\/.test(path)) return new Response("Not found", { status: 404 });
  const name = path.endsWith("/") ? `${path}index.html` : path;
  const headers = {
    "content-type": TYPES[name.split(".").at(-1)!] ?? "application/octet-stream",
    "cache-control": "no-cache",
    ...(isolated ? ISOLATION : {}),
  };
  try {
    const bytes = await Deno.readFile(new URL(`.${name}`, folder));
    return new Response(request.method === "HEAD" ? null : bytes, { headers });
  } catch {
    return new Response("Not found", { status: 404 });
  }
}

/**
 * Serves the playground at a port given as text on the command line. @returns its URL, or a one-line error.
 */
export function servePlayground(port: string): { readonly url: string } | { readonly error: string } {
  const number = /^\d{1,5}$/.test(port) ? Number(port) : NaN;
  if (!(number <= 65535)) {
    return {
      error: `the port cannot be ${JSON.stringify(port)}: give an integer from 0 to 65535; 0 uses any free port`,
    };
  }
  try {
    return { url: serveFolder(new URL("dist/", import.meta.url), { isolated: true, port: number }).url };
  } catch (error) {
    const next = number < 65535 ? number + 1 : 0;
    if (error instanceof Deno.errors.AddrInUse) {
      return { error: `port ${number} is in use by another program: give another one, deno task web ${next}` };
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      return { error: `port ${number} needs administrator rights: give one above 1023, such as deno task web 8123` };
    }
    throw error;
  }
}

if (import.meta.main) {
  const served = servePlayground(Deno.args[0] ?? "8123");
  if ("error" in served) {
    console.error(`error: ${served.error}`);
    Deno.exit(1);
  }
  console.log(
    `The playground is at ${served.url} (press Ctrl-C to stop). The files are in web/dist; any static host can serve them.`,
  );
}
