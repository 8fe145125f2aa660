/** What a run returns for each tensor of its function's result. */
import { ShapeError } from "../core/errors.ts";
import { nest, type Nested } from "../core/nested.ts";
import { formatType, type Shape, sizeOfShape } from "../core/shape.ts";
import type { DType } from "../core/dtype.ts";
import type { HostArray, HostTensor } from "./host_data.ts";

/** What results can do beside holding their elements. */
export interface ResultMethods {
  /**
   * The elements as nested lists, `[[1, 2], [3, 4]]`: truth values of a bool, numbers of any other dtype; of a scalar
   * its one value.
   */
  toNested(): Nested;
  /**
   * The element of a result that has one: 0 or 1 of a bool.
   * @throws {ShapeError} if there are more, or none.
   */
  item(): number;
}

/** A result on the host: row-major elements with their type, and ways to look at them. */
export type ResultTensor<D extends DType = DType> = HostTensor<D> & ResultMethods;

class Result implements ResultMethods {
  constructor(readonly data: HostArray, readonly shape: Shape, readonly dtype: DType) {}

  toNested(): Nested {
    return nest(this.data as Float32Array, this);
  }

  item(): number {
    if (this.data.length === 1) return this.data[0];
    throw new ShapeError(
      `Cannot take the one element of ${formatType(this)}: it has ${sizeOfShape(this.shape)}; use data or toNested()`,
      [this.shape],
    );
  }
}

/** A result from elements that were read. */
export function resultTensor(data: HostArray, shape: Shape, dtype: DType): ResultTensor {
  return new Result(data, shape, dtype) as unknown as ResultTensor;
}
