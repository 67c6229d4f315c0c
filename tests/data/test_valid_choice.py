"""Without validation files, sentences are held out from the training files."""

import random
from pathlib import Path

import pytest
from test_prepare import Corpora, dropped, texts

from nmt.data.folder import PreparationRecord, valid_files
from nmt.data.valid_choice import MOST, ValidChoice
from nmt.errors import DataError
from nmt.text.filters import digest_of
from nmt.text.subword import load_subwords
from nmt.text.vocabulary import UNK

PAIRS = [(f"Satz {number} ist da", f"sentence {number} is here") for number in range(200)]


@pytest.fixture
def corpora(tmp_path: Path) -> Corpora:
    made = Corpora(tmp_path)
    made.write("train", PAIRS)
    return made


def chosen(pairs: list[tuple[str, str]], *, longest: int = 1000) -> set[str]:
    """Return the sources that are held out."""
    candidates = ValidChoice(longest)
    for source, target in pairs:
        candidates.add(source, target)
    found = candidates.choose()
    return {source for source, _ in pairs if digest_of(source) in found}


# --- which sentences -----------------------------------------------------------------------


@pytest.mark.parametrize(("count", "size"), [(1, 0), (2, 1), (39, 1), (40, 2), (30_000, MOST)])
def test_one_sentence_in_twenty_is_held_out_but_at_most_a_thousand(count, size):
    assert len(chosen([(f"{number}", f"t{number}") for number in range(count)])) == size


def test_nothing_is_held_out_of_nothing():
    assert ValidChoice(10).choose() == frozenset()


def test_the_choice_does_not_depend_on_the_order_of_the_pairs():
    shuffled = random.Random(1).sample(PAIRS, len(PAIRS))
    assert chosen(shuffled) == chosen(PAIRS)


def test_sentences_whose_translations_occur_nowhere_else_come_first():
    shared = [(f"ja {number}", "yes") for number in range(150)]
    own = [(f"Satz {number}", f"sentence {number}") for number in range(50)]
    assert chosen(shared + own) <= {source for source, _ in own}


def test_a_sentence_with_one_shared_translation_comes_later():
    shared = [(f"ja {n}", target) for n in range(150) for target in (f"yes {n}", "yes")]
    own = [(f"Satz {number}", f"sentence {number}") for number in range(50)]
    assert chosen(shared + own) <= {source for source, _ in own}


def test_repeated_pairs_do_not_count_as_shared():
    shared = [(f"ja {number}", "yes") for number in range(150)]
    repeated = [(f"Satz {number}", f"sentence {number}") for number in range(50)] * 2
    assert chosen(shared + repeated) <= {source for source, _ in repeated}


@pytest.mark.parametrize("odd", [("same", "same"), ("long " * 30, "short")])
def test_copies_and_overlong_lines_come_later(odd):
    pairs = [(f"{odd[0]} {n}", f"{odd[1]} {n}") for n in range(150)]
    own = [(f"Satz {number}", f"sentence {number}") for number in range(50)]
    assert chosen(pairs + own, longest=100) <= {source for source, _ in own}


def test_where_all_translations_are_shared_as_by_a_classifier_sentences_are_still_found():
    assert len(chosen([(f"Satz {n}", "good" if n % 2 else "bad") for n in range(100)])) == 5


# --- in the prepared data ------------------------------------------------------------------


def test_no_sentence_is_both_trained_on_and_validated_on(corpora):
    corpora.write("train", PAIRS + [(source, f"again {target}") for source, target in PAIRS])
    summary = corpora.prepare(valid=None)
    trained, held_out = texts(corpora.open()), texts(corpora.open("valid"))
    assert len(held_out) == summary.valid_pairs == 10
    assert summary.dropped == {"for validation": 20}
    assert len(trained) == summary.kept == 380
    for side in (0, 1):
        assert not {pair[side] for pair in trained} & {pair[side] for pair in held_out}


def test_the_held_out_text_is_kept_as_it_was_written(corpora):
    """Its references are those that scores are computed with: not normalised."""
    corpora.write("train", [(f"{source}  !", f"{target}\u00a0 !") for source, target in PAIRS])
    corpora.prepare(valid=None)
    source, target = (corpora.out / f"valid-{side}.txt" for side in ("source", "target"))
    pairs = list(zip(source.read_text().splitlines(), target.read_text().splitlines(), strict=True))
    assert len(pairs) == 10
    assert set(pairs) <= {(f"{source}  !", f"{target}\u00a0 !") for source, target in PAIRS}
    assert [" ".join(source.split()) for source, _ in pairs] == [
        source for source, _ in texts(corpora.open("valid"))
    ]


def test_held_out_pairs_are_listed_with_their_lines(corpora):
    corpora.prepare(valid=None)
    rows = [row for row in dropped(corpora.out) if row[1] == "for validation"]
    assert len(rows) == 10
    assert all(PAIRS[int(line) - 1] == (source, target) for line, _, source, target in rows)


def test_pieces_are_learned_without_the_held_out_text(corpora):
    numbers = [(f"{chr(0x4E00 + number)}", f"{number}") for number in range(40)]
    corpora.write("train", numbers)
    corpora.prepare(
        valid=None, tokenizer={"kind": "word", "byte_fallback": False, "vocab_size": 500}
    )
    source, _ = load_subwords(corpora.out)
    for text in (corpora.out / "valid-source.txt").read_text().split():
        assert UNK in source.encode_all([text])[0]


def test_the_same_files_give_the_same_choice_and_are_not_prepared_again(corpora):
    first = corpora.prepare(valid=None)
    held_out = texts(corpora.open("valid"))
    second = corpora.prepare(valid=None)
    assert (first.up_to_date, second.up_to_date) == (False, True)
    assert second.is_valid_held_out
    assert texts(corpora.open("valid")) == held_out


def test_the_summary_says_that_and_where_sentences_were_held_out(corpora):
    lines = corpora.prepare(valid=None).describe()
    assert "190 kept  (10 for validation)" in lines[0]
    assert lines[1] == (
        "valid  10 pairs   held out from the training files: "
        f"valid-source.txt and valid-target.txt in {corpora.out}"
    )
    assert PreparationRecord.load(corpora.out).summary.is_valid_held_out


def test_named_files_are_validated_on_as_they_are(corpora):
    corpora.write("valid", PAIRS[:3])
    assert not corpora.prepare().is_valid_held_out
    assert not (corpora.out / "valid-source.txt").exists()
    data = corpora.experiment().data
    assert valid_files(data, corpora.out) == ("valid.de", "valid.en")


def test_one_sentence_is_too_few_to_hold_one_out(corpora):
    corpora.write("train", [("ein Satz", "one sentence")] * 5)
    text = r"train\.de: has only one sentence, .*; name validation files in data\.valid\.$"
    with pytest.raises(DataError, match=text):
        corpora.prepare(valid=None)
