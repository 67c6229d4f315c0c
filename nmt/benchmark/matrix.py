"""How fast the machine multiplies the matrices of a model: the limit of any implementation."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from nmt.benchmark.work import PASSES, Product, Work
from nmt.layers.products import multiply_forward
from nmt.machine import prefers_onednn

_TIMES = 3  # everything is done at least so often


@torch.inference_mode()
def measure_rate(work: Work, dtype: torch.dtype, *, seconds: float = 0.05) -> float:
    """Return the GFLOP/s at which the matrix products of an update run, if nothing else is done.

    Each is timed by itself, forward and backward, on operands that lie ready, with as many rows
    as there can be at a time. The best of several times counts, by its share in an update.

    Args:
        work: which products.
        dtype: of the operands.
        seconds: each product is repeated for so long.
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
    """Return the seconds that an update spends in all products with one matrix of weights.

    The gradient of the weights can wait until the gradients of all positions are known.
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
    """Return the seconds of a product into memory that lies ready, as new pages take time.

    Where another library multiplies in fp32 as well, the faster one counts.
    """
    out = left.new_empty(left.shape[0], right.shape[1])
    of_torch = best_time(lambda: torch.mm(left, right, out=out), least)
    if left.dtype != torch.float32 or not prefers_onednn():
        return of_torch
    return min(of_torch, best_time(lambda: multiply_forward(left, right.t()), least))


def best_time(work: Callable[[], object], least: float) -> float:
    """Return the seconds of the fastest of several calls, which take at least `least` together.

    One more call before them prepares what is needed.
    """
    work()
    times: list[float] = []
    while len(times) < _TIMES or sum(times) < least:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
