"""Upper bounds on training speed, if only the unavoidable arithmetic took time."""

import torch
from torch import Tensor

from nmt.benchmark.figure import Name
from nmt.benchmark.matrix import best_time, measure_rate
from nmt.benchmark.sizes import TRAINING
from nmt.benchmark.work import Sample, work_of
from nmt.config.model import ModelConfig
from nmt.fast.kernels import kernels
from nmt.models.build import build_model
from nmt.training.optimizer import build_optimizer


def measure_floor(
    model: ModelConfig,
    *,
    source_vocab: int,
    target_vocab: int,
    sample: Sample,
    dtype: torch.dtype,
    seconds: float = 0.05,
) -> dict[Name, float]:
    """Return the rate of the matrix products and the two floors derived from it, by figure name.

    Args:
        model: a configuration that `work_of` supports.
        source_vocab: number of source pieces.
        target_vocab: number of target pieces.
        sample: composition of an update.
        dtype: type of the matrix products and logits; weights and optimizer are fp32.
        seconds: minimum time for which each operation is repeated.
    """
    work = work_of(model, target_vocab=target_vocab, sample=sample)
    rate = measure_rate(work, dtype, seconds=seconds)
    tokens = sample.target_tokens
    products = 1e-3 * work.training * tokens / rate
    loss = _time_loss(tokens, target_vocab, dtype, seconds)
    optimizer = _time_optimizer(model, source_vocab, target_vocab, seconds)
    return {
        "matrix_gflops": rate,
        "train_floor_tokens_per_second": tokens / products,
        "train_floor_with_optimizer_tokens_per_second": tokens / (products + loss + optimizer),
    }


@torch.inference_mode()
def _time_loss(rows: int, vocab: int, dtype: torch.dtype, least: float) -> float:
    """Return the seconds per update for softmax and cross-entropy, forward and backward.

    The gradient of the logits is softmax - one-hot. It overwrites the log-probabilities, and all
    memory is allocated beforehand: new pages from the operating system would cost more than the
    arithmetic. Returns the faster of torch and nmt's own kernel.
    """
    scores = torch.randn(rows, vocab, dtype=dtype)
    gold = torch.arange(rows), torch.randint(vocab, (rows,))
    log_probs = torch.empty_like(scores)

    def work() -> Tensor:
        torch.log_softmax(scores, dim=-1, out=log_probs)
        loss = -log_probs[gold].sum()
        log_probs.exp_()[gold] -= 1.0
        return loss

    of_torch = best_time(work, least)
    if (native := kernels()) is None:
        return of_torch
    bias = torch.zeros(vocab)
    return min(of_torch, best_time(lambda: native.cross_entropy(scores, bias, gold[1], 0.0), least))


def _time_optimizer(
    model: ModelConfig, source_vocab: int, target_vocab: int, least: float
) -> float:
    """Return the seconds for one optimizer step over all weights."""
    built = build_model(model, source_vocab=source_vocab, target_vocab=target_vocab)
    for weight in built.parameters():
        weight.grad = torch.randn_like(weight)
    optimizer = build_optimizer(TRAINING.optimizer, built.parameters(), TRAINING.learning_rate)
    return best_time(lambda: optimizer.step(), least)
