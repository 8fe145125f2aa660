/** What a row of the op table is. */
import type { Tensor } from "../../core/graph.ts";
import type { NdArray } from "../../core/op.ts";
import { formatShape } from "../../core/shape.ts";
import type { ToleranceClass } from "../numeric.ts";

/** One use of an op: a function of tensors, arguments for it, and what is known of the result. */
export interface OpCase {
  /** The public function, or the primitive, that the case is about. */
  readonly op: string;
  /** Unique within the table. */
  readonly name: string;
  readonly fn: (...args: Tensor[]) => Tensor;
  readonly inputs: readonly NdArray[];
  /** The result by plain JavaScript, independent of the ops. */
  readonly expected?: (...args: NdArray[]) => ArrayLike<number>;
  readonly tolerance: ToleranceClass;
  /** Positions of the arguments to differentiate; every argument there is smooth near its value. */
  readonly differentiable: readonly number[];
  /** Whether the source text of its kernels is a golden text. */
  readonly golden: boolean;
}

/** What a case may leave out. */
export interface CaseOptions {
  readonly name?: string;
  readonly expected?: (...args: NdArray[]) => ArrayLike<number>;
  readonly tolerance?: ToleranceClass;
  /** All f32 arguments unless said. */
  readonly differentiable?: readonly number[];
  readonly golden?: boolean;
}

/** Makes a case. Its name tells op, variant, shapes and dtypes. */
export function opCase(
  op: string,
  inputs: readonly NdArray[],
  fn: (...args: Tensor[]) => Tensor,
  options: CaseOptions = {},
): OpCase {
  const types = inputs.map(({ dtype, shape }) => `${dtype}${formatShape(shape)}`).join(" ");
  return {
    op,
    name: [op, options.name, types].filter(Boolean).join(" "),
    fn,
    inputs,
    expected: options.expected,
    tolerance: options.tolerance ?? "arithmetic",
    differentiable: options.differentiable ?? inputs.flatMap(({ dtype }, i) => (dtype === "f32" ? [i] : [])),
    golden: options.golden ?? false,
  };
}
