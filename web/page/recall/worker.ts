/** The recall page's worker. */
import { Narrator } from "./narrator.ts";
import type { RecallRequest } from "./protocol.ts";

const narrator = new Narrator((reply, transfer = []) => self.postMessage(reply, { transfer }));
self.addEventListener("message", ({ data }: MessageEvent<RecallRequest>) => narrator.serve(data));
