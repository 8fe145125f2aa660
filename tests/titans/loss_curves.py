"""Loss curves of two tiny language models in PyTorch, float64, token by token: the oracle of loss_curves_test.ts.

    python3 tests/titans/loss_curves.py > tests/fixtures/loss_curves.json

Two blocks of width 16, each a mixer and a SwiGLU MLP with RMS norms before them: the memory of Titans (arXiv
2501.00663) with every weight written at every token, and Gated DeltaNet (arXiv 2412.06464) as the recurrence of its
paper. Parameters and text are formulas; what parameters there are goes into the file, so that the test draws the same.
"""
import json
import math

import torch
import torch.nn.functional as F

V, D, H, BLOCKS, HIDDEN = 32, 16, 2, 2, 24
BATCH, LENGTH, STEPS = 4, 32, 50
LEARNING_RATE, WARMUP, FINAL_RATE, DECAY, CLIP, BETAS, EPSILON = 3e-3, 10, 0.1, 0.1, 1.0, (0.9, 0.95), 1e-8
MINI_BATCH, THETA_MAX = 16, 0.1  # of the memory
TAPS = 4

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


# ---------------------------------------------------------------- what both sides draw
def randn(shape, scale, seed, offset):
    """Sums of four uniform numbers from a 32-bit generator (tests/golden_layers.ts), f32, row-major."""
    state, mask, values = seed, 0xFFFFFFFF, []

    def uniform():
        nonlocal state
        state = (state + 0x6D2B79F5) & mask
        t = ((state ^ (state >> 15)) * (1 | state)) & mask
        t = ((t + (((t ^ (t >> 7)) * (61 | t)) & mask)) & mask) ^ t
        return (t ^ (t >> 14)) / 2**32

    for _ in range(math.prod(shape)):
        values.append((uniform() + uniform() + uniform() + uniform() - 2) * math.sqrt(3) * scale)
    return (torch.tensor(values).float() + offset).double().reshape(shape)


def text(n):
    return (n * n + 3 * (n // 7)) % V


def batch(step):
    """Windows [BATCH, LENGTH + 1]."""
    starts = [(61 * step + 977 * row) % 4001 for row in range(BATCH)]
    return torch.tensor([[text(start + t) for t in range(LENGTH + 1)] for start in starts])


# ---------------------------------------------------------------- layers
def rms(x, gain, epsilon=1e-6):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + epsilon) * gain


def unit(x):
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def convolved(x, taps):
    """Depthwise and causal: the last tap is the present."""
    padded = F.pad(x, (0, 0, TAPS - 1, 0))
    return sum(padded[:, j : j + x.shape[1]] * taps[:, j] for j in range(TAPS))


def heads(x):
    """[B, T, H K] to [B, H, T, K]."""
    return x.unflatten(2, (H, -1)).transpose(1, 2)


def merged(x):
    return x.transpose(1, 2).flatten(2)


def memory_at(weights, gain, x):
    """M(x) = x + (1 + gain) LN(W2 gelu(W1 x)) of rows [B, H, K], each with weights of its own [B, H, in, out]."""
    rows = lambda x, w: torch.einsum("bhi,bhio->bho", x, w)
    z = rows(F.gelu(rows(x, weights[0]), approximate="tanh"), weights[1])
    return x + (1 + gain) * F.layer_norm(z, z.shape[-1:])


def lmm(p, x):
    q, k, v = (heads(part) for part in F.silu(convolved(x @ p("memory.projection"), p("memory.convolution"))).chunk(3, 2))
    q, k = unit(q), unit(k)
    gates = torch.sigmoid(x @ p("memory.gates") + p("memory.gateBias"))
    theta, eta, alpha = (gate.transpose(1, 2)[..., None, None] for gate in gates.chunk(3, 2))  # [B, H, T, 1, 1]
    gain, first = p("memory.gains.0"), [p("memory.initial.0"), p("memory.initial.1")]
    weights = [w.expand(x.shape[0], *w.shape) for w in first]
    surprise, outputs = [torch.zeros_like(w) for w in weights], []
    for t in range(x.shape[1]):
        if t % MINI_BATCH == 0:
            at = weights  # all gradients of a mini-batch are taken here
        loss = ((memory_at(at, gain, k[:, :, t]) - v[:, :, t]) ** 2).mean(-1).sum()
        slopes = torch.autograd.grad(loss, at, create_graph=True)
        surprise = [eta[:, :, t] * s - THETA_MAX * theta[:, :, t] * g for s, g in zip(surprise, slopes)]
        forget = alpha[:, :, t]
        weights = [(1 - forget) * w + forget * start + s for w, start, s in zip(weights, first, surprise)]
        outputs.append(memory_at(weights, gain, q[:, :, t]))
    read = merged(rms(torch.stack(outputs, 2), p("memory.norm")[:, None]))
    return (F.silu(x @ p("gate")) * read) @ p("out")


def gated_delta_net(p, x):
    K, W = 3 * D // 4 // H, 3 * D // 2 // H  # widths of keys and values of a head
    rows = F.silu(convolved(x @ p("projection"), p("convolution.taps")))
    q, k, v = (heads(part) for part in rows.split([H * K, H * K, H * W], 2))
    q, k = unit(q) / math.sqrt(K), unit(k)
    beta = torch.sigmoid(x @ p("rate")).transpose(1, 2)
    decay = torch.exp(-torch.exp(p("decay.logRate")) * F.softplus(x @ p("decay.weight") + p("decay.bias"))).transpose(1, 2)
    state, outputs = torch.zeros(x.shape[0], H, K, W), []
    for t in range(x.shape[1]):
        state = decay[:, :, t, None, None] * state
        error = v[:, :, t] - torch.einsum("bhk,bhkw->bhw", k[:, :, t], state)
        state = state + torch.einsum("bh,bhk,bhw->bhkw", beta[:, :, t], k[:, :, t], error)
        outputs.append(torch.einsum("bhk,bhkw->bhw", q[:, :, t], state))
    read = merged(rms(torch.stack(outputs, 2), p("norm"), 1e-5))
    return (F.silu(x @ p("gate")) * read) @ p("out")


# ---------------------------------------------------------------- the models
def matrix(name, *shape):
    """Entries of deviation one over the root of the width that goes in; decays."""
    return name, shape, 1 / math.sqrt(shape[-2]), 0, True


def others(name, shape, scale, offset=0):
    return name, shape, scale, offset, False


def gains(name, *shape):
    return others(name, shape, 0.1, 1)


MIXERS = {
    "lmm": (lmm, [
        matrix("gate", D, D),
        others("memory.convolution", (3 * D, TAPS), 0.5),
        others("memory.gains.0", (H, D // H), 0.1),
        others("memory.gateBias", (3 * H,), 0.5, -2),
        matrix("memory.gates", D, 3 * H),
        matrix("memory.initial.0", H, D // H, 4 * D // H),
        matrix("memory.initial.1", H, 4 * D // H, D // H),
        gains("memory.norm", H, D // H),
        matrix("memory.projection", D, 3 * D),
        matrix("out", D, D),
    ]),
    "gatedDeltaNet": (gated_delta_net, [
        others("convolution.taps", (3 * D, TAPS), 0.5),
        others("decay.bias", (H,), 0.5, -2),
        others("decay.logRate", (H,), 0.5, 0.5),
        matrix("decay.weight", D, H),
        matrix("gate", D, 3 * D // 2),
        gains("norm", 3 * D // 2 // H),
        matrix("out", 3 * D // 2, D),
        matrix("projection", D, 3 * D),
        matrix("rate", D, H),
    ]),
}


def described(mixer):
    """All parameters in the order of their seeds."""
    for block in range(BLOCKS):
        own = [(f"{mixer}.{name}", *rest) for name, *rest in MIXERS[mixer][1]]
        around = [gains("mixerNorm", D), matrix("mlp.contract", HIDDEN, D), matrix("mlp.expand", D, 2 * HIDDEN), gains("mlpNorm", D)]
        yield from ((f"blocks.{block}.{name}", *rest) for name, *rest in [*own, *around])
    yield others("embedding", (V, D), 1)
    yield matrix("head", D, V)
    yield gains("norm", D)


def loss_of(mixer, params, tokens):
    x = params["embedding"][tokens[:, :-1]]
    for block in range(BLOCKS):
        own = lambda name: params[f"blocks.{block}.{name}"]
        x = x + MIXERS[mixer][0](lambda name: own(f"{mixer}.{name}"), rms(x, own("mixerNorm")))
        gate, up = (rms(x, own("mlpNorm")) @ own("mlp.expand")).chunk(2, -1)
        x = x + (F.silu(gate) * up) @ own("mlp.contract")
    logits = rms(x, params["norm"]) @ params["head"]
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def rate_at(step):
    if step < WARMUP:
        return LEARNING_RATE * (step + 1) / WARMUP
    progress = (step - WARMUP) / (STEPS - WARMUP)
    return LEARNING_RATE * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress)))


def curve(mixer):
    """Losses of the steps, each before its update by AdamW with clipped gradients and decay of matrices."""
    table = list(described(mixer))
    params = {name: randn(shape, scale, 101 + i, offset).requires_grad_() for i, (name, shape, scale, offset, _) in enumerate(table)}
    first, second = ({name: torch.zeros_like(p) for name, p in params.items()} for _ in range(2))
    decays, losses = {name for name, *_, decay in table if decay}, []
    for step in range(STEPS):
        loss = loss_of(mixer, params, batch(step))
        gradients = dict(zip(params, torch.autograd.grad(loss, list(params.values()))))
        losses.append(loss.item())
        norm = math.sqrt(sum((g * g).sum().item() for g in gradients.values()))
        with torch.no_grad():
            for name, p in params.items():
                g = gradients[name] * (CLIP / max(norm, CLIP))
                first[name].mul_(BETAS[0]).add_((1 - BETAS[0]) * g)
                second[name].mul_(BETAS[1]).add_((1 - BETAS[1]) * g * g)
                corrected = [m / (1 - beta ** (step + 1)) for m, beta in zip((first[name], second[name]), BETAS)]
                direction = corrected[0] / (corrected[1].sqrt() + EPSILON)
                p -= rate_at(step) * (direction + (DECAY * p if name in decays else 0))
    parameters = [{"name": name, "shape": shape, "scale": scale, "offset": offset} for name, shape, scale, offset, _ in table]
    return {"parameters": parameters, "losses": [round(loss, 9) for loss in losses]}


print(json.dumps({mixer: curve(mixer) for mixer in MIXERS}))
