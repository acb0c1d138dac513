"""The rows of `cargo bench -p matex -- linalg` in NumPy: the fastest of many runs, in microseconds.

OPENBLAS_NUM_THREADS=1 python benches/peers/linalg.py
"""

import time

import numpy as np


def fastest(run):
    best, begin = float("inf"), time.perf_counter()
    while time.perf_counter() - begin < 1.0:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best * 1e6


def show(name, run):
    print(f"{name:<34}  numpy {fastest(run):>10.2f}", flush=True)


def main():
    rng = np.random.default_rng(1)
    for n in (32, 64, 128, 256, 512, 1024, 2048):
        for dtype in (np.float64, np.float32):
            a, b = (rng.uniform(-1, 1, (n, n)).astype(dtype) for _ in range(2))
            c = np.empty_like(a)
            show(f"gemm {n} f{8 * a.itemsize}", lambda: np.matmul(a, b, out=c))
    for n in (100, 500, 1000, 2000):
        a, x, y = rng.uniform(-1, 1, (n, n)), rng.uniform(-1, 1, n), np.empty(n)
        show(f"A x {n}", lambda: np.matmul(a, x, out=y))
        show(f"A.T x {n}", lambda: np.matmul(a.T, x, out=y))
    for n in (100, 500, 1000):
        a, b, tall, right = (rng.uniform(-1, 1, s) for s in ((n, n), n, (2 * n, n), 2 * n))
        s = a @ a.T + n * np.eye(n)
        show(f"LU and solve {n}", lambda: np.linalg.solve(a, b))
        show(f"Cholesky {n}", lambda: np.linalg.cholesky(s))
        show(f"least squares {2 * n} x {n}", lambda: np.linalg.lstsq(tall, right, rcond=None))
        show(f"eigh {n}", lambda: np.linalg.eigh(s))
        show(f"svd {n}", lambda: np.linalg.svd(a, full_matrices=False))
    x, y = rng.uniform(-1, 1, (100_000, 50)), rng.uniform(-1, 1, 100_000)
    show("OLS 100000 x 50", lambda: np.linalg.solve(x.T @ x, x.T @ y))
    a, b = rng.uniform(-1, 1, (10_000, 8, 8)), rng.uniform(-1, 1, (10_000, 8, 1))
    show("10000 systems of 8 x 8", lambda: np.linalg.solve(a, b))


if __name__ == "__main__":
    main()
