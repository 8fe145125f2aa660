/** Options of tasks as the command line has them: one by one, and as presets. */
import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import { chosenTask } from "../../cli/task_flags.ts";
import type { Task } from "../../titans/mod.ts";
import { mqar, recall } from "../../titans/tasks/mod.ts";

Deno.test("task options: a preset stands for several, and what follows it wins", () => {
  const task = mqar as unknown as Task, { options } = chosenTask(task, ["preset=zoology", "alpha=0.5"]);
  assertEquals([options.vocabulary, options.loads, options.alpha], [8192, "64x4:5,128x8,256x16,256x32,256x64", 0.5]);
  assertEquals(chosenTask(task, ["preset=zoology", "vocabulary=4096"]).options.vocabulary, 4096);
  const refused = (of: Task, message: string) => assertThrows(() => chosenTask(of, ["preset=x"]), UsageError, message);
  refused(task, "--task-option cannot be preset=x: it has zoology, of the task mqar");
  refused(recall as unknown as Task, "--task-option cannot be preset=x: it has none, of the task recall");
});
