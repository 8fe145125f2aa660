/**
 * Makes consoles print the library's objects by their `toString`, in one or a few lines, instead of their internals.
 */

/** The symbol that Node-like consoles look for. */
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
