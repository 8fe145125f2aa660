/** Finding and making elements. */

/**
 * The element with an id.
 * @throws {Error} if there is none of that type: the page and its script do not match.
 */
export function byId<T extends Element>(id: string, kind: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`The page has no ${kind.name} called ${id}`);
  return element;
}

/** An SVG element with attributes. */
export function svgElement(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  text?: string,
): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

/** A paragraph or the like with a text. */
export function textElement(name: "p" | "td" | "th" | "li" | "option", text: string): HTMLElement {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}
