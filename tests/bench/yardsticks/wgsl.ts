/**
 * Yardsticks of the webgpu device: kernels written by hand for known shapes.
 *
 * They run like those of a program: one command buffer, one pass and one submit a run, and one wait for all runs of a
 * turn.
 */
import type { WebGpuDevice } from "../../../kernels/mod.ts";
import { fence, readStaging } from "../../../kernels/devices/webgpu/host.ts";
import type { ProductShape, Yardstick } from "./yardstick.ts";

/** A kernel over operands `b0`, `b1` ... of vec4s, the last of which it writes. */
interface HandWritten {
  readonly name: string;
  readonly flops?: number;
  readonly bytes?: number;
  readonly inputs: readonly Float32Array[];
  readonly resultSize: number;
  readonly workgroups: number;
  readonly workgroupSize: number;
  readonly body: string;
}

function handWritten(
  { gpu }: WebGpuDevice,
  { name, flops, bytes, inputs, resultSize, workgroups, workgroupSize, body }: HandWritten,
): Yardstick {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const buffers = [...inputs.map(({ byteLength }) => byteLength), 4 * resultSize].map((size) =>
    gpu.createBuffer({ size, usage })
  );
  inputs.forEach((data, i) => gpu.queue.writeBuffer(buffers[i], 0, data as BufferSource));
  const operands = buffers.map((_, i) => `@group(0) @binding(${i}) var<storage, read_write> b${i}: array<vec4f>;\n`)
    .join("");
  const code =
    `${operands}@compute @workgroup_size(${workgroupSize}) fn main(@builtin(global_invocation_id) g: vec3<u32>) {\n${body}\n}`;
  const pipeline = gpu.createComputePipeline({
    layout: "auto",
    compute: { module: gpu.createShaderModule({ code }), entryPoint: "main" },
  });
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const group = gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const submit = (): void => {
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(workgroups);
    pass.end();
    gpu.queue.submit([encoder.finish()]);
  };
  return {
    name,
    flops,
    bytes,
    time: async (count) => {
      const start = performance.now();
      for (let i = 0; i < count; i++) submit();
      await fence(gpu.queue);
      return performance.now() - start;
    },
    read: async () => {
      submit();
      const size = 4 * resultSize;
      const staging = gpu.createBuffer({
        size,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
        mappedAtCreation: true,
      });
      staging.unmap();
      const encoder = gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(buffers[buffers.length - 1], 0, staging, 0, size);
      gpu.queue.submit([encoder.finish()]);
      const [bytes] = await readStaging(staging, [{ offset: 0, sizeBytes: size }]);
      staging.destroy();
      return new Float32Array(bytes);
    },
    dispose: () => buffers.forEach((buffer) => buffer.destroy()),
  };
}

/**
 * A product by register tiles: an invocation has `tileRows` x 8 results in vec4 accumulators and takes four steps of k
 * at a time. No workgroup memory, literal extents. Extents must be multiples of the tile's.
 */
export function tiledProduct(
  device: WebGpuDevice,
  operands: readonly [Float32Array, Float32Array],
  shape: ProductShape,
  tileRows: 8 | 16,
): Yardstick {
  const { batch, m, n, k } = shape;
  const rows = Array.from({ length: tileRows }, (_, row) => row), quads = [0, 1], steps = [0, 1, 2, 3];
  const columns = n / 8, bands = m / tileRows, invocations = batch * bands * columns;
  const cells = rows.flatMap((row) => quads.map((quad) => ({ row, quad, name: `c${row}_${quad}` })));
  const loads = [
    ...rows.map((row) => `let x${row} = b0[a + ${row * k / 4}u];`),
    ...steps.flatMap((step) => quads.map((quad) => `let y${step}_${quad} = b1[b + ${step * n / 4 + quad}u];`)),
  ];
  const sums = steps.flatMap((step) =>
    cells.map(({ row, quad, name }) => `${name} += x${row}.${"xyzw"[step]} * y${step}_${quad};`)
  );
  const body = `let column = g.x % ${columns}u; let band = g.x / ${columns}u; let item = band / ${bands}u;
    ${cells.map(({ name }) => `var ${name} = vec4f(0);`).join(" ")}
    for (var k = 0u; k < ${k / 4}u; k++) {
      let a = band * ${tileRows * k / 4}u + k; let b = item * ${k * n / 4}u + k * ${n}u + column * 2u;
      ${[...loads, ...sums].join(" ")}
    }
    let c = band * ${tileRows * n / 4}u + column * 2u;
    ${cells.map(({ row, quad, name }) => `b2[c + ${row * n / 4 + quad}u] = ${name};`).join(" ")}`;
  return handWritten(device, {
    name: `WGSL ${tileRows}x8`,
    flops: 2 * batch * m * n * k,
    inputs: operands,
    resultSize: batch * m * n,
    workgroups: invocations / 8,
    workgroupSize: 8,
    body,
  });
}

/** The tiles that fit a shape: what is taller than 8 rows may be faster or slower. */
export function tilesOf({ m }: ProductShape): readonly (8 | 16)[] {
  return m % 16 === 0 ? [8, 16] : [8];
}

/**
 * `gelu(x w + b) + x` on vec4s, `quads` of them an invocation. tanh(u) is written 1 - 2 / (1 + exp(2u)), which drivers
 * get right near 0.
 */
export function elementwiseGelu(device: WebGpuDevice, [x, w, b]: readonly Float32Array[], quads: number): Yardstick {
  const one = (at: string): string =>
    `{
    let x = b0[${at}]; let z = x * b1[${at}] + b2[${at}];
    b3[${at}] = z / (1.0 + exp(-1.5957691216 * (z + 0.044715 * z * z * z))) + x;
  }`;
  return flat(device, { name: "WGSL vec4", inputs: [x, w, b], quads, one });
}

/** `a + b` on vec4s, `quads` of them an invocation. */
export function elementwiseSum(device: WebGpuDevice, [a, b]: readonly Float32Array[], quads: number): Yardstick {
  return flat(device, { name: "WGSL vec4", inputs: [a, b], quads, one: (at) => `b2[${at}] = b0[${at}] + b1[${at}];` });
}

interface Flat {
  readonly name: string;
  readonly inputs: readonly Float32Array[];
  readonly quads: number;
  /** The statements for the vec4 at an index. */
  readonly one: (at: string) => string;
}

const FLAT_WORKGROUP = 64;

function flat(device: WebGpuDevice, { name, inputs, quads, one }: Flat): Yardstick {
  const size = inputs[0].length, invocations = size / 4 / quads;
  return handWritten(device, {
    name: `${name} x${quads}`,
    bytes: 4 * size * (inputs.length + 1),
    inputs,
    resultSize: size,
    workgroups: invocations / FLAT_WORKGROUP,
    workgroupSize: FLAT_WORKGROUP,
    body: Array.from({ length: quads }, (_, i) => one(`g.x + ${i * invocations}u`)).join("\n"),
  });
}
