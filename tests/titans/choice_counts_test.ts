/** Multiple choice on real sets: the counts that any correct harness gets of a uniform and of a byte 4-gram model. */
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { asTextModel, type BenchmarkSubject, NgramModel, type Scorer, taskFiles } from "../../titans/mod.ts";
import { choice } from "../../titans/tasks/choice/choice.ts";
import { ngramScorer } from "../../titans/tasks/ngram_scorer.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { readData, withData } from "./data_folder.ts";

/** A model to which all bytes are equally likely. */
const UNIFORM: Scorer = {
  score: (requests) =>
    Promise.resolve(requests.map(({ continuations }) =>
      continuations.map(({ length }) => ({
        logLikelihood: -length * Math.log(256),
        each: new Float32Array(length).fill(-Math.log(256)),
        best: new Int32Array(length),
        greedy: false,
      }))
    )),
};

withData(
  "choice: the counts of a uniform and of a 4-gram model on ARC, HellaSwag and WinoGrande, LAMBADA's likelihood",
  async () => {
    const counts = new NgramModel(3), bytes = (text: string) => new TextEncoder().encode(text);
    counts.count(await readData("text/tinyshakespeare.txt"));
    const fourgrams = ngramScorer(counts);
    const likelihood = async (context: string, text: string) =>
      (await fourgrams.score([{ context: bytes(context), continuations: [bytes(text)] }]))[0][0].logLikelihood;
    assertAlmostEquals(await likelihood("First Citizen", ":"), -0.561143, 5e-7);
    assertAlmostEquals(await likelihood("", "The"), -6.72237, 5e-7);
    const figures = async (name: string, scorer: Scorer) => {
      const files = taskFiles({ set: [{ name, bytes: await readData(`qa/${name}`) }] });
      const benchmark = choice.create({ ...defaultsOf(choice.options), data: "set" }, files);
      const subject: BenchmarkSubject = {
        text: asTextModel(scorer),
        samples: Infinity,
        batch: 64,
        expect: () => {},
        advance: () => {},
        cell: (_, measure) => measure(),
      };
      const scores = await benchmark.evaluate(subject);
      return Object.fromEntries(scores.map((score) => [score.name.split(": ")[1], score]));
    };
    const hits = async (name: string, scorer: Scorer) => {
      const { acc, acc_norm, acc_bytes } = await figures(name, scorer);
      return [acc.count, ...[acc, acc_norm, acc_bytes].map((score) => score && Math.round(score.value * score.count!))];
    };
    const arc = "arc_easy.test.jsonl", hellaswag = "hellaswag.validation.first3000.jsonl";
    assertEquals(await hits(arc, UNIFORM), [2376, 582, 632, 631]);
    assertEquals(await hits(arc, fourgrams), [2376, 588, 646, 644]);
    assertEquals((await hits(hellaswag, UNIFORM)).slice(0, 3), [3000, 804, 667]);
    assertEquals(await hits(hellaswag, fourgrams), [3000, 858, 789, 789]);
    assertEquals(await hits("winogrande.validation.jsonl", UNIFORM), [1267, 628, undefined, undefined]);
    assertEquals(await hits("winogrande.validation.jsonl", fourgrams), [1267, 637, undefined, undefined]);
    const lambada = await figures("lambada_test.jsonl", fourgrams);
    assertEquals([lambada.acc.count, lambada.acc.value], [5153, 0]);
    assertAlmostEquals(lambada.ll.value, -20.0105, 5e-5);
    assertAlmostEquals(lambada.bitsPerByte.value, 4.3216, 5e-5);
  },
);
