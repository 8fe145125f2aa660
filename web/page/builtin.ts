/**
 * The trained models that come with the page. For workers in a folder beside it. Whoever needs no more of the library
 * imports files of titans rather than all of it, so that the page's first picture does not wait for what trains.
 */
import { completeConfig } from "../../titans/models/config.ts";
import { Model } from "../../titans/models/model.ts";
import { decodeWeights } from "../../titans/models/weights_file.ts";

/** Their names: one that keeps facts, and one that writes English. */
export type Builtin = "recall" | "text";

/** A model and its parameters, one flat vector. */
export interface ReadyModel {
  readonly model: Model;
  readonly params: Float32Array;
}

async function fetched(path: string): Promise<Response> {
  const response = await fetch(path);
  if (response.ok) return response;
  throw new Error(`Cannot load ${path}: the server responded with status ${response.status}; reload the page`);
}

/** Loads one. @throws {Error} in one line if the server does not have it. */
export async function loadBuiltin(name: Builtin): Promise<ReadyModel> {
  const folder = `../models/${name}/`;
  const [config, weights] = await Promise.all([
    fetched(`${folder}config.json`).then((response) => response.json()),
    fetched(`${folder}model.safetensors`).then((response) => response.bytes()),
  ]);
  const model = new Model(completeConfig(config.model));
  return { model, params: model.layout.pack(decodeWeights(weights, model)) };
}
