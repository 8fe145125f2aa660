/**
 * The roofline: no kernel is faster than its arithmetic at the device's peak, nor than its memory traffic at the device's
 * bandwidth (Williams, Waterman and Patterson, "Roofline: an insightful visual performance model", CACM 2009).
 */

/** What a device can do at most. */
export interface PeakRates {
  /** Arithmetic in 32-bit floats, in operations per nanosecond; a multiply-add counts as two. */
  readonly gflops: number;
  /** Traffic to and from device memory, in bytes per nanosecond. */
  readonly gbPerSecond: number;
}

/** Nanoseconds that some work takes at least. */
export function rooflineNs(work: { readonly flops: number; readonly bytes: number }, peak: PeakRates): number {
  return Math.max(work.flops / peak.gflops, work.bytes / peak.gbPerSecond);
}

/** Operations per byte from which on arithmetic is the bound. */
export function ridgeOf({ gflops, gbPerSecond }: PeakRates): number {
  return gflops / gbPerSecond;
}
