/** This library as a contestant's process: `own_child.ts cpu|webgpu`, spoken to as `peers/protocol.ts` says. */
import { type DeviceKind, requestDevice } from "@mneme/titans";
import { VERSION } from "../../cli/version.ts";
import { load, type Loaded } from "./computation.ts";
import type { JobName, Prepared } from "./contestant.ts";
import { ownJob } from "./own_jobs.ts";
import { peakRssBytes, serve } from "./peers/protocol.ts";

await serve(async () => {
  const device = await requestDevice({ kind: Deno.args[0] as DeviceKind });
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
