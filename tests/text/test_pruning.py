"""A pruned subword model segments its text exactly as the whole model does."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from german import WORDS

from nmt.text.pruning import UsedPieces, prune
from nmt.text.segmentation import BpeDropout
from nmt.text.subword import Subword
from nmt.text.vocabulary import SPECIAL_PIECES

ENGLISH = [
    "the",
    "that",
    "a",
    "small",
    "large",
    "dog",
    "cat",
    "men",
    "sleeps",
    "runs",
    "over",
    "street",
    "and",
    "not",
]
KINDS = ("unigram", "bpe", "char", "word")


def sentences(words: Sequence[str], seed: int) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(words, k=generator.randint(2, 9))) for _ in range(300)]


TARGET, SOURCE = sentences(WORDS, 1), sentences(ENGLISH, 2)


@pytest.fixture(scope="module", params=[True, False], ids=["bytes", "no bytes"])
def folder(request, tmp_path_factory) -> Path:
    """Joint models of every kind."""
    made = tmp_path_factory.mktemp("joint")
    for kind in KINDS:
        Subword.train(
            [*SOURCE, *TARGET],
            made / kind,
            kind=kind,
            vocab_size=400 if request.param and kind != "word" else 120,
            byte_fallback=request.param and kind != "word",
        )
    return made


def pruned(folder: Path, kind: str, lines: Sequence[str], path: Path) -> tuple[Subword, Subword]:
    """Return the whole model, and the model that is pruned to `lines`."""
    whole = Subword.load(folder / kind)
    used = UsedPieces(whole)
    for line in lines:
        used.add([whole.encode(line)], [line])
    return whole, prune(folder / kind, used.needed(), path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pruned_model_segments_its_text_as_before(kind, folder, tmp_path):
    whole, rest = pruned(folder, kind, TARGET, tmp_path / "rest")
    assert rest.kind == whole.kind == kind
    assert rest.vocab_size < whole.vocab_size
    for line in TARGET:
        assert rest.pieces(rest.encode(line)) == whole.pieces(whole.encode(line))
        assert rest.decode(rest.encode(line)) == whole.decode(whole.encode(line))


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_keep_their_order_and_the_special_ones_their_ids(kind, folder, tmp_path):
    whole, rest = pruned(folder, kind, TARGET, tmp_path / "rest")
    every = rest.pieces(range(rest.vocab_size))
    places = [whole.pieces(range(whole.vocab_size)).index(piece) for piece in every]
    assert places == sorted(places)
    assert every[: len(SPECIAL_PIECES)] == list(SPECIAL_PIECES)


def test_bytes_are_kept_so_that_any_text_can_be_segmented(folder, tmp_path):
    whole, rest = pruned(folder, "bpe", TARGET, tmp_path / "rest")
    odd = "der Hund 犬 🐕"
    assert len(rest.piece_table.bytes) == len(whole.piece_table.bytes)
    if whole.piece_table.bytes:
        assert rest.decode(rest.encode(odd)) == odd


def test_bpe_keeps_the_intermediate_merges_of_each_piece(folder, tmp_path):
    _, rest = pruned(folder, "bpe", TARGET, tmp_path / "rest")
    table = rest.piece_table
    merge, generator = BpeDropout(table, rate=0.0), random.Random(0)
    for piece, number in table.ids.items():
        if len(piece) > 1:
            assert merge(piece, generator) == [number]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_sampled_segmentations_decode_to_the_same_text(kind, folder, tmp_path):
    _, rest = pruned(folder, kind, TARGET, tmp_path / "rest")
    generator = random.Random(0)
    drawn = {
        tuple(rest.encode(line, alpha=0.2, generator=generator)) for line in TARGET for _ in "abc"
    }
    assert len(drawn) > len(set(TARGET))
    assert {rest.decode(list(ids)) for ids in drawn} == set(TARGET)
