/**
 * A case of a checkout, timed in a process of its own: `against_child.ts FOLDER cpu|webgpu CASE`. Says its compile time
 * as a line of JSON, then answers each line of standard input, a number of runs, by the milliseconds that they took.
 * The library and its cases are those of the folder.
 */
import type { requestDevice as RequestDevice } from "../../kernels/mod.ts";
import type { CASES as Cases } from "./own.ts";
import { lineOf, linesOf } from "./peers/protocol.ts";

const [folder, kind, name] = Deno.args;
const say = (value: object): void => void Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(value)}\n`));

try {
  const { CASES } = await import(`file://${folder}/tests/bench/own.ts`) as { CASES: typeof Cases };
  const { requestDevice } = await import(`file://${folder}/kernels/mod.ts`) as { requestDevice: typeof RequestDevice };
  const entry = CASES.find((entry) => entry.name === name);
  if (!entry) throw new Error(`has no case ${JSON.stringify(name)}`);
  const loaded = await entry.load(await requestDevice({ kind: kind as "cpu" | "webgpu" }));
  await loaded.read();
  say({ compileMs: loaded.compileMs });
  for await (const line of linesOf(Deno.stdin.readable)) say({ ms: await loaded.time(Number(line)) });
} catch (error) {
  say({ error: lineOf(error) });
}
Deno.exit(0);
