/** The numbers of golden_baselines.txt: cores and layers known from PyTorch in f64. */
import { sizeOfShape } from "../../core/shape.ts";
import { randn } from "../golden_layers.ts";
import type { Value } from "./runners.ts";

/** A case of the table. */
export interface Golden {
  readonly name: string;
  /** Figures of the loss and the outputs: `loss`, `y[297]`, `mean`, `norm`. */
  readonly figures: Readonly<Record<string, number>>;
  /** Norms of the gradients by input or parameter. */
  readonly gradients: Readonly<Record<string, number>>;
  /** Parameters by name, in a stack `part.name`; none of a core. */
  readonly parameters: Readonly<Record<string, Value>>;
}

const TEXT = Deno.readTextFileSync(new URL("golden_baselines.txt", import.meta.url));

/** The texts of the cases by name. */
const CASES: ReadonlyMap<string, string> = new Map(
  TEXT.split("\n**").slice(1).map((text) => [text.slice(0, text.indexOf("**")), text.split("\n## ")[0]]),
);

/** The cases by name. */
export const GOLDENS: ReadonlyMap<string, Golden> = new Map(
  [...CASES].map(([name, text]) => [name, parse(name, text)]),
);

function parse(name: string, text: string): Golden {
  const [figures, gradients] = text.split("\n").slice(1).join(" ").split("params:")[0].split("d:");
  return {
    name,
    figures: numbersOf(figures, ";"),
    gradients: numbersOf(gradients, /,|\s{3,}/),
    parameters: parametersOf(name),
  };
}

/** `name 1.5; other name 2` as a record. */
function numbersOf(text: string, separator: string | RegExp): Record<string, number> {
  const words = text.split(separator).map((word) => word.trim()).filter((word) => word !== "");
  return Object.fromEntries(words.map((word) => {
    const at = word.lastIndexOf(" ");
    return [word.slice(0, at), Number(word.slice(at))];
  }));
}

/** What is said of each parameter of a case: `Wq [16,16] 0.25`, in parts of a stack `swa.Wq [16,16] 0.25`. */
function described(name: string): string[] {
  const text = CASES.get(name)!.split("params:")[1] ?? "";
  const split = (text: string): string[] => text.split(";").map((word) => word.trim()).filter((word) => word !== "");
  return split(text.replaceAll(/(\w+)\.\{([^}]*)\}/g, (_, part, inner) => {
    const own = split(inner).flatMap((word) => word.startsWith("as ") ? like(word.slice("as ".length)) : [word]);
    return own.map((word) => `${part}.${word}`).join(";");
  }));
}

/** The parameters of another case without a norm before it; the MLP is that of `llama-block`. */
function like(name: string): string[] {
  if (name !== "mlp") return described(name);
  return described("llama-block").flatMap((word) => word.match(/^mlp\.(?!pre)(.*)/)?.[1] ?? []);
}

function parametersOf(name: string): Record<string, Value> {
  return Object.fromEntries(
    described(name).map((word, i) => {
      const [, name, extents, scale, offset = "0"] = word.match(/^(\S+) \[([\d,]+)\] (\S+)(?: ([+-]\S+))?$/)!;
      const shape = extents.split(",").map(Number), root = scale.match(/^1\/sqrt\((\d+)\)$/);
      const data = randn(sizeOfShape(shape), root ? 1 / Math.sqrt(Number(root[1])) : Number(scale), 101 + i);
      return [name, { shape, data: data.map((x) => x + Number(offset)) }];
    }),
  );
}
