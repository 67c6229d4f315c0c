"""Pieces of the source as ids of the target."""

import numpy as np
import pytest

from nmt.text.copied import CopyIds
from nmt.text.subword import Subword
from nmt.text.vocabulary import EOS, UNK


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> tuple[Subword, Subword]:
    """Words of two sides: both know "a" and "b", only the source "x", only the target "y"."""
    folder = tmp_path_factory.mktemp("words")
    return tuple(
        Subword.train([text] * 20, folder / name, kind="word", vocab_size=30)
        for name, text in (("source", "a b x"), ("target", "b a y"))
    )


def test_each_source_word_holds_the_target_word_of_the_same_spelling(words):
    copies = CopyIds(*words)
    source, target = copies.source, copies.target
    text = "b x y new x a other"

    read, beyond = copies.read([*source.encode(text), EOS], text)

    size = source.vocab_size
    assert (read % size).tolist() == [*source.encode(text), EOS]
    written = np.where(read < size, read, read // size - 1)
    assert written[[0, 2, 5, 7]].tolist() == [*target.encode("b y a"), EOS]
    assert written[[1, 3, 4, 6]].tolist() == [target.vocab_size + n for n in (0, 1, 0, 2)]
    assert beyond == ("▁x", "▁new", "▁other")


def test_unknown_target_words_are_those_of_the_source(words):
    copies = CopyIds(*words)
    source, target = copies.source, copies.target
    _, beyond = copies.read(source.encode("new x"), "new x")

    ids = copies.write(target.encode("a x else new"), "a x else new", beyond)

    size = target.vocab_size
    assert ids.tolist() == [*target.encode("a"), size + 1, UNK, size]


def test_copied_text_is_written_as_it_was_read(words):
    copies = CopyIds(*words)
    source, target = copies.source, copies.target
    text = "new a x b"
    _, beyond = copies.read(source.encode(text), text)
    ids = copies.write(target.encode(text), text, beyond)

    assert target.decode(ids, beyond) == text
    assert [text[slice(*span)] for span in target.decode_spans(ids, beyond)] == [
        "new",
        " a",
        " x",
        " b",
    ]


def test_characters_beyond_the_vocabulary_are_copied_within_a_word(tmp_path):
    joint = Subword.train(
        ["ab ba"] * 20, tmp_path / "m", kind="char", vocab_size=30, byte_fallback=False
    )
    copies, text = CopyIds(joint, joint), "aλμ b"
    _, beyond = copies.read(joint.encode(text), text)
    ids = copies.write(joint.encode(text), text, beyond)

    assert beyond == ("λμ",)
    assert joint.decode(ids, beyond) == text


def test_each_of_several_unknown_words_of_a_training_pair_is_copied(words):
    source, target = words
    copies = CopyIds(source, target)
    texts = ("one two b", "two one b")
    ids = (np.array([*source.encode(texts[0]), EOS]), np.array([*target.encode(texts[1]), EOS]))

    read, written = copies.pair(ids, texts)

    assert len(ids[0]) == 3  # sentencepiece takes both for one unknown piece
    assert (read % source.vocab_size).tolist() == [UNK, UNK, *source.encode("b"), EOS]
    assert written.tolist() == [
        target.vocab_size + 1,
        target.vocab_size,
        *target.encode("b"),
        EOS,
    ]


def test_ids_stay_as_they_are_if_one_vocabulary_spells_everything(tmp_path):
    joint = Subword.train(["ab ba"] * 20, tmp_path / "m", kind="bpe", vocab_size=300)
    ids = np.array([*joint.encode("ab λ"), EOS])

    read, beyond = CopyIds(joint, joint).read(ids, "ab λ")

    assert (read == ids).all()
    assert not beyond
