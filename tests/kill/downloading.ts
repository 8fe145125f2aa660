/** Downloads, killed: a file is there whole or not at all, and comes whole in the end. */
import { assert, assertEquals } from "@std/assert";
import { downloadFacts, downloadPath } from "../../cli/data/remote.ts";
import { someText } from "../cli/run_main.ts";
import { type Ended, loseEnd, namesIn } from "./kill.ts";
import type { Random } from "./random.ts";
import { checkEnd, type Phase, type Scenario } from "./scenario.ts";

const BYTES = new TextEncoder().encode(someText(240_000));
const PIECE = 8192;
const PIECE_MS = 8;

/** A server on this machine that sends slowly, whole or from a place on. */
export function slowServer(): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const etag = '"v1"', asked = Number(/^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "")?.[1] ?? 0);
    const from = request.headers.get("if-range") === etag ? asked : 0;
    if (from >= BYTES.length) return new Response(null, { status: 416 });
    let at = from;
    const body = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        await new Promise((resolve) => setTimeout(resolve, PIECE_MS));
        controller.enqueue(BYTES.slice(at, at += PIECE));
        if (at >= BYTES.length) controller.close();
      },
    }, { highWaterMark: 0 });
    const range = from > 0 ? { "content-range": `bytes ${from}-${BYTES.length - 1}/${BYTES.length}` } : {};
    return new Response(body, {
      status: from > 0 ? 206 : 200,
      headers: { etag, "content-length": String(BYTES.length - from), ...range as Record<string, string> },
    });
  });
}

/** A file that is fetched, stopped again and again. */
export class Downloading implements Scenario {
  readonly name: string;
  /** It says nothing before it is done. */
  readonly work = "none";
  readonly workMs = 400;
  readonly largestFile = BYTES.length;
  readonly #place: string;
  readonly #cache: string;

  constructor(root: string, name: string, origin: string) {
    this.name = `fetch, ${name}`;
    this.#place = `${origin}/${name}.txt`;
    this.#cache = `${root}/${name}`;
  }

  async next(): Promise<readonly string[] | undefined> {
    const there = await downloadFacts(await this.#path());
    return there ? undefined : ["fetch", this.#place, "--cache", this.#cache, "--json"];
  }

  async check(ended: Ended): Promise<Phase> {
    checkEnd({ ...ended, stderr: ended.kind === undefined || ended.kind.startsWith("SIG") ? "" : ended.stderr });
    const path = await this.#path(), bytes = await Deno.readFile(path).catch(() => undefined);
    assert(bytes === undefined || same(bytes), "a file that is not whole has its name");
    return (await namesIn(this.#cache)).length > 0 ? "downloading" : "starting";
  }

  async losePower(random: Random): Promise<void> {
    const part = `${await this.#path()}.part`,
      record = await Deno.readTextFile(`${part}.json`).catch(() => '{"bytes":0}');
    await loseEnd(part, JSON.parse(record).bytes, random);
    if (random.chance(0.2)) await loseEnd(`${part}.json.part`, 0, random);
  }

  async compare(): Promise<void> {
    const path = await this.#path(), facts = await downloadFacts(path);
    assert(same(await Deno.readFile(path)), "the files differ");
    assertEquals(facts?.sizeBytes, BYTES.length);
    const name = path.split("/").at(-1);
    assertEquals((await namesIn(this.#cache)).filter((found) => !found.endsWith(".part.json")), [
      `downloads/${name}`,
      `downloads/${name}.json`,
    ]);
  }

  #path(): Promise<string> {
    return downloadPath(this.#place, this.#cache);
  }
}

function same(bytes: Uint8Array): boolean {
  return bytes.length === BYTES.length && bytes.every((byte, i) => byte === BYTES[i]);
}
