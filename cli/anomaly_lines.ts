/**
 * Lines as what a memory learns: a key and a value, made of the parts of a line by hashing.
 *
 * A part is a word of a log, or a field of a record with its name. Each part adds one vector of signs to the key and
 * another, independent one to the value, so that a memory that has seen the parts of a line together maps its key to its
 * value, and one that has not cannot: nothing in a key says what the value of a new part is. Digits count by how many
 * there are, numbers of records by their distance from the mean, in steps of half a deviation.
 */

/** Numbers of a key, and of a value. */
export const ROW_WIDTH = 64;

// Positions that a part adds to.
const MARKS = 4;

/** Numbers of the FNV hash of 32 bits. */
const OFFSET = 0x811c9dc5, PRIME = 0x01000193;

/** Mixes the bits of a hash, so that all of them depend on all (the finaliser of MurmurHash3). */
function mixed(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Rows under construction: keys and values [lines, ROW_WIDTH], of length one each. */
export class LineRows {
  /** Keys, row-major. */
  readonly keys: Float32Array<ArrayBuffer>;
  /** Values, row-major. */
  readonly values: Float32Array<ArrayBuffer>;
  #row = 0;

  /** @param lines How many there is room for. */
  constructor(readonly lines: number) {
    this.keys = new Float32Array(lines * ROW_WIDTH);
    this.values = new Float32Array(lines * ROW_WIDTH);
  }

  /** Rows that are complete. */
  get count(): number {
    return this.#row;
  }

  /** Adds a part to the row that is open, `weight` times. */
  part(hash: number, weight = 1): void {
    const at = this.#row * ROW_WIDTH;
    let bits = mixed(hash), others = mixed(hash ^ 0x9e3779b9);
    for (let i = 0; i < MARKS; i++) {
      this.keys[at + (bits & 63)] += bits & 64 ? weight : -weight;
      this.values[at + (others & 63)] += others & 64 ? weight : -weight;
      bits >>>= 7;
      others >>>= 7;
    }
  }

  /** Ends the row that is open, scaled to length one. */
  end(): void {
    const from = this.#row++ * ROW_WIDTH;
    for (const rows of [this.keys, this.values]) {
      let square = 0;
      for (let i = from; i < from + ROW_WIDTH; i++) square += rows[i] * rows[i];
      if (square > 0) { for (let i = from; i < from + ROW_WIDTH; i++) rows[i] /= Math.sqrt(square); }
    }
  }

  /** Forgets all rows. */
  clear(): void {
    this.keys.fill(0);
    this.values.fill(0);
    this.#row = 0;
  }
}

/** Adds the parts of a line of a log: its words, without the digits in them. */
export function addWords(rows: LineRows, line: Uint8Array): void {
  let hash = OFFSET, digits = 0, length = 0;
  for (let i = 0; i <= line.length; i++) {
    const byte = i < line.length ? line[i] : 32, isDigit = byte >= 48 && byte <= 57;
    if (isDigit) {
      digits++;
      length++;
      continue;
    }
    if (digits > 0) {
      // Up to two digits are alike: minutes, days and small numbers come in both sizes.
      hash = Math.imul(hash ^ (256 + Math.max(2, digits)), PRIME);
      digits = 0;
    }
    const isWord = (byte >= 97 && byte <= 122) || (byte >= 65 && byte <= 90) || byte >= 128 || byte === 95 ||
      byte === 45 ||
      byte === 46;
    if (isWord) {
      hash = Math.imul(hash ^ byte, PRIME);
      length++;
    } else if (length > 0) {
      rows.part(hash);
      hash = OFFSET;
      length = 0;
    }
  }
}

/** A field of a record. */
export type Field = readonly [name: string, value: string | number];

/** Means and deviations of the numbers of records, by field, from those seen so far (Welford). */
export class FieldScales {
  readonly #fields = new Map<string, { count: number; mean: number; squares: number }>();
  /** Fields beyond these are taken without a scale, so that memory stays bounded. */
  static readonly MOST = 4096;

  /** Takes a number into account. */
  learn(name: string, value: number): void {
    let field = this.#fields.get(name);
    if (!field) {
      if (this.#fields.size === FieldScales.MOST) return;
      this.#fields.set(name, field = { count: 0, mean: 0, squares: 0 });
    }
    const off = value - field.mean;
    field.mean += off / ++field.count;
    field.squares += off * (value - field.mean);
  }

  /** In which step of half a deviation from the mean a number lies. */
  stepOf(name: string, value: number): number {
    const field = this.#fields.get(name);
    if (!field || field.squares === 0) return field === undefined || value === field.mean ? 0 : 20;
    const steps = 2 * (value - field.mean) / Math.sqrt(field.squares / field.count);
    return Math.max(-20, Math.min(20, Math.round(steps)));
  }
}

const encoder = new TextEncoder();

/** Adds the fields of a record: texts as they are, but for digits, numbers by their steps. */
export function addFields(rows: LineRows, fields: readonly Field[], scales: FieldScales): void {
  for (const [name, value] of fields) {
    let hash = OFFSET;
    for (const byte of encoder.encode(name)) hash = Math.imul(hash ^ byte, PRIME);
    if (typeof value === "number") {
      // Each step further out is one more part, so that the further a number is from all others, the more of it is new.
      const step = scales.stepOf(name, value);
      rows.part(hash);
      for (let i = 1; i <= Math.abs(step); i++) rows.part(Math.imul(hash ^ (1000 + Math.sign(step) * i), PRIME));
    } else {
      for (const byte of encoder.encode(value)) hash = Math.imul(hash ^ (byte >= 48 && byte <= 57 ? 256 : byte), PRIME);
      // As much as a number that is some steps out.
      rows.part(hash, 4);
    }
  }
}

/** The fields of a row of a table. */
export function rowFields(names: readonly string[], fields: readonly string[]): Field[] {
  return fields.map((text, i) => [names[i] ?? `column${i + 1}`, valueOf(text)]);
}

function valueOf(text: string): string | number {
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** The fields of a JSON record, those within others by their paths. Elements of a list go by one name. */
export function recordFields(value: unknown, name = ""): Field[] {
  if (typeof value === "number") return [[name, value]];
  if (typeof value !== "object" || value === null) return [[name, String(value)]];
  const inner = Array.isArray(value) ? value.map((item) => [`${name}[]`, item] as const) : Object.entries(value).map((
    [key, item],
  ) => [name === "" ? key : `${name}.${key}`, item] as const);
  return inner.flatMap(([path, item]) => recordFields(item, path));
}
