/**
 * Places for the parts of a diagram: layers from top to bottom, each part below all that it is computed from
 * (Sugiyama's
 * method: layers by longest paths, an order by barycentres, then columns).
 */

/** A place in a drawing. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A box to place. */
export interface Extent {
  readonly width: number;
  readonly height: number;
}

/** Where everything is. */
export interface Layout extends Extent {
  /** The centre of each box. */
  readonly centres: readonly Point[];
  /** The points of each edge, from border to border. */
  readonly ways: readonly (readonly Point[])[];
}

type Edge = readonly [from: number, to: number];

/** Points between boxes of a layer, between layers, and around all. */
const BESIDE = 18, BELOW = 24, MARGIN = 10;
/** Passes over the layers: orders settle after a few. */
const SWEEPS = 12;

/** A part of a layer: a box, or a point where an edge passes through. */
interface Slot extends Extent {
  readonly layer: number;
  readonly above: number[];
  readonly below: number[];
  x: number;
}

/**
 * Places boxes. Edges go down, but for those that close a circle, which go back on the right.
 * @param boxes Their extents, about in the order in which they are computed.
 */
export function layOut(boxes: readonly Extent[], edges: readonly Edge[]): Layout {
  const down = withoutCircles(edges), layers = layersOf(boxes.length, down);
  const slots: Slot[] = boxes.map((box, i) => ({ ...box, layer: layers[i], above: [], below: [], x: 0 }));
  const passed = new Map<string, number[]>();
  for (const [from, to] of down) {
    let before = from;
    const through: number[] = [];
    for (let layer = layers[from] + 1; layer <= layers[to]; layer++) {
      const next = layer === layers[to]
        ? to
        : slots.push({ width: 8, height: 0, layer, above: [], below: [], x: 0 }) - 1;
      slots[before].below.push(next);
      slots[next].above.push(before);
      if (next !== to) through.push(next);
      before = next;
    }
    passed.set(`${from} ${to}`, through);
  }
  const rows: number[][] = [];
  slots.forEach(({ layer }, i) => (rows[layer] ??= []).push(i));
  order(rows, slots);
  place(rows, slots);
  return drawn(rows, slots, { count: boxes.length, edges, passed });
}

/** As many edges as there can be without circles: all that go forward, and of the others what closes none. */
function withoutCircles(edges: readonly Edge[]): Edge[] {
  const kept = edges.filter(([from, to]) => from < to);
  const reaches = (from: number, to: number): boolean =>
    from === to || kept.some(([start, end]) => start === from && reaches(end, to));
  for (const edge of edges) if (edge[0] > edge[1] && !reaches(edge[1], edge[0])) kept.push(edge);
  return kept;
}

/** The layer of each box: one below the lowest of those it is computed from. */
function layersOf(count: number, edges: readonly Edge[]): number[] {
  const layers = new Array<number>(count).fill(0);
  for (let changed = true; changed;) {
    changed = false;
    for (const [from, to] of edges) {
      if (layers[to] > layers[from]) continue;
      layers[to] = layers[from] + 1;
      changed = true;
    }
  }
  return layers;
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Orders each row by where the neighbours of its slots are, down and up in turns. */
function order(rows: number[][], slots: readonly Slot[]): void {
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const isDown = sweep % 2 === 0, positions = new Map(rows.flatMap((row) => row.map((slot, at) => [slot, at])));
    for (const row of isDown ? rows : rows.toReversed()) {
      const wish = new Map(row.map((slot) => {
        const near = isDown ? slots[slot].above : slots[slot].below;
        return [slot, mean(near.map((each) => positions.get(each)!)) ?? positions.get(slot)!];
      }));
      row.sort((a, b) => wish.get(a)! - wish.get(b)! || positions.get(a)! - positions.get(b)!);
      row.forEach((slot, at) => positions.set(slot, at));
    }
  }
}

/** Moves slots towards their neighbours, as far as the others of their row let them. */
function place(rows: readonly (readonly number[])[], slots: readonly Slot[]): void {
  const gap = (a: number, b: number): number => (slots[a].width + slots[b].width) / 2 + BESIDE;
  const spread = (row: readonly number[], wishes: readonly number[]): void => {
    // Pushed right from the left, and left from the right; the middle of both keeps the distances.
    const right = [...wishes], left = [...wishes];
    for (let i = 1; i < row.length; i++) right[i] = Math.max(right[i], right[i - 1] + gap(row[i - 1], row[i]));
    for (let i = row.length - 2; i >= 0; i--) left[i] = Math.min(left[i], left[i + 1] - gap(row[i], row[i + 1]));
    row.forEach((slot, i) => slots[slot].x = (right[i] + left[i]) / 2);
  };
  for (const row of rows) spread(row, row.map(() => 0));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const row of sweep % 2 === 0 ? rows : rows.toReversed()) {
      spread(
        row,
        row.map((slot) => {
          const { above, below, x } = slots[slot];
          return mean([...above, ...below].map((each) => slots[each].x)) ?? x;
        }),
      );
    }
  }
}

/** The drawing, moved to where its left upper corner is zero. */
function drawn(
  rows: readonly (readonly number[])[],
  slots: readonly Slot[],
  { count, edges, passed }: {
    readonly count: number;
    readonly edges: readonly Edge[];
    readonly passed: ReadonlyMap<string, readonly number[]>;
  },
): Layout {
  const heights = rows.map((row) => Math.max(...row.map((slot) => slots[slot].height)));
  const middles = heights.map((height, i) =>
    MARGIN + heights.slice(0, i).reduce((sum, each) => sum + each + BELOW, 0) + height / 2
  );
  const left = Math.min(...slots.map(({ x, width }) => x - width / 2)) - MARGIN;
  const at = (slot: number): Point => ({ x: slots[slot].x - left, y: middles[slots[slot].layer] });
  const right = Math.max(...slots.map(({ width }, slot) => at(slot).x + width / 2));
  let lanes = 0;
  const ways = edges.map(([from, to]): Point[] => {
    const a = at(from), b = at(to);
    const through = passed.get(`${from} ${to}`);
    if (!through) {
      const x = right + 10 + 8 * lanes++;
      return [{ x: a.x + slots[from].width / 2, y: a.y }, { x, y: a.y }, { x, y: b.y }, {
        x: b.x + slots[to].width / 2,
        y: b.y,
      }];
    }
    return [{ x: a.x, y: a.y + slots[from].height / 2 }, ...through.map(at), { x: b.x, y: b.y - slots[to].height / 2 }];
  });
  return {
    width: right + (lanes > 0 ? 10 + 8 * lanes : 0) + MARGIN,
    height: middles.at(-1)! + heights.at(-1)! / 2 + MARGIN,
    centres: Array.from({ length: count }, (_, i) => at(i)),
    ways,
  };
}
