/** The page's worker: computes in the background. */
import { Lab } from "./lab.ts";
import type { Request } from "./protocol.ts";

const lab = new Lab((reply) => self.postMessage(reply));
let served: Promise<void> = Promise.resolve();

self.addEventListener("message", ({ data }: MessageEvent<Request>) => {
  if (data.type === "stop") return lab.stop();
  served = served.then(() => lab.serve(data));
});
