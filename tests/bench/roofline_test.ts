/** Kernels on paper: what is read from their texts, and what bounds them. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { GPUS, gpuSpecOf } from "../../kernels/devices/webgpu/gpu_specs.ts";
import { FakeTerminal } from "../cli/fake_terminal.ts";
import { withFolder } from "../cli/scratch.ts";
import { main } from "./main.ts";
import type { RooflineReport } from "./roofline.ts";
import { estimate, type Launch } from "./roofline/model.ts";
import { readShader } from "./roofline/shader_text.ts";

const SOURCE = `@group(0) @binding(0) var<storage, read_write> b0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> b1: array<f32>;

var<workgroup> tile: array<vec4<f32>, 32>;

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let id = i32(local);
  var sum0 = vec4<f32>(0);
  for (var turn = 0; turn < 8; turn++) {
    let x1 = b0[(turn * 32 + id)];
    tile[id] = x1;
    for (var quad = 0; quad < 4; quad++) {
      let v2 = tile[quad];
      sum0 += v2.x * v2;
    }
  }
  for (var k = first; k < last; k++) {
    let x3 = b1[k];
    sum0 += x3;
  }
  let t4 = (sum0.x + sum0.y);
  b1[id] = t4;
}
`;

Deno.test("roofline: a text tells sizes, traffic with the turns of its loops, and registers", () => {
  assertEquals(readShader(SOURCE, 5), {
    size: 32,
    workgroupBytes: 512,
    loadBytes: 8 * 16 + 5 * 4,
    storeBytes: 4,
    sharedBytes: 8 * 16 + 8 * 4 * 16,
    burstBytes: 16,
    // id, the sum of four, and a vec4 of the tile.
    registers: 1 + 4 + 4,
  });
});

Deno.test("roofline: the bound is the longest time, over the cores that have work", () => {
  const [gpu] = GPUS, shader = readShader(SOURCE, 1);
  const of = (launch: Partial<Launch>) =>
    estimate({ shader, workgroups: gpu.cores, flops: 1, bytes: 1, ...launch }, gpu);
  // Plenty of arithmetic in as many workgroups as there are cores, and in one more: a second wave.
  const full = of({ flops: 1e9 }), tail = of({ flops: 1e9, workgroups: gpu.cores + 1 });
  assertEquals([full.bound, full.coreShare, full.share], ["arithmetic", 1, 1]);
  assertAlmostEquals(full.boundNs, 1e9 / gpu.peak.gflops, 1e-9);
  assertAlmostEquals(tail.coreShare, (gpu.cores + 1) / (2 * gpu.cores), 1e-12);
  assertAlmostEquals(tail.share, tail.coreShare, 1e-12);
  // Memory is at its bandwidth with enough invocations, and waits for loads with few.
  const many = of({ bytes: 1e9, workgroups: 1e4 }), few = of({ bytes: 1e9, workgroups: 1 });
  assertEquals([many.bound, few.bound], ["memory", "latency"]);
  assertAlmostEquals(many.share, 1, 1e-12);
  assert(few.boundNs > 100 * many.boundNs);
  // Workgroup memory and registers limit how many workgroups a core holds.
  assertEquals(of({ shader: { ...shader, workgroupBytes: gpu.workgroupBytes / 3 } }).resident, 3);
  assertEquals(of({ shader: { ...shader, registers: 244, size: 64 } }).resident, Math.floor(65536 / 255 / 64));
  assertEquals(of({ shader: { ...shader, sharedBytes: 1e6 } }).bound, "workgroup memory");
});

Deno.test("roofline: adapters are known by their names", () => {
  const nameOf = (description: string): string | undefined => gpuSpecOf(description)?.name;
  assertEquals(
    ["NVIDIA H100 80GB HBM3", "NVIDIA GeForce RTX 4060", "Apple M2", "Intel(R) Iris(R) Xe Graphics (TGL GT2)"].map(
      nameOf,
    ),
    GPUS.map(({ name }) => name),
  );
  assertEquals(
    ["NVIDIA GeForce RTX 4060 Ti", "Apple M2 Max", "llvmpipe (LLVM 15.0.6, 256 bits)"].map(nameOf),
    [undefined, undefined, undefined],
  );
});

Deno.test("roofline: a case on paper, from the command line to JSON", () =>
  withFolder(async (folder) => {
    const terminal = new FakeTerminal(), json = `${folder}/figures.json`;
    assertEquals(await main(["--roofline", "--device", "cpu", "--filter", "64x256x1024", "--json", json], terminal), 0);
    const { cases: [entry] } = JSON.parse(await Deno.readTextFile(json)) as RooflineReport;
    assertEquals([entry.name, entry.kernels.length, entry.measured], ["matmul 64x256x1024", 1, []]);
    const [{ flops, workgroups, shader, estimates }] = entry.kernels;
    assertEquals([flops, workgroups * shader.size * 16], [2 * 64 * 256 * 1024, 64 * 256]);
    for (const { name } of GPUS) {
      const { share, rooflineNs, boundNs, occupancy } = estimates[name];
      assert(share > 0 && share <= 1 && rooflineNs <= boundNs && occupancy > 0 && occupancy <= 1, name);
    }
    assert(terminal.stdout.includes("by the roofline: H100"), terminal.stdout);
  }));
