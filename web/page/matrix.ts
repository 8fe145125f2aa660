/** A memory's matrix as a picture: each cell a weight, and what was just written in the colour of the ink. */

/** Weights of this size have their full colour. */
const STEEPNESS = 2.5;

type Colour = readonly [red: number, green: number, blue: number];

/** Draws matrices into a canvas, one pixel a weight; the style sheet enlarges it. */
export class MatrixView {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #probe: HTMLElement;
  #drawn?: Parameters<MatrixView["draw"]>;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d")!;
    this.#probe = document.createElement("span");
    this.#probe.hidden = true;
    // Its colours are the picture's, also where the user's replace those of texts.
    this.#probe.style.setProperty("forced-color-adjust", "none");
    canvas.after(this.#probe);
    // Pixels do not follow the style sheet by themselves.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      if (this.#drawn) this.draw(...this.#drawn);
    });
  }

  /**
   * Draws a matrix.
   * @param matrix Its numbers, row by row.
   * @param before The same before the last byte: cells that differ are marked.
   * @param scale What counts as a large weight, and as a large change.
   */
  draw(
    matrix: Float32Array,
    before: Float32Array,
    { side, weight, change }: { readonly side: number; readonly weight: number; readonly change: number },
  ): void {
    this.#drawn = [matrix, before, { side, weight, change }];
    if (this.#canvas.width !== side) this.#canvas.width = this.#canvas.height = side;
    const image = this.#context.createImageData(side, side);
    const [paper, ink, above, below] = ["--panel", "--ink", "--series-1", "--series-2"].map((name) =>
      this.#colour(name)
    );
    matrix.forEach((value, i) => {
      const strength = Math.tanh(STEEPNESS * Math.abs(value) / weight);
      const flash = Math.min(1, Math.abs(value - before[i]) / change);
      const colour = mix(mix(paper, value > 0 ? above : below, strength), ink, flash < 0.15 ? 0 : flash);
      image.data.set([...colour, 255], 4 * i);
    });
    this.#context.putImageData(image, 0, 0);
  }

  /** A colour of the style sheet, as the browser computes it. */
  #colour(name: string): Colour {
    this.#probe.style.color = `var(${name})`;
    const [red, green, blue] = getComputedStyle(this.#probe).color.match(/[\d.]+/g)!.map(Number);
    return [red, green, blue];
  }
}

function mix(from: Colour, to: Colour, share: number): Colour {
  const [red, green, blue] = from.map((value, i) => value + share * (to[i] - value));
  return [red, green, blue];
}
