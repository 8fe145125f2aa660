/**
 * Stories as the released bAbI data have them: facts come in pairs, and a question follows a pair as soon as one can be
 * asked. The kinds of facts are a little less mixed than there: docs/tasks.md compares.
 */
import type { SampleRandom } from "../samples.ts";
import { ACTORS, type BabiKind, type BabiQuestion, GIVERS, OBJECTS, ROOMS } from "./story.ts";
import { type Fact, World } from "./world.ts";

const MOVES = ["went to", "journeyed to", "travelled to", "moved to", "went back to"];
const GETS = ["got", "took", "grabbed", "picked up"];
const DROPS = ["dropped", "put down", "left", "discarded"];
const GIFTS = ["gave", "handed", "passed"];

/** How often each kind of fact is drawn. */
const WEIGHTS: Readonly<Record<Exclude<BabiKind, "qa4">, readonly (readonly [Fact["kind"], number])[]>> = {
  qa1: [["move", 1]],
  qa2: [["move", 0.5], ["get", 0.25], ["drop", 0.25]],
  qa3: [["move", 0.5], ["get", 0.25], ["drop", 0.25]],
  qa5: [["move", 0.35], ["get", 0.22], ["give", 0.28], ["drop", 0.15]],
};
/** How often " there" is said after a get. */
const THERE: Readonly<Record<string, number>> = { qa2: 1, qa3: 0.2, qa5: 1 };
const QUESTIONS = 5;

/** What a story depends on. */
export interface StoryOptions {
  readonly kind: BabiKind;
  /** Of qa5: the probability that a gift is made where one can be, rather than a fact drawn. */
  readonly density: number;
}

/** The questions of a story. */
export function drawStory(options: StoryOptions, random: SampleRandom): BabiQuestion[] {
  return options.kind === "qa4" ? [drawDirections(random)] : new Story(options, random).questions();
}

/** Three rooms in a line, two facts about them, and a question about one. */
function drawDirections(random: SampleRandom): BabiQuestion {
  const [from, to] = random.oneOf([["north", "south"], ["east", "west"]]);
  const [first, middle, last] = random.distinct(3, ROOMS.length).map((i) => ROOMS[i]);
  const said = (a: string, b: string): string =>
    random.uniform() < 0.5 ? `The ${a} is ${from} of the ${b}.` : `The ${b} is ${to} of the ${a}.`;
  const facts = [said(first, middle), said(middle, last)];
  if (random.uniform() < 0.5) facts.reverse();
  // What is asked about is the middle room, which has two neighbours, in 65 of 100 of the released questions.
  const [about, answer] = random.oneOf(
    random.uniform() < 0.65 ? [[middle, first], [middle, last]] : [[first, middle], [last, middle]],
  );
  const isBefore = answer === first || (answer === middle && about === last),
    [there, back] = isBefore ? [from, to] : [to, from];
  const question = random.uniform() < 0.5 ? `What is ${there} of the ${about}?` : `What is the ${about} ${back} of?`;
  return { facts, question, answer };
}

/** A story of persons and objects. */
class Story {
  readonly #world = new World();
  readonly #facts: string[] = [];
  /** Where objects lie, also those that no fact has named. */
  readonly #lying: Map<string, string>;
  readonly #actors: readonly string[];
  readonly #kind: Exclude<BabiKind, "qa4">;
  readonly #density: number;
  readonly #random: SampleRandom;
  /** What was moved or changed hands since the last question. */
  #changed = new Set<string>();
  /** Gifts before the last question. */
  #giftsBefore = 0;

  constructor({ kind, density }: StoryOptions, random: SampleRandom) {
    this.#kind = kind as Exclude<BabiKind, "qa4">;
    this.#density = density;
    this.#random = random;
    this.#actors = kind === "qa5" ? GIVERS : ACTORS;
    this.#lying = new Map(OBJECTS.map((object) => [object, random.oneOf(ROOMS)]));
  }

  questions(): BabiQuestion[] {
    const asked: BabiQuestion[] = [];
    while (asked.length < QUESTIONS) {
      for (let i = 0; i < 2; i++) this.#happen(this.#draw());
      const question = this.#ask();
      if (!question) continue;
      asked.push({ facts: [...this.#facts], ...question });
      this.#changed = new Set();
      this.#giftsBefore = this.#world.gifts.length;
    }
    return asked;
  }

  #happen(fact: Fact): void {
    const world = this.#world;
    for (const object of world.follow(fact)) this.#changed.add(object);
    if (fact.kind === "get") this.#lying.delete(fact.object);
    if (fact.kind === "drop") this.#lying.set(fact.object, world.rooms.get(fact.actor)!);
    this.#facts.push(this.#say(fact));
  }

  #say(fact: Fact): string {
    const random = this.#random, { kind, actor } = fact;
    if (kind === "move") return `${actor} ${random.oneOf(MOVES)} the ${fact.room}.`;
    if (kind === "give") return `${actor} ${random.oneOf(GIFTS)} the ${fact.object} to ${fact.to}.`;
    const verb = random.oneOf(kind === "get" ? GETS : DROPS);
    const there = random.uniform() < (kind === "get" ? THERE[this.#kind] : 0.2) ? " there" : "";
    return `${actor} ${verb} the ${fact.object}${there}.`;
  }

  /** A fact that can be. */
  #draw(): Fact {
    const random = this.#random, gifts = this.#possible("give");
    if (this.#kind === "qa5" && gifts.length > 0 && random.uniform() < this.#density) return random.oneOf(gifts);
    let left = random.uniform();
    const [kind] = WEIGHTS[this.#kind].find(([, weight]) => (left -= weight) < 0) ?? WEIGHTS[this.#kind][0];
    const possible = this.#possible(kind);
    if (possible.length > 0) return random.oneOf(possible);
    return this.#towards(kind) ?? random.oneOf(this.#possible("move"));
  }

  #possible(kind: Fact["kind"]): Fact[] {
    const { rooms, holders } = this.#world, held = [...holders];
    if (kind === "move") {
      return this.#actors.flatMap((actor) =>
        ROOMS.filter((room) => room !== rooms.get(actor)).map((room) => ({ kind, actor, room }))
      );
    }
    if (kind === "drop") return held.map(([object, actor]) => ({ kind, actor, object }));
    if (kind === "give") {
      return held.flatMap(([object, actor]) =>
        this.#actors.filter((to) => to !== actor && rooms.get(to) === rooms.get(actor))
          .map((to) => ({ kind, actor, object, to }))
      );
    }
    return [...this.#lying].flatMap(([object, room]) =>
      this.#actors.filter((actor) => rooms.get(actor) === room).map((actor) => ({ kind, actor, object }))
    );
  }

  /** A move to where what cannot be now can be next: to an object that lies somewhere, or to who holds one. */
  #towards(kind: Fact["kind"]): Fact | undefined {
    const { rooms, holders } = this.#world;
    const places = kind === "get"
      ? [...this.#lying.values()]
      : kind === "give"
      ? [...holders.values()].map((actor) => rooms.get(actor)!)
      : [];
    if (places.length === 0) return undefined;
    const room = this.#random.oneOf(places), others = this.#actors.filter((actor) => rooms.get(actor) !== room);
    return others.length === 0 ? undefined : { kind: "move", actor: this.#random.oneOf(others), room };
  }

  /** A question that the facts answer, if there is one. */
  #ask(): Omit<BabiQuestion, "facts"> | undefined {
    const random = this.#random, { rooms, places, gifts } = this.#world;
    if (this.#kind === "qa1") {
      const [actor, room] = random.oneOf([...rooms]);
      return { question: `Where is ${actor}?`, answer: room };
    }
    if (this.#kind === "qa5") {
      const gift = gifts.at(-1);
      return gift && gifts.length > this.#giftsBefore ? askOfGift(gift, random) : undefined;
    }
    const least = this.#kind === "qa2" ? 1 : 2;
    const objects = [...this.#changed].filter((object) => (places.get(object)?.length ?? 0) >= least);
    if (objects.length === 0) return undefined;
    const object = random.oneOf(objects), [before, room] = [places.get(object)!.at(-2), places.get(object)!.at(-1)!];
    return this.#kind === "qa2"
      ? { question: `Where is the ${object}?`, answer: room }
      : { question: `Where was the ${object} before the ${room}?`, answer: before! };
  }
}

/** One of the five questions about a gift, as often as the released data ask it. */
function askOfGift(
  { actor, object, to }: Extract<Fact, { readonly kind: "give" }>,
  random: SampleRandom,
): Omit<BabiQuestion, "facts"> {
  const forms: readonly (readonly [number, string, string])[] = [
    [0.37, `What did ${actor} give to ${to}?`, object],
    [0.17, `Who gave the ${object}?`, actor],
    [0.14, `Who gave the ${object} to ${to}?`, actor],
    [0.16, `Who did ${actor} give the ${object} to?`, to],
    [0.17, `Who received the ${object}?`, to],
  ];
  let left = random.uniform() * 1.01;
  const [, question, answer] = forms.find(([share]) => (left -= share) < 0) ?? forms[0];
  return { question, answer };
}
