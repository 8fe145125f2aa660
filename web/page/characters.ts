/** Texts as people count them: by characters. Models count bytes. */

/** A character of a text, and its bytes: from `start` to before `end`. */
export interface Character {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** The characters of a text. */
export function charactersOf(text: string): Character[] {
  const encoder = new TextEncoder();
  let end = 0;
  return Array.from(text, (text) => {
    const start = end;
    end += encoder.encode(text).length;
    return { text, start, end };
  });
}
