/** The version, from the file that publishing uses. */
import config from "../deno.json" with { type: "json" };

/** The version of Mneme, such as `0.1.0`. */
export const VERSION: string = config.version;
