/** The worker of the page: computes, so that the page does not wait. */
import { Lab } from "./lab.ts";
import type { Reply, Request } from "./protocol.ts";

const lab = new Lab((reply) => self.postMessage(reply));
let served: Promise<void> = Promise.resolve();

self.addEventListener("message", ({ data }: MessageEvent<Request>) => {
  if (data.type === "stop") return lab.stop();
  served = served.then(() => lab.serve(data)).catch((error: unknown) => {
    const reply: Reply = { type: "error", message: error instanceof Error ? error.message : String(error) };
    self.postMessage(reply);
  });
});
