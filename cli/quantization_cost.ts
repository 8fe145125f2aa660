/** What it costs to store numbers in fewer bits: bytes, and how much worse the model is, as commands say it. */
import type { Quantization } from "../titans/mod.ts";
import { formatCount } from "./progress.ts";

/** What quantizing did. */
export interface QuantizationCost {
  readonly quantize: Quantization;
  readonly bytesBefore: number;
  readonly bytes: number;
  /** A figure of the model before and after, and what it was measured on; absent where it was not measured. */
  readonly measured?: { readonly figure: string; readonly before: number; readonly after: number; readonly on: string };
}

/** The same in lines. */
export function costLines({ quantize, bytesBefore, bytes, measured }: QuantizationCost): string[] {
  const share = Math.round(100 * bytes / bytesBefore), digits = (value: number): string => value.toFixed(4);
  return [
    `${quantize}: ${formatCount(bytesBefore)} -> ${formatCount(bytes)} bytes (${share}%)`,
    ...(measured
      ? [`${measured.figure} ${digits(measured.before)} -> ${digits(measured.after)} on ${measured.on}`]
      : []),
  ];
}
