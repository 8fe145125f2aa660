/** JSON of any shape. */
import type { Random } from "../random.ts";

const SCALARS = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  "",
  "text",
  "a\nb",
  "\u0000",
  "\ud800",
  "__proto__",
  "🎉",
];
const KEYS = [
  "text",
  "id",
  "a",
  "",
  "step",
  "loss",
  "__proto__",
  "constructor",
  "toString",
  "a\u001b[31m",
  "k".repeat(300),
];

/** A value. */
export function json(random: Random, depth = 0): unknown {
  const kind = random.below(depth > 3 ? 2 : 4);
  if (kind < 2) return random.pick(SCALARS);
  if (kind === 2) return Array.from({ length: random.below(4) }, () => json(random, depth + 1));
  const record: Record<string, unknown> = {};
  for (let count = random.below(4); count > 0; count--) {
    Object.defineProperty(record, random.pick(KEYS), {
      value: json(random, depth + 1),
      enumerable: true,
      configurable: true,
    });
  }
  return record;
}

/** A value as text, sometimes spoilt. */
export function jsonText(random: Random): string {
  const text = JSON.stringify(json(random)) ?? "null";
  return random.oneIn(4) ? text.slice(0, random.below(text.length + 1)) : text;
}
