import { assert, assertEquals } from "@std/assert";
import { withFolder } from "../cli/scratch.ts";
import { campaign } from "./campaign.ts";

Deno.test("kill: training, forecasting, classifying, remembering and downloading that are killed at random moments lose nothing and come to the same numbers", () =>
  withFolder(async (root) => {
    const { kills, byKind, equal, failures } = await campaign({ root, kills: 12, seed: 5, jobs: 2 });
    assertEquals(failures, []);
    assert(kills >= 12 && equal >= 3, `${kills} kills, ${equal} jobs`);
    assert(Object.keys(byKind).length >= 3, Object.keys(byKind).join());
  }));
