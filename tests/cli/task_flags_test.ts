/** Options of tasks as the command line has them: one by one, and as presets. */
import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import { checkShots, chosenTask } from "../../cli/task_flags.ts";
import type { Task } from "../../titans/mod.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { babilong, mqar, recall, TASKS } from "../../titans/tasks/mod.ts";

Deno.test("task options: a preset stands for several, and what follows it wins", () => {
  const task = mqar as unknown as Task, { options } = chosenTask(task, ["preset=zoology", "alpha=0.5"]);
  assertEquals([options.vocabulary, options.loads, options.alpha], [8192, "64x4:5,128x8,256x16,256x32,256x64", 0.5]);
  assertEquals(chosenTask(task, ["preset=zoology", "vocabulary=4096"]).options.vocabulary, 4096);
  const refused = (of: Task, message: string) => assertThrows(() => chosenTask(of, ["preset=x"]), UsageError, message);
  refused(task, "--task-option cannot be preset=x: it has zoology, of the task mqar");
  refused(recall as unknown as Task, "--task-option cannot be preset=x: it has none, of the task recall");
});

Deno.test("task flags: what was stored before an option existed has its default; --shots is refused where it is idle", () => {
  const { shots: _, shotSeed: __, ...old } = defaultsOf(babilong.options);
  const chosen = chosenTask(babilong as unknown as Task, ["question=qa2"], old);
  assertEquals(chosen.options, { ...defaultsOf(babilong.options), question: "qa2" });
  assertThrows(
    () => checkShots(babilong as unknown as Task, chosen),
    UsageError,
    "--shots changes nothing with --task-option protocol=fineTuned: leave it out",
  );
  checkShots(babilong as unknown as Task, chosenTask(babilong as unknown as Task, ["protocol=fewShot", "shots=3"]));
  assertThrows(
    () => checkShots(TASKS.mqar, chosenTask(TASKS.mqar, [])),
    UsageError,
    "which has no examples: leave it out",
  );
  assertThrows(() => checkShots(undefined, undefined), UsageError, "which has no examples");
});
