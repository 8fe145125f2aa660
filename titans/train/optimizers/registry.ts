/** The built-in optimizers: a line each. */
import { ConfigError } from "../../errors.ts";
import { adamW } from "./adam_w.ts";
import { lion } from "./lion.ts";
import { muon } from "./muon.ts";
import type { AnyOptimizer } from "./optimizer.ts";
import { sgd } from "./sgd.ts";

/** By name. */
export const OPTIMIZERS: Readonly<Record<string, AnyOptimizer>> = {
  [adamW.name]: adamW,
  [sgd.name]: sgd,
  [lion.name]: lion,
  [muon.name]: muon,
};

/** The optimizer of a name, or the one given. @throws {ConfigError} for what is neither, such as a file may hold. */
export function optimizerOf(choice: string | AnyOptimizer): AnyOptimizer {
  if (typeof choice === "object" && typeof choice?.update === "function") return choice;
  if (typeof choice === "string" && Object.hasOwn(OPTIMIZERS, choice)) return OPTIMIZERS[choice];
  throw new ConfigError(
    `Cannot use optimizer ${JSON.stringify(choice)}: it must be one of ${Object.keys(OPTIMIZERS).join(", ")}`,
    "optimizer",
  );
}
