/** Cases of the selective scan: within a piece, over several, continued from a state. */
import type { NdArray } from "../../core/op.ts";
import type { Tensor } from "../../core/graph.ts";
import * as ops from "../../ops/mod.ts";
import { at, random } from "../numeric.ts";
import { type OpCase, opCase } from "./op_case.ts";

/** Step by step: the outputs [B, T, E], then the last state [B, N, E]. */
function stepByStep([u, delta, a, b, c, state]: readonly NdArray[]): { outputs: number[]; last: number[] } {
  const [B, T, E] = u.shape, [N] = a.shape;
  const h = Array.from({ length: B * N * E }, (_, i) => state?.data[i] ?? 0), outputs: number[] = [];
  for (let i = 0; i < B; i++) {
    for (let t = 0; t < T; t++) {
      for (let e = 0; e < E; e++) {
        let y = 0;
        for (let n = 0; n < N; n++) {
          const place = (i * N + n) * E + e, step = at(delta, [i, t, e]);
          h[place] = Math.exp(step * at(a, [n, e])) * h[place] + step * at(b, [i, t, n]) * at(u, [i, t, e]);
          y += at(c, [i, t, n]) * h[place];
        }
        outputs.push(y);
      }
    }
  }
  return { outputs, last: h };
}

function scanCase(
  name: string,
  { B, T, N, E, piece, withState = false }: {
    readonly B: number;
    readonly T: number;
    readonly N: number;
    readonly E: number;
    readonly piece?: number;
    readonly withState?: boolean;
  },
  result: "output" | "state" = "output",
): OpCase {
  const inputs = [
    random([B, T, E]),
    random([B, T, E], 0, 1, 2),
    random([N, E], -2, -0.1, 3),
    random([B, T, N], -1, 1, 4),
    random([B, T, N], -1, 1, 5),
    ...(withState ? [random([B, N, E], -1, 1, 6)] : []),
  ];
  const fn = (...[u, delta, a, b, c, state]: Tensor[]): Tensor =>
    ops.selectiveScan({ u, delta, a, b, c }, { state, piece })[result === "output" ? 0 : 1];
  return opCase("selectiveScan", inputs, fn, {
    name,
    expected: (...arrays) => stepByStep(arrays)[result === "output" ? "outputs" : "last"],
    tolerance: "accumulation",
  });
}

/** All of them. */
export const SELECTIVE_SCAN_CASES: readonly OpCase[] = [
  scanCase("in one piece", { B: 2, T: 7, N: 3, E: 5 }),
  scanCase("in pieces, the last one short, after a state", { B: 2, T: 11, N: 3, E: 5, piece: 4, withState: true }),
  scanCase("the state", { B: 2, T: 7, N: 3, E: 5, piece: 3, withState: true }, "state"),
  scanCase("of one step", { B: 1, T: 1, N: 1, E: 1, withState: true }),
  scanCase("of one state", { B: 1, T: 5, N: 1, E: 3, piece: 1 }),
];
