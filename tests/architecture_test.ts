/** Guards the structure: who may import whom, where the machine is touched, how long files get. */
import { assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);
const MAX_LINES = 500;

/** The layers, each with those that it may import. `mod.ts` is the library's front. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: ["core"],
  ops: ["core", "ops"],
  kernels: ["core", "kernels"],
  // Models are written in ops; training and generation take a device through the public functions of kernels.
  titans: ["core", "ops", "kernels", "titans"],
  "mod.ts": ["core", "ops", "kernels"],
  // Figures of models, for the study's page and for the web page.
  figures: ["core", "kernels", "titans", "figures"],
  cli: ["core", "kernels", "titans", "figures", "cli", "deno.json"],
  "main.ts": ["cli"],
  // The browser page uses the library as its users do.
  web: ["mod.ts", "ops", "kernels", "titans", "figures", "web"],
  // So does the package for npm.
  npm: ["mod.ts", "ops", "titans", "web", "npm"],
};

/** The storeys of titans: a folder imports from its own and those before it. Files beside the folders are the ground. */
const TITANS: readonly string[] = ["options", "nn", "mixers", "models", "train", "text", "tasks"];

/** Inside titans, the files that may see kernels: the rest is mathematics. */
const TITANS_WITH_DEVICE: readonly string[] = [
  "titans/nn/normal_program.ts",
  "titans/train/diagnose.ts",
  "titans/models/inspector.ts",
  "titans/models/batch_decoder.ts",
  "titans/models/decoder.ts",
  "titans/models/decode_state.ts",
  "titans/tasks/evaluate.ts",
  "titans/tasks/long_rows.ts",
  "titans/tasks/reading.ts",
  "titans/tasks/task.ts",
  "titans/train/carried.ts",
  "titans/train/optimizer_state.ts",
  "titans/train/shared_steps.ts",
  "titans/train/step_runner.ts",
  "titans/train/trainer.ts",
  "titans/train/training_plan.ts",
  "titans/train/training.ts",
  "titans/train/validation.ts",
];

/** Where `Deno` may appear outside cli/, main.ts and tests/. */
const EDGE_FILES: readonly string[] = [
  "kernels/devices/webgpu/host.ts",
  "kernels/devices/webgpu/unavailable.ts",
  "kernels/devices/native/host.ts",
  "web/build.ts",
  "npm/build.ts",
];

/** The files that may import packages. */
const WITH_PACKAGES: readonly string[] = [
  "cli/data/content.ts",
  "cli/data/download.ts",
  "cli/data/packages.ts",
  "cli/data/read_file.ts",
  "cli/sotu.ts",
  "cli/study/report/charts.ts",
  "npm/compile.ts",
  "web/build.ts",
];

interface SourceFile {
  readonly path: string;
  readonly layer: string;
  readonly text: string;
  readonly imports: readonly string[];
}

async function* walk(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(new URL(folder, ROOT))) {
    if (entry.isDirectory) yield* walk(`${folder}${entry.name}/`);
    else if (entry.name.endsWith(".ts")) yield `${folder}${entry.name}`;
  }
}

async function readSource(path: string): Promise<SourceFile> {
  const text = await Deno.readTextFile(new URL(path, ROOT));
  // Examples in comments import the package by name; only code counts.
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const imports = [...code.matchAll(/(?:\bfrom\s*|(?<!["'])\bimport\s*\(?\s*)["']([^"']+)["']/g)].map((match) =>
    match[1]
  );
  return { path, layer: path.split("/")[0], text: code, imports };
}

/** Where an import leads, from the root; undefined for packages. */
function target(from: string, specifier: string): string | undefined {
  return specifier.startsWith(".") ? new URL(specifier, new URL(from, ROOT)).href.slice(ROOT.href.length) : undefined;
}

async function sources(): Promise<SourceFile[]> {
  const files: SourceFile[] = [await readSource("mod.ts"), await readSource("main.ts")];
  for (const layer of ["core", "ops", "kernels", "titans", "figures", "cli", "web"]) {
    for await (const path of walk(`${layer}/`)) files.push(await readSource(path));
  }
  return files;
}

const files = await sources();

Deno.test("architecture: imports follow core <- ops <- titans <- cli <- main.ts and core <- kernels <- cli", () => {
  const wrong: string[] = [];
  for (const file of files) {
    for (const specifier of file.imports) {
      const path = target(file.path, specifier);
      if (path === undefined) continue;
      const layer = path.split("/")[0];
      if (!MAY_IMPORT[file.layer].includes(layer)) {
        wrong.push(`${file.path} imports ${path}: ${file.layer} may import ${MAY_IMPORT[file.layer].join(", ")}`);
      }
    }
  }
  assertEquals(wrong, []);
});

Deno.test("architecture: kernels and ops never import each other", () => {
  const wrong = files.filter(({ layer, path, imports }) => {
    const other = layer === "kernels" ? "ops/" : layer === "ops" ? "kernels/" : undefined;
    return other !== undefined && imports.some((specifier) => target(path, specifier)?.startsWith(other));
  });
  assertEquals(wrong.map(({ path }) => path), []);
});

Deno.test("architecture: titans is a tower of options, nn, mixers, models, train, text and tasks", () => {
  const storey = (path: string): number => TITANS.indexOf(path.split("/")[1]);
  const wrong = files.filter(({ layer, path }) => layer === "titans" && path !== "titans/mod.ts").flatMap((file) =>
    file.imports.flatMap((specifier) => {
      const path = target(file.path, specifier);
      return path?.startsWith("titans/") && storey(path) > storey(file.path) ? [`${file.path} imports ${path}`] : [];
    })
  );
  assertEquals(wrong, []);
});

Deno.test("architecture: the mathematics of titans does not see devices", () => {
  const wrong = files.filter(({ layer, path, imports }) =>
    layer === "titans" && !TITANS_WITH_DEVICE.includes(path) &&
    imports.some((specifier) => target(path, specifier)?.startsWith("kernels/"))
  );
  assertEquals(wrong.map(({ path }) => path), []);
});

Deno.test("architecture: nothing but the mixers themselves and their registry knows a mixer by its name", () => {
  const folders = ["titans/models/", "titans/train/", "titans/tasks/", "cli/", "web/"];
  const names = "lmm|mac|mag|mal|attention|transformer";
  // A study compares models by name, and its page draws them.
  const isOfStudy = (path: string) => path.startsWith("cli/study/");
  const known = files.filter(({ path }) => !isOfStudy(path) && folders.some((folder) => path.startsWith(folder)))
    .flatMap((
      { path, text },
    ) =>
      [...text.matchAll(new RegExp(`(["'])(?:${names})\\1|\\.(?:lmm|mac|mag|mal)\\b`, "g"))].map(([at]) =>
        `${path}: ${at}`
      )
    );
  // Which model it is where nobody says.
  assertEquals(known, ['titans/models/options.ts: "mac"']);
});

Deno.test("architecture: only the listed files import packages, and the library none", () => {
  const wrong: string[] = [];
  for (const { path, imports, text } of files) {
    if (WITH_PACKAGES.includes(path)) continue;
    for (const specifier of imports) if (!specifier.startsWith(".")) wrong.push(`${path} imports ${specifier}`);
    if (/\bimport\s*\(\s*[^"'\s]/.test(text)) wrong.push(`${path} imports something computed`);
  }
  assertEquals(wrong, []);
});

Deno.test("architecture: Deno is named in cli, main.ts and the listed edge files only", () => {
  const wrong = files.filter(({ layer, path, text }) =>
    layer !== "cli" && path !== "main.ts" && !EDGE_FILES.includes(path) && /\bDeno\b/.test(text)
  );
  assertEquals(wrong.map(({ path }) => path), []);
});

Deno.test("architecture: no file is longer than 500 lines", async () => {
  const long: string[] = [];
  for (const folder of ["core/", "ops/", "kernels/", "titans/", "figures/", "cli/", "web/", "tests/"]) {
    for await (const path of walk(folder)) {
      const lines = (await Deno.readTextFile(new URL(path, ROOT))).split("\n").length - 1;
      if (lines > MAX_LINES) long.push(`${path}: ${lines} lines`);
    }
  }
  assertEquals(long, []);
});

Deno.test("architecture: no default exports in the library and the commands", () => {
  assertEquals(files.filter(({ text }) => /^export default\b/m.test(text)).map(({ path }) => path), []);
});

Deno.test("architecture: the entry points of deno.json exist", async () => {
  const { exports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT))) as {
    exports: Record<string, string>;
  };
  assertEquals(Object.keys(exports).sort(), [".", "./kernels", "./nn", "./ops", "./tasks", "./titans"]);
  for (const path of Object.values(exports)) await Deno.stat(new URL(path, ROOT));
});
