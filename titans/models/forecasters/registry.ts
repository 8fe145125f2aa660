/** The forecasters by name. */
import { ConfigError } from "../../errors.ts";
import { MODEL_KINDS } from "../../mixers/recipes.ts";
import { blockForecaster, simba } from "./block_forecasters.ts";
import type { Forecaster } from "./forecaster.ts";
import { dlinear, nlinear, rlinear } from "./linear_forecasters.ts";
import { iTransformer, patchTst } from "./transformers.ts";

const WITH_SIMBA = "simba";

/** Those that are no stacks of blocks, and Simba as in its paper. */
export const FORECASTERS: Readonly<Record<string, Forecaster>> = {
  [dlinear.name]: dlinear,
  [nlinear.name]: nlinear,
  [rlinear.name]: rlinear,
  [patchTst.name]: patchTst,
  [iTransformer.name]: iTransformer,
  [WITH_SIMBA]: simba("mamba"),
};

/**
 * The forecaster of a name: of a registered one, of a model, whose blocks then read patches, or `simba:` and a model.
 * @throws {ConfigError} if there is none.
 */
export function forecasterOf(name: string): Forecaster {
  if (Object.hasOwn(FORECASTERS, name)) return FORECASTERS[name];
  const kinds: Readonly<Record<string, string>> = MODEL_KINDS;
  const [prefix, model] = name.includes(":") ? name.split(":", 2) : ["", name];
  if (Object.hasOwn(kinds, model) && prefix === "") return blockForecaster(model, kinds[model]);
  if (Object.hasOwn(kinds, model) && prefix === WITH_SIMBA) return simba(model);
  throw new ConfigError(
    `Cannot forecast with ${JSON.stringify(name)}: there are ${
      [...Object.keys(FORECASTERS), ...Object.keys(kinds), `${WITH_SIMBA}:MODEL`].join(", ")
    }`,
    "model",
  );
}
