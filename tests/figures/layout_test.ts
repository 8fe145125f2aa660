/** Layouts of diagrams: nothing overlaps, data flows down, and circles go back. */
import { assert, assertEquals } from "@std/assert";
import { layOut } from "../../figures/layout.ts";
import { mixerOf, stationsOf } from "../../figures/stations.ts";

Deno.test("layout: no two boxes overlap, and all lie within the drawing", () => {
  for (const kind of ["mac", "mag", "mal", "lmm"] as const) {
    const { stations, edges } = stationsOf(kind);
    const boxes = stations.map(({ name }) => ({ width: 7 * name.length, height: 30 }));
    const { width, height, centres } = layOut(boxes, edges);
    boxes.forEach((box, i) => {
      const { x, y } = centres[i];
      assert(x - box.width / 2 >= 0 && x + box.width / 2 <= width && y >= 15 && y + 15 <= height, `${kind} ${i}`);
      for (let j = 0; j < i; j++) {
        const apart = Math.abs(centres[j].x - x) >= (box.width + boxes[j].width) / 2 ||
          Math.abs(centres[j].y - y) >= 30;
        assert(apart, `${kind}: ${stations[i].name} overlaps ${stations[j].name}`);
      }
    });
  }
});

Deno.test("layout: edges go down but for those that close a circle, wherever they come in the list", () => {
  const box = { width: 40, height: 20 };
  // 1 is computed from 3, though it comes before it; 2 to 0 closes a circle.
  const { centres, ways } = layOut(Array(4).fill(box), [[0, 1], [0, 3], [3, 1], [1, 2], [2, 0]]);
  assertEquals([0, 3, 1, 2].map((i) => centres[i].y), [0, 3, 1, 2].map((i) => centres[i].y).toSorted((a, b) => a - b));
  assertEquals(ways.map((points) => points[0].y < points.at(-1)!.y), [true, true, true, true, false]);
  // From border to border; the long way from 0 to 1 passes beside 3.
  assertEquals(ways[0].length, 3);
  assertEquals(ways[2].map(({ y }) => y), [centres[3].y + 10, centres[1].y - 10]);
});

Deno.test("layout: of MAC, the memory is read above the attention and learns below it", () => {
  const graph = mixerOf(stationsOf("mac")),
    { centres } = layOut(graph.stations.map(() => ({ width: 50, height: 20 })), graph.edges);
  const y = (name: string): number => centres[graph.stations.findIndex((station) => station.name === name)].y;
  assert(y("memory is read") < y("attention") && y("attention") < y("memory learns, chunk by chunk"));
  assertEquals([graph.stations[0].name, graph.stations.at(-1)!.name], ["norm", "output"]);
});
