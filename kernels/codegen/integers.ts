/** Integer arithmetic for addresses and bounds, with constant folding. */
import type { OpName, Value, Writer } from "./writer.ts";

/** Scalar integer and address arithmetic in a function. Operations on constants are folded. */
export class Integers {
  constructor(readonly w: Writer) {}

  op(name: OpName, ...args: Value[]): Value {
    return this.w.op(name, args);
  }

  literal(value: number): Value {
    return this.w.literal(value, "i32");
  }

  add(x: Value, y: Value): Value {
    return x.local === undefined && y.local === undefined
      ? this.literal(x.literal + y.literal)
      : this.op(x.dtype === "address" ? "address.add" : "i32.add", x, y);
  }

  plus(value: Value, amount: number): Value {
    return amount === 0 ? value : this.add(value, this.literal(amount));
  }

  sub(x: Value, y: Value): Value {
    if (y.local === undefined) return this.plus(x, -y.literal);
    return this.op(x.dtype === "address" ? "address.sub" : "i32.sub", x, y);
  }

  times(value: Value, factor: number): Value {
    if (value.local === undefined) return this.literal(value.literal * factor);
    return factor === 1 ? value : this.op("i32.mul", value, this.literal(factor));
  }

  over(value: Value, divisor: number): Value {
    if (value.local === undefined) return this.literal(Math.floor(value.literal / divisor));
    return divisor === this.w.lanes
      ? this.op("i32.shr_u", value, this.literal(Math.log2(divisor)))
      : this.op("i32.div_u", value, this.literal(divisor));
  }

  min(x: Value, most: number): Value {
    if (x.local === undefined) return this.literal(Math.min(x.literal, most));
    const other = this.literal(most);
    return this.op("select", x, other, this.op("i32.lt_s", x, other));
  }

  max(x: Value, least: number): Value {
    if (x.local === undefined) return this.literal(Math.max(x.literal, least));
    const other = this.literal(least);
    return this.op("select", x, other, this.op("i32.gt_s", x, other));
  }
}
