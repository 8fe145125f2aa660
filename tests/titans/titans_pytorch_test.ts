/**
 * Memories of titans-pytorch give here what they give there, and those that compute another function are refused by
 * name. tests/fixtures/titans_pytorch/make.py wrote the files.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { compile, grad, requestDevice, type Spec, spec, type Tensor } from "@mneme/titans";
import { concat, mul, sliceAxis, sum } from "@mneme/titans/ops";
import { initialize, type InitialValue } from "@mneme/titans/nn";
import {
  CheckpointError,
  ConfigError,
  decodeNeuralMemory,
  decodeSafetensors,
  encodeNeuralMemory,
  encodeSafetensors,
  neuralMemory,
  type NeuralMemoryParameters,
  type StoredNeuralMemory,
} from "../../titans/mod.ts";
import { mapLeaves, type MapTree } from "../../core/tree.ts";
import { python } from "../cli/python.ts";
import { withFolder } from "../cli/scratch.ts";

const FOLDER = "tests/fixtures/titans_pytorch", CASES = ["plain", "heads", "deep"];
type Params = StoredNeuralMemory["params"];
type Given = NeuralMemoryParameters<Tensor>;

const read = (name: string, folder = FOLDER): Uint8Array<ArrayBuffer> =>
  Deno.readFileSync(`${folder}/${name}.safetensors`);

/** The types of a tree of values. */
function specsOf(params: Params): MapTree<NeuralMemoryParameters<Tensor>, Tensor, Spec> {
  const isValue = (node: unknown): node is InitialValue => (node as InitialValue).data instanceof Float32Array;
  const specs = mapLeaves(params, isValue, ({ shape }) => spec(shape)) as unknown;
  return specs as MapTree<NeuralMemoryParameters<Tensor>, Tensor, Spec>;
}

/** The largest difference, in units of the largest number. */
function difference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  assertEquals(found.length, expected.length);
  const largest = Math.max(...Array.from(expected, Math.abs));
  return Math.max(...Array.from(found, (value, i) => Math.abs(value - expected[i]))) / largest;
}

/** [rows, columns] with its axes exchanged, as a matrix of torch.nn.Linear is stored. */
function exchanged({ shape: [rows, columns], data }: { shape: readonly number[]; data: ArrayLike<number> }): number[] {
  return Array.from({ length: rows * columns }, (_, i) => data[i % rows * columns + Math.floor(i / rows)]);
}

for (const name of CASES) {
  Deno.test(`titans-pytorch: ${name}: the same outputs and gradients, and pieces chain`, async () => {
    const { layer, params, options } = decodeNeuralMemory(read(name));
    const { tensors } = decodeSafetensors(read(`${name}_expected`));
    const value = (name: string): InitialValue => ({ ...tensors[name], dtype: "f32" }) as InitialValue;
    const x = value("input"), [B, T, D] = x.shape, cut = Math.floor(T / 2 / options.miniBatch) * options.miniBatch;
    assert(cut > 0 && T % options.miniBatch > 0, "there are whole mini-batches, and one that is not");
    const check = (what: string, found: ArrayLike<number>, expected: ArrayLike<number>, allowed: number): void => {
      const off = difference(found, expected);
      assert(off <= allowed, `${what} is off by ${off} of its largest number, ${allowed} are allowed`);
    };
    const shapes = specsOf(params);
    {
      using device = await requestDevice({ kind: "reference" });
      const read = (p: Given, x: Tensor, weight: Tensor) => {
        const head = layer.apply(p, sliceAxis(x, 1, 0, cut));
        const tail = layer.apply(p, sliceAxis(x, 1, cut, T - cut), { state: head.state });
        const gradient = grad((p: Given) => sum(mul(layer.apply(p, x).output, weight)))(p);
        return { output: layer.apply(p, x).output, pieces: concat([head.output, tail.output], 1), gradient };
      };
      using program = await compile(device, read, [shapes, spec([B, T, D]), spec([B, T, D])]);
      const { output, pieces, gradient } = await program.run(params, x, value("weight"));
      check("the output", output.data, tensors.output.data, 2e-7);
      check("the output in pieces", pieces.data, tensors.output.data, 2e-7);
      const matrices = {
        to_keys: gradient.key,
        to_values: gradient.value,
        to_queries: gradient.query,
        to_adaptive_step: gradient.theta.weight,
        to_decay_factor: gradient.alpha.weight,
      };
      for (const [name, found] of Object.entries(matrices)) {
        check(`the gradient of ${name}`, exchanged(found), tensors[`gradient.${name}`].data, 1e-6);
      }
    }
    using device = await requestDevice({ kind: "cpu" });
    using program = await compile(device, (p: Given, x: Tensor) => layer.apply(p, x).output, [
      shapes,
      spec([B, T, D]),
    ]);
    check("the output on cpu", (await program.run(params, x)).data, tensors.output.data, 4e-6);
  });
}

/** A file with other options, or other tensors. */
function changed(
  name: string,
  options: Readonly<Record<string, unknown>>,
  rename: (name: string) => string | undefined = (name) => name,
): Uint8Array<ArrayBuffer> {
  const { tensors, metadata } = decodeSafetensors(read(name));
  const own = { ...JSON.parse(metadata.options), ...options };
  const entries = Object.entries(tensors).flatMap(([name, tensor]) => {
    const other = rename(name);
    return other === undefined ? [] : [[other, tensor] as const];
  });
  return encodeSafetensors({
    tensors: Object.fromEntries(entries),
    metadata: { ...metadata, options: JSON.stringify(own) },
  });
}

Deno.test("titans-pytorch: what computes another function is refused by the name of the option", () => {
  const refused = (bytes: Uint8Array, message: string): void => {
    assertThrows(() => decodeNeuralMemory(bytes), CheckpointError, message);
  };
  const others: Readonly<Record<string, unknown>> = {
    chunk_size: 64,
    batch_size: null,
    model: "MemorySwiGluMLP",
    activation: "ReLU()",
    adaptive_step_transform: "<function exp>",
    store_memory_loss_fn: "<function l1>",
    momentum_order: 2,
    learned_momentum_combine: true,
    num_kv_per_token: 2,
    qkv_receives_diff_views: true,
    per_parameter_lr_modulation: true,
    attn_pool_chunks: true,
    max_grad_norm: 1,
    accept_weight_residual: true,
    spectral_norm_surprises: true,
    gated_transition: true,
    store_with_lookahead_value: true,
    something_new: 1,
  };
  for (const [option, value] of Object.entries(others)) {
    refused(
      changed("plain", { [option]: value }),
      `Cannot import this memory of titans-pytorch: its ${option} is ${JSON.stringify(value)}, `,
    );
  }
  refused(changed("plain", { chunk_size: 64 }), "only 1 gives the same outputs");
  refused(changed("plain", { momentum: undefined }), "nothing says its momentum");
  refused(changed("plain", { dim: "wide" }), "Cannot make a memory with width wide");
  refused(changed("plain", { heads: 3 }), "tensor alpha.bias has shape [1], the model needs f32 [3]");
  refused(changed("plain", {}, (name) => name.replace("to_keys", "to_locks")), "tensor to_locks.weight is not known");
  refused(changed("plain", {}, (name) => name === "to_keys.weight" ? undefined : name), "tensor key is missing");
  refused(encodeSafetensors({ tensors: {}, metadata: {} }), "write the module with examples/titans_pytorch_file.py");
  refused(
    encodeSafetensors({ tensors: {}, metadata: { format: "titans-pytorch-1" } }),
    "its metadata has no record of options",
  );
});

Deno.test("neural memory: its own file holds it bit for bit; options are checked", () => {
  for (const name of CASES) {
    const memory = decodeNeuralMemory(read(name)), again = decodeNeuralMemory(encodeNeuralMemory(memory));
    assertEquals(again.arrays, memory.arrays);
    assertEquals(again.options, memory.options);
  }
  assertThrows(() => neuralMemory({ width: 8, miniBatch: 4, headWidth: 4 }), ConfigError, "the width of the tokens, 8");
  assertThrows(() => neuralMemory({ width: 8, miniBatch: 0 }), ConfigError, "with miniBatch 0");
  assertThrows(() => neuralMemory({ width: 8, heads: 3, miniBatch: 4 }), ConfigError, "headWidth 2.66");
  // A new one is of the same shapes as a trained one.
  const { layer, params } = decodeNeuralMemory(read("heads"));
  assertEquals(specsOf(initialize(layer.parameters, 0) as typeof params), specsOf(params));
});

Deno.test("titans-pytorch: the script writes the same files with the Python package", async (t) => {
  const program = await python("titans_pytorch, safetensors");
  const there = program !== undefined;
  await t.step({
    name: there ? "of this version" : "skipped, it is not there",
    ignore: !there,
    fn: () =>
      withFolder(async (folder) => {
        const args = [`${FOLDER}/make.py`, folder];
        const { success, stderr } = await new Deno.Command(program!, { args }).output();
        assert(success, new TextDecoder().decode(stderr));
        for (const name of CASES) {
          const made = decodeNeuralMemory(read(name, folder)), kept = decodeNeuralMemory(read(name));
          assertEquals([made.options, made.arrays], [kept.options, kept.arrays]);
        }
      }),
  });
});
