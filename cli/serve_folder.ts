/** A static server for a folder, on the loopback interface. */

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
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
