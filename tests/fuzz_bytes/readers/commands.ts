/** Command lines and the environment: words are separated by NUL bytes. */
import { parseField } from "../../../cli/data/field.ts";
import { fetchCommand } from "../../../cli/fetch.ts";
import { flagName, type Flags, parseFlags } from "../../../cli/flags.ts";
import { generateCommand } from "../../../cli/generate.ts";
import { infoCommand } from "../../../cli/info.ts";
import { inspectCommand } from "../../../cli/inspect.ts";
import { rememberCommand } from "../../../cli/remember.ts";
import { newRecipe, newRunConfig, type RunFlags } from "../../../cli/run_config.ts";
import { trainCommand } from "../../../cli/train.ts";
import { userSource } from "../../../cli/user_path.ts";
import { main } from "../../../main.ts";
import type { Random } from "../random.ts";
import type { ByteReader } from "../reader.ts";

const COMMANDS: Readonly<Record<string, Flags>> = {
  train: trainCommand.flags,
  generate: generateCommand.flags,
  remember: rememberCommand.flags,
  inspect: inspectCommand.flags,
  fetch: fetchCommand.flags,
  info: infoCommand.flags,
};

const VALUES = [
  "",
  "0",
  "1",
  "-1",
  "64",
  "65536",
  "1e9",
  "1e999",
  "0x10",
  "NaN",
  "Infinity",
  "9007199254740993",
  "a b",
  "--help",
  "--",
  "-",
  "a=1",
  "=",
  "a\nb",
  "\u001b[31m",
  "{a}",
  "{",
  "a,b",
  "bytes",
  "bpe:gpt2",
  "nano",
  "lmm",
  "mac",
  "sotu",
  "é🎉",
  "x".repeat(2000),
];

const encode = (words: readonly string[]): Uint8Array => new TextEncoder().encode(words.join("\0"));

function line(random: Random): Uint8Array {
  const name = random.oneIn(12)
    ? random.pick(["", "help", "--help", "version", "toString", "__proto__", "bench", "trian"])
    : random.pick(Object.keys(COMMANDS));
  const flags = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : trainCommand.flags,
    keys = Object.keys(flags),
    words = [name];
  for (let count = random.below(8); count > 0; count--) {
    const key = random.pick(keys),
      flag = random.oneIn(10) ? random.pick(["--", "-h", "--__proto__", "--constructor", "-x"]) : flagName(key);
    const { placeholder } = flags[key];
    const value = random.oneIn(3) && placeholder?.includes("|")
      ? random.pick(placeholder.split("|"))
      : random.pick(VALUES);
    if (random.oneIn(3)) words.push(`${flag}=${value}`);
    else words.push(flag, ...placeholder === undefined && !random.oneIn(4) ? [] : [value]);
  }
  return encode(words);
}

async function run(bytes: Uint8Array): Promise<void> {
  const [name, ...args] = new TextDecoder().decode(bytes).split("\0");
  if (!Object.hasOwn(COMMANDS, name)) return await dispatch([name, ...args]);
  const { values } = parseFlags(args, COMMANDS[name], name);
  if (name !== "train") return;
  const flags = values as unknown as RunFlags, data = { name: "x", bytes: 1, sha256: "00" };
  newRecipe(flags).sources.forEach((source) => userSource(source, "/nowhere"));
  newRunConfig(flags, { data, requires: { vocabulary: 256 } }, "0.1.0");
}

/** What is no command ends in help or in one line. */
async function dispatch(words: readonly string[]): Promise<void> {
  let stderr = "";
  const code = await main(words, {
    out: () => {},
    err: (text) => void (stderr += text),
    interactive: false,
    columns: Infinity,
    closed: false,
  });
  if (code !== 0 && code !== 2) throw new Error(`exit code ${code}`);
  if (stderr.split("\n").length > (code === 0 ? 1 : 2) && !words.includes("--verbose")) {
    throw new Error(`several lines: ${stderr}`);
  }
}

/** The environment: where `deno task` says that it was called. */
function environment(bytes: Uint8Array): void {
  const [folder, path = ""] = new TextDecoder().decode(bytes).split("\0");
  userSource(path, folder);
}

/** The readers. */
export const COMMAND_READERS: readonly ByteReader[] = [
  {
    name: "commands",
    weight: 20,
    seeds: [
      encode(["train", "--model", "lmm", "--data", "a.txt=2", "--steps=10"]),
      encode(["generate", "--prompt", "The", "--stop", "."]),
      encode(["fetch", "--place", "hf:a/b/c"]),
    ],
    grammar: line,
    read: run,
  },
  {
    name: "field",
    weight: 8,
    seeds: [encode(["{title}: {text}\\n"]), encode(["a,b"]), encode(["{{}{a"])],
    read: (bytes) => void parseField(new TextDecoder().decode(bytes)),
  },
  {
    name: "environment",
    weight: 2,
    seeds: [encode(["/tmp", "a.txt"]), encode(["tests/cli", "../main.ts=2"]), encode(["", "sotu"])],
    read: environment,
  },
];
