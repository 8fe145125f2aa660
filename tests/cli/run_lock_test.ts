import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import { openLocked } from "../../cli/lock.ts";
import { abandon, takeFreshFolder, takeNewFolder, takeRun } from "../../cli/run_lock.ts";
import { runMain, someText, spawnMain, waitFor, wordsOf } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const SMALL = wordsOf(
  "--device reference --model lmm --width 16 --blocks 1 --heads 1 --batch 1 --seq-len 16 --eval-bytes 16",
);

function train(folder: string, run: string, ...more: string[]): string[] {
  return [
    "train",
    ...SMALL,
    "--sample-tokens",
    "0",
    "--data",
    `${folder}/text.txt`,
    "--out",
    `${folder}/${run}`,
    ...more,
  ];
}

async function withText(fn: (folder: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(4000));
    await fn(folder);
  });
}

async function filesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
}

Deno.test("lock: a file is one's own until it is closed, also where it is replaced meanwhile", () =>
  withFolder(async (folder) => {
    const path = `${folder}/file`, first = await openLocked(path);
    assert(first);
    assertEquals(await openLocked(path), undefined);
    await Deno.rename(path, `${folder}/moved`);
    const second = await openLocked(path);
    assert(second, "the name is free again");
    assertEquals(await openLocked(`${folder}/moved`), undefined);
    first.close();
    second.close();
    (await openLocked(path))?.close();
    await assertRejects(() => openLocked(`${folder}/none/file`), Deno.errors.NotFound);
  }));

Deno.test("run lock: of many that start at once each has a folder of its own, and of many in one folder one has it", () =>
  withFolder(async (root) => {
    const locks = await Promise.all(Array.from({ length: 12 }, () => takeFreshFolder(root, "mac-nano")));
    assertEquals(new Set(locks.map(({ path }) => path)).size, 12);
    for (const lock of locks) lock[Symbol.dispose]();
    const outcomes = await Promise.allSettled(Array.from({ length: 12 }, () => takeNewFolder(`${root}/deep/er/run`)));
    const taken = outcomes.filter((outcome) => outcome.status === "fulfilled"),
      refused = outcomes.filter((outcome) => outcome.status === "rejected");
    assertEquals([taken.length, refused.length], [1, 11]);
    for (const { reason } of refused) {
      assert(reason instanceof UsageError);
      assertMatch(
        reason.message,
        /^the run in \S+\/run is open in another process( \(process \d+, since .* UTC\))?: wait until that one ends, or stop it/,
      );
    }
    taken[0].value[Symbol.dispose]();
    assertEquals(await filesIn(`${root}/deep/er/run`), []);
    (await takeNewFolder(`${root}/deep/er/run`))[Symbol.dispose]();
  }));

Deno.test("run lock: a new run destroys nothing, and what failed before its first step leaves nothing", () =>
  withFolder(async (root) => {
    const put = async (run: string, ...names: string[]): Promise<string> => {
      await Deno.mkdir(`${root}/${run}`);
      for (const name of names) await Deno.writeTextFile(`${root}/${run}/${name}`, "{}");
      return `${root}/${run}`;
    };
    const refused = (path: string, text: string) => assertRejects(() => takeNewFolder(path), Error, text);
    await refused(
      await put("a", "checkpoint.safetensors"),
      "contains a checkpoint but no config.json: restore that file to continue the run, or choose another --out",
    );
    await refused(await put("b", "best.safetensors"), "contains a checkpoint but no config.json");
    await refused(await put("c", "config.json", "checkpoint.safetensors"), "already contains a run");
    await refused(await put("d", "config.json"), "is not a run's configuration");
    assertEquals((await takeFreshFolder(root, "a")).path, `${root}/a-2`);
    await assertRejects(() => takeRun(`${root}/a`), UsageError, "there is no run in");
    const notes = await takeNewFolder(await put("e", "notes.txt"));
    await abandon(notes);
    assertEquals(await filesIn(`${root}/e`), ["notes.txt"]);
    await abandon(await takeNewFolder(`${root}/f`));
    assertEquals((await filesIn(root)).includes("f"), false);
  }));

Deno.test("run lock: who starts, resumes or trains anew in a folder that a run has open is told whose it is; a kill gives it back", () =>
  withText(async (folder) => {
    const child = spawnMain(train(folder, "run", "--steps", "100000", "--checkpoint-every", "1", "--json"));
    await waitFor(child, '"event":"step","step":4,');
    for (const more of [[], ["--resume"], ["--resume", "--steps", "3"]]) {
      const { code, stdout, stderr } = await runMain(...train(folder, "run", ...more));
      assertEquals([code, stdout], [2, ""]);
      assertMatch(
        stderr,
        new RegExp(
          `^error: the run in \\S+ is open in another process \\(process ${child.pid}, since [\\d: -]+ UTC\\): wait until that .*\\n$`,
        ),
      );
    }
    child.kill("SIGKILL");
    await Promise.all([child.status, child.stderr.cancel()]);
    const again = await runMain(...train(folder, "run"));
    assertEquals([again.code, again.stderr], [
      2,
      `error: ${folder}/run already contains a run: continue it with --resume, or choose another --out\n`,
    ]);
    const at = (await runMain(...train(folder, "run", "--resume", "--steps", "1", "--json"))).stderr;
    const step = Number(/complete at step (\d+)/.exec(at)?.[1]);
    assert(step >= 2, at);
    assertEquals((await runMain(...train(folder, "run", "--resume", "--steps", String(step + 1)))).code, 0);
    assertEquals(
      (await filesIn(`${folder}/run`)).filter((name) => name.endsWith(".lock") || name.endsWith(".part")),
      [],
    );
  }));

Deno.test("run lock: two runs that start at the same moment in one folder: one trains, the other is told so", () =>
  withText(async (folder) => {
    const children = [0, 1, 2].map(() => spawnMain(train(folder, "run", "--steps", "40", "--checkpoint-every", "40")));
    const codes = await Promise.all(children.map(async (child) => (await child.output()).code));
    assertEquals(codes.sort(), [0, 2, 2]);
  }));
