"""The generated corpus has the statistics of a real one and is reproducible."""

import numpy as np
import pytest
from tiny_sizes import set_up_tiny

from nmt.benchmark.setup import draw_lengths, draw_text
from nmt.benchmark.sizes import experiment_of
from nmt.config.checks import disagreements
from nmt.config.load import load
from nmt.data.corpus import Corpus
from nmt.data.folder import TRAIN
from nmt.models.folder import load_model_folder
from nmt.text.subword import load_subwords
from nmt.text.vocabulary import UNK


def test_lengths_are_distributed_as_in_multi30k():
    source, target = draw_lengths(29_000, np.random.default_rng(1))
    assert source.mean() == pytest.approx(14.33, rel=0.02)
    assert target.mean() == pytest.approx(14.84, rel=0.02)
    assert source.std() == pytest.approx(4.76, rel=0.05)
    assert target.std() == pytest.approx(5.47, rel=0.05)
    assert np.corrcoef(source, target)[0, 1] == pytest.approx(0.87, abs=0.03)


def test_text_has_the_lengths_asked_for_and_every_word_at_least_once():
    lengths = np.full(200, 10)
    lines = draw_text(lengths, 300, 0, np.random.default_rng(1)).splitlines()
    assert [len(line.split()) for line in lines] == lengths.tolist()
    assert len(set(" ".join(lines).split())) == 200  # two thirds of 300


def test_the_two_languages_share_a_third_of_the_words():
    lengths = np.full(200, 10)
    source, target = (
        set(draw_text(lengths, 300, side, np.random.default_rng(1)).split()) for side in (0, 1)
    )
    assert len(source & target) == 100
    assert len(source | target) == 300


def test_setup_makes_a_run_folder_with_a_vocabulary_for_each_side(tiny_folder):
    source, target = load_subwords(tiny_folder / "data")
    corpus = Corpus(tiny_folder / "data", TRAIN)
    assert source.vocab_size == target.vocab_size == 4 + 37  # two thirds of 56 words
    assert len(corpus) == 100
    assert all(UNK not in corpus.pair(number)[side] for number in range(100) for side in (0, 1))
    assert load_model_folder(tiny_folder).config.model == load(tiny_folder / "config.toml").model


def test_setup_is_reproducible(tiny_folder, tmp_path):
    set_up_tiny(tmp_path)
    for name in ("train.source", "valid.target", "data/train/ids.bin", "model/model.safetensors"):
        assert (tmp_path / name).read_bytes() == (tiny_folder / name).read_bytes()


@pytest.mark.parametrize("size", ["small", "big"])
def test_the_measured_configurations_are_consistent(size, tmp_path):
    assert list(disagreements(experiment_of(size, tmp_path))) == []
