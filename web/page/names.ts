/** Names of characters, and of bytes that may follow, in sentences. */

/** A character in a sentence. */
export function nameOfCharacter(text: string): string {
  if (text === " ") return "space";
  if (text === "\n") return "line break";
  return /^\p{C}$/u.test(text) && text !== "\uFFFD" ? `character ${text.codePointAt(0)}` : `“${text}”`;
}

/** Bytes of the character that begins with a byte; 1 for one that begins none. */
function lengthFrom(lead: number): number {
  return lead >= 0xf0 && lead < 0xf8 ? 4 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xc2 && lead < 0xe0 ? 2 : 1;
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** Bytes of the character that is under way at a place of a text: from its first byte up to the place. */
function begun(text: ArrayLike<number>, end: number): number[] {
  let start = end - 1;
  while (start >= 0 && end - start < 4 && isContinuation(text[start])) start--;
  const bytes = Array.from({ length: Math.max(0, end - start) }, (_, i) => text[start + i]);
  return start >= 0 && lengthFrom(text[start]) > bytes.length ? bytes : [];
}

/** A byte that may follow at a position: the character that it completes, starts or continues. */
export function nameOfNext(text: ArrayLike<number>, at: number, byte: number): string {
  const before = begun(text, at), bytes = [...before, byte];
  if (before.length === 0) {
    const length = lengthFrom(byte);
    if (length > 1) return `the first byte of a character of ${length}`;
    return byte < 0x80 ? nameOfCharacter(String.fromCharCode(byte)) : `byte ${byte}, no character`;
  }
  if (!isContinuation(byte)) {
    return byte < 0x80 ? nameOfCharacter(String.fromCharCode(byte)) : "the first byte of another character";
  }
  if (bytes.length < lengthFrom(bytes[0])) return `byte ${bytes.length} of a character`;
  return nameOfCharacter(new TextDecoder().decode(Uint8Array.from(bytes)));
}
