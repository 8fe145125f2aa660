/**
 * `train --steps 0`: shows what would be read, before spending hours on it. Writes nothing but the data cache.
 */
import { Model } from "../titans/mod.ts";
import { describeMixers } from "../titans/models/blocks.ts";
import { type CorpusOptions, openCorpus } from "./data/corpus.ts";
import { bytesOfTokens } from "./data/vocabulary.ts";
import { formatCount, type Reporter } from "./progress.ts";
import { newRecipe, newRunConfig, type RunFlags } from "./run_config.ts";
import { visible } from "./strip.ts";
import type { ChosenTask } from "./task_flags.ts";
import { taskSource } from "./task_source.ts";
import type { Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

// How many characters of a text are shown.
const SHOWN = 200;

interface Showing {
  readonly terminal: Terminal;
  readonly reporter: Reporter;
  /** Whether to print one JSON object, for scripts. */
  readonly json: boolean;
  readonly watch: Pick<CorpusOptions, "note" | "stopped">;
}

/** Shows what a run on a task would read. @throws As the run would. */
export async function showTask(
  flags: RunFlags,
  task: ChosenTask,
  { terminal, reporter, json }: Showing,
): Promise<void> {
  using source = await taskSource(task);
  const { identity: data, requires, length: seqLen = flags.seqLen, notes, description, facts } = source;
  const model = new Model(newRunConfig({ ...flags, seqLen }, { data, requires, task }, VERSION).model);
  notes.forEach(reporter.note);
  if (json) {
    const { parameterCount: parameters } = model.layout;
    terminal.out(`${JSON.stringify({ event: "data", ...facts, length: seqLen, sha256: data.sha256, parameters })}\n`);
    return;
  }
  reporter.note(description);
  reporter.note(summaryOf(model, flags));
}

function summaryOf({ config, layout }: Model, { preset }: RunFlags): string {
  return `${describeMixers(config)} ${preset}: ${
    formatCount(layout.parameterCount)
  } parameters; nothing was trained: leave --steps 0 out to begin`;
}

/** Shows what a run on text would read. @throws As the run would. */
export async function showData(
  flags: RunFlags & Pick<CorpusOptions, "cache">,
  { terminal, reporter, json, watch }: Showing,
): Promise<void> {
  using corpus = await openCorpus(newRecipe(flags), { ...flags, documents: true, ...watch });
  const { identity, vocabulary, bytesPerToken, trainBytes, heldOutBytes, train } = corpus;
  const model = new Model(
      newRunConfig(flags, { data: identity, requires: { vocabulary: vocabulary.size } }, VERSION).model,
    ),
    { parameterCount: parameters } = model.layout;
  const [{ text }] = train, head = new Int32Array(Math.min(text.length, SHOWN));
  text.read(0, head);
  // As a stream, without the part of a character that the last token may end in; cut between characters.
  const beginning = new TextDecoder().decode(bytesOfTokens(vocabulary, head), { stream: true });
  const begins = Array.from(beginning).slice(0, SHOWN).join("");
  if (json) {
    const { name: data, bytes, documents } = identity,
      sizes = { bytes, documents, trainBytes, heldOutBytes, bytesPerToken };
    terminal.out(
      `${JSON.stringify({ event: "data", data, ...sizes, vocabulary: vocabulary.name, parameters, begins })}\n`,
    );
    corpus.notes.forEach(reporter.note);
    return;
  }
  const documents = identity.documents ?? 1;
  corpus.notes.forEach(reporter.note);
  reporter.note(
    `data ${identity.name}: ${formatCount(identity.bytes)} bytes in ${formatCount(documents)} document${
      documents === 1 ? "" : "s"
    }`,
  );
  reporter.note(`${formatCount(trainBytes)} bytes for training, ${formatCount(heldOutBytes)} held out`);
  if (vocabulary.idBytes > 1) {
    reporter.note(`a token of ${vocabulary.name} is ${bytesPerToken.toFixed(2)} bytes on average`);
  }
  reporter.note(`it begins: "${Array.from(begins, visible).join("")}"`);
  reporter.note(summaryOf(model, flags));
}
