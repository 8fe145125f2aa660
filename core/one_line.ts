/** Error texts that quote what a user or a file said stay one line of a length that can be read. */

// The beginning says what was attempted, the end what to do.
const LONGEST = 600, HEAD = 400, TAIL = 150;

// Control characters, and what ends lines or turns the direction of writing for some who read them.
const UNSEEN =
  // deno-lint-ignore no-control-regex -- they are what is looked for
  /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/**
 * A text as one line: what cannot be seen is written out, such as \u001b, and the middle of what is too long is left
 * out.
 */
export function oneLine(text: string): string {
  return shortened(
    shortened(text).replace(
      UNSEEN,
      (letter) => ESCAPES[letter] ?? `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
    ),
  );
}

const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function shortened(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, HEAD)} ... ${text.slice(-TAIL)}` : text;
}
