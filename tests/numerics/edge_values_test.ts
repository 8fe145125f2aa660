import { type Device, requestDevice } from "../../mod.ts";
import { requestCpuDevice } from "../../kernels/mod.ts";
import { BINARY, type BinaryRow, COMPARISONS, PATTERNS, UNARY } from "./elementwise_table.ts";
import { promisesOf, report, runOnce, wrongness } from "./edges.ts";
import { EDGES } from "./f32.ts";

/** Every device, and cpu without multiply-adds that round once. */
async function forEachDevice(check: (device: Device, label: string) => Promise<void>): Promise<void> {
  const devices = [
    ["reference", await requestDevice({ kind: "reference" })],
    ["cpu", await requestDevice({ kind: "cpu" })],
    ["cpu, not relaxed", await requestCpuDevice({ relaxed: false })],
    ["webgpu", await requestDevice({ kind: "webgpu" })],
  ] as const;
  const failures: string[] = [];
  for (const [label, device] of devices) {
    try {
      await check(device, label);
    } catch (error) {
      failures.push(String(error));
    } finally {
      device.dispose();
    }
  }
  if (failures.length > 0) throw new Error(failures.join("\n"));
}

/** Every pair of edge values. */
const LEFT = Float32Array.from({ length: EDGES.length ** 2 }, (_, i) => EDGES[Math.floor(i / EDGES.length)]);
const RIGHT = Float32Array.from({ length: EDGES.length ** 2 }, (_, i) => EDGES[i % EDGES.length]);

async function checkPairs(device: Device, label: string, rows: readonly BinaryRow[]): Promise<void> {
  const promises = promisesOf(device.info.kind), failures: string[] = [];
  const results = await runOnce(device, (x, y) => rows.map(({ fn }) => fn(x, y)), [LEFT, RIGHT]);
  rows.forEach((row, at) =>
    results[at].data.forEach((result, i) => {
      const wrong = wrongness(result, [LEFT[i], RIGHT[i]], ([x, y], round) => row.exact(x, y, round), row, promises);
      if (wrong) failures.push(`${row.name} ${wrong}`);
    })
  );
  report(label, rows.length * LEFT.length, failures);
}

Deno.test("edge values: every op of one float", () =>
  forEachDevice(async (device, label) => {
    const promises = promisesOf(device.info.kind), failures: string[] = [];
    const results = await runOnce(device, (x) => UNARY.map(({ fn }) => fn(x)), [EDGES]);
    UNARY.forEach((row, at) =>
      results[at].data.forEach((result, i) => {
        const wrong = wrongness(result, [EDGES[i]], ([x], round) => row.exact(x, round), row, promises);
        if (wrong) failures.push(`${row.name} ${wrong}`);
      })
    );
    report(label, UNARY.length * EDGES.length, failures);
  }));

Deno.test("edge values: every op of two floats, every pair", () =>
  forEachDevice((device, label) => checkPairs(device, label, [...BINARY, ...COMPARISONS])));

Deno.test("edge values: what compilers simplify as if there were no NaN", () =>
  forEachDevice((device, label) => checkPairs(device, label, PATTERNS)));
