"""`tokenizer.symbols` stay whole from the text files to translations."""

import random
from pathlib import Path

import pytest
from tiny import tiny, train_tiny, write_corpus

from nmt.config.search import change_search
from nmt.errors import ConfigError
from nmt.text.subword import load_subwords
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

SYMBOLS = ("<2yy>", "⟨N1⟩", "⟨N2⟩")
OPTIONS = (
    'tokenizer.symbols=["<2yy>", "⟨N1⟩", "⟨N2⟩"]',
    "tokenizer.vocab_size=60",
    "training.max_updates=150",
    "training.learning_rate=0.03",
    "model.dropout=0",
)


def write_symbols(folder: Path) -> None:
    """Write sources that begin with a tag and hold a symbol; targets begin with that symbol."""
    write_corpus(folder)
    chance = random.Random(2)
    for part, size in (("train", 80), ("valid", 10)):
        numbers = [chance.choice("12") for _ in range(size)]
        words = ["".join(chance.choices("abc", k=3)) for _ in range(size)]
        pairs = zip(numbers, words, strict=True)
        sources, targets = zip(
            *((f"<2yy> {word} ⟨N{number}⟩.", f"⟨N{number}⟩, d") for number, word in pairs),
            strict=True,
        )
        (folder / f"{part}.xx").write_text("\n".join(sources) + "\n")
        (folder / f"{part}.yy").write_text("\n".join(targets) + "\n")


def train(folder: Path, *overrides: str) -> Path:
    write_symbols(folder)
    return train_tiny(folder, *OPTIONS, *overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ("tokenizer.kind=bpe", "tokenizer.sampling=0.2"),
        ("tokenizer.kind=unigram", "tokenizer.sampling=0.3", "tokenizer.joint=false"),
        ("tokenizer.kind=char",),
    ],
    ids=["bpe", "unigram", "char"],
)
def test_a_model_reads_and_writes_them_as_single_pieces(overrides, tmp_path):
    run = train(tmp_path, *overrides)
    source, target = load_subwords(run / "model")
    assert set(source.symbols.ids) == set(target.symbols.ids) == set(SYMBOLS)

    lines = ["<2yy> cab ⟨N1⟩.", "<2yy> abc⟨N2⟩."]
    for line in lines:
        ids = source.encode(line)
        assert [piece for piece in source.pieces(ids) if piece in SYMBOLS] == [
            "<2yy>",
            line[-5:-1],
        ]
    translator = Translator.load(run)
    found = [translation.text for translation in translator.translate(lines)]
    assert found == ["⟨N1⟩, d", "⟨N2⟩, d"]
    without = change_search(translator.options, {"ban": ("⟨N1⟩",)})
    found = [translation.text for translation in translator.translate(lines, options=without)]
    assert "⟨N1⟩" not in found[0]
    assert found[1] == "⟨N2⟩, d"


def test_symbols_are_normalised_as_the_text_is(tmp_path):
    write_corpus(tmp_path)
    for side in ("xx", "yy"):
        (tmp_path / f"train.{side}").write_text("a ﬁ1 b\nb a\n")
    options = ('tokenizer.symbols=["ﬁ1"]', "normalization.unicode=nfkc", "tokenizer.kind=char")
    run_training(tiny(tmp_path, *options, "training.max_updates=1"), tmp_path / "run", RunOptions())
    assert "fi1" in load_subwords(tmp_path / "run" / "data")[0].symbols.ids


def test_a_symbol_that_no_training_pair_has_is_named(tmp_path, caplog):
    few = ("tokenizer.kind=bpe", "training.max_updates=1")
    train(tmp_path, *few, 'tokenizer.symbols=["<2yy>", "<2zz>"]')
    [warning] = [message for message in caplog.messages if "tokenizer.symbols" in message]
    assert warning == (
        "tokenizer.symbols: no training pair has <2zz>, so the model cannot learn to use it; "
        "compare the spelling with the text"
    )


def test_pieces_of_another_run_must_have_them(tmp_path):
    write_symbols(tmp_path)
    plain = tiny(
        tmp_path, "tokenizer.kind=bpe", "tokenizer.vocab_size=60", "training.max_updates=1"
    )
    run_training(plain, tmp_path / "plain", RunOptions())
    taken = tiny(tmp_path, *OPTIONS, "tokenizer.kind=bpe", f"tokenizer.from={tmp_path / 'plain'}")
    with pytest.raises(ConfigError) as error:
        run_training(taken, tmp_path / "run", RunOptions())
    assert str(error.value) == (
        f"tokenizer.symbols: {tmp_path / 'plain'} has no pieces for <2yy>, ⟨N1⟩, ⟨N2⟩; leave out "
        "tokenizer.symbols, or tokenizer.from to learn new pieces."
    )


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        ('["a b"]', '"a b" has a space, or one of the signs that stand for one, "▁" and "▅"; use'),
        ('["x▁"]', '"x▁" has a space, or one of the signs'),
        ('["<unk>"]', '"<unk>" is the name of a special piece; choose another'),
        ('["<0x0A>"]', '"<0x0A>" is the name of a special piece; choose another'),
        ('["<a>", "<a>"]', '"<a>" is listed twice; leave one out'),
        ('["é", "é"]', '"é" is listed twice; leave one out'),
        ('[""]', '"" is empty; leave it out'),
    ],
)
def test_texts_that_cannot_be_pieces_are_refused(symbols, message, tmp_path):
    with pytest.raises(ConfigError) as error:
        tiny(tmp_path, f"tokenizer.symbols={symbols}", "tokenizer.kind=bpe")
    assert f"tokenizer.symbols: {message}" in str(error.value)


def test_words_as_pieces_allow_no_symbols(tmp_path):
    with pytest.raises(ConfigError) as error:
        tiny(tmp_path, 'tokenizer.symbols=["<a>"]')
    assert str(error.value).endswith(
        'tokenizer.symbols: needs tokenizer.kind "unigram", "bpe" or "char", since "word" keeps '
        "all whole that stands between spaces; put spaces around symbols in the text instead"
    )
