"""Rate at which this machine multiplies a model's matrices, the limit of any implementation."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from nmt.benchmark.work import PASSES, Product, Work
from nmt.fast.linear import multiply
from nmt.machine import prefers_onednn

_TIMES = 3  # minimum number of repetitions


@torch.inference_mode()
def measure_rate(work: Work, dtype: torch.dtype, *, seconds: float = 0.05) -> float:
    """Return the GFLOP/s of an update's matrix products if nothing else is done.

    Each product is timed alone, forward and backward, on operands already in memory, with as many
    rows as are available at once. The best of several times is weighted by the product's share of
    an update.

    Args:
        work: the products.
        dtype: type of the operands.
        seconds: minimum time for which each product is repeated.
    """
    flop = sum(product.flop for product in work.products)
    times = {
        shape: _time(product, dtype, seconds)
        for shape, product in {_shape(product): product for product in work.products}.items()
    }
    return PASSES * flop / sum(times[_shape(product)] for product in work.products) / 1e9


def _shape(product: Product) -> tuple[int, int, int, int]:
    return product.inner, product.columns, product.rows, product.positions


def _time(product: Product, dtype: torch.dtype, least: float) -> float:
    """Return the seconds per update for all products with one weight matrix.

    The weight gradient is one product, computed once the gradients of all positions are known.
    """
    weight = torch.randn(product.columns, product.inner).to(dtype)
    inputs = torch.randn(product.positions, product.inner).to(dtype)
    gradients = torch.randn(product.positions, product.columns).to(dtype)
    some, some_gradients = inputs[: product.rows], gradients[: product.rows]
    forward = _time_product(some, weight.t(), least)
    backward = _time_product(some_gradients, weight, least)
    of_weights = _time_product(gradients.t(), inputs, least)
    return (forward + backward) * product.positions / product.rows + of_weights


def _time_product(left: Tensor, right: Tensor, least: float) -> float:
    """Return the seconds of one product, written to memory that is already allocated.

    Where oneDNN may beat `torch.mm` in fp32, the faster one counts.
    """
    out = left.new_empty(left.shape[0], right.shape[1])
    of_torch = best_time(lambda: torch.mm(left, right, out=out), least)
    if left.dtype != torch.float32 or not prefers_onednn():
        return of_torch
    return min(of_torch, best_time(lambda: multiply(left, right.t()), least))


def best_time(work: Callable[[], object], least: float) -> float:
    """Return the seconds of the fastest of several calls that together take at least `least`.

    One untimed call precedes them, so that kernels and caches are warm.
    """
    work()
    times: list[float] = []
    while len(times) < _TIMES or sum(times) < least:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
