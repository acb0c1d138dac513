"""The rows of `cargo bench -p matex -- work cachesizes nine` in numpy, numexpr, numba, jax, torch and torch.compile.

python benches/peers/work.py PEER ... [--elements N] [--threads N] [--only TEXT]

One JSON object a line with the names of `--json` of the bench: the median of many runs, in microseconds (`nine`: the
fastest, in nanoseconds). `table.py` joins them. Each peer runs in a process of its own, pinned to one processor unless
there are more threads.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time

PEERS = ["numpy", "numexpr", "numba", "jax", "torch", "torch.compile"]
# How many rows and columns a matrix of that many elements has.
SHAPES = {1000: (10, 100), 30_000: (100, 300), 1_000_000: (1000, 1000), 20_000_000: (20_000, 1000)}


def limit_threads(count):
    for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMEXPR_MAX", "NUMBA"):
        os.environ[name + "_NUM_THREADS" if name != "NUMEXPR_MAX" else "NUMEXPR_MAX_THREADS"] = str(count)
    os.environ["JAX_PLATFORMS"] = "cpu"
    if count == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def uniform(n, seed, low, high, dtype):
    """Weyl's sequence, as the bench has it."""
    i = np.arange(n, dtype=np.uint64) * np.uint64(2) + np.uint64(seed)
    unit = (i * np.uint64(0x9E3779B97F4A7C15)).astype(np.float64) / float(2**64 - 1)
    return (low + (high - low) * unit).astype(dtype)


ELEMENTWISE = {
    "m = a+b; m/(m[0]+m[1])": [(0.5, 2.0)] * 2,
    "cubic polynomial": [(-3.0, 3.0)],
    "exp": [(-3.0, 3.0)],
    "Gaussian": [(-3.0, 3.0)],
    "sigmoid": [(-3.0, 3.0)],
    "tanh(x w + b)": [(-2.0, 2.0), (-1.0, 1.0), (-1.0, 1.0)],
    "sin x cos y + sqrt(x² + y²)": [(-3.0, 3.0)] * 2,
    "haversine": [(-1.5, 1.5), (-3.0, 3.0), (-1.5, 1.5), (-3.0, 3.0)],
    "Black-Scholes": [(50.0, 150.0), (50.0, 150.0), (0.1, 2.0), (0.01, 0.05), (0.1, 0.5)],
}
OF_MATRICES = [
    "sum",
    "argmax",
    "sum of rows",
    "sum of columns",
    "mean and variance of columns",
    "mean and variance of rows",
    "softmax of rows",
    "layernorm of rows",
    "logsumexp of rows",
]


def products(xp):
    """A chain whose order counts, and the layers of a network, with the shapes of their arguments and the range of each."""

    def network(x, a, b, c, d, e, f):
        h = xp.maximum(x @ a + b, zero(xp, x))
        return xp.maximum(h @ c + d, zero(xp, x)) @ e + f

    return {
        "A B v, 1000 x 10 x 1000": (lambda a, b, v: a @ b @ v, [(1000, 10), (10, 1000), (1000,)], 1.0),
        "network forward, batch 128": (
            network,
            [(128, 784), (784, 256), (256,), (256, 128), (128,), (128, 10), (10,)],
            0.05,
        ),
    }


def zero(xp, x):
    """A zero that `maximum` takes: torch wants a tensor."""
    return xp.zeros((), dtype=x.dtype) if xp.__name__ == "torch" else x.dtype.type(0)


def elementwise(xp, erf):
    """As one writes it with arrays of numpy, jax or torch."""

    def normalized(a, b):
        m = a + b
        return m / (m[0] + m[1])

    def haversine(p, l, q, m):
        h = xp.sin((q - p) / 2) ** 2 + xp.cos(p) * xp.cos(q) * xp.sin((m - l) / 2) ** 2
        return 12742.0 * xp.arcsin(xp.sqrt(h))

    def black_scholes(s, k, t, r, v):
        d = v * xp.sqrt(t)
        a = (xp.log(s / k) + (r + 0.5 * v * v) * t) / d
        c = math.sqrt(0.5)
        return 0.5 * (s * (1 + erf(a * c)) - k * xp.exp(-r * t) * (1 + erf((a - d) * c)))

    functions = [
        normalized,
        lambda x: ((4.0 * x + 3.0) * x + 2.0) * x + 1.0,
        lambda x: xp.exp(x),
        lambda x: xp.exp(-x * x / 2) / math.sqrt(2 * math.pi),
        lambda x: 1 / (1 + xp.exp(-x)),
        lambda x, w, b: xp.tanh(x * w + b),
        lambda x, y: xp.sin(x) * xp.cos(y) + xp.sqrt(x * x + y * y),
        haversine,
        black_scholes,
    ]
    return dict(zip(ELEMENTWISE, functions))


def of_matrices(xp, largest, stack, keep):
    """The same of matrices. `keep` is what the argument that keeps axes is called."""

    def softmax(x):
        e = xp.exp(x - largest(x, 1, True))
        return e / xp.sum(e, 1, **{keep: True})

    def layernorm(x):
        c = x - xp.mean(x, 1, **{keep: True})
        return c / xp.sqrt(xp.mean(c * c, 1, **{keep: True}) + 1e-5)

    def logsumexp(x):
        m = largest(x, 1, True)
        return m[:, 0] + xp.log(xp.sum(xp.exp(x - m), 1))

    def moments(axis):
        def both(x):
            mean = xp.mean(x, axis)
            c = x - xp.mean(x, axis, **{keep: True})
            return stack([mean, xp.mean(c * c, axis)])

        return both

    functions = [
        lambda x: xp.sum(x),
        lambda x: xp.argmax(x),
        lambda x: xp.sum(x, 1),
        lambda x: xp.sum(x, 0),
        moments(0),
        moments(1),
        softmax,
        layernorm,
        logsumexp,
    ]
    return dict(zip(OF_MATRICES, functions))


def in_numpy():
    try:
        from scipy.special import erf
    except ImportError:
        erf = np.vectorize(math.erf)
    functions = elementwise(np, erf) | of_matrices(
        np, lambda x, axis, keep: x.max(axis, keepdims=keep), np.stack, "keepdims"
    )
    return functions, lambda f, args: lambda: f(*args), np


def in_numexpr():
    import numexpr

    texts = [
        None,
        "((four*x + three)*x + two)*x + one",
        "exp(x)",
        "exp(-x*x/two) / root",
        "one / (one + exp(-x))",
        "tanh(x*y + z)",
        "sin(x)*cos(y) + sqrt(x*x + y*y)",
        "far*arcsin(sqrt(sin((z - x)/two)**2 + cos(x)*cos(z)*sin((u - y)/two)**2))",
        None,
    ]
    functions = {name: text for name, text in zip(ELEMENTWISE, texts) if text} | {"sum": "sum(x)"}

    def prepare(text, args):
        dtype = args[0].dtype.type
        given = dict(zip("xyzu", args))
        named = {"one": 1, "two": 2, "three": 3, "four": 4, "far": 12742, "root": math.sqrt(2 * math.pi)}
        # Literals are double in numexpr, and would make the whole so.
        given |= {name: dtype(value) for name, value in named.items() if name in text}
        numexpr.evaluate(text, local_dict=given)
        if text.startswith("sum"):
            return lambda: numexpr.re_evaluate(local_dict=given)
        out = np.empty_like(args[0])
        numexpr.evaluate(text, local_dict=given, out=out)
        return lambda: numexpr.re_evaluate(local_dict=given)

    return functions, prepare, None


def in_numba():
    import numba

    bodies = [
        ("a, b", "(a[i] + b[i]) * s"),
        ("x", "((c(4)*x[i] + c(3))*x[i] + c(2))*x[i] + c(1)"),
        ("x", "exp(x[i])"),
        ("x", "exp(-x[i]*x[i]*c(0.5)) * c(0.3989422804014327)"),
        ("x", "c(1) / (c(1) + exp(-x[i]))"),
        ("x, w, b", "tanh(x[i]*w[i] + b[i])"),
        ("x, y", "sin(x[i])*cos(y[i]) + sqrt(x[i]*x[i] + y[i]*y[i])"),
        (
            "p, l, q, m",
            "c(12742)*asin(sqrt(sin((q[i] - p[i])*c(0.5))**2 + cos(p[i])*cos(q[i])*sin((m[i] - l[i])*c(0.5))**2))",
        ),
        ("s, k, t, r, v", "price(s[i], k[i], t[i], r[i], v[i])"),
    ]

    def compiled(name, params, body, dtype):
        scope = {f: getattr(math, f) for f in "exp log sin cos asin tanh sqrt erf".split()}
        scope |= {"c": dtype, "njit": numba.njit}
        scale = "s = c(1) / (a[0] + b[0] + a[1] + b[1])" if name.startswith("m =") else "pass"
        exec(
            f"""
@njit(fastmath=True)
def price(s, k, t, r, v):
    d = v * sqrt(t)
    a = (log(s / k) + (r + c(0.5)*v*v) * t) / d
    h = c(0.7071067811865476)
    return c(0.5) * (s * (c(1) + erf(a*h)) - k * exp(-r*t) * (c(1) + erf((a - d)*h)))

@njit(fastmath=True)
def f(out, {params}):
    {scale}
    for i in range(out.size):
        out[i] = {body}
""",
            scope,
        )
        return scope["f"]

    @numba.njit(fastmath=True)
    def total(out, x):
        t = x[0, 0] * 0
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                t += x[i, j]
        out[0] = t

    @numba.njit(fastmath=True)
    def rows(out, x):
        for i in range(x.shape[0]):
            t = x[0, 0] * 0
            for j in range(x.shape[1]):
                t += x[i, j]
            out[i] = t

    @numba.njit(fastmath=True)
    def columns(out, x):
        out[:] = 0
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[j] += x[i, j]

    @numba.njit(fastmath=True)
    def softmax(out, x):
        for i in range(x.shape[0]):
            m = x[i, 0]
            for j in range(x.shape[1]):
                m = max(m, x[i, j])
            t = m * 0
            for j in range(x.shape[1]):
                out[i, j] = math.exp(x[i, j] - m)
                t += out[i, j]
            for j in range(x.shape[1]):
                out[i, j] /= t

    @numba.njit(fastmath=True)
    def layernorm(out, x):
        n = x.dtype.type(x.shape[1])
        for i in range(x.shape[0]):
            t = x[0, 0] * 0
            for j in range(x.shape[1]):
                t += x[i, j]
            mean, v = t / n, t * 0
            for j in range(x.shape[1]):
                v += (x[i, j] - mean) * (x[i, j] - mean)
            scale = x.dtype.type(1) / math.sqrt(v / n + x.dtype.type(1e-5))
            for j in range(x.shape[1]):
                out[i, j] = (x[i, j] - mean) * scale

    @numba.njit(fastmath=True)
    def logsumexp(out, x):
        for i in range(x.shape[0]):
            m = x[i, 0]
            for j in range(x.shape[1]):
                m = max(m, x[i, j])
            t = m * 0
            for j in range(x.shape[1]):
                t += math.exp(x[i, j] - m)
            out[i] = m + math.log(t)

    @numba.njit(fastmath=True)
    def moments_of_rows(out, x):
        n = x.dtype.type(x.shape[1])
        for i in range(x.shape[0]):
            t = x[0, 0] * 0
            for j in range(x.shape[1]):
                t += x[i, j]
            mean, v = t / n, t * 0
            for j in range(x.shape[1]):
                v += (x[i, j] - mean) * (x[i, j] - mean)
            out[0, i], out[1, i] = mean, v / n

    kernels = {
        "sum": (total, lambda x: np.empty(1, x.dtype)),
        "sum of rows": (rows, lambda x: np.empty(x.shape[0], x.dtype)),
        "sum of columns": (columns, lambda x: np.empty(x.shape[1], x.dtype)),
        "mean and variance of rows": (moments_of_rows, lambda x: np.empty((2, x.shape[0]), x.dtype)),
        "softmax of rows": (softmax, np.empty_like),
        "layernorm of rows": (layernorm, np.empty_like),
        "logsumexp of rows": (logsumexp, lambda x: np.empty(x.shape[0], x.dtype)),
    }
    functions = {name: (name, *body) for name, body in zip(ELEMENTWISE, bodies)} | kernels

    def prepare(what, args):
        if isinstance(what[0], str):
            f, out = compiled(*what, args[0].dtype.type), np.empty_like(args[0])
        else:
            f, out = what[0], what[1](args[0])
        return lambda: f(out, *args)

    return functions, prepare, None


def in_jax():
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    functions = elementwise(jnp, jax.scipy.special.erf) | of_matrices(
        jnp, lambda x, axis, keep: x.max(axis, keepdims=keep), jnp.stack, "keepdims"
    )
    # As the library has them.
    functions["softmax of rows"] = lambda x: jax.nn.softmax(x, axis=1)
    functions["logsumexp of rows"] = lambda x: jax.nn.logsumexp(x, axis=1)

    def prepare(f, args):
        args, f = [jnp.array(a) for a in args], jax.jit(f)
        return lambda: jax.block_until_ready(f(*args))

    return functions, prepare, jnp


def in_torch(compiled=False):
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.set_grad_enabled(False)
    functions = elementwise(torch, torch.erf) | of_matrices(
        torch, lambda x, axis, keep: torch.amax(x, axis, keepdim=keep), torch.stack, "keepdim"
    )
    functions["softmax of rows"] = lambda x: torch.softmax(x, 1)
    functions["layernorm of rows"] = lambda x: torch.nn.functional.layer_norm(x, x.shape[1:])
    functions["logsumexp of rows"] = lambda x: torch.logsumexp(x, 1)

    def prepare(f, args):
        args = [torch.from_numpy(a) for a in args]
        # One program for each shape, as a fresh process would have.
        torch.compiler.reset()
        f = torch.compile(f, dynamic=False) if compiled else f
        return lambda: f(*args)

    return functions, prepare, torch


def median(run):
    run()
    start = time.perf_counter()
    run()
    once = max(time.perf_counter() - start, 1e-7)
    inner = max(1, min(1000, int(2e-5 / once)))
    samples, begin = [], time.perf_counter()
    while len(samples) < 301 and (len(samples) < 10 or time.perf_counter() - begin < 1.5):
        start = time.perf_counter()
        for _ in range(inner):
            run()
        samples.append((time.perf_counter() - start) / inner)
    return samples


def show(table, name, peer, value):
    print(json.dumps({"table": table, "name": name, peer: round(value, 3)}, ensure_ascii=False), flush=True)


def measure(peer, only, elements):
    functions, prepare, xp = {
        "numpy": in_numpy,
        "numexpr": in_numexpr,
        "numba": in_numba,
        "jax": in_jax,
        "torch": in_torch,
        "torch.compile": lambda: in_torch(compiled=True),
    }[peer]()

    def row(table, name, f, args, unit=1e6, summary=statistics.median):
        if only in name:
            try:
                show(table, name, peer, summary(median(prepare(f, args))) * unit)
            except Exception as e:
                print(f"{peer}, {name}: {type(e).__name__}: {e}".splitlines()[0], file=sys.stderr)

    rows, cols = SHAPES[elements]
    table = "work" if elements == 1_000_000 else f"work {elements}"
    for dtype in (np.float32, np.float64):
        kind = f"f{8 * np.dtype(dtype).itemsize}"
        for name, ranges in ELEMENTWISE.items():
            if name in functions:
                args = [uniform(elements, i + 1, *r, dtype) for i, r in enumerate(ranges)]
                row(table, f"{name} {kind}", functions[name], args)
        x = uniform(elements, 1, -2.0, 2.0, dtype).reshape(rows, cols)
        for name in OF_MATRICES:
            if name in functions:
                row(table, f"{name} {kind}", functions[name], [x])
        if xp is not None and table == "work":
            for name, (f, shapes, end) in products(xp).items():
                sizes = [math.prod(shape) for shape in shapes]
                args = [uniform(n, i, -end, end, dtype).reshape(s) for i, (n, s) in enumerate(zip(sizes, shapes))]
                row(table, f"{name} {kind}", f, args)
    if table != "work":
        return
    if peer in ("numpy", "jax", "torch", "torch.compile"):
        for side in (10, 20, 30, 40, 1000):
            args = [uniform(side * side, k, 0.0, 1.0, np.float64).reshape(side, side) for k in range(9)]
            nine = lambda a, b, c, d, e, f, g, h, i: a + b + c + d + e + f + g + h + i
            row("nine", f"{side} x {side} f64", nine, args, 1e9, min)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="+", choices=PEERS)
    parser.add_argument("--elements", type=int, default=1_000_000, choices=SHAPES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="rows whose names contain this")
    given = parser.parse_args()
    if len(given.peers) > 1:
        rest = ["--elements", str(given.elements), "--threads", str(given.threads), "--only", given.only]
        for peer in given.peers:
            subprocess.run([sys.executable, __file__, peer, *rest], check=False)
        sys.exit()
    limit_threads(given.threads)
    import numpy as np

    measure(given.peers[0], given.only, given.elements)
