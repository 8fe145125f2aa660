/** The worker of the tab on how it works: counts, traces and computes what is drawn there. */
import { costs } from "../../../figures/cost.ts";
import { diagram } from "../../../figures/diagram.ts";
import { linearWrites } from "../../../figures/linear_memory.ts";
import { mixerOf, stationsOf } from "../../../figures/stations.ts";
import { GradientMemory } from "./gradient_memory.ts";
import type { WorksReply, WorksRequest } from "./protocol.ts";

const post = (reply: WorksReply): void => self.postMessage(reply);
let memory: Promise<GradientMemory> | undefined;

/** Lets messages arrive. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function serve(request: WorksRequest): Promise<void> {
  switch (request.type) {
    case "cost": {
      const counted = costs();
      for (let next = counted.next(); !next.done;) {
        const { value: cost } = next;
        next = counted.next();
        post({ type: "cost", cost, isLast: next.done ?? false });
        await nextTurn();
      }
      return;
    }
    case "diagrams":
      for (const model of request.models) {
        const label = `The parts of ${model.toUpperCase()} and how data flows between them`;
        post({ type: "diagram", model, svg: diagram(mixerOf(stationsOf(model)), label) });
        await nextTurn();
      }
      return;
    case "linear":
      return post({ type: "linear", writes: await linearWrites(request.tokens) });
    case "update":
      memory ??= GradientMemory.create();
      return post({ type: "update", updates: await (await memory).read(request.tokens, request.gates) });
  }
}

self.addEventListener("message", ({ data }: MessageEvent<WorksRequest>) => {
  serve(data).catch((error: unknown) =>
    post({ type: "error", message: error instanceof Error ? error.message : String(error) })
  );
});
