/** A contestant that computes nothing, for tests of the protocol. The argument says how it misbehaves. */
import type { JobName } from "../contestant.ts";
import { serve } from "./protocol.ts";

const [behaviour = "good"] = Deno.args;
const prepared: JobName[] = [];
let runs = 0;

await serve(() => {
  console.log("a library's banner");
  if (behaviour === "refuse") throw new Error("no device here\nand a second line");
  return Promise.resolve({
    description: `fake 1.0, ${behaviour}`,
    knows: (job) => job.startsWith("matmul"),
    prepare: (job) => {
      prepared.push(job);
      if (job === "matmul 1024") throw new RangeError("too large");
      return Promise.resolve({ firstMs: 3, check: behaviour === "nan" ? NaN : prepared.length, note: job });
    },
    run: async () => {
      if (behaviour === "crash") {
        console.error("error: out of ideas\n    at somewhere");
        Deno.exit(70);
      }
      if (behaviour === "hang") await new Promise(() => setInterval(() => {}, 1000));
      return ++runs;
    },
    memory: () => Promise.resolve({ rssBytes: 1000, deviceBytes: 24 }),
  });
});
