/**
 * The process that reads: a hang or a crash of it is seen, and named, by the one that started it (main.ts).
 *
 *     deno run ... child.ts READER SEED FROM TO EVERY
 *
 * writes a JSON object a line: `{ at, rss }` before every so many inputs, `{ index, verdict }` for each that ended
 * badly, `{ done }` at the end.
 */
import { inputOf, verdictOn } from "./reader.ts";
import { READERS } from "./readers.ts";

const [name, ...numbers] = Deno.args, [seed, from, to, every] = numbers.map(Number);
const reader = READERS.find((candidate) => candidate.name === name)!;
const encoder = new TextEncoder();

function say(event: Record<string, unknown>): void {
  // At once: what waits in a buffer is lost with the process.
  for (let bytes = encoder.encode(`${JSON.stringify(event)}\n`); bytes.length > 0;) {
    bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
  }
}

for (let index = from; index < to; index++) {
  if ((index - from) % every === 0) say({ at: index, rss: Deno.memoryUsage().rss });
  const verdict = await verdictOn(reader, inputOf(reader, seed, index));
  if (verdict !== undefined) say({ index, verdict });
}
say({ done: to, rss: Deno.memoryUsage().rss });
