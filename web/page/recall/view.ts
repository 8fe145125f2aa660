/** The recall page: a visitor's fact is read, other text goes by, and the question is asked. */
import { Chart } from "../chart.ts";
import { byId } from "../dom.ts";
import { nameOfCharacter } from "../names.ts";
import { Strip } from "../strip.ts";
import { TEXTS } from "../texts.ts";
import { AnswerBars, likeliest, percent } from "./answer_bars.ts";
import { MatrixView } from "../matrix.ts";
import { Player } from "./player.ts";
import type { Learning, ReadRequest, RecallReply } from "./protocol.ts";
import { Reading } from "./reading.ts";
import { type Fact, problemOf, storyOf } from "./story.ts";

/** Where words come from. */
const FILLER = TEXTS[1];
/** The head that writes facts, in the model that comes with the page. */
const FACT_HEAD = 2;
/** How long a byte is shown, in milliseconds: of the text, and of what matters. */
const PACE = { text: 5, fact: 90, question: 90 };
/** Of the largest changes and weights, this share is shown in full colour. */
const FULL = 0.98;

const field = (id: string): HTMLInputElement => byId(`recall-${id}`, HTMLInputElement);
const list = (id: string): HTMLSelectElement => byId(`recall-${id}`, HTMLSelectElement);
const element = (id: string): HTMLElement => byId(`recall-${id}`, HTMLElement);

/** The value below which a share of some numbers is. */
function quantile(values: Float32Array, share: number): number {
  return values.length === 0 ? 0 : values.toSorted()[Math.floor(share * (values.length - 1))];
}

/** Everything on the recall page. */
export class RecallView {
  readonly #worker = new Worker("recall/worker.js", { type: "module" });
  readonly #matrix = new MatrixView(byId("recall-matrix", HTMLCanvasElement));
  readonly #chart = new Chart(byId("recall-chart", SVGSVGElement));
  readonly #bars = new AnswerBars();
  readonly #strip = new Strip(element("strip"), (at) => this.#choose(at + 1));
  readonly #player = new Player((at) => this.#show(at));
  #shape?: { readonly heads: number; readonly side: number };
  #reading?: Reading;
  #id = 0;

  constructor() {
    this.#worker.addEventListener("message", ({ data }: MessageEvent<RecallReply>) => this.#receive(data));
    this.#worker.addEventListener(
      "error",
      (event) => this.#fail(`The page's worker failed: ${event.message || "it could not be loaded"}`),
    );
    byId("recall-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin();
    });
    for (const id of ["tellings", "learning", "head"]) list(id).addEventListener("change", () => this.#begin());
    field("distance").addEventListener("input", () => this.#describeDistance());
    field("distance").addEventListener("change", () => this.#begin());
    field("position").addEventListener("input", () => this.#choose(field("position").valueAsNumber));
    element("play").addEventListener("click", () => this.#toggle());
    this.#describeDistance();
  }

  /** Takes a fact from an address, as {@link RecallView} writes it there. */
  take(parameters: URLSearchParams): void {
    for (const id of ["name", "value", "distance"]) field(id).value = parameters.get(id) ?? field(id).value;
    for (const id of ["tellings", "learning", "head"]) {
      const value = parameters.get(id);
      if (value !== null && [...list(id).options].some((option) => option.value === value)) list(id).value = value;
    }
    this.#describeDistance();
    if (this.#shape) this.#begin();
  }

  #fact(): Fact {
    return {
      name: field("name").value.trim(),
      value: field("value").value.trim().toUpperCase(),
      tellings: Number(list("tellings").value),
      distance: field("distance").valueAsNumber,
    };
  }

  #fail(message: string): void {
    const box = element("error");
    box.hidden = message === "";
    box.textContent = message;
  }

  #describeDistance(): void {
    byId("recall-distance-said", HTMLOutputElement).textContent = `${
      field("distance").valueAsNumber.toLocaleString("en")
    } bytes`;
  }

  /** The form's choices as an address, for whoever wants to share them. */
  #address({ name, value, tellings, distance }: Fact): string {
    const chosen = { name, value, tellings: String(tellings), distance: String(distance) };
    return `#recall?${new URLSearchParams({ ...chosen, learning: list("learning").value, head: list("head").value })}`;
  }

  /** Reads what the form says, from the beginning. */
  async #begin(): Promise<void> {
    const fact = this.#fact(), problem = problemOf(fact);
    this.#fail(problem ?? "");
    if (problem !== undefined || !this.#shape) return;
    const id = ++this.#id, filler = await FILLER.load().catch((error: Error) => this.#fail(error.message));
    if (id !== this.#id || filler === undefined) return;
    const story = storyOf(fact, filler);
    this.#reading = new Reading(story, this.#shape);
    byId("recall-share", HTMLAnchorElement).href = this.#address(fact);
    this.#strip.show(story.text);
    field("position").max = String(story.text.length);
    this.#player.reset((at) => PACE[story.parts.find(({ end }) => at < end)?.kind ?? "text"]);
    this.#drawChart();
    this.#bars.show(fact.value, {});
    element("verdict").textContent = `Reading about ${fact.name}.`;
    const request: ReadRequest = { id, story, learning: list("learning").value as Learning, head: this.#head };
    this.#worker.postMessage(request);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.#showPlaying();
    else this.#play();
    this.#show(0);
  }

  get #head(): number {
    return Number(list("head").value);
  }

  #receive(reply: RecallReply): void {
    if (reply.type === "error") return this.#fail(reply.message);
    if (reply.type === "ready") {
      this.#shape = reply;
      element("model").textContent = `${reply.parameters.toLocaleString("en")} parameters, on ${reply.device}`;
      list("head").replaceChildren(...Array.from({ length: reply.heads }, (_, head) => {
        const option = document.createElement("option");
        option.value = String(head);
        option.textContent = `${head + 1}${head === FACT_HEAD ? ", which keeps facts" : ""}`;
        option.selected = head === FACT_HEAD;
        return option;
      }));
      return void this.#begin();
    }
    const reading = this.#reading;
    if (!reading || reply.id !== this.#id) return;
    switch (reply.type) {
      case "frames":
        reading.add(reply.from, reply);
        this.#player.extend(reading.bytesRead);
        if (reading.bytesRead === reading.story.text.length) this.#finish(reading);
        return;
      case "asked":
        reading.ask(reply.at, reply.answer);
        return this.#drawChart();
      case "answered":
        reading.ask(reading.story.text.length - reading.story.question.length, reply.answer);
        reading.without = reply.without;
        return this.#verdict(reading, reply.answer, reply.without);
    }
  }

  /** All was read: colours are settled. */
  #finish(reading: Reading): void {
    const moved = reading.moved(this.#head), median = quantile(moved, 0.5);
    const above = moved.map((value) => Math.max(0, value - median));
    this.#strip.colour({ values: above, top: quantile(above, FULL), both: false });
    this.#strip.choose(this.#player.at - 1);
    // Without motion, the end is what is shown first.
    if (!this.#player.isPlaying && this.#player.at === 0) this.#player.seek(reading.bytesRead);
  }

  #verdict({ story }: Reading, answer: Float32Array, without: Float32Array): void {
    const right = story.answer.charCodeAt(0), [guess] = likeliest(answer, 1), [blind] = likeliest(without, 1);
    const isRight = guess.character === story.answer;
    element("verdict").textContent = `Asked “${story.question.trim()}”, the model answers ${guess.character}, ${
      isRight ? "which is right" : `but ${story.answer} is right`
    } (${
      percent(answer[right])
    } on ${story.answer}). With a memory that has read nothing it answers ${blind.character} (${
      percent(without[right])
    } on ${story.answer}).`;
  }

  #drawChart(): void {
    const reading = this.#reading!, values = filled(reading.rightAfterEach());
    this.#chart.show({
      series: [{ name: "", style: 1, values }],
      first: 0,
      top: 1,
      labels: { x: "bytes read", y: "probability of the right answer, if asked here" },
      description: "How likely the right answer would be if the question were asked after each piece of the text.",
    });
    this.#chart.mark(this.#player.at);
  }

  #choose(at: number): void {
    this.#player.pause();
    this.#showPlaying();
    this.#player.seek(at);
  }

  #toggle(): void {
    if (this.#player.isPlaying) this.#player.pause();
    else {
      if (this.#player.at >= (this.#reading?.story.text.length ?? 0)) this.#player.seek(0);
      this.#player.play();
    }
    this.#showPlaying();
  }

  #play(): void {
    this.#player.play();
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
    const matrix = reading.matrix(at - 1), largest = reading.matrix(Math.max(0, reading.bytesRead - 1));
    this.#matrix.draw(matrix, reading.matrix(at - 2), {
      side,
      weight: largest.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6),
      change: change / side * 4,
    });
    field("position").value = String(at);
    this.#chart.mark(at);
    this.#strip.choose(at - 1);
    this.#scrollTo(at - 1);
    const before = story.text.length - story.question.length;
    this.#bars.show(story.answer, { with: reading.answerAfter(Math.min(at, before)), without: reading.without });
    element("detail").textContent = at === 0
      ? "Nothing is read yet: the memory is as training left it."
      : `Byte ${at} of ${story.text.length}, ${nameOfCharacter(story.text[at - 1])}: the memory moved by ${
        moved[at - 1]?.toFixed(3) ?? "…"
      }, ${timesMedian(moved, at - 1)}.`;
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

function timesMedian(moved: Float32Array, at: number): string {
  const median = quantile(moved, 0.5);
  return median > 0 ? `${(moved[at] / median).toFixed(1)} times the median` : "as at most bytes";
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
