/**
 * The worlds of bAbI's first five tasks as a reader understands them: facts are followed one after the other, and
 * questions are answered from what they add up to.
 */
import { ACTORS, type BabiKind, GIVERS } from "./story.ts";

/** A fact about persons and things. */
export type Fact =
  | { readonly kind: "move"; readonly actor: string; readonly room: string }
  | { readonly kind: "get" | "drop"; readonly actor: string; readonly object: string }
  | { readonly kind: "give"; readonly actor: string; readonly object: string; readonly to: string };

const MOVE = /^(\w+) (?:went to|journeyed to|travelled to|moved to|went back to) the (\w+)\.$/i;
const GET = /^(\w+) (?:got|took|grabbed|picked up) the (\w+)(?: there)?\.$/i;
const DROP = /^(\w+) (?:dropped|put down|left|discarded) the (\w+)(?: there)?\.$/i;
const GIVE = /^(\w+) (?:gave|handed|passed) the (\w+) to (\w+)\.$/i;
const BESIDE = /^The (\w+) is (north|south|east|west) of the (\w+)\.$/i;
const OPPOSITE: Readonly<Record<string, string>> = { north: "south", south: "north", east: "west", west: "east" };

/** What a sentence says; undefined if it is not a fact. */
export function parseFact(sentence: string): Fact | undefined {
  const move = MOVE.exec(sentence), get = GET.exec(sentence), drop = DROP.exec(sentence), give = GIVE.exec(sentence);
  if (move) return { kind: "move", actor: move[1], room: move[2] };
  if (get) return { kind: "get", actor: get[1], object: get[2] };
  if (drop) return { kind: "drop", actor: drop[1], object: drop[2] };
  if (give) return { kind: "give", actor: give[1], object: give[2], to: give[3] };
  return undefined;
}

/** Where everybody and everything is known to be. */
export class World {
  /** The room of each actor, once it was named. */
  readonly rooms: Map<string, string> = new Map();
  /** Who holds each object. */
  readonly holders: Map<string, string> = new Map();
  /** The rooms that each object is known to have been in, each time another. */
  readonly places: Map<string, string[]> = new Map();
  /** Gifts in order. */
  readonly gifts: Extract<Fact, { readonly kind: "give" }>[] = [];

  /** Follows a fact. @returns The objects that are somewhere else, or with somebody else. */
  follow(fact: Fact): readonly string[] {
    if (fact.kind === "move") {
      this.rooms.set(fact.actor, fact.room);
      const held = [...this.holders].flatMap(([object, holder]) => holder === fact.actor ? [object] : []);
      for (const object of held) this.#place(object, fact.room);
      return held;
    }
    const room = this.rooms.get(fact.actor);
    if (room !== undefined) this.#place(fact.object, room);
    if (fact.kind === "drop") this.holders.delete(fact.object);
    else this.holders.set(fact.object, fact.kind === "give" ? fact.to : fact.actor);
    if (fact.kind === "give") this.gifts.push(fact);
    return [fact.object];
  }

  #place(object: string, room: string): void {
    const places = this.places.get(object) ?? [];
    if (places.at(-1) !== room) places.push(room);
    this.places.set(object, places);
  }
}

/** The answer to a question about facts, in small or capital letters, by following all of them; undefined if they do not say it. */
export function answerOf(kind: BabiKind, facts: readonly string[], question: string): string | undefined {
  if (kind === "qa4") return directionAnswer(facts, question);
  const world = new World();
  for (const fact of facts.map(parseFact)) if (fact) world.follow(fact);
  if (kind === "qa1") return world.rooms.get(/^Where is (\w+)\?/i.exec(question)?.[1] ?? "");
  if (kind === "qa2") return world.places.get(/^Where is the (\w+)\?/i.exec(question)?.[1] ?? "")?.at(-1);
  if (kind === "qa5") return giftAnswer(world.gifts, question);
  const [, object, room] = /^Where was the (\w+) before the (\w+)\?/i.exec(question) ?? [];
  const places = world.places.get(object) ?? [], at = places.lastIndexOf(room);
  return at > 0 ? places[at - 1] : undefined;
}

function directionAnswer(facts: readonly string[], question: string): string | undefined {
  const relations = facts.flatMap((fact) => {
    const [, a, direction, b] = BESIDE.exec(fact) ?? [];
    return a === undefined ? [] : [[a, direction, b], [b, OPPOSITE[direction], a]];
  });
  const of = /^What is (\w+) of the (\w+)\?/i.exec(question), to = /^What is the (\w+) (\w+) of\?/i.exec(question);
  if (of) return relations.find(([, direction, b]) => direction === of[1] && b === of[2])?.[0];
  return to ? relations.find(([a, direction]) => a === to[1] && direction === to[2])?.[2] : undefined;
}

function giftAnswer(gifts: World["gifts"], question: string): string | undefined {
  const [, giver, receiver] = /^What did (\w+) give to (\w+)\?/i.exec(question) ?? [];
  if (giver) return gifts.findLast(({ actor, to }) => actor === giver && to === receiver)?.object;
  const [, by, what] = /^Who did (\w+) give the (\w+) to\?/i.exec(question) ?? [];
  if (by) return gifts.findLast(({ actor, object }) => actor === by && object === what)?.to;
  const [, given, to] = /^Who gave the (\w+)(?: to (\w+))?\?/i.exec(question) ?? [];
  if (given) return gifts.findLast((gift) => gift.object === given && (to === undefined || gift.to === to))?.actor;
  const [, received] = /^Who received the (\w+)\?/i.exec(question) ?? [];
  return gifts.findLast(({ object }) => object === received)?.to;
}

const FACT_STARTS = new RegExp(`\\b(?:${[...new Set([...ACTORS, ...GIVERS])].join("|")}|the) `, "gi");

/**
 * The facts and the question of a prompt: what stands between is left out.
 * @param text In small letters, with spaces before punctuation or without.
 */
export function readPrompt(
  kind: BabiKind,
  text: string,
): { readonly facts: readonly string[]; readonly question: string } {
  const plain = text.slice(Math.max(0, text.indexOf("<context>"))).replace(/ ([.?])/g, "$1");
  const question = plain.match(/\b(?:where|what|who) [^.?]*\?/gi)?.at(-1) ?? "", facts: string[] = [];
  for (const { index } of plain.matchAll(FACT_STARTS)) {
    const sentence = plain.slice(index, plain.indexOf(".", index) + 1);
    if (kind === "qa4" ? BESIDE.test(sentence) : isFact(sentence)) facts.push(sentence);
  }
  return { facts, question };
}

const PEOPLE = new Set([...ACTORS, ...GIVERS].map((name) => name.toLowerCase()));

function isFact(sentence: string): boolean {
  return PEOPLE.has(parseFact(sentence)?.actor.toLowerCase() ?? "");
}
