/** Which fusion must run before which, without searching. */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { FusionOrder } from "../../kernels/schedule/fusion_order.ts";

/** The same by walking edges. */
class Plain {
  readonly before = new Map<string, Set<string>>();

  reaches(from: string, to: string): boolean {
    const seen = new Set<string>(), stack = [...this.before.get(from)!];
    while (stack.length > 0) {
      const fusion = stack.pop()!;
      if (fusion === to) return true;
      if (seen.has(fusion)) continue;
      seen.add(fusion);
      stack.push(...this.before.get(fusion)!);
    }
    return false;
  }

  merge(into: string, fusion: string): void {
    for (const other of this.before.get(fusion)!) this.before.get(into)!.add(other);
    this.before.delete(fusion);
    for (const set of this.before.values()) if (set.delete(fusion)) set.add(into);
    this.before.get(into)!.delete(into);
  }

  hasBetween(a: string, b: string): boolean {
    return [a, b].some((fusion) =>
      [...this.before.get(fusion)!].some((other) =>
        other !== a && other !== b && (this.reaches(other, a) || this.reaches(other, b))
      )
    );
  }
}

Deno.test("the order of fusions is that of walking their edges, through any edges and merges", () => {
  let merged = 0;
  const action = fc.tuple(fc.constantFrom("add", "edge", "edge", "edge", "merge"), fc.nat(60), fc.nat(60));
  fc.assert(
    fc.property(fc.array(action, { minLength: 5, maxLength: 90 }), (actions) => {
      const order = new FusionOrder<string>(), plain = new Plain();
      let made = 0;
      for (const [kind, x, y] of actions) {
        const names = [...plain.before.keys()], a = names[x % names.length], b = names[y % names.length];
        if (kind === "add" || names.length < 2) {
          const name = `fusion${made++}`;
          order.add(name);
          plain.before.set(name, new Set());
        } else if (a !== b && kind === "edge" && !plain.reaches(b, a)) {
          order.require(a, b);
          plain.before.get(a)!.add(b);
        } else if (a !== b && kind === "merge" && !plain.hasBetween(a, b)) {
          order.merge(a, b);
          plain.merge(a, b);
          merged++;
        }
        for (const from of plain.before.keys()) {
          assertEquals([...order.dependencies(from)].sort(), [...plain.before.get(from)!].sort());
          for (const to of plain.before.keys()) {
            if (from === to) continue;
            assertEquals(order.reaches(from, to), plain.reaches(from, to), `${from} after ${to}`);
            assertEquals(order.hasBetween(from, to), plain.hasBetween(from, to), `${from} and ${to}`);
          }
        }
      }
    }),
    { numRuns: 60, seed: 3 },
  );
  if (merged < 50) throw new Error(`only ${merged} merges were tried`);
});
