"""The rows of `cargo bench -p matex -- derivatives` in jax, torch and NumPy: the fastest of many runs, in microseconds.

Each peer that is installed is measured, on one thread:
XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" OMP_NUM_THREADS=1 python benches/peers/derivatives.py
"""

import time

import numpy as np

BATCH, ROWS, SYSTEMS, DRAWS = 128, 1000, 10_000, 1_000_000
SHAPES = [(784, 256), (256,), (256, 128), (128,), (128, 10), (10,), (BATCH, 784), (BATCH, 10)]


def fastest(run):
    best, begin = float("inf"), time.perf_counter()
    while time.perf_counter() - begin < 2.0:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best * 1e6


def show(name, peer, run):
    start = time.perf_counter()
    run()
    first = (time.perf_counter() - start) * 1e6
    print(f"{name:<34}  {peer} {fastest(run):>10.2f}  first call {first:>10.0f}", flush=True)


def numbers(shape, dtype=np.float64):
    count = int(np.prod(shape))
    all = ((np.arange(count) * 37 + 11) % 101) / 101.0 - 0.5
    return (all * (0.1 if dtype == np.float32 else 1.0)).astype(dtype).reshape(shape)


def in_jax():
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def mlp(A, a, B, b, C, c, x, y):
        h = jax.nn.relu(x @ A + a)
        g = jax.nn.relu(h @ B + b)
        return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(g @ C + c), axis=1))

    def outputs(p, x):
        return jnp.tanh(x @ p[:81].reshape(9, 9) + p[81:90]) @ p[90:99] + p[99]

    def loss(p, x, y):
        return jnp.mean((outputs(p, x) - y) ** 2)

    def solve(A, b):
        return jnp.linalg.solve(A + 4.0 * jnp.eye(8), b)

    args = [jnp.array(numbers(s, np.float32)) for s in SHAPES]
    p, x, y = (jnp.array(numbers(s)) for s in ((100,), (ROWS, 9), (ROWS,)))
    A, b = jnp.array(numbers((SYSTEMS, 8, 8))), jnp.array(numbers((SYSTEMS, 8)))

    def call(f, *args):
        f = jax.jit(f)
        return lambda: jax.block_until_ready(f(*args))

    show(f"MLP gradient, batch {BATCH}", "jax", call(jax.value_and_grad(mlp, argnums=range(6)), *args))
    show("gradient of 100 parameters", "jax", call(jax.grad(loss), p, x, y))
    show("hessian of 100 parameters", "jax", call(jax.hessian(loss), p, x, y))
    show("jacobian of 100 parameters", "jax", call(jax.jacfwd(outputs), p, x))
    show(f"vmap of {SYSTEMS} solves of 8 x 8", "jax", call(jax.vmap(solve), A, b))
    for dtype in (jnp.float64, jnp.float32):
        draw = call(lambda k, d=dtype: jax.random.normal(k, (DRAWS,), d), jax.random.PRNGKey(7))
        show(f"{DRAWS} normals f{8 * dtype.dtype.itemsize}", "jax", draw)


def in_torch():
    import torch

    torch.set_num_threads(1)
    args = [torch.tensor(numbers(s, np.float32)) for s in SHAPES]
    weights = [t.requires_grad_() for t in args[:6]]

    def mlp(A, a, B, b, C, c, x, y):
        h = torch.relu(x @ A + a)
        g = torch.relu(h @ B + b)
        return -(y * torch.log_softmax(g @ C + c, dim=1)).sum(dim=1).mean()

    for name, f in (("torch", mlp), ("torch.compile", torch.compile(mlp))):
        show(f"MLP gradient, batch {BATCH}", name, lambda f=f: torch.autograd.grad(f(*args), weights))


def in_numpy():
    rng = np.random.default_rng(7)
    A, b = numbers((SYSTEMS, 8, 8)) + 4.0 * np.eye(8), numbers((SYSTEMS, 8, 1))
    show(f"vmap of {SYSTEMS} solves of 8 x 8", "numpy", lambda: np.linalg.solve(A, b))
    for dtype in (np.float64, np.float32):
        name = f"{DRAWS} normals f{8 * np.dtype(dtype).itemsize}"
        show(name, "numpy", lambda d=dtype: rng.standard_normal(DRAWS, dtype=d))


if __name__ == "__main__":
    for peer in (in_numpy, in_jax, in_torch):
        try:
            peer()
        except ImportError as missing:
            print(f"not installed: {missing.name}")
