/**
 * How exactly a machine computes: the roundings that a bound counts. Two machines are described: the devices (f32, f16
 * and bf16 as cpu and WebGPU promise them, each entry the looser of the two) and the f64 of the host, in which the
 * reference, the interpreter of schedules and that of plans compute.
 */
import { type DType, isHalf } from "../../../core/dtype.ts";
import { roundToHalf } from "../../../core/half.ts";

/** What is known of a machine's arithmetic. */
export interface Precision {
  /** Half the distance of neighbouring numbers at 1: the greatest relative error of a correctly rounded result. */
  readonly unit: (dtype: DType) => number;
  /** Results below this size may be off by as much, or be flushed to zero. */
  readonly tiny: (dtype: DType) => number;
  /** The greatest finite number. */
  readonly largest: (dtype: DType) => number;
  /** Whether a double is a number of the dtype, so that an operation on exact operands that gives it is exact. */
  readonly holds: (dtype: DType, value: number) => boolean;
  /** Whether sums of several operations may be taken in another order. */
  readonly reassociates: boolean;
  /** How far a constant of a program is from what the machine holds of it. */
  readonly constant: (dtype: DType, value: number) => number;
  /**
   * The error of a function's result beside that of its operands, given the true result. Infinity where nothing is
   * promised.
   */
  readonly error: (name: string, dtype: DType, args: readonly number[], value: number) => number;
}

/** Errors of functions in units in the last place (2^-23 for f32), relative to the result, or absolute. */
type FunctionError = (ulp: number, args: readonly number[], size: number) => number;

/** Single precision as the printers make it; WGSL's own limits where they call a built-in function. */
const DEVICE_ERRORS: Readonly<Record<string, FunctionError>> = {
  div: (ulp, _args, size) => 2.5 * ulp * size,
  sqrt: (ulp, _args, size) => 3 * ulp * size,
  rsqrt: (ulp, _args, size) => 4 * ulp * size,
  exp: (ulp, [x], size) => (3 + 2 * Math.abs(x)) * ulp * size,
  log: (ulp, _args, size) => 4 * ulp * size,
  log1p: (ulp, _args, size) => 8 * ulp * size,
  expm1: (ulp, [x], size) => (16 + 4 * Math.max(0, x)) * ulp * size,
  tanh: (ulp, _args, size) => 6 * ulp * size,
  sigmoid: (ulp, [x], size) => (6 + 2 * Math.abs(x)) * ulp * size,
  sin: (ulp, [x]) => 2 * ulp * Math.max(1, Math.abs(x) / 8192),
  cos: (ulp, [x]) => 2 * ulp * Math.max(1, Math.abs(x) / 8192),
  erf: (ulp, _args, size) => Math.min(2 * ulp, 12 * ulp * size),
  pow: (ulp, [x, y], size) => (10 + 2 * Math.abs(y * Math.log(Math.abs(x) || 1))) * ulp * size,
};

function nearest(dtype: DType, value: number): number {
  return isHalf(dtype) ? roundToHalf(dtype, value) : Math.fround(value);
}

function storedError(dtype: DType, value: number): number {
  return Number.isFinite(value) ? Math.abs(value - nearest(dtype, value)) : 0;
}

/** What cpu and WebGPU promise together. */
export const DEVICE: Precision = {
  unit: (dtype) => (dtype === "f16" ? 2 ** -11 : dtype === "bf16" ? 2 ** -8 : 2 ** -24),
  tiny: (dtype) => (dtype === "f16" ? 2 ** -14 : 2 ** -126),
  largest: (dtype) => (dtype === "f16" ? 65504 : dtype === "bf16" ? 3.3895313892515355e38 : 3.4028234663852886e38),
  holds: (dtype, value) => nearest(dtype, value) === value,
  reassociates: false,
  constant: storedError,
  error: (name, dtype, args, value) => DEVICE_ERRORS[name](2 * DEVICE.unit(dtype), args, Math.abs(value)),
};

/** As WebGPU computes where the driver reorders sums. */
export const REORDERED: Precision = { ...DEVICE, reassociates: true };

/** Doubles of the host: elementary functions to a few units in the last place. */
export const HOST: Precision = {
  unit: () => 2 ** -53,
  tiny: () => 2 ** -1022,
  largest: () => Number.MAX_VALUE,
  holds: (_dtype, value) => Number.isInteger(value) && Math.abs(value) < 2 ** 53,
  reassociates: false,
  constant: () => 0,
  // erfOf is right to about 1e-15; V8's functions to an ulp or two. sigmoid and pow are written in several ways.
  error: (name, _dtype, args, value) =>
    (name === "pow" ? 4 + Math.abs(args[1] * Math.log(Math.abs(args[0]) || 1)) : 8) * 2 ** -52 * Math.abs(value),
};

/**
 * Doubles of the host that compute with a program's stored constants, which are single: interpreters of schedules and
 * plans.
 */
export const HOST_STORED: Precision = { ...HOST, constant: storedError };
