/**
 * What a WGSL text tells of one invocation: how often it loads, stores and computes, and how many registers its values
 * take. Counted from the text alone, so an estimate: drivers reorder, spill and recompute as they like.
 */

/** What one workgroup does. */
export interface ShaderFigures {
  /** Invocations of a workgroup. */
  readonly size: number;
  /** Bytes of workgroup memory. */
  readonly workgroupBytes: number;
  /** Bytes that an invocation loads from buffers, stores to them, and moves to and from workgroup memory. */
  readonly loadBytes: number;
  readonly storeBytes: number;
  readonly sharedBytes: number;
  /** The most bytes that it loads from buffers in one turn of a loop, or outside of loops: loads that may overlap. */
  readonly burstBytes: number;
  /** The most 32-bit values that live at once, without addresses that drivers add. */
  readonly registers: number;
}

const ENTRY = /@compute @workgroup_size\((\d+)\)\nfn main\(.*\) \{\n([\s\S]*)\n\}\n/;
const DECLARATION = /^\s*(?:let|var) (\w+)(?:: ([\w<>, ]+))? = (.*);$/;
const LOOP = /^\s*for \(var (\w+) = (.+); \w+ (<|>) (.+); (.+)\) \{$/;

/**
 * Reads a text.
 * @param source A printed kernel.
 * @param unknownTrips Turns of loops whose bounds are computed.
 */
export function readShader(source: string, unknownTrips: number): ShaderFigures {
  const [, size, body] = ENTRY.exec(source)!, lines = body.split("\n");
  const widths = new Map<string, number>(), shared = new Map<string, number>();
  for (const [, name, type] of source.matchAll(/^@group.* var<storage, read_write> (\w+): array<(.+)>;$/gm)) {
    widths.set(name, widthOf(type));
  }
  let workgroupBytes = 0;
  for (const [, name, type, count] of source.matchAll(/^var<workgroup> (\w+): array<(.+), (\d+)>;$/gm)) {
    shared.set(name, widthOf(type));
    workgroupBytes += 4 * widthOf(type) * Number(count);
  }
  const moved = { loadBytes: 0, storeBytes: 0, sharedBytes: 0 }, trips = [1], values: Value[] = [], loops: Span[] = [];
  const open: number[] = [], bursts = [0], local = new Map<string, Value>();
  let burstBytes = 0;
  lines.forEach((line, at) => {
    for (const [, name, isStore] of line.matchAll(/\b(\w+)\[(?:[^\[\]]|\[[^\]]*\])*\]( [+]?= )?/g)) {
      const bytes = 4 * (widths.get(name) ?? shared.get(name) ?? 0) * trips.at(-1)!;
      if (shared.has(name)) moved.sharedBytes += bytes;
      else if (isStore) moved.storeBytes += bytes;
      else {
        moved.loadBytes += bytes;
        bursts[bursts.length - 1] += bytes / trips.at(-1)!;
      }
    }
    for (const [word] of line.matchAll(/\b[a-z]\w*\b/g)) {
      const value = local.get(word);
      if (value) value.end = at;
    }
    const declaration = DECLARATION.exec(line), loop = LOOP.exec(line);
    if (declaration) {
      const [, name, type, text] = declaration;
      const value: Value = { start: at, end: at, width: type ? widthOf(type) : widthIn(text, widths, shared, local) };
      local.set(name, value);
      values.push(value);
    }
    if (line.endsWith("{")) {
      open.push(at);
      bursts.push(0);
      trips.push(trips.at(-1)! * (loop ? tripsOf(loop) ?? unknownTrips : 1));
    }
    if (/^\s*\}/.test(line)) {
      const start = open.pop()!;
      if (LOOP.test(lines[start])) loops.push({ start, end: at });
      trips.pop();
      burstBytes = Math.max(burstBytes, bursts.pop()!);
    }
  });
  burstBytes = Math.max(burstBytes, bursts[0]);
  return { size: Number(size), workgroupBytes, ...moved, burstBytes, registers: mostLive(values, loops, lines.length) };
}

interface Span {
  readonly start: number;
  readonly end: number;
}

interface Value {
  readonly start: number;
  end: number;
  readonly width: number;
}

function widthOf(type: string): number {
  return type.startsWith("vec4") ? 4 : 1;
}

/** The width of an expression: that of its widest operand, unless it picks a component. */
function widthIn(
  text: string,
  buffers: ReadonlyMap<string, number>,
  shared: ReadonlyMap<string, number>,
  local: ReadonlyMap<string, Value>,
): number {
  if (text.startsWith("vec4")) return 4;
  let width = 1;
  // Indices are scalars.
  const flat = text.replace(/(\w+)\[(?:[^\[\]]|\[[^\]]*\])*\]/g, "$1");
  for (const [, name, component] of flat.matchAll(/\b([a-z]\w*)\b(\.[xyzw]\b)?/g)) {
    if (component) continue;
    width = Math.max(width, buffers.get(name) ?? shared.get(name) ?? local.get(name)?.width ?? 1);
  }
  return width;
}

/** Turns of a loop with constant bounds; undefined if they are computed. */
function tripsOf([, , start, compare, end, step]: RegExpExecArray): number | undefined {
  const [first, last] = [Number(start), Number(end)];
  if (!Number.isFinite(first) || !Number.isFinite(last)) return undefined;
  if (compare === ">") return Math.floor(Math.log2(Math.max(1, first))) + 1;
  const by = Number(/\+= (\d+)$/.exec(step)?.[1] ?? 1);
  return Math.ceil((last - first) / by);
}

/** The most registers that are live at a line; what a loop reads from outside lives until its end. */
function mostLive(values: readonly Value[], loops: readonly Span[], lineCount: number): number {
  const changes = new Int32Array(lineCount + 1);
  for (const { start, end, width } of values) {
    const last = loops.reduce(
      (last, loop) => (loop.start > start && loop.start < end && end <= loop.end ? Math.max(last, loop.end) : last),
      end,
    );
    changes[start] += width;
    changes[last + 1 <= lineCount ? last + 1 : lineCount] -= width;
  }
  let live = 0, most = 0;
  for (const change of changes) most = Math.max(most, live += change);
  return most;
}
