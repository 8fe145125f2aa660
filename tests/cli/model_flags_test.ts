import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import { parseFlags } from "../../cli/flags.ts";
import { checkModelFlags, MODEL_FLAGS, modelOptions } from "../../cli/model_flags.ts";
import { defineConfig, type ModelConfig } from "../../titans/mod.ts";

function optionsOf(...args: string[]): Partial<ModelConfig> {
  return modelOptions(parseFlags(args, MODEL_FLAGS, "train").values);
}

Deno.test("model flags: what is given becomes an option, the rest stays with the preset", () => {
  assertEquals(optionsOf(), {});
  assertEquals(optionsOf("--memory-depth", "1", "--gates", "channel", "--theta-max", "0.5", "--memory-query=learned"), {
    memoryDepth: 1,
    gateGranularity: "channel",
    thetaMax: 0.5,
    memoryQuery: "learned",
  });
  assertEquals(optionsOf("--no-momentum", "--no-forgetting", "--no-memory-norm", "--no-normalize-keys", "--strict-retrieval"), {
    momentum: false,
    forgetting: false,
    memoryNorm: false,
    normalizeKeys: false,
    strictRetrieval: true,
  });
  assertEquals(optionsOf("--convolution", "0", "--persistent-tokens", "0"), { convolution: 0, persistentTokens: 0 });
});

Deno.test("model flags: each is an option of a model", () => {
  const values: Record<string, string> = {
    memory: "swiglu",
    memoryActivation: "silu",
    memoryGain: "fast",
    gates: "layer",
    forgetTo: "start",
    memoryQuery: "learned",
    outputGate: "sigmoid",
    memoryDepth: "2",
  };
  for (const [key, flag] of Object.entries(MODEL_FLAGS)) {
    const name = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    const options = optionsOf(name, ...(flag.placeholder === undefined ? [] : [values[key] ?? "16"]));
    assertEquals(Object.keys(options).length, 1, name);
    const [[field, value]] = Object.entries(options);
    assertEquals((defineConfig({ ...options, width: Number(options.width ?? 64) }) as unknown as Record<string, unknown>)[field], value, name);
  }
});

Deno.test("model flags: a run that goes on keeps its model", () => {
  const model = defineConfig({ model: "mag", memoryDepth: 3, momentum: false });
  const check = (...args: string[]): void => {
    const { values, given } = parseFlags(args, MODEL_FLAGS, "train");
    checkModelFlags(values, given, model, "runs/a");
  };
  check();
  check("--memory-depth", "3", "--no-momentum");
  assertThrows(() => check("--memory-depth", "2"), UsageError, "the run in runs/a has memoryDepth 3, not 2: leave --memory-depth out");
  assertThrows(() => check("--no-forgetting"), UsageError, "the run in runs/a has forgetting true, not false: leave --no-forgetting out");
});
