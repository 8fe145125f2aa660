/** A server that is killed under load has every acknowledged memory when it is started again; soak.ts does more of it. */
import { assert, assertEquals } from "@std/assert";
import { withFolder } from "../scratch.ts";
import { killCampaign } from "./killing.ts";
import { writeRun } from "./serving.ts";

Deno.test("serve: killed under load, and started again, it has every acknowledged memory, bit for bit", () =>
  withFolder(async (folder) => {
    await writeRun(`${folder}/run`, { model: "lmm" });
    const { acknowledged, failures } = await killCampaign({
      run: `${folder}/run`,
      kills: 2,
      memories: 3,
      mostChanges: 8,
    });
    assertEquals(failures, []);
    assert(acknowledged >= 2, "something was acknowledged before each kill");
  }));
