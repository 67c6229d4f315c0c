"""The rate at which this machine multiplies matrices of given shapes.

    python -m bench.matrix --precision bf16 --threads 2 256x1280x2048 4096x512x8000

prints one JSON object: GFLOP/s by shape (rows x inner x columns). It runs in a process of its own,
as the systems do, with as many threads.
"""

import argparse
import json
import sys
import time

from bench.process import RECIPES, Command, finish, thread_settings
from bench.sizes import Product

REPETITIONS = 10
SECONDS = 0.04
"""Least time of a repetition."""
Shape = tuple[int, int, int]


def measure_rates(products: list[Product], *, precision: str, threads: int) -> dict[Shape, float]:
    """Return GFLOP/s for the shape of each product, measured in a fresh process."""
    shapes = sorted({"x".join(map(str, product.shape)) for product in products})
    program = (sys.executable, "-m", "bench.matrix", *shapes)
    options = ("--precision", precision, "--threads", str(threads))
    command = Command([*program, *options], RECIPES, thread_settings(threads))
    last_line = finish(command).output.strip().split("\n")[-1]
    return {_shape(name): rate for name, rate in json.loads(last_line).items()}


def _shape(name: str) -> Shape:
    rows, inner, columns = map(int, name.split("x"))
    return rows, inner, columns


def _rate(shape: Shape, precision: str) -> float:
    """Multiply for a while; return the GFLOP/s of the fastest repetition, the least disturbed."""
    import torch

    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    rows, inner, columns = shape
    left, right = torch.randn(rows, inner).to(kind), torch.randn(columns, inner).to(kind).t()
    out = torch.empty(rows, columns, dtype=kind)
    rates = []
    for _ in range(REPETITIONS):
        count, began = 0, time.perf_counter()
        while (seconds := time.perf_counter() - began) < SECONDS or not count:
            torch.mm(left, right, out=out)
            count += 1
        rates.append(2.0 * rows * inner * columns * count / seconds / 1e9)
    return max(rates)


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="+", type=_shape)
    parser.add_argument("--precision", choices=("fp32", "bf16"), required=True)
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rates = {"x".join(map(str, shape)): _rate(shape, given.precision) for shape in given.shapes}
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
