/** What the symbols of the equations mean, and where they are in the figures. */

/** A symbol. Parts of figures that belong to it have its name in `data-symbol` or `data-station`. */
export interface SymbolMeaning {
  readonly meaning: string;
  /** More stations of diagrams. */
  readonly stations?: readonly string[];
}

/** By the names in `data-symbol`. */
export const SYMBOLS: Readonly<Record<string, SymbolMeaning>> = {
  queries: { meaning: "Q, the queries: what each token looks for.", stations: ["queries, keys, values"] },
  keys: { meaning: "K, the keys: what each token can be found by.", stations: ["queries, keys, values"] },
  values: { meaning: "V, the values: what each token has to give.", stations: ["queries, keys, values"] },
  width: { meaning: "d, the width of a key. Its root keeps the scores in range." },
  length: { meaning: "N, the number of tokens. All N² pairs of tokens are compared." },
  scores: { meaning: "The softmax of the scores, N by N: each row says how much a token takes from each other." },
  memory: {
    meaning: "M, the memory after a token: a matrix here, the weights of a small network in the models.",
    stations: ["memory learns, chunk by chunk", "memory is read"],
  },
  before: { meaning: "The memory before the token." },
  outer: { meaning: "The outer product of key and value: what the token writes, whatever is there already." },
  key: { meaning: "k, the key of the token: where it is written.", stations: ["keys and values to learn"] },
  value: { meaning: "v, the value of the token: what is to be remembered.", stations: ["keys and values to learn"] },
  query: { meaning: "q, the query: what the memory is asked.", stations: ["query of the memory"] },
  answer: { meaning: "y, what the memory answers." },
  loss: { meaning: "ℓ, the inner loss: how far the memory’s answer to the key is from the value." },
  gradient: { meaning: "∇ℓ, the gradient of the inner loss with respect to the memory: the momentary surprise." },
  surprise: { meaning: "S, the surprise with momentum: the change that is added to the memory." },
  theta: {
    meaning: "θ, the step size: how strongly a surprise is written. A model computes it for each token.",
    stations: ["step, momentum, forgetting"],
  },
  eta: {
    meaning: "η, the momentum: how much of the surprise before goes on, so that what follows a surprise is kept too.",
    stations: ["step, momentum, forgetting"],
  },
  alpha: {
    meaning: "α, the forgetting: which share of the memory is let go at each token.",
    stations: ["step, momentum, forgetting"],
  },
  persistent: {
    meaning:
      "p, the persistent tokens: learned in training, the same for every text. They hold what is known of the task.",
    stations: ["persistent tokens"],
  },
  read: {
    meaning: "h, what the memory answers to the segment’s queries, before it learns the segment.",
    stations: ["memory is read", "norm of what was read"],
  },
  attention: {
    meaning: "Attention: over a segment with what the memory adds, or over a window.",
  },
  gate: {
    meaning: "⊗, the product of two branches, each normalised: one lets the other through.",
    stations: ["output", "norm of the memory", "norm of the attention"],
  },
  input: { meaning: "x, the tokens that come into the block.", stations: ["norm"] },
};
