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
  /** Parameters by name; none of a core. */
  readonly parameters: Readonly<Record<string, Value>>;
}

const TEXT = Deno.readTextFileSync(new URL("golden_baselines.txt", import.meta.url));

/** The cases by name. */
export const GOLDENS: ReadonlyMap<string, Golden> = new Map(
  TEXT.split("\n**").slice(1).map((text) => {
    const golden = parse(text.split("\n## ")[0]);
    return [golden.name, golden];
  }),
);

function parse(text: string): Golden {
  const [title, ...lines] = text.split("\n"), [given, described = ""] = lines.join(" ").split("params:");
  const [figures, gradients] = given.split("d:");
  return {
    name: title.slice(0, title.indexOf("**")),
    figures: numbersOf(figures, ";"),
    gradients: numbersOf(gradients, /,|\s{3,}/),
    parameters: parametersOf(described),
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

/** Parameters of a layer; those of parts, in braces, are left out. */
function parametersOf(text: string): Record<string, Value> {
  if (text.includes("{")) return {};
  const words = text.split(";").map((word) => word.trim()).filter((word) => word !== "");
  return Object.fromEntries(words.map((word, i) => {
    const [, name, extents, scale, offset = "0"] = word.match(/^(\S+) \[([\d,]+)\] (\S+)(?: ([+-]\S+))?$/)!;
    const shape = extents.split(",").map(Number), root = scale.match(/^1\/sqrt\((\d+)\)$/);
    const data = randn(sizeOfShape(shape), root ? 1 / Math.sqrt(Number(root[1])) : Number(scale), 101 + i);
    return [name, { shape, data: data.map((x) => x + Number(offset)) }];
  }));
}
