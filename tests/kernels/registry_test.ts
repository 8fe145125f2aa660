/** Devices by name, and one that the registry does not know. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { HostData, Type } from "../../core/dtype.ts";
import { DeviceError } from "../../core/errors.ts";
import { interpret } from "../../core/interpret.ts";
import type { DeviceArray, DeviceInfo, DeviceLimits, Executable, LoadedProgram } from "../../kernels/device.ts";
import { BaseDevice } from "../../kernels/devices/base_device.ts";
import { type DeviceKindSpec, DEVICES } from "../../kernels/devices/registry.ts";
import { StoredArray } from "../../kernels/devices/stored_array.ts";
import type { HostArray } from "../../kernels/host_data.ts";
import { NATIVE_CACHE } from "./native_tests.ts";
import { DEVICE_KINDS, requestDevice } from "../../kernels/request_device.ts";
import { compile, spec, type Tensor } from "../../mod.ts";
import { add, matmul } from "../../ops/mod.ts";

class ToyArray extends StoredArray<number[]> {
  read(): Promise<HostArray> {
    return Promise.resolve(Float32Array.from(this.storage));
  }

  protected release(): void {}
}

/** A device of thirty lines: arrays of numbers, and programs that are interpreted. */
class ToyDevice extends BaseDevice {
  readonly info: DeviceInfo = { kind: "toy", description: "arrays of numbers", software: true };
  readonly needsPlan = false;
  readonly limits: DeviceLimits = {
    maxOperands: 8,
    maxTensorBytes: 2 ** 20,
    maxBufferBytes: 2 ** 20,
    alignmentBytes: 4,
    lanes: 1,
  };

  upload(data: HostData, { shape, dtype }: Type): DeviceArray {
    return new ToyArray(this, Array.from(data), shape, dtype);
  }

  load({ graph }: LoadedProgram): Promise<Executable> {
    const launch = (inputs: readonly DeviceArray[]): DeviceArray[] => {
      const values = inputs.map((array) => ({
        shape: array.shape,
        dtype: array.dtype,
        data: Float64Array.from((array as ToyArray).storage),
      }));
      return interpret(graph, values).map(({ data, shape, dtype }) =>
        new ToyArray(this, Array.from(data), shape, dtype)
      );
    };
    return Promise.resolve({ launch, sources: [], shaders: [], profile: () => Promise.resolve([]), dispose() {} });
  }

  synchronize(): Promise<void> {
    return Promise.resolve();
  }

  dispose(): void {}
}

Deno.test("registry: a device of one's own is opened, compiled for and shown like any other", async () => {
  let loads = 0;
  const toy: DeviceKindSpec = {
    summary: "for this test",
    load: () => {
      loads++;
      return Promise.resolve({ isAvailable: () => true, request: () => Promise.resolve(new ToyDevice()) });
    },
  };
  using device = await requestDevice({ kind: toy });
  assertEquals([loads, `${device}`], [1, "toy: arrays of numbers"]);
  const fn = (a: Tensor, b: Tensor) => add(matmul(a, b), 1);
  const program = await compile(device, fn, [spec([2, 2]), spec([2, 2])]);
  const array = device.upload(Float32Array.of(5, 6, 7, 8), { shape: [2, 2], dtype: "f32" });
  assertEquals(`${array}`, "f32[2, 2] on toy");
  const { data } = await program.run([1, 2, 3, 4], array);
  assertEquals([...data], [20, 23, 44, 51]);
  array.dispose();
  await assertRejects(
    () => Promise.resolve().then(() => program.run([1, 2, 3, 4], array)),
    DeviceError,
    "it was disposed",
  );
});

Deno.test("registry: each device has a summary, says whether it can be had, and opens under its name", async () => {
  assertEquals<readonly string[]>(DEVICE_KINDS, ["auto", ...Object.keys(DEVICES)]);
  for (const [kind, { summary, load }] of Object.entries(DEVICES)) {
    assertMatch(summary, /^[\w ]{3,30}$/);
    const entry = await load(), options = { nativeCacheDirectory: NATIVE_CACHE };
    assert(entry.isAvailable(options), `${kind} can be had where tests run`);
    using device = await entry.request(options);
    assertEquals(device.info.kind, kind);
    const { maxOperands, maxTensorBytes, maxBufferBytes, alignmentBytes, lanes } = device.limits;
    assert(maxOperands >= 8 && maxTensorBytes >= 2 ** 27 && maxBufferBytes >= maxTensorBytes);
    assert(alignmentBytes % 4 === 0 && lanes >= 1);
  }
});

Deno.test("registry: a name that there is not is refused with those that there are", async () => {
  for (const kind of ["gpu", "toString"]) {
    await assertRejects(
      () => requestDevice({ kind: kind as "cpu" }),
      DeviceError,
      `Cannot open the device "${kind}": known kinds are "auto", "webgpu", "native", "cpu" and "reference"`,
    );
  }
});
