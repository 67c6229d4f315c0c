"""Results on a second device equal those on the CPU; see `imagined_gpu`.

Plain and fast modules there are both compared with plain modules on the CPU.
"""

import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from imagined_gpu import OnGpu
from imagined_gpu import gpu as gpu  # a fixture
from tiny import tiny

from nmt.config.model import ModelConfig
from nmt.config.search import SearchConfig
from nmt.config.training import ConstantSamplingConfig, ScheduledSamplingConfig
from nmt.data.batch import Batch, make_batch
from nmt.fast.accelerate import Purpose, accelerate
from nmt.fast.ranking import ranking
from nmt.fast.recurrent import unroll_torch
from nmt.inference.engine import scorer_of
from nmt.layers.cells import GruCell, LstmCell, RnnCell, zero_state
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.models.shortlist import Shortlist
from nmt.objectives.likelihood import Likelihood
from nmt.search.forced import score_targets
from nmt.search.ranking import rank_plainly
from nmt.search.scorers import ModelScorer
from nmt.search.search import search
from nmt.text.vocabulary import EOS
from nmt.training import distributed
from nmt.training.distributed import World
from nmt.training.run import RunOptions, run_training
from nmt.training.step import accumulate_gradients

CPU, VOCAB = torch.device("cpu"), 11
SENTENCES = ([4, 5, 6, 7, EOS], [9, 4, EOS], [10, 8, 8, EOS])

CELLS = ["rnn", "lstm", "gru", {"kind": "gru", "reset": "before"}]
ATTENTIONS = ["none", "dot", "general", {"kind": "additive", "hidden_size": 5}]
DECODERS = [
    {"cell": cell, "attention": attention, "input_feeding": feed, **rest}
    for cell, attention, feed, rest in itertools.product(
        CELLS,
        ATTENTIONS,
        [True, False],
        [{}, {"readout": "deep", "bridge": "mean", "residual": True, "attend": "before"}],
    )
    if attention != "none" or not (feed or rest)
]


def build(
    device: torch.device, decoder: dict[str, Any] | None = None, *, fast: Purpose | None = None
) -> EncoderDecoder:
    """Return a model with the same weights on any device: two layers of each.

    Its modules are plain, or fast ones for a purpose.
    """
    decoder = decoder or {}
    sizes = {"layers": 2, "cell": decoder.get("cell", "lstm")}
    config = ModelConfig.model_validate(
        {
            "embedding": {"size": 6, "tied": "target"},
            "encoder": {"hidden_size": 16, "init_state": "learned", **sizes},
            "decoder": {"hidden_size": 32, "readout_size": 6, **sizes, **decoder},
            "initialization": {"kind": "uniform", "scale": 0.5},
        }
    )
    torch.manual_seed(1)
    model = build_model(config, source_vocab=VOCAB, target_vocab=VOCAB).to(device)
    if fast is not None:
        accelerate(model, fast)
    return model


def batch() -> Batch:
    ids = [np.array(sentence) for sentence in SENTENCES]
    return make_batch(list(zip(ids, reversed(ids), strict=True)), range(len(ids)))


def gradients(
    device: torch.device,
    decoder: dict[str, Any],
    sampling: ScheduledSamplingConfig | None = None,
    *,
    fast: bool = False,
) -> dict[str, torch.Tensor]:
    """Return loss and gradients of one batch, in fp32."""
    model = build(device, decoder, fast="training" if fast else None).train()
    torch.manual_seed(2)
    nll = accumulate_gradients(
        model,
        [batch()],
        Likelihood(smoothing=0.1, l1=0.01, l2=0.01, sampling=sampling),
        tokens=batch().tokens,
        updates=0,
        precision=torch.float32,
        world=World(device=device),
    )
    found = {name: weight.grad for name, weight in model.named_parameters()}
    assert all(isinstance(grad, OnGpu) is (device != CPU) for grad in found.values())
    return {"loss": torch.tensor(nll)} | {name: grad.cpu() for name, grad in found.items()}


MODULES = pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])


@MODULES
@pytest.mark.parametrize("decoder", DECODERS, ids=lambda d: "-".join(str(v) for v in d.values()))
def test_gradients_equal_those_of_the_cpu(gpu, decoder, fast):
    there, here = gradients(gpu, decoder, fast=fast), gradients(CPU, decoder)
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-5)


@MODULES
@pytest.mark.parametrize("pick", ["sample", "argmax"])
def test_scheduled_sampling_draws_on_the_gpu(gpu, pick, fast):
    sampling = ConstantSamplingConfig(probability=0.5, pick=pick)
    there, here = gradients(gpu, {}, sampling, fast=fast), gradients(CPU, {}, sampling)
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"beam": 1},
        {"beam": 3, "n_best": 2, "coverage_penalty": 0.2, "no_repeat_ngram": 2},
        {"beam": 2, "keep_attention": True, "fixed_shape": True},
        {"beam": 1, "sample": True, "top_k": 5, "top_p": 0.9},
        {"beam": 2, "shortlist": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("members", [1, 2])
@MODULES
def test_search_results_equal_those_of_the_cpu(gpu, options, members, fast):
    options = dict(options)
    kept = {
        name: options.pop(name) for name in ("keep_attention", "fixed_shape") if name in options
    }
    options = SearchConfig(**options)
    shortlist = Shortlist(torch.arange(VOCAB).flip(0), torch.arange(VOCAB).view(VOCAB, 1))

    def find(device: torch.device, fast: Purpose | None) -> Any:
        choose = (
            partial(shortlist.choose, frequent=options.shortlist) if options.shortlist else None
        )
        kinds = ["general", "dot"][:members]
        models = [build(device, {"attention": kind}, fast=fast).eval() for kind in kinds]
        here = batch().to(device)
        rank = rank_plainly if fast is None else ranking(rank_plainly)
        found = search(
            scorer_of(models, choose), here.source, here.source_mask, options, **kept, rank=rank
        )
        return [[(one.tokens, one.attention) for one in each] for each in found]

    for there, here in zip(find(gpu, "search" if fast else None), find(CPU, None), strict=True):
        assert [tokens for tokens, _ in there] == [tokens for tokens, _ in here]
        torch.testing.assert_close([a for _, a in there], [a for _, a in here])


@MODULES
def test_scores_of_given_translations_equal_those_of_the_cpu(gpu, fast):
    def score(device: torch.device, fast: Purpose | None) -> torch.Tensor:
        here, scorer = batch().to(device), ModelScorer(build(device, fast=fast).eval())
        return score_targets(
            scorer, here.source, here.source_mask, here.target_out, here.target_mask
        ).log_probs.cpu()

    torch.testing.assert_close(score(gpu, "search" if fast else None), score(CPU, None))


@pytest.mark.parametrize("make_cell", [LstmCell, GruCell, RnnCell])
def test_cudnn_never_computes_in_float16(gpu, make_cell):
    """Autocast would make it do so, even where bfloat16 is requested."""
    cell, inputs = make_cell(3, 4), torch.randn(2, 5, 3)
    for weight in cell.parameters():
        torch.nn.init.normal_(weight)
    cell, inputs = cell.to(gpu), inputs.to(gpu, torch.bfloat16)
    with torch.autocast(gpu.type, torch.bfloat16):
        state = tuple(part.bfloat16() for part in zero_state(cell, 2))
        outputs = unroll_torch(cell, inputs, state)
        assert torch.is_autocast_enabled(gpu.type)
    expected = unroll_torch(cell, inputs.float(), zero_state(cell, 2))
    assert outputs.dtype == torch.float32
    torch.testing.assert_close(outputs, expected, rtol=0, atol=0)


def train(
    folder: Path, monkeypatch: pytest.MonkeyPatch, device: torch.device, *overrides: str
) -> list[dict[str, Any]]:
    """Train the tiny experiment; return the metrics of the run."""
    monkeypatch.setattr(distributed, "_device", lambda wanted, rank: device)
    run = folder / device.type
    assert run_training(tiny(folder, *overrides), run, RunOptions()) == 0
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 5e-3)])
@MODULES
def test_a_resumed_run_on_the_gpu_equals_one_on_the_cpu(
    gpu, tmp_path, monkeypatch, precision, tolerance, fast
):
    """Training, validation and checkpoints; 12 updates, and 8 more after resuming.

    On the CPU modules are plain: fast ones round the rows of bf16 batches there, and so draw other
    random numbers.
    """
    overrides = (
        f"training.precision={precision}",
        "training.ema=0.9",
        "training.accumulate=2",
        'training.scheduled_sampling={kind = "constant", probability = 0.5}',
        "model.dropout.recurrent=0.1",
        "validation.every=10",
    )
    devices = ((gpu, f"training.fast={str(fast).lower()}"), (CPU, "training.fast=false"))
    for device, switch in devices:
        train(tmp_path, monkeypatch, device, *overrides, switch, "training.max_updates=12")
    restored = len(torch.imagined.restored)
    there, here = (
        train(tmp_path, monkeypatch, device, *overrides, switch) for device, switch in devices
    )
    assert [len(state) for state in torch.imagined.restored[restored:]] == [
        len(torch.get_rng_state()) + 1
    ]
    named = [(line["kind"], line["update"]) for line in there]
    assert [number for kind, number in named if kind == "update"] == list(range(1, 21))
    assert named == [(line["kind"], line["update"]) for line in here]
    for one, other in zip(there, here, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=tolerance)
