/** Figures that are kept in a file as they are taken, a line each, so that a long run can be stopped and continued. */

/** The points of a run: those taken before, and those that are added. */
export class PointFile<Point extends object> {
  readonly #points: Point[];

  private constructor(readonly path: string, points: readonly Point[]) {
    this.#points = [...points];
  }

  /**
   * Opens the points in a file; none if there is no file, or if its first line says that it is of another run.
   * @param path Where they are.
   * @param run What distinguishes the run: points of another commit or machine are not continued.
   */
  static open<Point extends object>(path: string, run: object): PointFile<Point> {
    const head = JSON.stringify(run), lines = linesOf(path);
    const file = new PointFile<Point>(path, lines[0] === head ? lines.slice(1).map((line) => JSON.parse(line)) : []);
    if (lines[0] !== head) file.#write(`${head}\n`, { append: false });
    return file;
  }

  /** All points. */
  get points(): readonly Point[] {
    return this.#points;
  }

  /** Keeps a point. */
  add(point: Point): void {
    this.#points.push(point);
    this.#write(`${JSON.stringify(point)}\n`, { append: true });
  }

  /** Removes the file: the run is complete. */
  remove(): void {
    Deno.removeSync(this.path);
  }

  #write(text: string, options: Deno.WriteFileOptions): void {
    const folder = this.path.slice(0, Math.max(0, this.path.lastIndexOf("/")));
    if (folder) Deno.mkdirSync(folder, { recursive: true });
    Deno.writeTextFileSync(this.path, text, options);
  }
}

/** The complete lines of a file: a run that is killed may leave a part of one. */
function linesOf(path: string): string[] {
  try {
    const text = Deno.readTextFileSync(path);
    return text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter(Boolean);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
