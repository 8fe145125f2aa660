/** A reading as it plays: the memory's matrix, the text, the answers and the chart, all at one position. */
import { Chart } from "../chart.ts";
import { byId } from "../dom.ts";
import { MatrixView } from "../matrix.ts";
import { nameOfCharacter } from "../names.ts";
import { Strip } from "../strip.ts";
import { AnswerBars } from "./answer_bars.ts";
import { Player } from "./player.ts";
import type { Reading } from "./reading.ts";

/** How long a byte is shown, in milliseconds: of the text, and of what matters. */
const PACE = { text: 5, fact: 90, question: 90 };
/** Of the largest changes and weights, this share is shown in full colour. */
const FULL = 0.98;
/** Steps of the keys, in characters: those of a range, and of its pages. */
const STEPS: Readonly<Record<string, number>> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -32, PageDown: 32 };

const element = (id: string): HTMLElement => byId(`recall-${id}`, HTMLElement);

/** Everything that follows the position in a reading. */
export class Stage {
  readonly #matrix = new MatrixView(byId("recall-matrix", HTMLCanvasElement));
  readonly #chart = new Chart(byId("recall-chart", SVGSVGElement));
  readonly #position = byId("recall-position", HTMLInputElement);
  readonly #bars = new AnswerBars();
  readonly #strip = new Strip(element("strip"), (at) => this.#choose(at + 1));
  readonly #player = new Player((at) => this.#show(at));
  readonly #moved: (at: number) => void;
  #reading?: Reading;
  #head = 0;

  /** @param moved Called with each position that is shown. */
  constructor(moved: (at: number) => void) {
    this.#moved = moved;
    this.#position.addEventListener("input", () => this.#choose(this.#position.valueAsNumber));
    this.#chart.onPick((at) => this.#choose(at));
    element("play").addEventListener("click", () => this.#toggle());
    element("back").addEventListener("click", () => this.#choose(this.at - 1));
    element("forward").addEventListener("click", () => this.#choose(this.at + 1));
    element("strip").addEventListener("keydown", (event) => this.#step(event));
    // Lines break elsewhere when a phone is turned.
    new ResizeObserver(() => this.#scrollTo(this.at - 1)).observe(element("strip"));
  }

  /** How many bytes are shown as read. */
  get at(): number {
    return this.#player.at;
  }

  /** Begins with a reading that fills up from now on. */
  begin(reading: Reading, head: number): void {
    const { story } = reading;
    this.#reading = reading;
    this.#head = head;
    this.#strip.show(story.text);
    this.#position.max = String(story.text.length);
    this.#player.reset((at) => PACE[story.parts.find(({ end }) => at < end)?.kind ?? "text"]);
    this.drawChart();
    this.#bars.show(story.answer, {});
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.#player.play();
    this.#showPlaying();
    this.#show(0);
  }

  /** Shows the same place again: more is known of it. */
  refresh(): void {
    this.#show(this.at);
  }

  /** More of the reading is there. */
  extend(): void {
    const reading = this.#reading!;
    this.#player.extend(reading.bytesRead);
    if (reading.bytesRead === reading.story.text.length) this.#finish(reading);
  }

  /** All was read: colours are settled. */
  #finish(reading: Reading): void {
    const moved = reading.moved(this.#head), median = quantile(moved, 0.5);
    const above = moved.map((value) => Math.max(0, value - median));
    this.#strip.colour({ values: above, top: quantile(above, FULL), both: false });
    this.#strip.choose(this.at - 1);
    // Without motion, the end is what is shown first.
    if (!this.#player.isPlaying && this.at === 0) this.#player.seek(reading.bytesRead);
  }

  /** Draws how likely the answer would have been, as far as that is known. */
  drawChart(): void {
    const values = filled(this.#reading!.rightAfterEach());
    this.#chart.show({
      series: [{ name: "", style: 1, values }],
      first: 0,
      top: 1,
      labels: { x: "bytes read", y: "probability of the right answer, if asked here" },
      description: "How likely the right answer would be if the question were asked after each piece of the text.",
    });
    this.#chart.mark(this.at);
  }

  /** Goes to a position, and stays there. */
  #choose(at: number): void {
    this.#player.pause();
    this.#showPlaying();
    this.#player.seek(at);
  }

  /** Keys on the text: a character, a page, to the ends, and play. */
  #step(event: KeyboardEvent): void {
    const end = this.#reading?.bytesRead ?? 0;
    const to = event.key in STEPS ? this.at + STEPS[event.key] : { Home: 0, End: end }[event.key];
    if (to === undefined && event.key !== " ") return;
    event.preventDefault();
    if (to === undefined) this.#toggle();
    else this.#choose(to);
  }

  #toggle(): void {
    if (this.#player.isPlaying) this.#player.pause();
    else {
      if (this.at >= (this.#reading?.story.text.length ?? 0)) this.#player.seek(0);
      this.#player.play();
    }
    this.#showPlaying();
  }

  #showPlaying(): void {
    element("play").textContent = this.#player.isPlaying ? "Pause" : "Play";
  }

  /** Shows what there is after `at` bytes. */
  #show(at: number): void {
    const reading = this.#reading;
    if (!reading) return;
    const { story, side } = reading, moved = reading.moved(this.#head), change = quantile(moved, FULL) || 1;
    this.#matrix.draw(reading.matrix(at - 1), reading.matrix(at - 2), {
      side,
      weight: reading.largest,
      change: change / side * 4,
    });
    this.#position.value = String(at);
    this.#chart.mark(at);
    this.#strip.choose(at - 1);
    this.#scrollTo(at - 1);
    const before = story.text.length - story.question.length;
    this.#bars.show(story.answer, { with: reading.answerAfter(Math.min(at, before)), without: reading.without });
    element("detail").textContent = describe(story.text, at, moved);
    this.#position.setAttribute("aria-valuetext", element("detail").textContent);
    this.#moved(at);
    if (at === story.text.length) {
      this.#player.pause();
      this.#showPlaying();
    }
  }

  /** Keeps the byte in sight, within the text's own box. */
  #scrollTo(at: number): void {
    const box = element("strip"), character = box.children[Math.max(0, at)];
    if (!(character instanceof HTMLElement)) return;
    const top = character.offsetTop - box.offsetTop;
    if (top < box.scrollTop || top > box.scrollTop + box.clientHeight - 40) box.scrollTop = top - box.clientHeight / 2;
  }
}

/** What the last byte did, in words. */
function describe(text: string, at: number, moved: Float32Array): string {
  if (at === 0) return "Nothing is read yet: the memory is as training left it.";
  const median = quantile(moved, 0.5);
  const times = median > 0 ? `${(moved[at - 1] / median).toFixed(1)} times the median` : "as at most bytes";
  return `Byte ${at} of ${text.length}, ${nameOfCharacter(text[at - 1])}: the memory moved by ${
    moved[at - 1]?.toFixed(3) ?? "…"
  }, ${times}.`;
}

/** The value below which a share of some numbers is. */
function quantile(values: Float32Array, share: number): number {
  return values.length === 0 ? 0 : values.toSorted()[Math.floor(share * (values.length - 1))];
}

/** The values with the gaps between two of them filled by the earlier one; NaN after the last. */
function filled(values: Float64Array): Float64Array {
  const last = values.findLastIndex(Number.isFinite);
  let value = NaN;
  return values.map((own, i) => {
    if (Number.isFinite(own)) value = own;
    return i <= last ? value : NaN;
  });
}
