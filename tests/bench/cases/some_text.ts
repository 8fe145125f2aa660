/** Bytes that no model has seen. */
export function someText(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * i) % 251);
}
