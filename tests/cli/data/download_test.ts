import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { download, type DownloadOptions } from "../../../cli/data/download.ts";
import { addressOf, downloadedFile, downloadPath } from "../../../cli/data/remote.ts";
import { CommandError, UsageError } from "../../../cli/errors.ts";
import { runMain, someText, wordsOf } from "../run_main.ts";
import { withFolder } from "../scratch.ts";
import { pack } from "./data_files.ts";

const BYTES = new TextEncoder().encode(someText(300_000));
const SHA256 = createHash("sha256").update(BYTES).digest("hex");
const GIT_BLOB = createHash("sha1").update(`blob ${BYTES.length}\0`).update(BYTES).digest("hex");

/** What a server was asked: method, path and range. */
type Asked = string[];

/** Answers a request; by default with the bytes, whole or from the place asked for. */
type Answer = (request: Request, path: string) => Response | undefined;

/** Runs a test against a server on this machine. */
async function withServer(answer: Answer, fn: (origin: string, asked: Asked) => Promise<void>): Promise<void> {
  const asked: Asked = [];
  const handler = (request: Request): Response => {
    const { pathname } = new URL(request.url), range = request.headers.get("range");
    asked.push(`${pathname}${range ? ` ${range}` : ""}`);
    return answer(request, pathname) ?? whole(request);
  };
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, handler);
  await fn(`http://127.0.0.1:${server.addr.port}`, asked);
}

function whole(request: Request, etag = '"v1"'): Response {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "")?.[1] ?? 0);
  if (from === 0 || request.headers.get("if-range") !== etag) {
    return new Response(BYTES, { headers: { etag, "content-length": String(BYTES.length) } });
  }
  const range = `bytes ${from}-${BYTES.length - 1}/${BYTES.length}`;
  return new Response(BYTES.slice(from), {
    status: 206,
    headers: { etag, "content-range": range, "content-length": String(BYTES.length - from) },
  });
}

/** The bytes up to a place; then the connection breaks. */
function broken(upTo: number): Response {
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(BYTES.slice(0, upTo)),
    pull: async (controller) => {
      // What was sent is on its way before the connection breaks.
      await new Promise((resolve) => setTimeout(resolve, 200));
      controller.close();
    },
  }, { highWaterMark: 0 });
  return new Response(body, { headers: { etag: '"v1"', "content-length": String(BYTES.length) } });
}

async function filesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(`${folder}/downloads`))).map(({ name }) =>
    name.replace(/^[0-9a-f]{12}-/, "")
  ).sort();
}

Deno.test("fetch: a file is copied once, with its size and hash, and then found without the network", () =>
  withFolder((folder) =>
    withServer(() => undefined, async (origin, asked) => {
      const place = `${origin}/texts/corpus.txt?version=2`, options: DownloadOptions = { cache: folder };
      const first = await download(place, options);
      assertEquals([first.sizeBytes, first.sha256, first.wasThere, first.etag], [BYTES.length, SHA256, false, '"v1"']);
      assertEquals(await Deno.readFile(first.path), BYTES);
      assertEquals(await filesIn(folder), ["corpus.txt", "corpus.txt.json"]);
      assertEquals((await download(place, { ...options, sha256: SHA256.toUpperCase() })).wasThere, true);
      assertEquals(asked, ["/texts/corpus.txt"]);
      await assertRejects(
        () => download(place, { ...options, sha256: "0".repeat(64) }),
        CommandError,
        "download it again with --again, or correct --sha256",
      );
      assertEquals((await download(place, { ...options, again: true })).wasThere, false);
      assertEquals(asked.length, 2);
      const file = await downloadedFile(place, folder, "auto");
      assertEquals([file.path, file.content?.format, file.content?.packed, file.sizeBytes], [
        first.path,
        "text",
        false,
        BYTES.length,
      ]);
      await assertRejects(
        () => downloadedFile(`${origin}/other`, folder, "auto"),
        UsageError,
        `is not in the data cache ${folder}: fetch it first with deno task fetch`,
      );
    })
  ));

Deno.test("fetch: a connection that breaks is continued where it broke", () =>
  withFolder((folder) => {
    let count = 0;
    return withServer(() => count++ === 0 ? broken(100_000) : undefined, async (origin, asked) => {
      const place = `${origin}/a.txt`;
      await assertRejects(() => download(place, { cache: folder }), CommandError, "run the same command to continue");
      assertEquals(await filesIn(folder), ["a.txt.part", "a.txt.part.json"]);
      assertEquals((await download(place, { cache: folder })).sha256, SHA256);
      assertEquals(asked, ["/a.txt", "/a.txt bytes=100000-"]);
      assertEquals(await filesIn(folder), ["a.txt", "a.txt.json"]);
    });
  }));

Deno.test("fetch: what a loss of power spoilt of a part is fetched again, whatever it was", () =>
  withFolder((folder) => {
    let count = 0;
    return withServer(() => count++ % 2 === 0 ? broken(100_000) : undefined, async (origin, asked) => {
      const spoils: [(part: string, bytes: Uint8Array) => Promise<void>, string][] = [
        [
          (part, bytes) => Deno.writeFile(part, new Uint8Array([...bytes, ...new Uint8Array(50_000)])),
          " bytes=100000-",
        ],
        [(part, bytes) => Deno.writeFile(part, bytes.subarray(0, 99_999)), ""],
        [(part, bytes) => Deno.writeFile(part, bytes.fill(0, 60_000, 60_001)), " bytes=100000-"],
        [(part) => Deno.writeFile(`${part}.json`, new Uint8Array(80)), ""],
        [(part) => Deno.writeTextFile(`${part}.json`, '{"place":'), ""],
        [(part) => Deno.remove(`${part}.json`), ""],
      ];
      for (const [i, [spoil, range]] of spoils.entries()) {
        const place = `${origin}/${i}.txt`, part = `${await downloadPath(place, folder)}.part`;
        // In a text that was spoilt where it had been recorded, the server is asked for all of it in the end.
        count = 0;
        await assertRejects(() => download(place, { cache: folder }), CommandError, "run the same command to continue");
        await spoil(part, await Deno.readFile(part));
        const { path } = await download(place, { cache: folder }).catch(() => download(place, { cache: folder }));
        assertEquals(await Deno.readFile(path), BYTES, `${i}`);
        assertEquals(asked.filter((what) => what.startsWith(`/${i}.txt`))[1], `/${i}.txt${range}`);
      }
      assertEquals((await filesIn(folder)).filter((name) => name.includes(".part")), []);
    });
  }));

Deno.test("fetch: of two who fetch the same at the same time one does, and the other is told so", () =>
  withFolder((folder) =>
    withServer(() => undefined, async (origin, asked) => {
      const place = `${origin}/a.txt`,
        outcomes = await Promise.allSettled([1, 2, 3].map(() => download(place, { cache: folder })));
      const refused = outcomes.filter((outcome) => outcome.status === "rejected");
      assertEquals([refused.length, asked.length], [2, 1]);
      for (const { reason } of refused) {
        assert(
          reason instanceof CommandError &&
            reason.message.includes("is being downloaded by another process: wait for it"),
        );
      }
      assertEquals(await Deno.readFile((await download(place, { cache: folder })).path), BYTES);
    })
  ));

Deno.test("fetch: a file that has changed since, or a server without ranges, begins anew", () =>
  withFolder((folder) => {
    let count = 0;
    const answer: Answer = (request) => {
      count++;
      if (count === 1 || count === 3) return broken(50_000);
      // First another version, then a server that says there is nothing behind that place.
      if (count === 2) return whole(request, '"v2"');
      return request.headers.has("range") ? new Response(null, { status: 416 }) : undefined;
    };
    return withServer(answer, async (origin, asked) => {
      for (const again of [false, true]) {
        const options = { cache: folder, again };
        await assertRejects(() => download(`${origin}/a.txt`, options), CommandError);
        assertEquals((await download(`${origin}/a.txt`, options)).sha256, SHA256);
      }
      assertEquals(asked, ["/a.txt", "/a.txt bytes=50000-", "/a.txt", "/a.txt bytes=50000-", "/a.txt"]);
    });
  }));

Deno.test("fetch: who stops keeps what has come", () =>
  withFolder((folder) => {
    let pieces = 0;
    return withServer(() => undefined, async (origin, asked) => {
      await assertRejects(
        () => download(`${origin}/a.txt`, { cache: folder, stopped: () => pieces++ > 0 }),
        CommandError,
        "run the same command to continue from there",
      );
      assertEquals((await download(`${origin}/a.txt`, { cache: folder })).sha256, SHA256);
      assert(/^\/a\.txt bytes=[1-9]\d*-$/.test(asked[1]), asked[1]);
    });
  }));

Deno.test("fetch: a wrong hash or size is refused, and nothing is kept", () =>
  withFolder((folder) => {
    const headers: Record<string, HeadersInit> = {
      "/datasets/o/n/resolve/main/lfs.txt": {
        "x-linked-etag": `"${"1".repeat(64)}"`,
        "x-linked-size": String(BYTES.length),
      },
      "/datasets/o/n/resolve/main/git.txt": { etag: `"${"2".repeat(40)}"`, "content-length": String(BYTES.length) },
      "/datasets/o/n/resolve/main/long.txt": { "x-linked-size": String(BYTES.length - 1) },
    };
    return withServer((_, path) => new Response(BYTES, { headers: headers[path] }), async (origin) => {
      const fails = async (place: string, message: string, sha256?: string): Promise<void> => {
        await assertRejects(() => download(place, { cache: folder, endpoint: origin, sha256 }), CommandError, message);
        assertEquals(await filesIn(folder), []);
      };
      await fails(
        `${origin}/a.txt`,
        `has the SHA-256 ${SHA256}, and --sha256 says ${"0".repeat(64)}: nothing was kept`,
        "0".repeat(64),
      );
      await fails("hf:o/n/lfs.txt", `has the SHA-256 ${SHA256}, and the hub says ${"1".repeat(64)}`);
      await fails("hf:o/n/git.txt", `has the git hash ${GIT_BLOB}, and the hub says ${"2".repeat(40)}`);
      await fails("hf:o/n/long.txt", `has the size ${BYTES.length}, and the server said ${BYTES.length - 1}`);
      await assertRejects(
        () => download(`${origin}/a.txt`, { cache: folder, sha256: "abc" }),
        UsageError,
        "--sha256 cannot be abc: it is 64 hexadecimal digits",
      );
    });
  }));

Deno.test("fetch: a dataset's file is found on the hub, through redirections, and its hash is checked", () =>
  withFolder((folder) => {
    const answer: Answer = (_, path) => {
      if (path === "/datasets/owner/name/resolve/v1.0/data/a%20b.txt") {
        return new Response(null, {
          status: 302,
          headers: { location: "/lfs/object", "x-linked-etag": `"${SHA256}"`, "x-linked-size": String(BYTES.length) },
        });
      }
      if (path === "/datasets/owner/name/resolve/main/small.txt") {
        return new Response(BYTES, { headers: { etag: `W/"${GIT_BLOB}"`, "content-length": String(BYTES.length) } });
      }
      return path === "/lfs/object" ? undefined : new Response(null, { status: 404 });
    };
    return withServer(answer, async (origin, asked) => {
      const options = { cache: folder, endpoint: `${origin}/` };
      assertEquals((await download("hf:owner/name@v1.0/data/a b.txt", options)).sha256, SHA256);
      assertEquals((await download("hf:owner/name/small.txt", options)).sha256, SHA256);
      assertEquals(asked, [
        "/datasets/owner/name/resolve/v1.0/data/a%20b.txt",
        "/lfs/object",
        "/datasets/owner/name/resolve/main/small.txt",
      ]);
      await assertRejects(
        () => download("hf:owner/name/none.txt", options),
        CommandError,
        "there is no such file (status 404); check the address",
      );
    });
  }));

Deno.test("fetch: what cannot be had is said in one line", () =>
  withFolder((folder) => {
    const answer: Answer = (_, path) =>
      path === "/circle"
        ? new Response(null, { status: 301, headers: { location: "/circle" } })
        : new Response(null, { status: Number(path.slice(1)) });
    return withServer(answer, async (origin, asked) => {
      const fails = (path: string, message: string): Promise<unknown> =>
        assertRejects(() => download(`${origin}${path}`, { cache: folder }), CommandError, message);
      await fails("/403", "the server restricts access (status 403)");
      await fails("/500", "the server answered with status 500; try again later");
      await fails("/circle", "it is redirected more than 10 times");
      assertEquals(asked.length, 13);
      await assertRejects(
        () => download("http://127.0.0.1:65000/a.txt", { cache: folder }),
        CommandError,
        "check the address and the network",
      );
      await assertRejects(
        () => download("http://localhost:65000/a.txt", { cache: folder }),
        CommandError,
        "needs the permission to use the network: deno task fetch has it",
      );
    });
  }));

Deno.test("fetch: places are URLs, or datasets with a file and perhaps a version", () => {
  assertEquals(addressOf("hf:o/n/a/b.txt").href, "https://huggingface.co/datasets/o/n/resolve/main/a/b.txt");
  assertEquals(
    addressOf("hf:o/n@abc/b.txt", "http://127.0.0.1:1/").href,
    "http://127.0.0.1:1/datasets/o/n/resolve/abc/b.txt",
  );
  assertEquals(addressOf("https://x.org/a?b=c").href, "https://x.org/a?b=c");
  for (const place of ["hf:o/n", "hf:o", "ftp://x/a", "a.txt", "http://"]) {
    let message = "";
    try {
      addressOf(place);
    } catch (error) {
      message = error instanceof UsageError ? error.message : String(error);
    }
    assert(message.startsWith(`cannot fetch ${place}: `), `${place}: ${message}`);
  }
});

Deno.test("fetch: then train, by the same name and without the network", () =>
  withFolder(async (folder) => {
    const packed = await pack(someText(20_000)), cache = ["--cache", `${folder}/cache`];
    await withServer(() => new Response(packed), async (origin) => {
      const place = `${origin}/corpus.txt.gz`, train = ["train", "--data", place, ...cache, "--out", `${folder}/run`];
      const small = wordsOf(
        "--device reference --model lmm --batch 1 --seq-len 16 --eval-bytes 16 --sample-tokens 0 --steps 1",
      );
      const before = await runMain(...train, ...small);
      assertEquals(
        [before.code, before.stderr.includes(`fetch it first with deno task fetch ${place}`)],
        [2, true],
        before.stderr,
      );
      const fetched = await runMain("fetch", place, ...cache, "--json");
      assertEquals(
        [fetched.code, fetched.events.length, fetched.events[0].sizeBytes],
        [0, 1, packed.length],
        fetched.stderr,
      );
      const trained = await runMain(...train, ...small, "--json");
      assertEquals(
        [trained.code, trained.events[0].data, trained.events[0].trainBytes],
        [0, place, 19_000],
        trained.stderr,
      );
      assertEquals((await runMain("fetch", place, ...cache)).stdout.includes("already in the cache"), true);
      const none = await runMain("fetch", ...cache);
      assertEquals([none.code, none.stderr], [2, "error: fetch needs a place: give a URL, or hf:OWNER/NAME/PATH\n"]);
    });
  }));
