/**
 * Random programs of fixed seeds on every device, and the fuzzer itself: it reaches every op, sees planted faults, and
 * makes them small.
 */
import { assert, assertEquals } from "@std/assert";
import type { HostData } from "../../core/dtype.ts";
import type { Device, DeviceArray, Executable, LoadedProgram } from "../../kernels/device.ts";
import { ReferenceDevice } from "../../kernels/devices/reference/device.ts";
import { type CampaignReport, runCampaign } from "./campaign.ts";
import { check, traceProgram } from "./check.ts";
import { Coverage, unreachableFunctions } from "./coverage.ts";
import { generate } from "./generate.ts";
import { helpText, readOptions } from "./flags.ts";
import { allSteps } from "./program.ts";
import { scriptOf } from "./script.ts";
import { shrink } from "./shrink.ts";
import { openTargets, type Target, type TargetKind } from "./targets.ts";

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

async function run(kinds: readonly TargetKind[], seeds: readonly number[]): Promise<CampaignReport> {
  const targets = await openTargets(kinds);
  try {
    return await runCampaign({ seeds, targets, shrink: false, maxFailures: 5 });
  } finally {
    for (const { device } of targets) device.dispose();
  }
}

function assertNone({ faults }: CampaignReport): void {
  const lines = faults.map(({ seeds, signature, failure }) =>
    `seed ${seeds[0]} (deno task fuzz --seeds ${seeds[0]} --shrink): ${signature}: ${failure.message}`
  );
  assertEquals(lines, []);
}

Deno.test("fuzz: programs of fixed seeds are right on the reference and on cpu, relaxed or not, on one thread and on two", async () => {
  // The last one is the smaller of a tensor and itself, for all of 256 elements.
  const report = await run(["reference", "cpu"], [...range(0, 600), 1697]);
  assertNone(report);
  const { compared, undecided } = report.comparison;
  assert(undecided < 0.01 * compared, `${undecided} of ${compared} elements are undecided: the check says too little`);
});

Deno.test("fuzz: programs of fixed seeds are right on native, on one thread and on two", async () => {
  assertNone(await run(["native"], range(0, 20)));
});

Deno.test("fuzz: programs of fixed seeds are right on webgpu", async () => {
  assertNone(await run(["webgpu"], range(0, 40)));
});

Deno.test("fuzz: every public op is in the generator's table, and random programs reach every primitive", () => {
  assertEquals(unreachableFunctions(), []);
  const coverage = new Coverage();
  for (const seed of range(0, 2500)) {
    if (seed >= 500 && coverage.missing.length === 0) break;
    const program = generate(seed);
    const primitives = new Set(traceProgram(program).graph.nodes.map(({ op }) => op.name));
    coverage.add(program, { primitives });
  }
  assertEquals(coverage.missing, []);
  assert(coverage.secondOrder > 0.1 * coverage.programs, "few programs have gradients of second order");
});

Deno.test("fuzz: a seed is one program", () => {
  for (const seed of range(0, 40)) assertEquals(JSON.stringify(generate(seed)), JSON.stringify(generate(seed)));
});

/** A reference device that is wrong in the last element of every result of a program in which `culprit` occurs. */
class FaultyDevice extends ReferenceDevice {
  constructor(readonly culprit: string, readonly error: number) {
    super();
  }

  override async load(program: LoadedProgram): Promise<Executable> {
    const executable = await super.load(program);
    if (!program.graph.nodes.some(({ op }) => op.name === this.culprit)) return executable;
    const spoil = (array: DeviceArray): DeviceArray => {
      const read = array.read.bind(array);
      array.read = async () => {
        const data: HostData = (await read()).slice();
        if (data.length > 0) data[data.length - 1] += this.error * Math.max(1, Math.abs(data[data.length - 1]));
        return data;
      };
      return array;
    };
    return {
      ...executable,
      sources: [],
      shaders: [],
      profile: () => Promise.resolve([]),
      dispose: () => executable.dispose(),
      launch: (inputs) => executable.launch(inputs).map(spoil),
    };
  }
}

function faulty(culprit: string, error: number): Target {
  const device: Device = new FaultyDevice(culprit, error);
  return { name: "faulty", kind: "reference", device };
}

Deno.test("fuzz: an error of a few millionths is found, shrunk to the op that makes it, and printed as a script", async () => {
  for (const culprit of ["erf", "matmul", "scatterAdd"]) {
    const target = faulty(culprit, 3e-5);
    let found = false;
    for (const seed of range(0, 600)) {
      const program = generate(seed);
      if (!allSteps(program.steps).some(({ op }) => op === culprit)) continue;
      const { failures } = await check(program, { targets: [target] });
      if (failures.length === 0) continue;
      found = true;
      assertEquals(failures[0].stage, "device");
      const small = await shrink({ program, failure: failures[0] }, [target]);
      const ops = allSteps(small.program.steps).map(({ op }) => op);
      const primitives = traceProgram(small.program).graph.nodes.map(({ op }) => op.name);
      assert(primitives.includes(culprit) && ops.length <= 3, `seed ${seed} was shrunk to ${ops.join(", ")}`);
      const script = scriptOf(small.program, small.failure);
      assert(script.includes(`${ops[0]}(`) && script.includes("right is"), script);
      break;
    }
    assert(found, `a fault of ${culprit} was not found`);
    target.device.dispose();
  }
});

Deno.test("fuzz: every seed is a program", () => {
  for (const seed of range(0, 20000)) assert(generate(seed).steps.length > 0, `seed ${seed}`);
});

Deno.test("fuzz: the command line says what it takes, and refuses what it does not", () => {
  assertEquals(readOptions(["--seeds", "3..9", "--device", "all"])?.devices, ["reference", "cpu", "native", "webgpu"]);
  assertEquals(readOptions(["--help"]), undefined);
  assert(helpText().includes("--seeds A..B"));
  for (const wrong of [["--seeds", "9..3"], ["--seeds", "x"], ["--device", "tpu"], ["--shrinks"]]) {
    let refused = false;
    try {
      readOptions(wrong);
    } catch {
      refused = true;
    }
    assert(refused, `${wrong.join(" ")} was taken`);
  }
});
