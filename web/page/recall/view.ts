/** The recall tab: a visitor's fact is read, other text goes by, the question is asked, and the memory is forked. */
import { byId } from "../dom.ts";
import { TEXTS } from "../texts.ts";
import { likeliest, percent } from "./answer_bars.ts";
import { ForkView } from "./fork_view.ts";
import { RecallForm } from "./form.ts";
import type { RecallReply, RecallRequest } from "./protocol.ts";
import { Reading } from "./reading.ts";
import { Stage } from "./stage.ts";
import { storyOf } from "./story.ts";

/** Where words come from. */
const FILLER = TEXTS[1];

const element = (id: string): HTMLElement => byId(`recall-${id}`, HTMLElement);

/** Everything on the recall tab. */
export class RecallView {
  readonly #worker = new Worker("recall/worker.js", { type: "module" });
  readonly #form = new RecallForm(() => this.#begin());
  readonly #fork = new ForkView((at, texts) => {
    const { head } = this.#form.choices;
    if (this.#reading) this.#send({ type: "fork", id: this.#id, at, texts, head });
  });
  readonly #stage = new Stage((at) => this.#fork.move(at));
  #shape?: { readonly heads: number; readonly side: number };
  #reading?: Reading;
  #id = 0;

  constructor() {
    this.#worker.addEventListener("message", ({ data }: MessageEvent<RecallReply>) => this.#receive(data));
    this.#worker.addEventListener(
      "error",
      (event) => this.#form.fail(`The page's worker failed: ${event.message || "it could not be loaded"}`),
    );
  }

  /** Takes a fact from an address; without one, what is shown stays. */
  take(parameters: URLSearchParams): void {
    if (parameters.size === 0) return;
    this.#form.take(parameters);
    if (this.#shape) this.#begin();
  }

  #send(request: RecallRequest): void {
    this.#worker.postMessage(request);
  }

  /** Reads what the form says, from the beginning. */
  async #begin(): Promise<void> {
    if (!this.#form.check() || !this.#shape) return;
    const id = ++this.#id, { fact, learning, head } = this.#form.choices;
    const filler = await FILLER.load().catch((error: Error) => this.#form.fail(error.message));
    if (id !== this.#id || filler === undefined) return;
    const story = storyOf(fact, filler);
    this.#reading = new Reading(story, this.#shape);
    byId("recall-share", HTMLAnchorElement).href = this.#form.address;
    element("verdict").textContent = `Reading about ${fact.name}.`;
    this.#send({ type: "read", id, story, learning, head });
    this.#fork.begin(this.#reading);
    this.#stage.begin(this.#reading, head);
  }

  #receive(reply: RecallReply): void {
    if (reply.type === "error") return this.#form.fail(reply.message);
    if (reply.type === "ready") {
      this.#shape = reply;
      element("model").textContent = `${reply.parameters.toLocaleString("en")} parameters, on ${reply.device}`;
      this.#form.offerHeads(reply.heads);
      return void this.#begin();
    }
    const reading = this.#reading;
    if (!reading || reply.id !== this.#id) return;
    switch (reply.type) {
      case "begun":
        reading.begin(reply.memory);
        return this.#stage.refresh();
      case "frames":
        reading.add(reply.from, reply);
        return this.#stage.extend();
      case "asked":
        reading.ask(reply.at, reply.answer);
        return this.#stage.drawChart();
      case "answered":
        reading.ask(reading.story.text.length - reading.story.question.length, reply.answer);
        reading.without = reply.without;
        return this.#verdict(reading, reply.answer, reply.without);
      case "forked":
        return this.#fork.show(reading, reading.matrix(reply.at - 1), reply.branches);
    }
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
}
