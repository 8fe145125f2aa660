"""PyTorch and titans-pytorch as contestants: `python3 torch.py torch|torch.compile|titans-pytorch THREADS`.

Speaks the protocol of protocol.ts. `torch` runs eagerly; `torch.compile` compiles the same functions.
"""

import functools
import importlib.metadata
import json
import math
import os
import sys
import time

# This file's folder comes first on the path, and there this file would be taken for the library.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [folder for folder in sys.path if os.path.abspath(folder or ".") != HERE] + [HERE]

import numpy as np
import torch
import torch.nn.functional as F

from torch_baselines import BASELINES

ADAM = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8)


def randn(size, scale, seed):
    """Numbers that look normal, as in tests/golden_layers.ts; the states of its generator are an arithmetic progression."""
    state = ((np.uint64(seed) + np.arange(1, 4 * size + 1, dtype=np.uint64) * np.uint64(0x6D2B79F5)) & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    t = (state ^ (state >> np.uint32(15))) * (state | np.uint32(1))
    t = (t + (t ^ (t >> np.uint32(7))) * (t | np.uint32(61))) ^ t
    uniform = (t ^ (t >> np.uint32(14))).astype(np.float64) / 2**32
    # The sums of four in the order of the generator's own, for the same rounding.
    u = uniform.reshape(size, 4)
    return ((u[:, 0] + u[:, 1] + u[:, 2] + u[:, 3] - 2) * math.sqrt(3) * scale).astype(np.float32)


def tensor(shape, scale, seed):
    return torch.from_numpy(randn(math.prod(shape), scale, seed).reshape(shape))


COMPILES = sys.argv[1] == "torch.compile"
MODE = "compiled" if COMPILES else "eager"


def compiled(fn):
    """The function as the contestant runs it. Shapes never change, so they are compiled in."""
    return torch.compile(fn, dynamic=False) if COMPILES else fn


class Function:
    """A function of tensors that stay."""

    def __init__(self, fn, args):
        self.fn, self.args, self.results = compiled(fn), args, None

    def run(self):
        self.results = self.fn(*self.args)

    def check(self):
        return sum(result.double().abs().sum().item() for result in self.results)


class Gradients:
    """Gradients of a scalar function with respect to tensors that it captures."""

    def __init__(self, fn, tensors, args):
        self.fn, self.tensors, self.args, self.results = compiled(fn), tensors, args, None

    def run(self):
        self.results = torch.autograd.grad(self.fn(*self.args), self.tensors)

    def check(self):
        return sum(result.double().abs().sum().item() for result in self.results)


class Training:
    """Loss, gradients of all parameters, and Adam."""

    def __init__(self, loss, parameters, inputs, note=None):
        self.loss, self.inputs, self.note = compiled(loss), inputs, note
        self.parameters = [p.requires_grad_() for p in parameters]
        # The fused form is the fastest on a CPU, compiled or not.
        self.adam = torch.optim.Adam(self.parameters, fused=True, **ADAM)
        self.results = None

    def run(self):
        self.adam.zero_grad()
        value = self.loss(self.parameters, *self.inputs)
        value.backward()
        self.adam.step()
        self.results = value.detach()

    def check(self):
        return self.results.item() if self.note is None else None


def gelu(z):
    return F.gelu(z, approximate="tanh")


def l2(z):
    return z / torch.sqrt((z * z).sum(-1, keepdim=True) + 1e-6)


def product(shape):
    return Function(lambda a, b: [torch.matmul(a, b)], [tensor(shape, 1, 1), tensor(shape, 1, 2)])


def layer_norm():
    x, gain, bias = (tensor(shape, 1, seed).requires_grad_() for shape, seed in (((4096, 256), 1), ((256,), 2), ((256,), 3)))

    def value(dy):
        return (F.layer_norm(x, (256,), gain, bias, 1e-5) * dy).sum()

    return Gradients(value, [x, gain, bias], [tensor((4096, 256), 1, 4)])


def perceptron():
    def loss(parameters, x, y):
        w1, b1, w2, b2 = parameters
        return ((gelu(x @ w1 + b1) @ w2 + b2 - y) ** 2).mean()

    parameters = [tensor((256, 1024), 1 / 16, 1), torch.zeros(1024), tensor((1024, 256), 1 / 32, 2), torch.zeros(256)]
    return Training(loss, parameters, [tensor((512, 256), 1, 3), tensor((512, 256), 1, 4)])


def attention():
    B, T, D, H = 4, 256, 256, 4
    weights = [tensor((D, D), 1 / 16, seed).requires_grad_() for seed in (1, 2, 3, 4)]
    x = tensor((B, T, D), 1, 5).requires_grad_()

    def value(dy):
        q, k, v = ((x @ w).reshape(B, T, H, D // H).transpose(1, 2) for w in weights[:3])
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, D) @ weights[3]
        return (out * dy).sum()

    return Gradients(value, [*weights, x], [tensor((B, T, D), 1, 6)])


# The extents of the layers.
B, T, D, H, K = 2, 512, 128, 2, 64


def split(z):
    return z.reshape(B, T, H, K).transpose(1, 2)  # [B, H, T, K]


def merge(z):
    return z.transpose(1, 2).reshape(B, T, D)


def layer_inputs():
    return [tensor((B, T, D), 1, 10), tensor((B, T, D), 1, 11)]


def chunk_layer(C):
    """The layer that updates its memory once a chunk."""
    N = T // C

    def memory(w1, w2, z):
        return gelu(z @ w1) @ w2

    def inner(w1, w2, k, v, theta):
        return (theta[..., None] * (memory(w1, w2, k) - v) ** 2).sum()

    inner_gradient = torch.func.grad(inner, argnums=(0, 1))

    def loss(parameters, x, y):
        wq, wk, wv, wo, wt, we, wa, m1, m2 = parameters
        q, k, v = l2(split(F.silu(x @ wq))), l2(split(F.silu(x @ wk))), split(F.silu(x @ wv))
        theta, eta, alpha = (torch.sigmoid(x @ w).transpose(1, 2) for w in (wt, we, wa))  # [B, H, T]
        theta = theta / C
        eta, alpha = (gate.reshape(B, H, N, C).mean(-1)[..., None, None] for gate in (eta, 0.1 * alpha))
        w1, w2 = m1.expand(B, *m1.shape), m2.expand(B, *m2.shape)
        s1, s2 = torch.zeros_like(w1), torch.zeros_like(w2)
        out = []
        for i in range(N):
            rows = slice(i * C, (i + 1) * C)
            out.append(memory(w1, w2, q[:, :, rows]))
            # Nothing reads the last update.
            if i == N - 1:
                break
            g1, g2 = inner_gradient(w1, w2, k[:, :, rows], v[:, :, rows], theta[:, :, rows])
            s1, s2 = eta[:, :, i] * s1 - g1, eta[:, :, i] * s2 - g2
            w1, w2 = (1 - alpha[:, :, i]) * w1 + s1, (1 - alpha[:, :, i]) * w2 + s2
        return ((merge(torch.cat(out, 2)) @ wo - y) ** 2).mean()

    parameters = [tensor((D, D), 0.09, seed) for seed in (1, 2, 3, 4)] + [tensor((D, H), 0.09, seed) for seed in (5, 6, 7)]
    return Training(loss, parameters + [tensor((H, K, 4 * K), 1 / 8, 8), tensor((H, 4 * K, K), 1 / 16, 9)], layer_inputs())


def momentum_products(eta):
    """p(t, s), the product of eta over s < j <= t, for s <= t, and p(t, 0), by sums of logarithms; [..., b, b] and [..., b]."""
    sums = torch.log(eta).cumsum(-1)
    lower = torch.ones(eta.shape[-1], eta.shape[-1], dtype=torch.bool).tril()
    return torch.exp((sums[..., :, None] - sums[..., None, :]).masked_fill(~lower, -math.inf)), torch.exp(sums)


def forget_sums(products, first, keep):
    """g(t, s) = keep_t g(t-1, s) + p(t, s) and b_t = keep_t b_{t-1} + p(t, 0), row by row for all mini-batches at once."""
    row, scalar, rows, scalars = torch.zeros_like(products[..., 0, :]), torch.zeros_like(first[..., 0]), [], []
    for t in range(keep.shape[-1]):
        row = keep[..., t, None] * row + products[..., t, :]
        scalar = keep[..., t] * scalar + first[..., t]
        rows.append(row)
        scalars.append(scalar)
    return torch.stack(rows, -2), torch.stack(scalars, -1)


def token_layer(b):
    """The layer with a memory state for every token, in matrix products: the state of a token is never formed."""
    N = T // b

    def norm(z, gain):
        centred = z - z.mean(-1, keepdim=True)
        return (1 + gain) * centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)

    def inner(tap1, tap2, w1, w2, gain, k, v):
        hidden = gelu(k @ w1 + tap1)
        return ((k + norm(hidden @ w2 + tap2, gain) - v) ** 2).mean(-1).sum(), hidden

    # The gradients at the pre-activations are those of zeros that are added there.
    tap_gradient = torch.func.grad(inner, argnums=(0, 1), has_aux=True)

    def loss(parameters, x, y):
        wq, wk, wv, wo, wt, we, wa, m1, m2, gain = parameters
        q, k, v = l2(split(F.silu(x @ wq))), l2(split(F.silu(x @ wk))), split(F.silu(x @ wv))
        gates = (torch.sigmoid(x @ w + bias).transpose(1, 2).reshape(B, H, N, b) for w, bias in ((wt, 0), (we, 0), (wa, -8)))
        theta, eta, alpha = gates
        theta = 0.1 * theta
        products, first = momentum_products(eta)
        sums, starts = forget_sums(products, first, 1 - alpha)
        keeps = torch.cumprod(1 - alpha, -1)[..., None]
        starts, first = starts[..., None], first[..., None]
        coefficients = sums * theta[..., None, :]  # [B, H, N, b, b]
        to_weight, to_surprise = coefficients[..., -1, :, None], (products[..., -1, :] * theta)[..., None]
        w1, w2 = m1.expand(B, *m1.shape), m2.expand(B, *m2.shape)
        s1, s2 = torch.zeros_like(w1), torch.zeros_like(w2)
        gain = gain[None, :, None]
        out = []
        for i in range(N):
            key, value, query = (z[:, :, i * b : (i + 1) * b] for z in (k, v, q))
            zeros = torch.zeros(B, H, b, w1.shape[-1]), torch.zeros_like(value)
            (d1, d2), hidden = tap_gradient(*zeros, w1, w2, gain, key, value)
            keep, start, weight = keeps[:, :, i], starts[:, :, i], coefficients[:, :, i]
            h = gelu(keep * (query @ w1) + start * (query @ s1) - (weight * (query @ key.mT)) @ d1)
            z = keep * (h @ w2) + start * (h @ s2) - (weight * (h @ hidden.mT)) @ d2
            out.append(query + norm(z, gain))
            keep, start, decay = keep[:, :, -1:], start[:, :, -1:], first[:, :, i, -1:]
            to_w, to_s = to_weight[:, :, i], to_surprise[:, :, i]
            w1, s1 = keep * w1 + start * s1 - (key * to_w).mT @ d1, decay * s1 - (key * to_s).mT @ d1
            w2, s2 = keep * w2 + start * s2 - (hidden * to_w).mT @ d2, decay * s2 - (hidden * to_s).mT @ d2
        return ((merge(torch.cat(out, 2)) @ wo - y) ** 2).mean()

    s = 1 / math.sqrt(D)
    parameters = [tensor((D, D), s, seed) for seed in (1, 2, 3, 4)] + [tensor((D, H), s, seed) for seed in (5, 6, 7)]
    parameters += [tensor((H, K, 4 * K), 1 / math.sqrt(K), 8), tensor((H, 4 * K, K), 1 / math.sqrt(4 * K), 9), tensor((H, K), 0.1, 12)]
    return Training(loss, parameters, layer_inputs())


def titans_layer(chunk, batch, norm):
    """NeuralMemory of titans-pytorch at the sizes of the layers, with its own start and its own extras."""
    from titans_pytorch import MemoryMLP, NeuralMemory

    torch.manual_seed(0)
    module = NeuralMemory(
        dim=D,
        heads=H,
        dim_head=K,
        chunk_size=chunk,
        batch_size=batch,
        activation=torch.nn.SiLU(),
        default_step_transform_max_lr=1 / chunk if chunk > 1 else 0.1,
        init_momentum_bias=0.0,
        init_decay_bias=-4.0 if chunk > 1 else -8.0,
        mem_model_norm_add_residual=norm,
        model=MemoryMLP(K, depth=2, expansion_factor=4.0),
    )
    # As shipped these are expanded views of one tensor, which no in-place optimiser accepts.
    module.memory_model_parameters = torch.nn.ParameterList([torch.nn.Parameter(p.detach().clone()) for p in module.memory_model_parameters])
    states = f"a memory state every {chunk} tokens" if chunk > 1 else "a memory state every token"
    note = f"NeuralMemory, chunk_size {chunk}, batch_size {batch}: {states}, its own projections, norms and start, so the loss is another"
    return Training(lambda _, x, y: ((module(x)[0] - y) ** 2).mean(), list(module.parameters()), layer_inputs(), note)


TORCH_JOBS = {
    "matmul 256": lambda: product((256, 256)),
    "matmul 512": lambda: product((512, 512)),
    "matmul 1024": lambda: product((1024, 1024)),
    "matmul 256 x 64^3": lambda: product((256, 64, 64)),
    "gelu(xw + b) + x, 4M": lambda: Function(lambda x, w, b: [gelu(x * w + b) + x], [tensor((2**22,), 1, seed) for seed in (1, 2, 3)]),
    "softmax 4096 x 256": lambda: Function(lambda x: [torch.softmax(x, -1)], [tensor((4096, 256), 1, 1)]),
    "layer norm 4096 x 256, forward + backward": layer_norm,
    "MLP 256-1024-256, batch 512, Adam": perceptron,
    "causal attention B4 T256 D256 H4, forward + backward": attention,
    "chunk layer, chunk 64, Adam": lambda: chunk_layer(64),
    "chunk layer, chunk 16, Adam": lambda: chunk_layer(16),
    "per-token layer, b 64, Adam": lambda: token_layer(64),
    "per-token layer, b 16, Adam": lambda: token_layer(16),
}



def baseline_job(layer):
    """A layer of a baseline, parameters in the order of their names: numbers as they are, or the scale of random ones."""
    loss, parameters = layer(D, H)
    made = [tensor(shape, start, seed) if isinstance(start, float) else start.float() for seed, (shape, start) in enumerate(parameters, 1)]
    length = 2048
    return Training(loss, made, [tensor((B, length, D), 1, 10), tensor((B, length, D), 1, 11)])


# Not compiled: their loops over chunks are unrolled, which takes minutes.
BASELINE_JOBS = {f"{name} layer, T 2048, Adam": functools.partial(baseline_job, layer) for name, layer in BASELINES.items()}

JOBS = {
    "torch": TORCH_JOBS | BASELINE_JOBS,
    "torch.compile": TORCH_JOBS,
    "titans-pytorch": {
        "chunk layer, chunk 64, Adam": lambda: titans_layer(64, 64, False),
        "chunk layer, chunk 16, Adam": lambda: titans_layer(16, 16, False),
        "per-token layer, b 64, Adam": lambda: titans_layer(1, 64, True),
        "per-token layer, b 16, Adam": lambda: titans_layer(1, 16, True),
    },
}


class Contestant:
    """Answers the requests of the protocol, each by a dictionary."""

    def __init__(self, library):
        self.library, self.jobs, self.task = library, JOBS[library], None

    def open(self, _):
        versions = f"torch {torch.__version__}"
        if self.library == "titans-pytorch":
            import titans_pytorch  # noqa: F401  A missing dependency shows here, not at a job.

            versions = f"titans-pytorch {importlib.metadata.version('titans-pytorch')}, {versions}"
        return {"description": f"{versions}, {MODE}, CPU, threads: {torch.get_num_threads()}", "jobs": list(self.jobs)}

    def timed(self):
        start = time.perf_counter()
        self.task.run()
        return (time.perf_counter() - start) * 1000

    def prepare(self, request):
        self.task = self.jobs[request["job"]]()
        first_ms = self.timed()
        check, note = self.task.check(), getattr(self.task, "note", None) or MODE
        if check is not None and not math.isfinite(check):
            raise ArithmeticError(f"the result of {request['job']} is {check}")
        return {"firstMs": first_ms, "note": note} | ({} if check is None else {"check": check})

    def run(self, request):
        runs, end = [], time.perf_counter() + request["turnMs"] / 1000
        while not runs or time.perf_counter() < end:
            start = time.process_time()
            ms = self.timed()
            runs.append({"ms": ms, "cpuMs": (time.process_time() - start) * 1000})
        return runs

    def memory(self, _):
        try:
            with open("/proc/self/status") as status:
                return {"rssBytes": next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))}
        except (OSError, StopIteration):
            return {}

    def close(self, _):
        return {}


def main():
    torch.set_num_threads(int(sys.argv[2]))
    contestant = Contestant(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    # What libraries print must not be taken for an answer.
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"answer": getattr(contestant, request["ask"])(request)}
        except Exception as error:
            words = str(error).strip().splitlines()
            reply = {"error": f"{type(error).__name__}: {words[0]}" if words else type(error).__name__}
        print(json.dumps(reply), file=answers)
        if request["ask"] == "close":
            break


main()
