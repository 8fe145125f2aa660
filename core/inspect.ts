/**
 * How objects of the library look on a console: by their `toString`, in a line or a few, where engines would print
 * their insides.
 */

/** What the consoles of Node and its kin look for. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/**
 * Makes consoles print the instances of a class as its `toString` gives them. Called in a static block of the class.
 */
export function showAsText(type: { readonly prototype: { toString(): string } }): void {
  Object.defineProperty(type.prototype, INSPECT, {
    configurable: true,
    value(this: { toString(): string }): string {
      return this.toString();
    },
  });
}
