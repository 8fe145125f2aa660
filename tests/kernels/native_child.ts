/**
 * Opens native devices as its argument, a list of options in JSON, says, runs a program on each, and opens what `auto`
 * takes. Prints what came of it in one line of JSON: the parent chooses what this process may do.
 */
import { compile, requestDevice, spec, type Tensor } from "../../mod.ts";
import { requestNativeDevice } from "../../kernels/devices/native/device.ts";
import { add, mul } from "../../ops/mod.ts";

/** What came of it. */
export interface ChildReport {
  /** For each of the options, the elements of a result, or the error. */
  readonly opened: readonly (
    | { readonly description: string; readonly data: readonly number[] }
    | { readonly name: string; readonly reason?: string; readonly message: string }
  )[];
  /** The kind that `auto` took. */
  readonly automatic: string;
}

const { options, factor, cacheDirectory, path } = JSON.parse(Deno.args[0]);
if (path !== undefined) Deno.env.set("PATH", path);

const opened: ChildReport["opened"][number][] = [];
for (const each of options) {
  try {
    using device = await requestNativeDevice({ cacheDirectory, threads: 2, ...each });
    const program = await compile(device, (x: Tensor) => add(mul(x, factor), x), [spec([3])]);
    const { data } = await program.run([1, 2, 3]);
    opened.push({ description: device.info.description, data: [...data] });
  } catch (error) {
    const { name, message, reason } = error as Error & { reason?: string };
    opened.push({ name, message, reason });
  }
}
using automatic = await requestDevice({ nativeCacheDirectory: cacheDirectory });
console.log(JSON.stringify({ opened, automatic: automatic.info.kind }));
