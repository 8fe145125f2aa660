/** FASTA and FASTQ: what is read of them, in pieces of any size, and what is refused. */
import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError, SampleRandom } from "../../titans/mod.ts";
import { lettersOf, reverseComplement } from "../../titans/tasks/dna/nucleotides.ts";
import { packing, RECORD_END, unpack } from "../../titans/tasks/dna/packed.ts";
import { SequenceReader, SequenceRecords, sequencesOf } from "../../titans/tasks/dna/sequence_reader.ts";
import { randomLetters, tokensOf } from "./dna_data.ts";

const file = (text: string, name = "a.fa") => ({ name, bytes: new TextEncoder().encode(text) });
const shown = (text: string, minQuality = 0) =>
  sequencesOf(file(text), { minQuality }).map(({ id, tokens }) => [id, lettersOf(tokens)]);

Deno.test("dna: the reverse complement, by hand", () => {
  const complement = (letters: string) => {
    const tokens = tokensOf(letters);
    reverseComplement(tokens);
    return lettersOf(tokens);
  };
  assertEquals([complement("AACGN"), complement("ACGT"), complement("")], ["NCGTT", "ACGT", ""]);
});

Deno.test("fasta: several lines, lower case, white space, other letters of IUPAC, RNA, and all ends of lines", () => {
  assertEquals(shown(">a b\nAC\ngt\n"), [["a", "ACGT"]]);
  const same = [["one", "ACGTNNA"], ["two", "TT"]];
  for (const end of ["\n", "\r\n", "\r"]) {
    const lines = ["", ">one first record", "AC gt", "", "Ry", "A\t", ">two", "uT"];
    assertEquals(shown(lines.join(end)), same, JSON.stringify(end));
    assertEquals(shown(`\ufeff${lines.slice(1).join(end)}${end}${end}`), same);
  }
  assertEquals(shown(">\nA"), [["", "A"]]);
});

Deno.test("fastq: lines are counted, so that qualities may begin with @ or >; low ones make N", () => {
  const text = "@r1 lane\nACGT\n+\n@>+I\n@r2\nAACC\n+r2\n!I!I\n";
  assertEquals(shown(text), [["r1", "ACGT"], ["r2", "AACC"]]);
  assertEquals(shown(text.replaceAll("\n", "\r\n")), [["r1", "ACGT"], ["r2", "AACC"]]);
  // `!` is quality 0, `+` 10, `I` 40.
  assertEquals(shown(text, 1), [["r1", "ACGT"], ["r2", "NANC"]]);
  assertEquals(shown(text, 11)[0], ["r1", "ACNT"]);
  assertEquals(shown(text, 40)[1], ["r2", "NANC"]);
  assertEquals(shown(text, 41), [["r1", "NNNN"], ["r2", "NNNN"]]);
});

Deno.test("fasta and fastq: pieces of every size give the same records", () => {
  const texts = [">a b\r\nAC\r\ngt\r\n>c\r\nNNR", "\n\n@r1\r\nACGT\r\n+\r\n@>+I\r\n@r2\nAA\n+\nII\n"];
  for (const text of texts) {
    const { bytes } = file(text), whole = shown(text, 1);
    for (let size = 1; size <= bytes.length; size++) {
      const sink = new SequenceRecords(), reader = new SequenceReader("a.fa", sink, { minQuality: 1 });
      for (let at = 0; at < bytes.length; at += size) reader.add(bytes.slice(at, at + size));
      reader.end();
      assertEquals(sink.records.map(({ id, tokens }) => [id, lettersOf(tokens)]), whole, `pieces of ${size}`);
    }
  }
});

Deno.test("fasta and fastq: what cannot be read is refused in one line that names file and line", () => {
  const cases: [text: string, message: string][] = [
    ["", "line 1: it has no sequences: FASTA begins with >, FASTQ with @"],
    ["\n\nACGT\n", 'line 3: it begins with "A": FASTA begins with >, FASTQ with @'],
    [">a\nAC\nA-C\n", 'line 3: "-" is no nucleotide'],
    [">a\r\nAC\r\nA*C\r\n", 'line 3: "*" is no nucleotide'],
    [">a\nAC.\n", 'line 2: "." is no nucleotide'],
    [">a\nACE\n", 'line 2: "E" is no nucleotide'],
    [">a\nAC>b\n", 'line 2: ">" is no nucleotide'],
    [">a\nAC\u0000\n", "line 2: the byte 0 is no nucleotide"],
    [">a\n>b\nAC\n", 'line 1: the record "a" has no sequence'],
    [">a\nAC\n>b\n\n", 'line 3: the record "b" has no sequence'],
    [">a", 'line 1: the record "a" has no sequence'],
    ["@r\nACGT\n+\nIII\n", "line 4: it has 3 qualities, the sequence has 4 nucleotides"],
    ["@r\nACGT\n+\nIIIII\n", "line 4: it has 5 qualities, the sequence has 4 nucleotides"],
    ["@r\nACGT\nACGT\n+\nIIII\n", 'line 3: it begins with "A", not with +'],
    ["@r\nACGT\n\nIIII\n", "line 3: it is empty where a record of FASTQ has its +"],
    ["@r\n\n+\n\n", "line 2: the record has no sequence"],
    ["@r\nAC\n+\nII\nr\nAC\n+\nII\n", 'line 5: it begins with "r", not with @'],
    ["@r\nAC\n+\n", "the file ends within a record, after 3 of its 4 lines"],
    ["@r\nAC\n+\nI\t\n", "line 4: the byte 9 is no quality"],
  ];
  for (const [text, message] of cases) {
    const error = assertThrows(() => sequencesOf(file(text)), ConfigError, message, JSON.stringify(text));
    assertEquals(error.message.startsWith("Cannot use a.fa: "), true);
  }
});

Deno.test("dna: packed sequences have half a byte per nucleotide, and come out as they went in", () => {
  for (const lengths of [[1], [2], [5, 3], [70, 1, 141]]) {
    const random = new SampleRandom(1, "packed"), sequences = lengths.map((length) => randomLetters(random, length));
    const reading = packing("a.fa", {});
    for (const byte of file(sequences.map((letters, i) => `>${i}\n${letters}\n`).join("")).bytes) {
      reading.add(Uint8Array.of(byte));
    }
    const packed = reading.end(), all = new Uint8Array(2 * packed.length);
    unpack(packed, 0, all);
    const expected = sequences.flatMap((letters) => [...tokensOf(letters), RECORD_END]);
    if (expected.length % 2 === 1) expected.push(RECORD_END);
    assertEquals([...all], expected);
    const middle = new Uint8Array(2);
    unpack(packed, lengths[0] - 1, middle);
    assertEquals([...middle], expected.slice(lengths[0] - 1, lengths[0] + 1));
  }
});
