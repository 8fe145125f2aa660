"""One layer of each baseline in plain PyTorch, a contestant of torch.py, with the parameters of baseline_layers.ts.

Recurrences run in chunks of matrix products with one loop over chunks, as in the plain forms of flash-linear-attention; Mamba's
selective scan is a loop over time. A layer is a function of width D and heads H to its loss and the list of its parameters: shape,
and the scale of random numbers or the numbers.
"""

import math

import torch
import torch.nn.functional as F

TAPS = 4


def matrix(rows, columns):
    return (rows, columns), 1 / math.sqrt(rows)


def constant(value, *shape):
    return shape, torch.full(shape, value)


def taps(channels):
    return (channels, TAPS), 1 / math.sqrt(TAPS)


def quantiles(count):
    """The middles of equal parts of the range from 0 to 1."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


def step_biases(count):
    return (count,), torch.log(torch.expm1(1e-3 * 100 ** quantiles(count)))


def log_rates(count):
    return (count,), torch.log(1 + 15 * quantiles(count))


def chunks(z, C):
    """[B, H, T, ..] as [B, H, N, C, ..]."""
    return z.reshape(*z.shape[:2], -1, C, *z.shape[3:])


def split_heads(z, H):
    return z.reshape(*z.shape[:2], H, -1).transpose(1, 2)


def rms_heads(z, gain):
    """RMS norm of each head [B, H, T, V], merged."""
    return F.rms_norm(z, (z.shape[-1],), gain, 1e-5).transpose(1, 2).flatten(2)


def l2(z):
    return z * torch.rsqrt((z * z).sum(-1, keepdim=True) + 1e-6)


def short_convolution(z, weights, bias=None):
    padded = F.pad(z.mT, (TAPS - 1, 0))
    return F.silu(F.conv1d(padded, weights[:, None], bias, groups=z.shape[-1]).mT)


def rotate(z):
    half = z.shape[-1] // 2
    angles = torch.arange(z.shape[2])[:, None] * torch.exp(torch.arange(half) * (-math.log(10000) / half))
    first, second, c, s = z[..., :half], z[..., half:], torch.cos(angles), torch.sin(angles)
    return torch.cat([first * c - second * s, second * c + first * s], -1)


def decay_matrix(b):
    """exp(b_i - b_j) for i >= j, else 0."""
    lower = torch.ones(b.shape[-1], b.shape[-1], dtype=torch.bool).tril()
    return torch.exp((b[..., :, None] - b[..., None, :]).masked_fill(~lower, -math.inf))


def states(update, keep):
    """States before each chunk: one loop over chunks."""
    S, before = torch.zeros_like(update[:, :, 0]), []
    for n in range(update.shape[2]):
        before.append(S)
        S = keep[:, :, n] * S + update[:, :, n]
    return torch.stack(before, 2)


def scalar_decay(q, k, v, g, C=64):
    """S_t = exp(g_t) S_{t-1} + k_t^T v_t, o_t = q_t S_t; one decay per head and token, g [B, H, T]."""
    q, k, v, b = chunks(q, C), chunks(k, C), chunks(v, C), chunks(g, C).cumsum(-1)
    last = b[..., -1:]
    update = (k * torch.exp(last - b)[..., None]).mT @ v
    inner = ((q @ k.mT) * decay_matrix(b)) @ v
    return (inner + (q * torch.exp(b)[..., None]) @ states(update, torch.exp(last)[..., None])).flatten(2, 3)


def channel_decay(q, k, v, g, C=16):
    """The same with one decay per channel, g [B, H, T, K]; both factors from the start of a chunk."""
    q, k, v, b = chunks(q, C), chunks(k, C), chunks(v, C), chunks(g, C).cumsum(-2)
    last = b[..., -1:, :]
    update = (k * torch.exp(last - b)).mT @ v
    inner = ((q * torch.exp(b)) @ (k * torch.exp(-b)).mT).tril() @ v
    return (inner + (q * torch.exp(b)) @ states(update, torch.exp(last).mT)).flatten(2, 3)


def delta_rule(q, k, v, beta, g=None, C=64):
    """S_t = S' + beta_t k_t^T (v_t - k_t S'), S' = exp(g_t) S_{t-1}: WY form, one triangular solve for all chunks."""
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
    """h_t = exp(delta_t a) h_{t-1} + delta_t b_t u_t, y_t = sum of c_t h_t: the loop over time; a is [N, E]."""
    h, out = torch.zeros(u.shape[0], *a.shape), []
    # Unbound once: a slice per step would make the gradient quadratic in T.
    for d, x, write, read in zip(*(z.unbind(1) for z in (delta, delta * u, b, c))):
        h = torch.exp(d[:, None] * a) * h + write[:, :, None] * x[:, None]
        out.append((read[:, :, None] * h).sum(1))
    return torch.stack(out, 1)


def loss_of(layer):
    return lambda parameters, x, y: ((layer(x, *parameters) - y) ** 2).mean()


def retnet(D, H):
    decay = torch.log1p(-torch.exp2(-5.0 - torch.arange(H)))[None, :, None]

    def layer(x, wg, gain, wo, wqkv):
        q, k, v = (split_heads(z, H) for z in (x @ wqkv).split([D, D, 2 * D], -1))
        o = scalar_decay(rotate(q / math.sqrt(D // H)), rotate(k), v, decay.expand(x.shape[0], H, x.shape[1]))
        return (F.silu(x @ wg) * rms_heads(o, gain)) @ wo

    return loss_of(layer), [matrix(D, 2 * D), constant(1.0, 2 * D // H), matrix(2 * D, D), matrix(D, 4 * D)]


def gla(D, H):
    def layer(x, bias, w1, w2, wg, gain, wo, wqkv):
        q, k, v = (split_heads(z, H) for z in (x @ wqkv).split([D // 2, D // 2, D], -1))
        g = split_heads(F.logsigmoid(x @ w1 @ w2 + bias) / 16, H)
        o = channel_decay(q / math.sqrt(D // 2 // H), k, v, g)
        return (F.silu(x @ wg) * rms_heads(o, gain)) @ wo

    decay = [constant(0.0, D // 2), matrix(D, 16), matrix(16, D // 2)]
    return loss_of(layer), [*decay, matrix(D, D), constant(1.0, D // H), matrix(D, D), matrix(D, 2 * D)]


def mamba(D, _):
    E, N, R = 2 * D, 16, math.ceil(D / 16)

    def layer(x, bias, weights, log_rate, wo, projection, selection, skip, step_bias, step_weight):
        u, z = (x @ projection).split([E, E], -1)
        u = short_convolution(u, weights, bias)
        r, b, c = (u @ selection).split([R, N, N], -1)
        y = selective_scan(u, F.softplus(r @ step_weight + step_bias), -torch.exp(log_rate), b, c) + skip * u
        return (y * F.silu(z)) @ wo

    rates = torch.log(torch.arange(1, N + 1, dtype=torch.float64))[:, None].expand(N, E).contiguous()
    convolution = [constant(0.0, E), taps(E)]
    steps = [step_biases(E), matrix(R, E)]
    return loss_of(layer), [*convolution, ((N, E), rates), matrix(E, D), matrix(D, 2 * E), matrix(E, R + 2 * N), constant(1.0, E), *steps]


def mamba2(D, heads):
    E, H = 2 * D, 2 * heads
    N = D // heads
    channels = E + 2 * N

    def layer(x, bias, weights, log_rate, gain, wo, projection, skip, step_bias, step_weight):
        z, rows = (x @ projection).split([E, channels], -1)
        u, b, c = short_convolution(rows, weights, bias).split([E, N, N], -1)
        step, u = F.softplus(x @ step_weight + step_bias).mT, split_heads(u, H)
        b, c = (m[:, None].expand(-1, H, -1, -1) for m in (b, c))
        y = scalar_decay(c, b, u * step[..., None], -torch.exp(log_rate)[:, None] * step)
        y = (y + skip[:, None, None] * u).transpose(1, 2).flatten(2)
        return F.rms_norm(y * F.silu(z), (E,), gain, 1e-5) @ wo

    convolution = [constant(0.0, channels), taps(channels)]
    steps = [step_biases(H), matrix(D, H)]
    return loss_of(layer), [*convolution, log_rates(H), constant(1.0, E), matrix(E, D), matrix(D, E + channels), constant(1.0, H), *steps]


def delta_net(D, H):
    K = D // H

    def layer(x, weights, gain, wo, projection, rate):
        q, k, v = (split_heads(z, H) for z in short_convolution(x @ projection, weights).split([D, D, D], -1))
        o = delta_rule(l2(q) / math.sqrt(K), l2(k), v, torch.sigmoid(x @ rate).mT)
        return rms_heads(o, gain) @ wo

    return loss_of(layer), [taps(3 * D), constant(1.0, K), matrix(D, D), matrix(D, 3 * D), matrix(D, H)]


def gated_delta_net(D, H):
    K = round(0.75 * D / H)
    V = 2 * K
    channels = H * (2 * K + V)

    def layer(x, weights, decay_bias, log_rate, decay_weight, wg, gain, wo, projection, rate):
        rows = short_convolution(x @ projection, weights).split([H * K, H * K, H * V], -1)
        q, k, v = (split_heads(z, H) for z in rows)
        g = (-torch.exp(log_rate) * F.softplus(x @ decay_weight + decay_bias)).mT
        o = delta_rule(l2(q) / math.sqrt(K), l2(k), v, torch.sigmoid(x @ rate).mT, g)
        return (F.silu(x @ wg) * rms_heads(o, gain)) @ wo

    decay = [step_biases(H), log_rates(H), matrix(D, H)]
    out = [matrix(D, H * V), constant(1.0, V), matrix(H * V, D)]
    return loss_of(layer), [taps(channels), *decay, *out, matrix(D, channels), matrix(D, H)]


BASELINES = {
    "retnet": retnet,
    "gla": gla,
    "mamba": mamba,
    "mamba2": mamba2,
    "deltaNet": delta_net,
    "gatedDeltaNet": gated_delta_net,
}
