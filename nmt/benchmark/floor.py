"""How fast training could be here, if only what nobody can leave out took time."""

import torch
from torch import Tensor

from nmt.benchmark.figure import Name
from nmt.benchmark.matrix import best_time, measure_rate
from nmt.benchmark.sizes import TRAINING
from nmt.benchmark.work import Sample, work_of
from nmt.config.model import ModelConfig
from nmt.models.build import build_model
from nmt.native.kernels import kernels
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
    """Return the rate of the matrix products and the two floors that follow, by figure.

    Args:
        model: as `work_of` takes it.
        source_vocab: source pieces.
        target_vocab: target pieces.
        sample: what an update consists of.
        dtype: of the matrix products and of the logits; weights and optimizer are fp32.
        seconds: everything is repeated for so long.
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
    """Return the seconds of softmax and cross-entropy, forward and backward, for an update.

    The gradient of the scores is softmax - one-hot. It takes the place of the log-probabilities,
    and all memory lies ready: new pages from the kernel would cost more than the arithmetic. The
    faster of torch and nmt's own kernel counts.
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
    """Return the seconds in which the optimizer changes every weight once."""
    built = build_model(model, source_vocab=source_vocab, target_vocab=target_vocab)
    for weight in built.parameters():
        weight.grad = torch.randn_like(weight)
    optimizer = build_optimizer(TRAINING.optimizer, built.parameters(), TRAINING.learning_rate)
    return best_time(lambda: optimizer.step(), least)
