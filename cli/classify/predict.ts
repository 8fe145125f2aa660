/** `classify` with a trained classifier: the classes of samples that need have none. */
import { requestDevice } from "../../kernels/mod.ts";
import { classFigures } from "../../titans/tasks/classification/class_figures.ts";
import { confusionTable, predictionsCsv, predictionsOf } from "./predictions.ts";
import type { SavedClassifier } from "./classifier_file.ts";
import { type ClassifyContext, positiveOf, Stopped, stoppedBy } from "./context.ts";
import { Classifier } from "./fit.ts";
import { deviceOptions } from "../common_flags.ts";
import { makeFolder, writeAtomic } from "../files.ts";
import { formatCount, formatDuration } from "../progress.ts";
import { RUNS } from "../run_folder.ts";
import { scoreTable } from "../score_table.ts";
import { readLabelledData } from "./labelled_data.ts";
import { fitLine } from "../terminal.ts";

/** Predicts, and measures the predictions where the data names classes that the classifier knows. */
export async function predictClasses(classifier: SavedClassifier, context: ClassifyContext): Promise<number> {
  const { flags, path, say, terminal, interrupt } = context,
    { classes, alphabet, length, network, params } = classifier;
  const positive = flags.positive === undefined ? classifier.positive : positiveOf(flags.positive, classes);
  const asked = { ...flags, alphabet: alphabet.name, isLabelled: false }, { samples } = alphabet;
  const { sequences } = await readLabelledData(path, asked, (line) => terminal.err(`${line}\n`));
  const cut = sequences.filter(({ tokens }) => tokens.length > length).length;
  const known = sequences.filter(({ label }) => classes.includes(label)).length;
  say(
    [
      `${formatCount(sequences.length)} ${samples} for ${network}, which tells ${classes.join(", ")}`,
      ...(cut > 0 ? [`${formatCount(cut)} are cut to ${formatCount(length)} ${alphabet.name}`] : []),
    ].join("\n"),
    { event: "start", data: flags.data, classes, sequences: sequences.length, known, length, cut },
  );
  const out = flags.out ??
    `${RUNS}/predict-${path === "-" ? "input" : path.split(/[/\\]/).at(-1)!.replace(/[^\w.-]+/g, "-")}`;
  await makeFolder(out, "--out");
  const device = await requestDevice(deviceOptions(flags)), began = performance.now();
  try {
    using reader = await Classifier.create(device, network, { rows: flags.batch, length, alphabet });
    let done = 0;
    const judgement = await reader.judgeWith(params, sequences, classes, (count) => {
      done += count;
      if (interrupt.requested) throw new Stopped();
      if (!terminal.interactive || flags.json) return;
      const left = (performance.now() - began) / 1000 * (sequences.length - done) / done;
      const parts = [
        `${formatCount(done)} of ${formatCount(sequences.length)} ${samples}`,
        `ETA ${formatDuration(left)}`,
      ];
      terminal.err(`\r\x1b[K${done === sequences.length ? "" : fitLine(parts, terminal)}`);
    });
    const predictions = { sequences, judgement };
    if (flags.json) { for (const one of predictionsOf(predictions, classes)) say("", { event: "prediction", ...one }); }
    await writeAtomic(`${out}/predictions.csv`, predictionsCsv([predictions], classes));
    if (known > 0) {
      const scores = [
        { name: "loss", value: judgement.loss, count: known },
        ...classFigures(judgement.confusion, positive),
      ];
      const of = known === sequences.length ? "" : `${formatCount(known)} of `;
      const title = `${of}${formatCount(sequences.length)} ${samples}, whose class is known`;
      say(`\n${scoreTable(scores, {}, title)}${confusionTable(judgement.confusion, classes)}`, {
        event: "test",
        scores,
        confusion: judgement.confusion,
      });
    }
    say(`predictions in ${out}/predictions.csv`, { event: "done", out });
    return 0;
  } catch (error) {
    return stoppedBy(error, context);
  } finally {
    device.dispose();
  }
}
