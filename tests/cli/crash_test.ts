/**
 * What may be on the disk after a loss of power, worked out: the calls by which files are replaced are recorded, and
 * after each of them every state is built that a file system may leave - contents that were not synchronised lost from
 * any byte on, moves that were not synchronised done or not.
 */
import { assert, assertEquals } from "@std/assert";
import { writeAtomic } from "../../cli/files.ts";
import { RunFolder } from "../../cli/run_folder.ts";
import { withFolder } from "./scratch.ts";

/** A call that changes files, or makes a change last. */
type Call =
  | { readonly kind: "write"; readonly path: string; readonly bytes: Uint8Array; readonly from: number }
  | { readonly kind: "truncate"; readonly path: string }
  | { readonly kind: "sync"; readonly path: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string };

/** Does something, and tells what it called. Paths are told without the folder. */
async function recorded(folder: string, action: () => Promise<void>): Promise<Call[]> {
  const calls: Call[] = [],
    { open, rename } = Deno,
    name = (path: string | URL): string => String(path).slice(folder.length);
  Deno.open = async (path, options) => {
    const file = await open(path, options), place = name(path), { write, writeSync, sync, truncate, stat } = file;
    let at = options?.append ? (await stat.call(file)).size : 0;
    const wrote = (bytes: Uint8Array, count: number): number => {
      calls.push({ kind: "write", path: place, bytes: bytes.slice(0, count), from: at });
      at += count;
      return count;
    };
    return Object.assign(file, {
      write: async (bytes: Uint8Array) => wrote(bytes, await write.call(file, bytes)),
      writeSync: (bytes: Uint8Array) => wrote(bytes, writeSync.call(file, bytes)),
      truncate: async () => {
        await truncate.call(file);
        calls.push({ kind: "truncate", path: place });
      },
      sync: async () => {
        await sync.call(file);
        calls.push({ kind: "sync", path: place });
      },
    });
  };
  Deno.rename = async (from, to) => {
    await rename(from, to);
    calls.push({ kind: "rename", from: name(from), to: name(to) });
  };
  try {
    await action();
  } finally {
    Object.assign(Deno, { open, rename });
  }
  return calls;
}

/** A file: what it holds, and what of that is on the disk for certain. */
interface File {
  bytes: Uint8Array;
  sure: Uint8Array;
}

/** The files by name after a loss of power. */
type Disk = ReadonlyMap<string, Uint8Array>;

/**
 * Every state that a loss of power after some calls may leave: of contents that are not sure a few lengths, with what
 * is missing cut off or zero.
 */
function* crashes(before: Disk, calls: readonly Call[]): Generator<Disk> {
  const names = new Map([...before].map(([name, bytes]): [string, File] => [name, { bytes, sure: bytes }]));
  // Moves since the folder was synchronised, with the names before each: a file system does them in order, or not yet.
  let moves: Map<string, File>[] = [];
  for (const call of calls) {
    if (call.kind === "rename") {
      moves.push(new Map(names));
      names.set(call.to, names.get(call.from)!);
      names.delete(call.from);
    } else if (call.kind === "sync" && !names.has(call.path)) moves = [];
    else {
      const file = names.get(call.path) ?? { bytes: new Uint8Array(0), sure: new Uint8Array(0) };
      names.set(call.path, file);
      if (call.kind === "sync") file.sure = file.bytes;
      else if (call.kind === "truncate") file.bytes = new Uint8Array(0);
      else file.bytes = Uint8Array.from([...file.bytes.subarray(0, call.from), ...call.bytes]);
    }
  }
  for (const state of [names, ...moves]) {
    const open = [...state].filter(([, { bytes, sure }]) => bytes !== sure);
    for (const share of open.length > 0 ? [0, 0.4, 1] : [1]) {
      for (const zero of [false, true]) {
        yield new Map([...state].map(([name, { bytes, sure }]) => {
          if (bytes === sure) return [name, bytes];
          // What was sure stays if the file only grew.
          const grew = sure.every((byte, i) => byte === bytes[i]), least = grew ? sure.length : 0;
          const length = least + Math.floor((bytes.length - least) * share);
          return [name, zero ? bytes.slice().fill(0, length) : bytes.slice(0, length)];
        }));
      }
    }
  }
}

async function diskOf(folder: string): Promise<Disk> {
  const files = new Map<string, Uint8Array>();
  for await (const { name } of Deno.readDir(folder)) files.set(`/${name}`, await Deno.readFile(`${folder}/${name}`));
  return files;
}

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && new TextDecoder().decode(bytes);

Deno.test("crash: the states that are built hold a file that was not synchronised, and a move that was not", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5);
  const write: Call[] = [{ kind: "write", path: "/a.part", bytes, from: 0 }],
    move: Call[] = [{ kind: "rename", from: "/a.part", to: "/a" }];
  const found = (calls: Call[]): Set<string> =>
    new Set([...crashes(new Map(), calls)].map((disk) => [...disk].map(([name, held]) => name + held).join()));
  assertEquals(
    [...found([...write, ...move])].some((state) => state === "/a" || state === "/a1,2"),
    true,
    "a move before its contents",
  );
  const whole = found([...write, { kind: "sync", path: "/a.part" }, ...move]);
  assertEquals([...whole], ["/a1,2,3,4,5", "/a.part1,2,3,4,5"]);
  assertEquals([...found([...write, { kind: "sync", path: "/a.part" }, ...move, { kind: "sync", path: "" }])], [
    "/a1,2,3,4,5",
  ]);
});

Deno.test("crash: a file that is replaced is the old one or the new one after a loss of power at any moment, and the new one once that was told", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file`, "old");
    const before = await diskOf(folder),
      calls = await recorded(folder, () => writeAtomic(`${folder}/file`, "the new one"));
    for (let count = 0; count <= calls.length; count++) {
      for (const disk of crashes(before, calls.slice(0, count))) {
        const held = text(disk.get("/file"));
        assert(held === "the new one" || (held === "old" && count < calls.length), `after ${count} calls: ${held}`);
      }
    }
  }));

Deno.test("crash: after a loss of power at any moment a run has a whole state, the metrics up to it, and the best one that these name", () =>
  withFolder(async (folder) => {
    const step = (step: number) =>
      ({
        event: "step",
        step,
        device: "cpu",
        loss: 1,
        bitsPerByte: 1,
        learningRate: 1,
        gradientNorm: 1,
        tokensPerSecond: 1,
      }) as const;
    const state = (step: number): Uint8Array => new TextEncoder().encode(`state ${step}`);
    const saves: number[] = [];
    const calls = await recorded(folder, async () => {
      const run = await RunFolder.open(folder, { seed: 1 }, { step: 0 });
      for (const saved of [2, 4, 6]) {
        run.log(step(saved - 1));
        run.log(step(saved));
        await run.save(state(saved), saved === 4);
      }
      run.close();
    });
    for (const [i, call] of calls.entries()) {
      if (call.kind === "sync" && call.path === "" && calls[i - 1].kind === "rename") saves.push(i + 1);
    }
    let seen = 0;
    for (let count = 0; count <= calls.length; count++) {
      for (const disk of crashes(new Map(), calls.slice(0, count))) {
        const last = text(disk.get("/checkpoint.safetensors")), best = text(disk.get("/best.safetensors"));
        assert(last === undefined || /^state [246]$/.test(last), last);
        assert(best === undefined || best === "state 4", best);
        const reached = Number(last?.slice(-1) ?? 0), metrics = text(disk.get("/metrics.jsonl")) ?? "";
        const steps = metrics.split("\n").slice(0, reached).map((line) => JSON.parse(line).step);
        assertEquals(steps, Array.from({ length: reached }, (_, i) => i + 1));
        if (reached >= 4) assertEquals(best, "state 4");
        seen = Math.max(seen, reached);
      }
    }
    assertEquals([seen, saves.length >= 4], [6, true]);
  }));
