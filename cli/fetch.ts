/** `fetch`: downloads a text into the data cache, so that training needs no network. */
import { CACHE } from "./data/cache.ts";
import { download } from "./data/download.ts";
import { HUGGING_FACE } from "./data/remote.ts";
import { OUTPUT_FLAGS } from "./common_flags.ts";
import { UsageError } from "./errors.ts";
import { parseFlags, required, text, toggle } from "./flags.ts";
import type { Command } from "./help.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { asCalled, shellWord } from "./program.ts";
import { formatCount } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

const FLAGS = {
  place: required(
    "PLACE",
    "a URL, or `hf:OWNER/NAME/PATH` of a Hugging Face dataset; can come first, without `--place`",
  ),
  sha256: text("HEX", "expected SHA-256; a file with another one is not kept"),
  cache: text("DIR", "folder for downloads", CACHE),
  endpoint: text("URL", "address of Hugging Face or of a mirror", HUGGING_FACE),
  again: toggle("download it even if it is in the cache"),
  ...OUTPUT_FLAGS,
} as const;

/** The command `fetch`. */
export const fetchCommand: Command = {
  summary: "download a text, so that training needs no network",
  description: [
    "Downloads a file from a URL or a Hugging Face dataset into the data cache. deno task train finds it there under the same name, without using the network.",
    "Sizes are checked, and hashes if the server provides them or --sha256 is given. An interrupted download continues where it stopped.",
  ].join("\n"),
  examples: [
    [
      "deno task fetch https://example.org/corpus.jsonl.gz",
      "then: deno task train --data https://example.org/corpus.jsonl.gz",
    ],
    ["deno task fetch hf:OWNER/NAME/data/train.parquet", "a file of a Hugging Face dataset"],
    ["deno task fetch hf:OWNER/NAME@REVISION/train.jsonl", "from a fixed revision"],
  ],
  flags: FLAGS,
  network: true,
  run: fetchText,
};

async function fetchText(args: readonly string[], terminal: Terminal): Promise<number> {
  // The place can come first, without a flag.
  const given = args[0] === "--" ? args.slice(1) : args;
  const words = given[0] !== undefined && !given[0].startsWith("-") ? ["--place", ...given] : given;
  const { values: flags } = parseFlags(words, FLAGS, "fetch");
  if (flags.place === undefined) throw new UsageError("fetch needs a place: give a URL, or hf:OWNER/NAME/PATH");
  using interrupt = listenForInterrupt(terminal);
  const note = (line: string): void => flags.json ? terminal.err(`${line}\n`) : terminal.out(`${line}\n`);
  try {
    const { path, sizeBytes, sha256, wasThere } = await download(flags.place, {
      ...flags,
      note,
      stopped: () => interrupt.requested,
    });
    if (flags.json) {
      terminal.out(`${JSON.stringify({ event: "fetched", place: flags.place, path, sizeBytes, sha256, wasThere })}\n`);
    } else {
      terminal.out(
        `${path}: ${formatCount(sizeBytes)} bytes, SHA-256 ${sha256}${wasThere ? ", already in the cache" : ""}\n`,
      );
      const cache = flags.cache === CACHE ? "" : ` --cache ${shellWord(flags.cache)}`;
      terminal.out(asCalled(`train on it with: deno task train --data ${shellWord(flags.place)}${cache}\n`));
    }
    return 0;
  } catch (error) {
    if (!interrupt.requested) throw error;
    terminal.err(`${error instanceof Error ? error.message : String(error)}\n`);
    return interrupt.exitCode;
  }
}
