/** What the native device does where something is missing, broken, full or another machine's. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { compile, spec, type Tensor } from "../../mod.ts";
import { type NativeOptions, requestNativeDevice } from "../../kernels/devices/native/device.ts";
import { ObjectCache } from "../../kernels/devices/native/object_cache.ts";
import { add, mul } from "../../ops/mod.ts";
import { withFolder } from "../cli/scratch.ts";
import type { ChildReport } from "./native_child.ts";

/** Runs a child in a folder, which is what it may use, beside `flags`. */
async function inChild(
  folder: string,
  { options = [{}], flags = ["--allow-run"], env = {}, factor = 3, path }: {
    readonly options?: readonly NativeOptions[];
    readonly flags?: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly factor?: number;
    /** Where commands are found. */
    readonly path?: string;
  } = {},
): Promise<ChildReport> {
  const cache = `${folder}/cache`, paths = ["read", "write", "ffi"].map((name) => `--allow-${name}=${cache}`);
  const permissions = flags.includes("none") ? [] : [...paths, "--allow-env=CC,PATH", ...flags];
  // A shell sets the variables: this process may not pass all of them on.
  const set = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const { success, stdout, stderr } = await new Deno.Command("bash", {
    args: [
      "-c",
      'exec env "$@"',
      "bash",
      ...set,
      "deno",
      "run",
      "--quiet",
      "--no-prompt",
      "--no-check",
      ...permissions,
      "tests/kernels/native_child.ts",
      JSON.stringify({ options, factor, cacheDirectory: cache, path }),
    ],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** A compiler that is a shell script. */
async function scriptIn(folder: string, name: string, text: string): Promise<string> {
  const path = `${await Deno.realPath(folder)}/${name}`;
  await Deno.writeTextFile(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return path;
}

/** The one of a report that failed. */
function failure({ opened: [first] }: ChildReport): { name: string; reason?: string; message: string } {
  assert("message" in first, JSON.stringify(first));
  return first;
}

async function filesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) names.push(...(await filesIn(`${folder}/${name}`)).map((inside) => `${name}/${inside}`));
    else names.push(name);
  }
  return names.sort();
}

/** The program of the children, on a device of this process. */
async function runHere(cacheDirectory: string, options: NativeOptions = {}, factor = 3): Promise<number[]> {
  using device = await requestNativeDevice({ cacheDirectory, threads: 1, ...options });
  const program = await compile(device, (x: Tensor) => add(mul(x, factor), x), [spec([3])]);
  return [...(await program.run([1, 2, 3])).data];
}

Deno.test("native: without a permission it says which, auto takes cpu, and nobody is asked", () =>
  withFolder(async (folder) => {
    const report = await inChild(folder, { flags: ["none"] }), { name, reason, message } = failure(report);
    assertEquals([name, reason, report.automatic], ["DeviceError", "unavailable", "cpu"]);
    const cache = `${folder}/cache`;
    assertMatch(
      message,
      /^Cannot open the device "native": it starts a C compiler .*, which is not permitted; run with /,
    );
    assert(
      message.includes(`--allow-run=cc --allow-read=${cache} --allow-write=${cache} --allow-ffi=${cache}, or use`),
      message,
    );
    assertEquals((await inChild(folder, { flags: [] })).automatic, "cpu");
  }));

Deno.test(
  "native: without a compiler it says what to install, and auto takes cpu",
  () =>
    withFolder(async (folder) => {
      const report = await inChild(folder, { options: [{ compiler: "no-such-compiler" }] });
      assertMatch(failure(report).message, /no C compiler can be used \(no-such-compiler: not found\); .+, or use the/);
      const emptied = await inChild(folder, { path: "" });
      assertMatch(failure(emptied).message, /\(cc: not found; gcc: not found; clang: not found; zig: not found\)/);
      assertEquals([failure(emptied).reason, emptied.automatic], ["unavailable", "cpu"]);
    }),
);

Deno.test("native: libraries that the environment names do not keep a permitted compiler from being used", () =>
  withFolder(async (folder) => {
    const env = { LD_LIBRARY_PATH: "/opt/mpi/lib", LD_PRELOAD: "", LD_RUN_PATH: "/opt/mpi/lib" };
    const { opened } = await inChild(folder, { env, flags: ["--allow-run=cc"], options: [{ compiler: "cc" }] });
    assertEquals(opened.map((each) => "data" in each ? each.data : each.message), [[4, 8, 12]]);
  }));

Deno.test("native: a compiler that is broken is passed over for one that works", () =>
  withFolder(async (folder) => {
    const broken = await scriptIn(folder, "broken", 'echo "broken: error: no such thing" >&2; exit 1');
    // It knows what it is, but cannot compile.
    const half = await scriptIn(
      folder,
      "half",
      'case "$*" in *-dM*) exec cc "$@";; esac; echo "half: internal compiler error: died" >&2; exit 1',
    );
    const report = await inChild(folder, {
      options: [{ compiler: broken }, { compiler: half }, {}],
      env: { CC: half },
    });
    const [first, second, third] = report.opened;
    assert("message" in first && "message" in second && "data" in third, JSON.stringify(report));
    assertMatch(first.message, /no C compiler can be used \(.*broken: broken: error: no such thing\)/);
    assertMatch(second.message, /no C compiler can be used \(.*half: half: internal compiler error: died\)/);
    assertMatch(third.description, /^C by cc for /);
    assertEquals([third.data, report.automatic], [[4, 8, 12], "native"]);
  }));

Deno.test("native: a compiler that dies on a kernel, or has no room, is quoted", () =>
  withFolder(async (folder) => {
    const onKernels = (complaint: string) =>
      `text=$(cat); case "$text" in *"void kernels("*) echo "${complaint}" >&2; exit 1;; esac; ` +
      `printf '%s\\n' "$text" | cc "$@"`;
    const dying = await scriptIn(folder, "dying", onKernels("cc: internal compiler error: killed"));
    const full = await scriptIn(folder, "full", onKernels("ld: final link failed: No space left on device"));
    const { opened: [died, filled] } = await inChild(folder, { options: [{ compiler: dying }, { compiler: full }] });
    assert("message" in died && "message" in filled);
    assertEquals(died.name, "CompileError");
    assertMatch(died.message, /dying refuses a program's kernels: cc: internal compiler error: killed$/);
    assertEquals(filled.name, "DeviceError");
    assertMatch(
      filled.message,
      /^Cannot compile .*: ld: final link failed: No space left on device; make room, or use/,
    );
  }));

Deno.test("native: a cache that cannot be written serves what it has", () =>
  withFolder(async (folder) => {
    assertEquals(await runHere(`${folder}/cache`), [4, 8, 12]);
    const files = await filesIn(`${folder}/cache`), [identity] = files[0].split("/");
    const flags = ["--allow-run", `--deny-write=${folder}/cache/${identity}`];
    const known = await inChild(folder, { flags }), unknown = await inChild(folder, { flags, factor: 5 });
    assertEquals("data" in known.opened[0] && known.opened[0].data, [4, 8, 12]);
    assertMatch(failure(unknown).message, /^Cannot keep compiled kernels in the cache: .*; make room or name another/);
    assertEquals(await filesIn(`${folder}/cache`), files);
  }));

Deno.test("native: a cache whose folder cannot be made is named", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/cache`, "a file");
    const report = await inChild(folder), { reason, message } = failure(report);
    assertEquals([reason, report.automatic], ["unavailable", "cpu"]);
    assertMatch(
      message,
      /^Cannot open the device "native": the folder .*\/cache, where compiled kernels are kept, cannot/,
    );
  }));

Deno.test("native: two processes that start at once share a cache", () =>
  withFolder(async (folder) => {
    const reports = await Promise.all([inChild(folder), inChild(folder)]);
    for (const { opened: [first] } of reports) assertEquals("data" in first && first.data, [4, 8, 12]);
    // What they made is found by the next one, and nothing is left over.
    const files = await filesIn(`${folder}/cache`);
    assertEquals(files.filter((name) => name.endsWith(".part")), []);
    assertEquals(await runHere(`${folder}/cache`), [4, 8, 12]);
    assertEquals(await filesIn(`${folder}/cache`), files);
  }));

Deno.test("native: what another machine or compiler has made is not opened", () =>
  withFolder(async (folder) => {
    const cache = `${folder}/cache`,
      objects = async () => (await filesIn(cache)).filter((name) => name.endsWith(".index"));
    await runHere(cache);
    const before = await objects();
    // Another machine's compiler defines other macros.
    assertEquals(await runHere(cache, { compiler: "cc -DOTHER_MACHINE" }), [4, 8, 12]);
    const after = await objects();
    assertEquals(after.length, 2 * before.length);
    assertEquals(new Set(after.map((name) => name.split("/")[0])).size, 2);
  }));

Deno.test(
  "native: objects that are damaged, or have another's index, are made again",
  () =>
    withFolder(async (folder) => {
      const cache = `${folder}/cache`;
      await runHere(cache);
      const files = (await filesIn(cache)).map((name) => `${cache}/${name}`);
      const indices = files.filter((name) => name.endsWith(".index"));
      const sound = new Map(await Promise.all(files.map(async (path) => [path, await Deno.readFile(path)] as const)));
      const damages: ((path: string, bytes: Uint8Array) => Promise<void>)[] = [
        (path, bytes) => Deno.writeFile(path, bytes.subarray(0, bytes.length / 2)),
        (path, bytes) => Deno.writeFile(path, bytes.map((byte, i) => (i === bytes.length >> 1 ? byte ^ 1 : byte))),
        (path) => Deno.writeFile(path, new Uint8Array(0)),
        (path) => Deno.remove(path),
      ];
      for (const damage of damages) {
        for (const ending of [".index", ""]) {
          for (const path of files.filter((name) => name.endsWith(".index") === (ending !== ""))) {
            await damage(path, sound.get(path)!);
          }
          assertEquals(await runHere(cache), [4, 8, 12]);
        }
      }
      // Each index with the keys of the other object.
      assertEquals(indices.length, 2);
      const fresh = (await filesIn(cache)).map((name) => `${cache}/${name}`).filter((name) => name.endsWith(".index"));
      const texts = await Promise.all(fresh.map((path) => Deno.readTextFile(path)));
      await Promise.all(fresh.map((path, i) => Deno.writeTextFile(path, texts[1 - i])));
      assertEquals(await runHere(cache), [4, 8, 12]);
    }),
);

Deno.test("native: the cache is bounded, and what was used last stays", () =>
  withFolder(async (folder) => {
    const cache = `${folder}/cache`, cacheBytes = 100_000;
    const sizes = async () =>
      (await Promise.all((await filesIn(cache)).map((name) => Deno.stat(`${cache}/${name}`)))).reduce(
        (sum, { size }) => sum + size,
        0,
      );
    for (let factor = 2; factor < 12; factor++) {
      assertEquals(await runHere(cache, { cacheBytes }, factor), [1, 2, 3].map((x) => x * (factor + 1)));
    }
    assert(await sizes() <= cacheBytes, `${await sizes()} bytes`);
    const files = await filesIn(cache);
    await runHere(cache, { cacheBytes }, 11);
    assertEquals(await filesIn(cache), files, "the last one was there");
  }));

Deno.test("native: devices of one process that compile the same at the same time all keep it", () =>
  withFolder(async (folder) => {
    const caches = Array.from({ length: 8 }, () => new ObjectCache(folder, "0", 2 ** 20));
    const paths = await Promise.all(caches.map(async (cache) => {
      const part = await cache.newPart();
      await Deno.writeTextFile(part, "code");
      return await cache.store(part, ["key"]);
    }));
    assertEquals(new Set(paths).size, 1);
    assertEquals((await filesIn(folder)).filter((name) => name.endsWith(".part")), []);
    const [object] = new ObjectCache(folder, "0", 2 ** 20).find(["key"]);
    assertEquals(await caches[0].verify(object), paths[0]);
  }));
