/** Type-checks a project against the declarations of the package. */
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import ts from "typescript";

const STRICT: ts.CompilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  lib: ["lib.dom.d.ts", "lib.dom.iterable.d.ts", "lib.esnext.d.ts"],
  types: [],
  noEmit: true,
  // The declarations of the package are checked, those of the platform are not.
  skipDefaultLibCheck: true,
};

/**
 * Checks files, and all declarations that they reach, as a strict project does that finds modules as Node does.
 * @returns What is wrong, in the compiler's words.
 */
export function typeErrors(folder: URL, names: readonly string[]): string {
  const program = ts.createProgram(names.map((name) => new URL(name, folder).pathname), STRICT);
  return ts.formatDiagnostics(ts.getPreEmitDiagnostics(program), {
    getCanonicalFileName: (name) => name,
    getCurrentDirectory: () => folder.pathname,
    getNewLine: () => "\n",
  });
}

/** The ways in which projects find the declarations of a module. */
const RESOLUTIONS: readonly ts.ModuleResolutionKind[] = [
  ts.ModuleResolutionKind.Node10,
  ts.ModuleResolutionKind.Node16,
  ts.ModuleResolutionKind.NodeNext,
  ts.ModuleResolutionKind.Bundler,
];

/** Where a module's declarations are, in each way of finding them; undefined where they are not found. */
export function declarationsOf(name: string, folder: URL): readonly (string | undefined)[] {
  const from = new URL("consumer.ts", folder).pathname;
  return RESOLUTIONS.map((moduleResolution) =>
    ts.resolveModuleName(name, from, { moduleResolution }, ts.sys, undefined, undefined, ts.ModuleKind.ESNext)
      .resolvedModule?.resolvedFileName.replace(/^.*\/node_modules\//, "")
  );
}

/**
 * What the checker "Are the types wrong?" finds in a tarball: the kinds of problems, with the entry points and the ways
 * of finding modules that have them.
 */
export async function problemsOf(tarball: Uint8Array): Promise<readonly string[]> {
  const analysis = await checkPackage(createPackageFromTarballData(tarball));
  if (analysis.types === false) return ["there are no types"];
  return analysis.problems.map((problem) => {
    const place = "entrypoint" in problem ? ` in ${problem.entrypoint} from ${problem.resolutionKind}` : "";
    return problem.kind + place;
  });
}
