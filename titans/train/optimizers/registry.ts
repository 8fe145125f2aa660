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

/** The optimizer of a name, or the one given. @throws {ConfigError} for a name that is not built in. */
export function optimizerOf(choice: string | AnyOptimizer): AnyOptimizer {
  if (typeof choice !== "string") return choice;
  if (Object.hasOwn(OPTIMIZERS, choice)) return OPTIMIZERS[choice];
  throw new ConfigError(
    `Cannot use optimizer ${JSON.stringify(choice)}: it must be one of ${Object.keys(OPTIMIZERS).join(", ")}`,
    "optimizer",
  );
}
