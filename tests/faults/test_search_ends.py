"""Models that never end, repeat themselves or yield NaN: real folders and the real command."""

import json
import time
from pathlib import Path

import pytest
import torch
from launcher import Launcher

from nmt.models.folder import load_model_folder
from nmt.models.weights import weights_of
from nmt.storage.checksums import write_checksums
from nmt.storage.tensors import load_metadata, load_tensors, save_tensors
from nmt.text.vocabulary import EOS

LINES = ["a cat", "the small dog sleeps", "", "two birds sing, one bird sleeps"]
KINDS = [["--beam", "1"], ["--beam", "5"], ["--sample"], ["--beam", "5", "--exact"]]
IDS = ["greedy", "beam", "sample", "exact"]
FACTOR, OFFSET = 2, 7


def spoilt(folder: Path, change) -> Path:
    """Change the weights of a model folder, and recompute its checksums."""
    file = folder / "model.safetensors"
    tensors = load_tensors(file)
    change(tensors)
    save_tensors(file, tensors, load_metadata(file))
    write_checksums(folder)
    return folder


def output_bias(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return tensors["output.project.bias"]


def translate(launcher: Launcher, model: Path, lines: list[str], *options: str):
    source = launcher.folder / "lines.txt"
    source.write_text("".join(f"{line}\n" for line in lines))
    arguments = ["translate", model, "-i", source, "--format", "jsonl", *options]
    limits = ["--max-length-factor", FACTOR, "--max-length-offset", OFFSET]
    return launcher.start(*arguments, *limits)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_model_that_never_ends_is_cut_at_the_limit_and_flagged(
    make_model_folder, launcher, programme, kind
):
    def never_end(tensors: dict[str, torch.Tensor]) -> None:
        output_bias(tensors)[EOS] = -1e30

    begin, tries = time.monotonic(), programme.count(quick=1, full=10)
    for seed in range(1, tries + 1):
        model = spoilt(make_model_folder(seed=seed), never_end)
        loaded = load_model_folder(model)
        assert output_bias(weights_of(loaded.model))[EOS] < -1e29
        process = translate(launcher, model, LINES, *kind)
        assert process.wait() == 0, process.errors
        records = [json.loads(line) for line in process.output.splitlines()]
        assert [record["source"] for record in records] == LINES
        for record in records:
            assert record["finished"] == (record["source"] == "")
            if record["source"]:
                length = len(loaded.source.encode(record["source"])) + 1
                # score = mean per piece: exactly as many pieces were generated as the limit allows
                written = record["logprob"] / record["score"]
                assert round(written) == FACTOR * length + OFFSET
    programme.record(
        9,
        f"a model that never ends, {' '.join(kind)}: cut and flagged",
        tries=tries,
        worst_seconds=time.monotonic() - begin,
    )


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_model_that_yields_nan_exits_with_4(make_model_folder, launcher, programme, kind):
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        output_bias(tensors)[17] = torch.nan

    process = translate(launcher, spoilt(make_model_folder(), spoil), LINES, *kind)
    assert process.wait() == 4
    assert "Traceback" not in process.errors
    assert "NaN" in process.errors
    assert "use an earlier checkpoint" in process.errors
    programme.record(9, f"NaN logits, {' '.join(kind)}: exit 4", tries=1)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_model_in_a_loop_is_flagged_and_the_repetition_rule_helps(
    make_model_folder, launcher, programme, kind
):
    """It repeats one piece, could choose two hundred others, and never ends."""
    if kind != KINDS[1]:
        programme.require_full()

    def say_one(tensors: dict[str, torch.Tensor]) -> None:
        output_bias(tensors)[:] = -torch.inf
        output_bias(tensors)[40:240] = 0.0
        output_bias(tensors)[40] = 100.0

    model, rates = spoilt(make_model_folder(), say_one), []
    for options in ([], ["--no-repeat-ngram", "2"], ["--no-repeat-ngram", "1"]):
        process = translate(launcher, model, LINES, *kind, *options)
        assert process.wait() == 0, process.errors
        records = [json.loads(line) for line in process.output.splitlines()]
        assert len(records) == len(LINES)  # no search failed because of the rule
        filled = [record for record in records if record["source"]]
        assert all(record["text"] for record in filled)
        assert not any(record["repeats"] for record in records if not record["source"])
        rates.append(sum(record["repeats"] for record in filled) / len(filled))
    assert rates == [1.0, 0.0, 0.0]
    programme.record(10, f"a loop, {' '.join(kind)}: all flagged; none with the rule", tries=3)
