/** Keeps error messages that quote user input or files on one line of readable length. */

// The start says what was attempted, the end what to do, so the middle is cut.
const LONGEST = 600, HEAD = 400, TAIL = 150;

// Control characters, line separators, and characters that change the writing direction.
const UNSEEN =
  // deno-lint-ignore no-control-regex -- matching them is the purpose
  /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/**
 * A text as one line: invisible characters are escaped, such as \u001b, and the middle of long texts is omitted.
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
