/** Classes of texts: n-grams of bytes and Bayes' rule by hand, and the error of a mean of F1 against resampling. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { ConfigError, SampleRandom } from "../../titans/mod.ts";
import { alphabetOf } from "../../titans/tasks/classification/alphabet.ts";
import { classFigures, type Confusion } from "../../titans/tasks/classification/class_figures.ts";
import { classFloors, thinned } from "../../titans/tasks/classification/class_floors.ts";
import { type LabelledSequence, splitSequences, trainingBatches } from "../../titans/tasks/classification/labelled.ts";
import { BYTE_ALPHABET, byteNgrams, ngramBayes } from "../../titans/tasks/text/byte_alphabet.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const texts = (labelled: readonly (readonly [text: string, label: string])[]): LabelledSequence[] =>
  labelled.map(([text, label], i) => ({ id: String(i), tokens: bytes(text), label }));

Deno.test("text classes: features are n-grams of one to four bytes, scaled to length one", () => {
  // a, b, ab, ba, aba, bab, abab: a and b and ab come twice.
  const { values } = byteNgrams({ tokens: bytes("abab") }),
    twice = 1 + Math.log(2),
    length = Math.hypot(1, 1, 1, 1, twice, twice, twice);
  assertEquals(values.length, 7);
  const sorted = Array.from(values).sort();
  [1, 1, 1, 1, twice, twice, twice].forEach((value, i) => assertAlmostEquals(sorted[i], value / length, 1e-12));
  const features = (text: string) => new Set(Array.from(byteNgrams({ tokens: bytes(text) }).features));
  assertEquals(features("abc").size, features("abc").union(features("ab")).size);
});

Deno.test("text classes: Bayes' rule weighs how often a class is by how likely a text is in it", () => {
  const samples = texts([["aaaa", "a"], ["bbbb", "b"], ["bbbb", "b"], ["bbbb", "b"]]);
  const predict = ngramBayes({ samples, labels: [0, 1, 1, 1], classes: 2 });
  assertEquals(["aa", "bb", "ab"].map((text) => predict({ tokens: bytes(text) })), [0, 1, 1]);
  // Nothing is known of c but how often the classes are.
  assertEquals(predict({ tokens: bytes("c") }), 1);
});

Deno.test("text classes: an oracle is right, floors learn words, and samples are thinned at even distances", () => {
  const labelled = Array.from({ length: 200 }, (_, i): readonly [string, string] => {
    const random = new SampleRandom(3, `text ${i}`), word = ["good", "bad", "fair"][i % 3];
    const noise = () => Array.from({ length: 12 }, () => "abcdefgh "[random.integer(9)]).join("");
    return [`${noise()} ${word} ${noise()}`, word];
  });
  const data = splitSequences({ alphabet: BYTE_ALPHABET, sequences: texts(labelled) }, 4), floors = classFloors(data);
  assertEquals(Object.keys(floors), ["commonest class", "n-gram Bayes", "n-gram logistic"]);
  for (const name of ["n-gram Bayes", "n-gram logistic"]) {
    assert(floors[name][0].value > 0.8, `${name}: ${floors[name][0].value}`);
  }
  const samples = data.train, labels = samples.map((_, i) => i);
  assertEquals(thinned({ samples, labels, classes: 3 }, 50).labels.slice(0, 3), [0, 3, 6]);
  // Hidden bytes become the substitute, and padding stays.
  const tokens = trainingBatches(data, { rows: 4, length: 40 }, { seed: 1, reverseComplement: false, tokenDropout: 1 })
    .batch(0).tokens as Int32Array;
  assertEquals(new Set(tokens), new Set([26, 0]));
});

Deno.test("text classes: the error of the mean of F1 is what resampling gives", () => {
  const confusion: Confusion = [[40, 7, 3], [5, 20, 5], [2, 8, 10]], count = 100;
  const macro = (table: Confusion) => classFigures(table).find(({ name }) => name === "macroF1")!;
  const cells = confusion.flatMap((row, i) => row.flatMap((cell, j) => new Array(cell).fill([i, j])));
  const random = new SampleRandom(5, "resampling"),
    values = Array.from({ length: 4000 }, () => {
      const table = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
      for (let n = 0; n < count; n++) {
        const [i, j] = cells[random.integer(count)];
        table[i][j]++;
      }
      return macro(table).value;
    });
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  const { standardError } = macro(confusion);
  assert(Math.abs(standardError! / deviation - 1) < 0.05, `${standardError} and ${deviation}`);
  // A table that is all right says nothing of errors, nor do classes that are not there.
  assertEquals(macro([[4, 0, 0], [0, 5, 0], [0, 0, 0]]).standardError, undefined);
});

Deno.test("text classes: what is no text, or cannot be learned, is refused", () => {
  assertThrows(() => BYTE_ALPHABET.read(bytes(" \n"), "a.txt"), ConfigError, "Cannot use a.txt: its text is empty");
  assertThrows(() => BYTE_ALPHABET.read(Uint8Array.of(65, 0), "a.txt"), ConfigError, "it has a NUL byte");
  assertThrows(() => alphabetOf("words"), ConfigError, 'the alphabet "words": it must be nucleotides or bytes');
  const sequences = texts([["one", "1"], ["two", "2"], ["three", "3"]]);
  assertThrows(
    () => splitSequences({ alphabet: BYTE_ALPHABET, sequences }, 4),
    ConfigError,
    "Cannot learn classes of 3 texts: each has a class of its own; name the column of classes",
  );
});
