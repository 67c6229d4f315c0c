import logging
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import sentencepiece
from german import WORDS
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import ConfigError, DataError, ModelError
from nmt.text.subword import (
    JOINT_FILE,
    SOURCE_FILE,
    TARGET_FILE,
    Subword,
    load_subwords,
)
from nmt.text.vocabulary import BOS, EOS, PAD, SPECIAL_PIECES, UNK

KINDS = ("unigram", "bpe", "char", "word")


def sentences(count: int = 400) -> list[str]:
    generator = random.Random(1)
    return [" ".join(generator.choices(WORDS, k=generator.randint(2, 9))) for _ in range(count)]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Subword]:
    folder = tmp_path_factory.mktemp("subword")
    return {
        kind: Subword.train(sentences(), folder / f"{kind}.model", kind=kind, vocab_size=320)
        for kind in KINDS
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[str, Subword]:
    """Models without byte fallback."""
    folder = tmp_path_factory.mktemp("plain")
    return {
        kind: Subword.train(
            sentences(), folder / f"{kind}.model", kind=kind, vocab_size=60, byte_fallback=False
        )
        for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_special_pieces_have_their_fixed_ids(kind, models):
    assert tuple(models[kind].pieces([PAD, UNK, BOS, EOS])) == SPECIAL_PIECES


@pytest.mark.parametrize("kind", KINDS)
def test_known_text_round_trips(kind, models):
    subword = models[kind]
    for text in sentences(50):
        ids = subword.encode(text)
        assert UNK not in ids
        assert BOS not in ids
        assert EOS not in ids
        assert subword.decode(ids) == text


LINE = st.text(st.characters(exclude_characters="\n\r\0▁", exclude_categories=["Cs"]))


@given(text=LINE)
def test_any_text_round_trips_with_byte_fallback_including_spaces(text, models):
    for kind in ("unigram", "bpe", "char"):
        assert models[kind].decode(models[kind].encode(text)) == text
    for kind in ("unigram", "bpe"):
        [ids] = models[kind].encode_sampled([text], alpha=0.3, seed=1)
        assert models[kind].decode(ids) == text


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_line_has_no_pieces(kind, models):
    assert models[kind].encode("") == []
    assert models[kind].encode("", alpha=0.1) == []
    assert models[kind].decode([]) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_special_pieces_in_a_text_are_text(kind, models):
    ids = models[kind].encode("<pad> <s> </s>")
    assert not {PAD, BOS, EOS} & set(ids)


def test_words_are_whole_and_unknown_ones_keep_their_place(models):
    subword = models["word"]
    assert subword.pieces(subword.encode("der Hund")) == ["▁der", "▁Hund"]
    assert subword.decode(subword.encode("der Wal läuft")) == "der ⁇ läuft"
    assert subword.decode(subword.encode("Wal läuft")) == "⁇ läuft"


def test_an_unknown_character_stands_alone_without_byte_fallback(plain):
    for kind in ("unigram", "bpe", "char"):
        assert plain[kind].decode(plain[kind].encode("der Xund")) == "der ⁇und"


def test_padding_bos_and_eos_are_not_decoded(models):
    subword = models["bpe"]
    ids = subword.encode("der Hund")
    assert subword.decode([BOS, *ids, EOS, PAD, PAD]) == "der Hund"


@pytest.mark.parametrize("byte", [0x0A, 0x0D, 0x00])
def test_decoded_text_is_always_one_line(byte, models):
    subword = models["unigram"]
    piece = subword.id_of(f"<0x{byte:02X}>")
    assert subword.decode([*subword.encode("a"), piece, *subword.encode("b")]) == "a  b"


def test_incomplete_characters_become_replacement_characters(models):
    subword = models["unigram"]
    euro = [subword.id_of(f"<0x{byte:02X}>") for byte in "€".encode()]
    assert subword.decode(euro) == "€"
    assert set(subword.decode(euro[:2])) == {"\ufffd"}


def test_lone_surrogates_do_no_harm(models):
    for kind in ("unigram", "bpe", "char"):
        subword = models[kind]
        assert subword.decode(subword.encode("der \ud800")) == "der \ufffd"
        assert subword.decode(subword.encode("der \ud800", alpha=0.1)) == "der \ufffd"


def test_pieces_have_ids(models):
    subword = models["unigram"]
    ids = subword.encode("der Hund über")
    assert [subword.id_of(piece) for piece in subword.pieces(ids)] == ids
    assert subword.id_of("no such piece") is None
    assert subword.id_of("<unk>") == UNK


@pytest.mark.parametrize("kind", KINDS)
def test_many_lines_are_segmented_like_single_ones(kind, models):
    texts = [*sentences(20), "", "Łódź"]
    assert models[kind].encode_all(texts) == [models[kind].encode(text) for text in texts]


# --- training ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_the_same_when_trained_again_or_loaded(kind, models, tmp_path):
    again = Subword.train(sentences(), tmp_path / "again", kind=kind, vocab_size=320)
    loaded = Subword.load(tmp_path / "again")
    assert again.fingerprint == models[kind].fingerprint == loaded.fingerprint
    assert loaded.vocab_size == models[kind].vocab_size
    assert loaded.kind == kind


@pytest.mark.parametrize("kind", ["unigram", "bpe", "word"])
def test_a_small_text_yields_a_smaller_vocabulary_and_a_line_in_the_log(kind, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        subword = Subword.train(["a b c"] * 3, tmp_path / "small", kind=kind, vocab_size=8000)
    assert subword.vocab_size < 300
    assert f"small: the text yields {subword.vocab_size} pieces" in caplog.text
    assert "fewer than tokenizer.vocab_size = 8,000" in caplog.text


def test_pieces_are_learned_from_long_lines(tmp_path):
    long = " ".join(["Dampfschiff"] * 1000)
    subword = Subword.train([long, "a b"], tmp_path / "m", kind="bpe", vocab_size=300)
    assert subword.pieces(subword.encode("Dampfschiff")) == ["▁Dampfschiff"]


def test_pieces_are_learned_from_lines_with_the_trainers_reserved_character(tmp_path):
    subword = Subword.train(["Schiff ▅ ahoi"] * 9, tmp_path / "m", kind="word", vocab_size=300)
    assert subword.id_of("▁ahoi") is not None


@pytest.mark.parametrize("kind", ["unigram", "bpe", "char"])
def test_a_vocabulary_too_small_for_the_bytes_is_a_configuration_error(kind, tmp_path):
    with pytest.raises(ConfigError) as caught:
        Subword.train(sentences(), tmp_path / "m", kind=kind, vocab_size=100)
    assert str(caught.value) == (
        "tokenizer.vocab_size: 100 is too small, the least is 261: 4 special pieces, 256 bytes "
        "and a character; raise it or set tokenizer.byte_fallback = false."
    )


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_vocabulary_too_small_for_the_characters_says_how_many_are_needed(kind, tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"270 is too small, the characters of the text need 2\d\d; raise it, "
        r"set tokenizer\.byte_fallback = false or lower tokenizer\.character_coverage\.$",
    ):
        Subword.train(sentences(), tmp_path / "m", kind=kind, vocab_size=270)


@pytest.mark.parametrize("lines", [[], ["", ""]])
def test_an_empty_text_is_refused(lines, tmp_path):
    with pytest.raises(
        DataError, match="is no text to learn pieces from, every line is empty; name other files"
    ):
        Subword.train(lines, tmp_path / "m", kind="unigram", vocab_size=300)


def test_an_error_while_reading_is_passed_on_unchanged(tmp_path):
    def lines():
        yield "a b"
        raise DataError("in.de:2: byte 1 is 0xff")

    with pytest.raises(DataError, match=r"in\.de:2: byte 1 is 0xff"):
        Subword.train(lines(), tmp_path / "m", kind="bpe", vocab_size=300)


def test_a_failure_of_the_trainer_is_reported_in_its_words(tmp_path, monkeypatch):
    def train(*, sentence_iterator, **_):
        list(sentence_iterator)
        raise RuntimeError("INTERNAL: too odd")

    monkeypatch.setattr(sentencepiece.SentencePieceTrainer, "train", train)
    refusal = (
        r"^no 300 pieces can be learned from the text \(INTERNAL: too odd\); "
        r"try another tokenizer\.vocab_size, or more text\.$"
    )
    with pytest.raises(DataError, match=refusal):
        Subword.train(["some text"], tmp_path / "m", kind="bpe", vocab_size=300)


def test_ctrl_c_while_the_trainer_reads_is_passed_on(tmp_path):
    def lines():
        yield "some text"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Subword.train(lines(), tmp_path / "m.model", kind="word", vocab_size=30)


def test_training_is_silent(tmp_path):
    code = (
        "from pathlib import Path; from nmt.text.subword import Subword;"
        "Subword.train(['a b c', '▁ ▅'] * 9, Path('m'), kind='unigram', vocab_size=300)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def environment() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}


# --- loading -------------------------------------------------------------------------------


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"subword\.model: is missing; `nmt prepare` trains it"):
        load_subwords(tmp_path)


def test_a_pipe_in_place_of_a_model_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "subword.model")
    refusal = r"subword\.model: is not a regular file; copy the file itself there\."
    with pytest.raises(ModelError, match=refusal):
        load_subwords(tmp_path)


@pytest.mark.parametrize("content", [b"", b"junk", b"\x0a\xff"])
def test_a_damaged_model_is_named(content, tmp_path):
    path = tmp_path / "m.model"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        Subword.load(path)
    assert str(caught.value) == f"{path}: is not a subword model, or damaged; restore it."


def test_a_model_with_other_special_ids_is_refused(tmp_path):
    import io

    output = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c"]),
        model_writer=output,
        vocab_size=8,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    with pytest.raises(
        ModelError, match=r"begins with the pieces <unk> <s> </s> .*; train it with `nmt prepare`"
    ):
        Subword(output.getvalue())


def test_a_folder_holds_one_model_or_two(models, tmp_path):
    bpe, char = (
        Subword.train(sentences(), tmp_path / k, kind=k, vocab_size=320) for k in KINDS[1:3]
    )
    (tmp_path / "bpe").rename(tmp_path / SOURCE_FILE)
    (tmp_path / "char").rename(tmp_path / TARGET_FILE)
    assert [m.fingerprint for m in load_subwords(tmp_path)] == [bpe.fingerprint, char.fingerprint]

    (tmp_path / SOURCE_FILE).rename(tmp_path / JOINT_FILE)
    source, target = load_subwords(tmp_path)
    assert source is target


# --- sampling ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_seed_determines_the_segmentations_whatever_happened_before(kind, models, tmp_path):
    subword, texts = models[kind], sentences(50)
    first = subword.encode_sampled(texts, alpha=0.2, seed=7)
    subword.encode_sampled(texts[::-1], alpha=0.2, seed=8)
    subword.encode("der Hund", alpha=0.2)

    assert subword.encode_sampled(texts, alpha=0.2, seed=7) == first
    assert subword.encode_sampled(texts, alpha=0.2, seed=8) != first
    assert first != subword.encode_all(texts)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_seed_determines_the_segmentations_in_another_process(kind, models, tmp_path):
    path = tmp_path / "m.model"
    subword = Subword.train(sentences(), path, kind=kind, vocab_size=320)
    code = (
        "import sys; from pathlib import Path; from nmt.text.subword import Subword;"
        "print(Subword.load(Path(sys.argv[1])).encode_sampled("
        "['der kleine Hund läuft über die Straße'] * 20, alpha=0.2, seed=5))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], env=environment(), capture_output=True, text=True
    )
    texts = ["der kleine Hund läuft über die Straße"] * 20
    assert done.stdout == f"{subword.encode_sampled(texts, alpha=0.2, seed=5)}\n"


@pytest.mark.parametrize("kind", ["char", "word"])
def test_kinds_with_one_segmentation_keep_it(kind, models):
    texts = sentences(20)
    assert models[kind].encode_sampled(texts, alpha=0.5, seed=1) == models[kind].encode_all(texts)


def test_segmentations_can_be_drawn_line_by_line(models):
    subword, texts = models["unigram"], sentences(20)
    generator = random.Random(3)
    drawn = [subword.encode(text, alpha=0.2, generator=generator) for text in texts]
    assert drawn == subword.encode_sampled(texts, alpha=0.2, seed=3)
