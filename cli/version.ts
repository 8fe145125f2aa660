/** The version, from the place that publishing reads it from. */
import config from "../deno.json" with { type: "json" };

/** The version of Mneme, such as `0.1.0`. */
export const VERSION: string = config.version;
