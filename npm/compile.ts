/** From modules of TypeScript to the JavaScript and the declarations that a package has of them. */
import ts from "typescript";

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ["lib.dom.d.ts", "lib.dom.iterable.d.ts", "lib.esnext.d.ts"],
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  types: [],
  strict: true,
  noImplicitOverride: true,
  verbatimModuleSyntax: true,
  declaration: true,
  allowImportingTsExtensions: true,
  rewriteRelativeImportExtensions: true,
  // `deno task check` does.
  noCheck: true,
  outDir: "/",
};

/**
 * Compiles modules with all that they import, each to a file of its own.
 * @param root The folder of the project, with a slash at its end.
 * @param entries Paths from there.
 * @returns The texts of files by their paths.
 * @throws {Error} with the compiler's text.
 */
export function compileModules(root: string, entries: readonly string[]): Map<string, string> {
  const program = ts.createProgram(entries.map((path) => root + path), { ...OPTIONS, rootDir: root });
  const files = new Map<string, string>();
  const { diagnostics } = program.emit(
    undefined,
    (path, text) => files.set(path.slice(1), path.endsWith(".d.ts") ? rewriteExtensions(text) : text),
    undefined,
    false,
    { before: [markPureCalls] },
  );
  if (diagnostics.length > 0) {
    throw new Error(ts.formatDiagnostics(diagnostics, {
      getCanonicalFileName: (name) => name,
      getCurrentDirectory: () => root,
      getNewLine: () => "\n",
    }));
  }
  return files;
}

/** The compiler rewrites the extensions of imports in JavaScript, but not in declarations. */
function rewriteExtensions(declarations: string): string {
  return declarations.replace(/((?:from|import\()\s*"\.[^"]*)\.ts"/g, '$1.js"');
}

/**
 * Marks the calls that modules make while they load, such as those that define primitives. None has a side effect,
 * since the library has no global state; the mark tells bundlers so, and lets them drop what nobody uses.
 */
function markPureCalls(context: ts.TransformationContext): ts.Transformer<ts.SourceFile> {
  const mark = (node: ts.Node): ts.Node => {
    // What functions and classes contain runs later.
    if (ts.isFunctionLike(node) || ts.isClassLike(node)) return node;
    const visited = ts.visitEachChild(node, mark, context);
    if (!ts.isCallExpression(visited) && !ts.isNewExpression(visited)) return visited;
    return ts.addSyntheticLeadingComment(visited, ts.SyntaxKind.MultiLineCommentTrivia, " @__PURE__ ", false);
  };
  return (file) => ts.visitEachChild(file, (node) => (ts.isVariableStatement(node) ? mark(node) : node), context);
}
