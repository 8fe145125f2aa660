/** What programs use of the library's functions that take a rule. */
import { isFloat } from "../../core/dtype.ts";
import { customVjp } from "../../core/custom_vjp.ts";
import { vjp } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";

/**
 * A function with a gradient of its own that is the one it has anyway, so that it can be checked like any other. All
 * that is differentiated must be an argument.
 */
export function byHand(fn: (...args: Tensor[]) => Tensor[]): (...args: Tensor[]) => Tensor[] {
  return customVjp(fn, {
    forward: (...args) => [fn(...args), args],
    backward: (args, cotangents) => {
      const isSmooth = args.map(({ dtype }) => isFloat(dtype));
      const floats = (results: readonly Tensor[]): Tensor[] => results.filter(({ dtype }) => isFloat(dtype));
      const [, pull] = vjp((given: Tensor[]) => {
        let next = 0;
        return floats(fn(...args.map((arg, i) => (isSmooth[i] ? given[next++] : arg))));
      }, floats(args));
      const found = pull(floats(cotangents));
      let next = 0;
      return isSmooth.map((smooth) => (smooth ? found[next++] : undefined));
    },
  });
}
