/**
 * The documents, the texts of the program and its comments are in plain English: turns of phrase that this project once
 * had to itself, in place of the field's usual terms, do not come back.
 */
import { assert, assertEquals } from "@std/assert";

/** Phrases to avoid, each with what to write instead. */
const PHRASES: readonly (readonly [phrase: RegExp, instead: string])[] = [
  [/\b(?:bits|nats|loss) an? (?:byte|token)\b/i, "bits per byte, nats per token"],
  [/\b(?:tokens|bytes|steps|times) a second\b/i, "tokens per second, tokens/s"],
  [/\b(?:ms|us|ns|seconds|microseconds) an? (?:kernel|step|token|launch)\b/i, "ms per token"],
  [/\b(?:object|record|line|kernel|instruction) an? (?:line|kernel|step|token|record|row)\b/i, "one record per line"],
  [/\bcounts? of (?:byte |token )?pairs\b|\bbyte-pair counts\b|\bcounted pairs\b/i, "bigram baseline"],
  [/\bgates a (?:head|layer|channel|matrix)\b/i, "per-head, per-layer, per-channel gates"],
  [/\bpacked or not\b|\bpacked with gzip\b/i, "compressed with gzip, gzipped or plain"],
  [/\bin good order\b/i, "gracefully"],
  [/\bhow gladly\b/i, "priority"],
  [/\bfor want of\b/i, "for lack of"],
  [/\bwhence\b/i, "from where"],
  [/\bdear(?:er|est|ly)\b/i, "more expensive, most expensive"],
  [/\bthe way of a function\b/i, "from function to program"],
  [/\b(?:the|all|more|other|these|machine's) processors\b/i, "CPU, cores"],
  [/\bwants? (?:a|two|every|no) (?:gpu|adapter|permission|package|device)\b/i, "needs a GPU"],
  [/\b(?:timed|measured|compared|run) in turns\b|, in turns\b/i, "alternately"],
  [/\bunless (?:said|told)\b/i, "by default, Default: ..."],
  [/\berror texts?\b/i, "error message"],
  [/\b(?:somebody|nobody) (?:asked|asks) to stop\b/i, "a stop was requested"],
  [/\b(?:begins?|starts?|computed|train(?:s|ed)?|read) anew\b/i, "start afresh, recompute, train from scratch"],
  [/\b(?:is|are|be) led to the (?:start|first)\b/i, "clamped to"],
  [/\bwhat (?:is|was|are) made of (?:it|them|these|that)\b/i, "what is derived from it"],
  [/\bOf (?:products|recurrences|reductions|constants|inputs|results)[:,]/, "For products: ..."],
  [/\bgives? (?:the |a )?(?:memory|buffer|range|pipeline)s? back\b|\bgives? out memory\b/i, "frees, allocates"],
  [/\bmust keep to\b/i, "must respect"],
  [/\bone a (?:layer|kernel|step|head|mini-batch|distinct kernel|matrix|token|result)\b/i, "one per layer"],
  [
    /\bmost (?:bytes|tokens|tensors|programs|pieces|invocations|workgroups|operands|terms) (?:of|that|to)\b/i,
    "maximum",
  ],
  [/\bunless given\b/i, "Default: ..."],
  [/\bgets? by with\b/i, "needs no more than"],
  [/\bof no use\b/i, "invalid, unused"],
  [/\bif need be\b/i, "if necessary"],
  [/\b(?:network|node|index|dtype) is none\b/i, "is invalid"],
  [/\bthe same of\b/i, "the same for"],
  [/\bby (?:rising|falling) (?:address|size|number)\b/i, "in increasing order of address"],
  [/\bwith whatever content\b/i, "with arbitrary content"],
  [/\bwhat JSON can hold\b/i, "the JSON representation"],
  [/\b(?:told|tells? (?:them |it )?) ?apart\b/i, "distinguished"],
  [/\b(?:lies? where (?:it|they)|where (?:it|they) lies?)\b/i, "in place"],
  [/\bturns of (?:a|the|all) loops?\b/i, "iterations"],
  [/\b(?:is|are) no (?:tensor|constant|vector|view)s?\b/i, "is not a tensor"],
  [/^\s*(?:\/\*\*|\*|\/\/)?\s*hears (?:of|how|what|lines)\b/im, "receives"],
];

const FOLDERS = ["core", "ops", "kernels", "titans", "cli", "web", "npm", "examples", "docs"];
const FILES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "mod.ts", "main.ts", "deno.json"];

/** The files with text that people read, without texts that models learn from. */
async function paths(): Promise<string[]> {
  const found = [...FILES], open = [...FOLDERS];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    if (folder === "web/dist") continue;
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (isDirectory) open.push(`${folder}/${name}`);
      else if (/\.(?:ts|md|html)$/.test(name)) found.push(`${folder}/${name}`);
    }
  }
  return found;
}

/** A file as people read it: code without its identifiers, and lines that wrap as one text. */
function proseOf(path: string, text: string): string {
  if (!path.endsWith(".ts")) return text.replace(/\s+/g, " ");
  // Comments, and what stands between quotes.
  const parts = text.matchAll(/\/\*[\s\S]*?\*\/|\/\/.*|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g);
  return Array.from(parts, ([part]) => part).join("\n").replace(/\n\s*(?:\*|\/\/)/g, " ").replace(/[ \t]+/g, " ");
}

/** The phrases to avoid that a text has. */
function faultsIn(text: string): string[] {
  return PHRASES.flatMap(([phrase, instead]) => {
    const found = phrase.exec(text);
    return found ? [`"${found[0].trim()}" is dialect here: ${instead}`] : [];
  });
}

Deno.test("words: documents, texts and comments use the field's terms", async () => {
  const faults: string[] = [], files = await paths();
  for (const path of files) {
    faults.push(...faultsIn(proseOf(path, await Deno.readTextFile(path))).map((fault) => `${path}: ${fault}`));
  }
  assert(files.length > 250, `only ${files.length} files were read`);
  assertEquals(faults, []);
});

Deno.test("words: phrases are found in documents, comments and strings, over line ends, and not in identifiers", () => {
  const found = (path: string, text: string): number => faultsIn(proseOf(path, text)).length;
  assertEquals(found("a.md", "It reaches 2.5 bits\na byte."), 1);
  assertEquals(found("a.ts", "/**\n * Speed in tokens\n * a second.\n */\n"), 1);
  assertEquals(found("a.ts", 'say("stopped in good order");'), 1);
  assertEquals(found("a.ts", "const dearest = the.processors; // the most expensive kernel of a step"), 0);
  assertEquals(found("a.md", "One kernel per step; a token is a byte. An order, in turn."), 0);
});
