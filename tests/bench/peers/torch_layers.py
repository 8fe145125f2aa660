"""Layers of Mamba, Mamba2, DeltaNet and Gated DeltaNet in eager PyTorch: yardsticks of tests/bench/layers.ts, which starts this.

Reads a line of JSON: the layer's name, its heads, arrays by name (base64 of f32), threads. Answers with the loss and its gradients'
norms; then, for every further line, with the milliseconds of a step: loss and gradients of all parameters.
"""

import base64
import json
import math
import os
import sys
import time

# This folder has a torch.py of its own, which is not the library.
sys.path = [folder for folder in sys.path if os.path.abspath(folder or ".") != os.path.dirname(os.path.abspath(__file__))]

import numpy as np
import torch
import torch.nn.functional as F


def chunks(z, C):
    """[B, H, T, ..] as [B, H, N, C, ..]."""
    return z.reshape(*z.shape[:2], -1, C, *z.shape[3:])


def split_heads(z, heads):
    return z.reshape(*z.shape[:2], heads, -1).transpose(1, 2)


def decay_matrix(b):
    """exp(b_i - b_j) for i >= j, else 0."""
    lower = torch.ones(b.shape[-1], b.shape[-1], dtype=torch.bool).tril()
    return torch.exp((b[..., :, None] - b[..., None, :]).masked_fill(~lower, -math.inf))


def scalar_decay(q, k, v, g, C=64):
    """S_t = exp(g_t) S_{t-1} + k_t^T v_t, o_t = q_t S_t: matrix products in chunks, one loop over chunks for the states."""
    q, k, v, b = chunks(q, C), chunks(k, C), chunks(v, C), chunks(g, C).cumsum(-1)
    last = b[..., -1:]
    update, keep = (k * torch.exp(last - b)[..., None]).mT @ v, torch.exp(last)[..., None]
    S, before = torch.zeros_like(update[:, :, 0]), []
    for n in range(update.shape[2]):
        before.append(S)
        S = keep[:, :, n] * S + update[:, :, n]
    inner = ((q @ k.mT) * decay_matrix(b)) @ v
    return (inner + (q * torch.exp(b)[..., None]) @ torch.stack(before, 2)).flatten(2, 3)


def delta_rule(q, k, v, beta, g, C=64):
    """S_t = S' + beta_t k_t^T (v_t - k_t S'), S' = exp(g_t) S_{t-1}: WY form, a triangular solve of all chunks, a loop over chunks."""
    q, k, v, beta = chunks(q, C), chunks(k, C), chunks(v, C), chunks(beta, C)[..., None]
    scores, products, since, seen, until, whole = (q @ k.mT).tril(), k @ k.mT, q, k, k, None
    if g is not None:
        b = chunks(g, C).cumsum(-1)
        decay, start = decay_matrix(b), torch.exp(b)[..., None]
        scores, products, since, seen = scores * decay, products * decay, q * start, k * start
        until, whole = k * torch.exp(b[..., -1:] - b)[..., None], torch.exp(b[..., -1:])[..., None]
    system = (beta * products).tril(-1) + torch.eye(C)
    both = torch.linalg.solve_triangular(system, torch.cat([beta * v, beta * seen], -1), upper=False, unitriangular=True)
    U, W = both.split([v.shape[-1], k.shape[-1]], -1)
    until = until.mT
    S, out = torch.zeros(*k.shape[:2], k.shape[-1], v.shape[-1]), []
    for n in range(q.shape[2]):
        u = U[:, :, n] - W[:, :, n] @ S
        out.append(since[:, :, n] @ S + scores[:, :, n] @ u)
        S = (S if whole is None else whole[:, :, n] * S) + until[:, :, n] @ u
    return torch.stack(out, 2).flatten(2, 3)


def selective_scan(u, delta, a, b, c):
    """h_t = exp(delta_t a) h_{t-1} + delta_t b_t u_t, y_t = sum of c_t h_t: the plain loop over time; a is [N, E]."""
    h, out = torch.zeros(u.shape[0], *a.shape), []
    # Unbound once: a slice per step would make the gradient quadratic in T.
    for d, x, write, read in zip(*(z.unbind(1) for z in (delta, delta * u, b, c))):
        h = torch.exp(d[:, None] * a) * h + write[:, :, None] * x[:, None]
        out.append((read[:, :, None] * h).sum(1))
    return torch.stack(out, 1)


def short_convolution(z, p):
    taps = p["convolution.taps"]
    padded = F.pad(z.mT, (taps.shape[1] - 1, 0))
    return F.silu(F.conv1d(padded, taps[:, None], p.get("convolution.bias"), groups=z.shape[-1]).mT)


def rms_heads(z, gain):
    return F.rms_norm(z, (z.shape[-1],), gain, 1e-5).transpose(1, 2).flatten(2)


def l2(z):
    return z * torch.rsqrt((z * z).sum(-1, keepdim=True) + 1e-6)


def delta_net(p, x, H):
    V = p["norm"].shape[0]
    channels = p["projection"].shape[1]
    K = (channels // H - V) // 2
    rows = short_convolution(x @ p["projection"], p).split([H * K, H * K, H * V], -1)
    q, k, v = (split_heads(z, H) for z in rows)
    gated = "gate" in p
    g = (-torch.exp(p["decay.logRate"]) * F.softplus(x @ p["decay.weight"] + p["decay.bias"])).mT if gated else None
    o = rms_heads(delta_rule(l2(q) / math.sqrt(K), l2(k), v, torch.sigmoid(x @ p["rate"]).mT, g), p["norm"])
    return (F.silu(x @ p["gate"]) * o if gated else o) @ p["out"]


def mamba(p, x, _):
    E, (R, _) = p["skip"].shape[0], p["step.weight"].shape
    u, z = (x @ p["projection"]).split([E, E], -1)
    u = short_convolution(u, p)
    N = p["logRate"].shape[0]
    r, b, c = (u @ p["selection"]).split([R, N, N], -1)
    delta = F.softplus(r @ p["step.weight"] + p["step.bias"])
    y = selective_scan(u, delta, -torch.exp(p["logRate"]), b, c) + p["skip"] * u
    return (y * F.silu(z)) @ p["out"]


def mamba2(p, x, _):
    E, H = p["norm"].shape[0], p["skip"].shape[0]
    channels = p["projection"].shape[1] - E
    N = (channels - E) // 2
    z, rows = (x @ p["projection"]).split([E, channels], -1)
    u, b, c = short_convolution(rows, p).split([E, N, N], -1)
    step, u = F.softplus(x @ p["step.weight"] + p["step.bias"]).mT, split_heads(u, H)
    shared = lambda m: m[:, None].expand(-1, H, -1, -1)
    y = scalar_decay(shared(c), shared(b), u * step[..., None], -torch.exp(p["logRate"])[:, None] * step)
    y = (y + p["skip"][:, None, None] * u).transpose(1, 2).flatten(2)
    return F.rms_norm(y * F.silu(z), (E,), p["norm"], 1e-5) @ p["out"]


LAYERS = {"mamba": mamba, "mamba2": mamba2, "deltaNet": delta_net, "gatedDeltaNet": delta_net}


def main():
    job = json.loads(sys.stdin.readline())
    torch.set_num_threads(job["threads"])
    arrays = {
        name: torch.from_numpy(np.frombuffer(base64.b64decode(data), dtype=np.float32).reshape(shape).copy())
        for name, (shape, data) in job["arrays"].items()
    }
    x, target = arrays.pop("x"), arrays.pop("target")
    parameters = {name: tensor.requires_grad_() for name, tensor in arrays.items()}
    layer = LAYERS[job["layer"]]

    def step():
        for tensor in parameters.values():
            tensor.grad = None
        loss = ((layer(parameters, x, job["heads"]) - target) ** 2).mean()
        loss.backward()
        return loss.item()

    def answer(message):
        print(json.dumps(message), flush=True)

    loss = step()
    answer({"loss": loss, "norms": {name: tensor.grad.norm().item() for name, tensor in parameters.items()}})
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        answer({"ms": (time.perf_counter() - start) * 1e3})


main()
