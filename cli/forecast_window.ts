/** The forecast of one window, in the units of the table. */
import type { Tensor } from "../core/graph.ts";
import { spec } from "../core/trace.ts";
import { compile, type Device } from "../kernels/mod.ts";
import type { NamedArrays, Network } from "../titans/mod.ts";
import type { SeriesWindows } from "../titans/tasks/series/windows.ts";

/**
 * Forecasts the rows after a window.
 * @returns Row-major [horizon, columns to forecast].
 */
export async function predictWindow(
  device: Device,
  { network, params, windows, row }: {
    readonly network: Network;
    readonly params: NamedArrays;
    readonly windows: SeriesWindows;
    /** The first row of the window. */
    readonly row: number;
  },
): Promise<Float64Array> {
  const { lookback, scaled, means, deviations, frame: { names, targets } } = windows, width = names.length;
  const past = Float32Array.from(scaled.subarray(row * width, (row + lookback) * width));
  const shape = [1, lookback, width], flat = network.layout.pack(params);
  const program = await compile(
    device,
    (flat: Tensor, past: Tensor) => network.forward(network.unflatten(flat), past).logits,
    [spec([flat.length]), spec(shape)],
  );
  try {
    const { data } = await program.run(flat, past);
    return Float64Array.from(data, (value, i) => value * deviations[i % targets] + means[i % targets]);
  } finally {
    program.dispose();
  }
}
