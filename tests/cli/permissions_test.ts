/** What the library and the tasks touch of the machine: as little as can be. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { someText, wordsOf } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const DENY = ["--deny-read", "--deny-write", "--deny-net", "--deny-env", "--deny-run", "--deny-sys", "--deny-ffi"];

/**
 * Permissions without bounds: of `fetch`, which goes where it is told; of `train:mpi` and `profile:mpi`, whose library
 * is wherever the system keeps it; of the commands that hand work to a launcher, which is any program and gets the
 * whole environment; of the executable, whose user can add none (it gives the network back but for `fetch`, and opens
 * what its compiler has made wherever its user keeps that); of the bundle, because esbuild is a program somewhere in the
 * package cache and reads whatever variables it likes, as does the load tool of the server's soak; of the benchmark,
 * which runs the Python that it is given.
 */
const BROAD: Readonly<Record<string, readonly string[]>> = {
  fetch: ["--allow-net"],
  "train:mpi": ["--allow-ffi"],
  "profile:mpi": ["--allow-ffi"],
  "evaluate:cluster": ["--allow-run"],
  "study:cluster": ["--allow-run"],
  compile: ["--allow-write", "--allow-net", "--allow-ffi"],
  "compile:slim": ["--allow-write", "--allow-net", "--allow-ffi"],
  bundle: ["--allow-env", "--allow-run"],
  npm: ["--allow-env", "--allow-run"],
  bench: ["--allow-run"],
  "soak:serve": ["--allow-env", "--allow-sys"],
};

async function tasks(): Promise<Map<string, string>> {
  const config = JSON.parse(await Deno.readTextFile("deno.json")) as { tasks: Record<string, { command: string }> };
  return new Map(Object.entries(config.tasks).map(([name, { command }]) => [name, command]));
}

/** Runs Deno and reads what it was asked to permit, one line an access. */
async function audited(
  folder: string,
  args: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string; accesses: string[] }> {
  const log = `${await Deno.realPath(folder)}/accesses.jsonl`;
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: [...args],
    env: { DENO_AUDIT_PERMISSIONS: log, NO_COLOR: "1" },
  }).output();
  const lines = (await Deno.readTextFile(log).catch(() => "")).split("\n").filter(Boolean).map((line) =>
    JSON.parse(line)
  );
  const accesses = lines.map(({ permission, value }) => `${permission} ${value}`);
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr), accesses };
}

Deno.test("permissions: the audit log of the next tests shows what a program reads", () =>
  withFolder(async (folder) => {
    const { accesses } = await audited(folder, ["eval", 'Deno.env.get("HOME"); await Deno.readTextFile("README.md");']);
    assert(accesses.includes("env HOME") && accesses.includes("read README.md"), accesses.join());
  }));

Deno.test("permissions: the library touches no file, no environment variable and no network, and needs no permission", () =>
  withFolder(async (folder) => {
    const { code, stdout, stderr, accesses } = await audited(folder, [
      "run",
      "--no-prompt",
      ...DENY,
      "tests/cli/library_child.ts",
    ]);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout, "reference 16 true\nreference wrote 4\ncpu 16 true\ncpu wrote 4\n");
    assertEquals(accesses, []);
  }));

Deno.test("permissions: without --allow-net, and with it denied, the task trains on local data", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(4000));
    const command = (await tasks()).get("train")!;
    const words = command.slice(command.indexOf("deno run") + "deno ".length).split(" ");
    const main = words.indexOf("main.ts");
    const permissions = words.slice(1, main).map((word) =>
      word.replace(/^--allow-write=.*/, `--allow-write=${folder}`)
    );
    const size = wordsOf("--model lmm --steps 2 --batch 1 --seq-len 16 --eval-bytes 16 --sample-tokens 2");
    const args = [
      "run",
      "--no-prompt",
      "--deny-net",
      ...permissions,
      ...words.slice(main),
      "--data",
      `${folder}/text.txt`,
      "--out",
      `${folder}/run`,
      ...size,
    ];
    const { code, stdout, stderr, accesses } = await audited(folder, args);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /\ndone: step 2 /);
    assert(accesses.some((access) => access.startsWith("write ")), "the log was kept");
    assertEquals(accesses.filter((access) => /^(net|run|ffi|import) /.test(access)), []);
    const written = accesses.filter((access) => access.startsWith("write "));
    assertEquals(written.filter((access) => !access.includes(folder)), []);
  }));

Deno.test("permissions: every task spells out what it may do", async () => {
  for (const [name, command] of await tasks()) {
    const broad = command.split(" ").filter((word) =>
      /^(-A|-P|--allow-all|--allow-(write|net|run|env|sys|ffi|import))$/.test(word)
    );
    assertEquals(broad, BROAD[name] ?? [], `the task ${name}`);
  }
});
