/** This library as a contestant's process: `own_child.ts DEVICE [THREADS]`, spoken to as `peers/protocol.ts` says. */
import { type Device, type DeviceKind, requestDevice } from "@mneme/titans";
import { VERSION } from "../../cli/version.ts";
import { load, type Loaded } from "./computation.ts";
import type { JobName, Prepared } from "./contestant.ts";
import { ownJob } from "./own_jobs.ts";
import { requestNativeDevice } from "../../kernels/devices/native/device.ts";
import { requestCpuDevice } from "../../kernels/mod.ts";
import { peakRssBytes, serve } from "./peers/protocol.ts";

const [kind, threads] = Deno.args;

/** Opens the device, with a number of threads where it lets them be chosen. */
async function open(): Promise<Device> {
  const options = { threads: Number(threads) };
  if (threads && kind === "cpu") return await requestCpuDevice(options);
  if (threads && kind === "native") return await requestNativeDevice(options);
  return await requestDevice({ kind: kind as DeviceKind });
}

await serve(async () => {
  const device = await open();
  let loaded: Loaded | undefined;
  const prepare = async (job: JobName): Promise<Prepared> => {
    const computation = ownJob(job);
    loaded = await load(device, computation);
    if (computation.kind === "training") {
      const start = performance.now();
      const [loss] = await loaded.read();
      return { firstMs: loaded.compileMs + performance.now() - start, check: loss[0] };
    }
    const runMs = await loaded.time(1);
    let check = 0;
    for (const array of await loaded.read()) for (let i = 0; i < array.length; i++) check += Math.abs(array[i]);
    return { firstMs: loaded.compileMs + runMs, check };
  };
  return {
    description: `mneme ${VERSION}, ${device.info.description}`,
    knows: () => true,
    prepare,
    run: () => loaded!.time(1),
    memory: () => Promise.resolve({ rssBytes: peakRssBytes(), deviceBytes: loaded?.plannedBytes }),
  };
});
