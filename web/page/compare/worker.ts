/** The worker of the tab that compares models: measures one after the other, until it is stopped. */
import { requestDevice } from "../../../mod.ts";
import { measure } from "./measure.ts";
import type { CompareReply, CompareRequest } from "./protocol.ts";

const post = (reply: CompareReply): void => self.postMessage(reply);
let stop = new AbortController();

async function compare(request: CompareRequest & { readonly type: "start" }): Promise<void> {
  const { signal } = stop = new AbortController(), isCpu = request.device === "cpu";
  // A token of so small a model is done by one thread before others would have begun.
  const device = await requestDevice({ kind: request.device, ...(isCpu && { threads: 1 }) });
  const { kind, description } = device.info;
  try {
    for (const length of request.lengths) {
      for (const model of request.models) {
        post({ type: "begin", model, length });
        post({ type: "measured", measured: await measure(device, { model, length }, signal) });
      }
    }
    post({ type: "done", stopped: false, device: `${kind}: ${description}` });
  } catch (error) {
    if (error !== signal.reason) throw error;
    post({ type: "done", stopped: true, device: `${kind}: ${description}` });
  } finally {
    device.dispose();
  }
}

self.addEventListener("message", ({ data }: MessageEvent<CompareRequest>) => {
  if (data.type === "stop") return stop.abort();
  compare(data).catch((error: unknown) =>
    post({ type: "error", message: error instanceof Error ? error.message : String(error) })
  );
});
