/** The surprise tab's worker. */
import { Observer } from "./observer.ts";
import type { SurpriseRequest } from "./protocol.ts";

const observer = new Observer((reply) => self.postMessage(reply));
self.addEventListener("message", ({ data }: MessageEvent<SurpriseRequest>) => observer.read(data));
