"""Writes a trained memory of titans-pytorch as a file that `deno task import --titans-pytorch FILE` reads.

    pip install torch titans-pytorch safetensors

    from titans_pytorch import NeuralMemory
    from titans_pytorch_file import save_memory      # this file
    memory = NeuralMemory(dim=384, chunk_size=1, batch_size=64)
    ...
    save_memory(memory, "memory.safetensors")

A checkpoint by itself does not say which function it is of: step sizes, activations, chunks and mini-batches are
arguments of the constructor. They are read off the module here and stored beside the weights, so that the import can
tell whether it computes the same function. Of a MemoryAsContextTransformer, save one of its memories:
`save_memory(transformer.layers[0][4], ...)`.
"""
import json
from importlib.metadata import version

from safetensors.torch import save_file
from titans_pytorch import neural_memory

FORMAT = "titans-pytorch-1"


def options_of(memory):
    """The arguments that a NeuralMemory was made with, as far as its outputs depend on them."""
    transform = memory.adaptive_step_transform
    is_default_step = getattr(transform, "func", None) is neural_memory.default_adaptive_step_transform
    inner = memory.memory_model
    has_norm = type(inner) is neural_memory.ResidualNorm
    inner = inner.model if has_norm else inner
    pools = not isinstance(memory.reduce_to_chunk_rep, neural_memory.AveragePool)
    activation = memory.to_queries[1] if hasattr(memory.to_queries, "__getitem__") else None
    return {
        "dim": memory.to_adaptive_step[0].in_features,
        "heads": memory.heads,
        "chunk_size": max(memory.retrieve_chunk_size, memory.store_chunk_size),
        "batch_size": memory.batch_size,
        "model": type(inner).__name__,
        "mem_model_norm_add_residual": has_norm,
        "default_step_transform_max_lr": transform.keywords.get("max_lr", 1e-2) if is_default_step else None,
        "adaptive_step_transform": None if is_default_step else repr(transform),
        "store_memory_loss_fn": None
        if memory.store_memory_loss_fn is neural_memory.default_loss_fn
        else repr(memory.store_memory_loss_fn),
        "activation": None if activation is None else repr(activation),
        "momentum": memory.to_momentum is not None,
        "momentum_order": memory.momentum_order,
        "learned_momentum_combine": memory.to_learned_momentum_combine is not None,
        "num_kv_per_token": memory.num_kv_per_token,
        "qkv_receives_diff_views": memory.qkv_receives_diff_views,
        "per_parameter_lr_modulation": memory.to_layer_modulation is not None,
        "attn_pool_chunks": pools,
        "max_grad_norm": memory.max_grad_norm,
        "accept_weight_residual": memory.to_learned_weight_residual_mix is not None,
        "spectral_norm_surprises": memory.spectral_norm_surprises,
        "gated_transition": memory.transition_gate is not None,
        "store_with_lookahead_value": memory.store_with_lookahead_value,
    }


def save_memory(memory, path):
    """Writes a NeuralMemory."""
    if type(memory) is not neural_memory.NeuralMemory:
        raise TypeError(f"save_memory takes a NeuralMemory, not a {type(memory).__name__}: give one of its memories")
    # The memory's first weights are held twice: as shipped, and for each head. The latter count.
    weights = {name: tensor for name, tensor in memory.state_dict().items() if not name.startswith("memory_model.")}
    names = [f"memory_model_parameters.{i}" for i in range(len(memory.memory_model_parameter_names))]
    renamed = dict(zip(names, memory.memory_model_parameter_names))
    tensors = {}
    for name, tensor in weights.items():
        tensor = tensor.detach().float().cpu()
        if name in renamed:
            name = f"memory.{renamed[name].removeprefix('model.')}"
            if not memory.per_head_learned_parameters:
                tensor = tensor.expand(memory.heads, *tensor.shape)
        tensors[name] = tensor.contiguous().clone()
    metadata = {
        "format": FORMAT,
        "version": version("titans-pytorch"),
        "options": json.dumps(options_of(memory)),
    }
    save_file(tensors, path, metadata=metadata)
