"""Each property of a corpus leads to the settings that fit it."""

import random
import re
from pathlib import Path

import pytest

from nmt.config.checks import disagreements
from nmt.config.data import DataConfig
from nmt.config.presets import preset_for
from nmt.data.fit import Fit, fit
from nmt.data.survey import survey
from nmt.errors import DataError
from nmt.text.subword import Subword

ENGLISH = ["the cat sleeps", "a small dog runs over the street", "not the men, and that!"]
ITALIAN = ["il gatto dorme", "un piccolo cane corre per la strada", "non gli uomini, e quello!"]
RUSSIAN = ["кошка спит", "маленькая собака бежит по улице", "не мужчины, и то!"]
TINY = preset_for(3)


def fitted(folder: Path, source: list[str], target: list[str], languages=("en", "it")) -> Fit:
    files = folder / "source", folder / "target"
    for file, lines in zip(files, (source, target), strict=True):
        file.write_text("".join(f"{line}\n" for line in lines))
    names = str(files[0]), str(files[1])
    data = DataConfig(source=languages[0], target=languages[1], train=names, valid=names)
    made = fit(survey(*files), data)
    assert list(disagreements(made.experiment)) == []
    return made


def chinese(lines: int, characters: int) -> list[str]:
    """Lines of 30 characters; each of `characters` occurs, the first ones much more often."""
    generator = random.Random(1)
    text = [chr(0x4E00 + number) for number in range(characters)]
    text += [
        chr(0x4E00 + int(generator.paretovariate(0.5)) % characters) for _ in range(30 * lines)
    ]
    text = text[: 30 * lines]
    generator.shuffle(text)
    return ["".join(text[at : at + 30]) for at in range(0, len(text), 30)]


def test_an_ordinary_small_corpus_gets_the_preset_as_it_is(tmp_path):
    made = fitted(tmp_path, ENGLISH, ITALIAN)
    tokenizer, data = made.experiment.tokenizer, made.experiment.data
    assert (tokenizer.kind, tokenizer.vocab_size) == ("bpe", TINY.vocab_size)
    assert tokenizer.joint
    assert tokenizer.byte_fallback
    assert tokenizer.character_coverage == 1.0
    assert data.max_length == 128
    assert not data.drop_copies
    assert not data.drop_duplicates


@pytest.mark.parametrize(
    ("source", "target", "joint"),
    [
        (ENGLISH, ITALIAN, True),
        (ENGLISH, RUSSIAN, False),
        (RUSSIAN, RUSSIAN[::-1], True),
        (ENGLISH, ["我有三个苹果", "他是", "不"], False),
        (["我有三个苹果", "他是", "不"], ["私はリンゴを三個持っている", "彼は", "無"], True),
        (["1 2 3", "4", "5 6"], ["3 2 1", "4", "6 5"], True),
        (["1 2 3", "4", "5 6"], ["one two three", "four", "five six"], False),
    ],
)
def test_sides_share_a_vocabulary_if_they_share_letters(source, target, joint, tmp_path):
    assert fitted(tmp_path, source, target).experiment.tokenizer.joint is joint


def test_a_side_with_many_characters_gets_pieces_for_nearly_all_of_them(tmp_path):
    lines = chinese(lines=3000, characters=4000)
    made = fitted(tmp_path, [f"line {n}" for n in range(3000)], lines, languages=("en", "zh-Hans"))
    tokenizer = made.experiment.tokenizer
    assert not tokenizer.joint
    assert tokenizer.character_coverage == 0.9995
    assert tokenizer.vocab_size >= 4000
    assert any(note.startswith("4,000 different characters on a side:") for note in made.notes)

    subword = Subword.train(
        lines,
        tmp_path / "model",
        kind=tokenizer.kind,
        vocab_size=tokenizer.vocab_size,
        character_coverage=tokenizer.character_coverage,
    )
    pieces = [piece for ids in subword.encode_all(lines) for piece in subword.pieces(ids)]
    assert sum(piece.startswith("<0x") for piece in pieces) / 3 < 0.001 * 30 * 3000


def test_few_characters_of_a_rich_script_need_no_more_pieces(tmp_path):
    made = fitted(tmp_path, ENGLISH, ["我有三个苹果", "他是", "不"], languages=("en", "zh"))
    assert made.experiment.tokenizer.vocab_size == TINY.vocab_size
    assert made.experiment.tokenizer.character_coverage == 1.0


def test_symbols_between_spaces_are_words_and_single_words_are_characters(tmp_path):
    letters, phonemes = ["a b a n d o n", "c h a t", "n o"], ["a b ɑ̃ d ɔ̃", "ʃ a", "n o"]
    symbols = fitted(tmp_path, letters, phonemes).experiment.tokenizer
    assert (symbols.kind, symbols.byte_fallback) == ("word", False)
    words = fitted(tmp_path, ["abandon", "chat", "no"], ["abɑ̃dɔ̃", "ʃa", "no"])
    assert words.experiment.tokenizer.kind == "char"


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (["我有三个苹果", "他是"], ["私はリンゴ", "彼は"]),
        (["我 有 三个 苹果", "他 是"], ["私 は リンゴ", "彼 は"]),
        (["我有三个", "他是"], ["I have three", "he is"]),
    ],
)
def test_scripts_without_spaces_are_not_taken_for_single_words_or_symbols(source, target, tmp_path):
    assert fitted(tmp_path, source, target).experiment.tokenizer.kind == "bpe"


@pytest.mark.parametrize(
    ("line", "max_length"),
    [("word " * 60, 128), ("word " * 110, 256), ("word " * 250, 512), ("word " * 500, 1024)],
)
def test_the_longest_pair_leaves_room_for_the_text(line, max_length, tmp_path):
    made = fitted(tmp_path, [*ENGLISH, line], [*ITALIAN, line[::-1]])
    assert made.experiment.data.max_length == max_length


def test_a_line_that_no_length_keeps_does_not_raise_it(tmp_path):
    made = fitted(tmp_path, [*ENGLISH, "word " * 9999], [*ITALIAN, "parola " * 9999])
    assert made.experiment.data.max_length == 128
    assert made.experiment.training.max_updates == 500


def test_a_few_long_lines_do_not_raise_the_longest_pair(tmp_path):
    made = fitted(tmp_path, [*ENGLISH * 999, "word " * 99], [*ITALIAN * 999, "parola " * 80])
    assert made.experiment.data.max_length == 128
    assert (
        "pairs of up to 128 pieces (data.max_length): leaves out about 0.8 % of the text"
        in made.notes
    )


def test_copies_are_dropped_unless_both_sides_are_one_language(tmp_path):
    pairs = [*ENGLISH, "Roma"], [*ITALIAN, "Roma"]
    assert fitted(tmp_path, *pairs).experiment.data.drop_copies
    dialects = fitted(tmp_path, *pairs, languages=("en-GB", "en-US"))
    assert not dialects.experiment.data.drop_copies
    assert (
        "1 pair with the same text on both sides: kept, since both sides are one language "
        "(data.drop_copies)" in dialects.notes
    )


def test_copies_of_single_words_symbols_and_numbers_are_right(tmp_path):
    assert not fitted(tmp_path, ["a b", "c h a t"], ["a b", "ʃ a"]).experiment.data.drop_copies
    assert not fitted(tmp_path, ["abandon", "no"], ["abɑ̃dɔ̃", "no"]).experiment.data.drop_copies
    numbers = [*ENGLISH, "10. 11. 2020"], [*ITALIAN, "10. 11. 2020"]
    assert not fitted(tmp_path, *numbers).experiment.data.drop_copies


NEAR = ["de cat slip", "a small dog go for de strit", "no de men, an dat!", "small cat"]


def test_close_languages_copy_words_and_keep_pairs_that_are_the_same(tmp_path):
    made = fitted(tmp_path, [*ENGLISH, "small cat"], NEAR, languages=("en", "pcm"))
    assert made.experiment.model.output.kind == "copy"
    assert made.experiment.tokenizer.sampling == 0
    assert not made.experiment.data.drop_copies
    assert (
        "33 % of the target's words stand in the source line as well: the model may copy them "
        "(model.output), and words are always cut alike (tokenizer.sampling)" in made.notes
    )
    assert (
        "1 pair with the same text on both sides: kept, since the languages share many words "
        "(data.drop_copies)" in made.notes
    )


def test_languages_that_share_few_words_do_not_copy(tmp_path):
    made = fitted(tmp_path, [*ENGLISH, "Rome, London"], [*ITALIAN, "Roma, London"])
    assert made.experiment.model.output.kind == "lexical"
    assert made.experiment.tokenizer.sampling > 0
    assert not any("may copy" in note for note in made.notes)


def test_symbols_that_both_sides_have_are_not_copied(tmp_path):
    made = fitted(tmp_path, ["k a t", "n o", "t i p"], ["k æ t", "n o", "t ɪ p"])
    assert made.experiment.model.output.kind == "lexical"


def test_repeated_pairs_are_dropped_after_normalisation(tmp_path):
    assert fitted(tmp_path, [*ENGLISH, "the  cat sleeps "], [*ITALIAN, ITALIAN[0]]).notes[-1] == (
        "1 pair repeated: only the first is kept (data.drop_duplicates)"
    )
    repeated_source = fitted(tmp_path, [*ENGLISH, ENGLISH[0]], [*ITALIAN, "una gatta dorme"])
    assert not repeated_source.experiment.data.drop_duplicates


def test_damaged_text_is_repaired_unless_its_spaces_are_between_symbols(tmp_path):
    made = fitted(tmp_path, [*ENGLISH, "two\u200b cats"], [*ITALIAN, "c ’ era un gatto"])
    assert made.experiment.normalization.repair
    assert made.notes[-1] == (
        "1 pair with invisible characters or words cut at their apostrophe: repaired "
        "(normalization.repair)"
    )
    assert not fitted(tmp_path, ENGLISH, ITALIAN).experiment.normalization.repair
    symbols = fitted(tmp_path, ["d ' o n", "d o n"], ["d ' ɔ n", "d ɔ"])
    assert symbols.experiment.tokenizer.kind == "word"
    assert not symbols.experiment.normalization.repair


def test_a_corpus_without_any_text_is_refused(tmp_path):
    with pytest.raises(DataError, match="no pair has text on both sides; name other files"):
        fitted(tmp_path, ["", "a", " "], ["a", "", "\t"])


def test_a_corpus_without_pairs_to_learn_from_is_refused(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    with pytest.raises(DataError) as error:
        fitted(tmp_path, ENGLISH * 2, ENGLISH * 2)
    assert str(error.value) == (
        f"{source} and {target}: none of 6 pairs is left to learn from (6 pairs with the same text "
        "on both sides: dropped (data.drop_copies); 3 pairs repeated: only the first is kept "
        "(data.drop_duplicates)); name two files that are translations of each other or, if both "
        "sides are one language, give its code twice: --languages it:it."
    )
    with pytest.raises(DataError, match=r"1 of 4 pairs is left .* name text with more pairs"):
        fitted(tmp_path, ENGLISH[:1] * 4, ITALIAN[:1] * 4)
    assert fitted(tmp_path, ENGLISH, ENGLISH, languages=("en", "en"))


def test_codes_that_disagree_with_the_letters_are_named(tmp_path):
    assert fitted(tmp_path, RUSSIAN, ENGLISH, languages=("ru", "en")).warnings == ()
    swapped = fitted(tmp_path, RUSSIAN, ENGLISH, languages=("en", "ru")).warnings
    assert [warning[:4] for warning in swapped] == ['"en"', '"ru"']


@pytest.mark.parametrize(
    ("source", "target", "passes"),
    [(ENGLISH, ITALIAN, 11), (["我有三个苹果"] * 2, ["私はリンゴを三個持っている"] * 2, 30)],
)
def test_the_number_of_updates_is_that_of_some_passes(source, target, passes, tmp_path):
    made = fitted(
        tmp_path, source * 4_000, [f"{line} {n}" for n, line in enumerate(target * 4_000)]
    )
    training = made.experiment.training
    note = next(note for note in made.notes if "training.max_updates" in note)
    assert note == f"{training.max_updates:,} updates (training.max_updates), about {passes} passes"


def test_updates_count_the_text_that_is_left(tmp_path):
    english = [f"the house number {n} is old" for n in range(4_000)]
    italian = [f"la casa numero {n} è vecchia" for n in range(4_000)]
    once = fitted(tmp_path, english, italian).experiment.training.max_updates
    thrice = fitted(tmp_path, english * 3, italian * 3)
    assert (thrice.preset, thrice.experiment.training.max_updates) == ("tiny", once)
    copied = fitted(tmp_path, english * 2, italian + english).experiment.training.max_updates
    assert abs(copied - once) <= 100


def test_a_shift_of_the_target_and_hardly_any_pairs_are_named(tmp_path):
    generator = random.Random(1)
    lengths = [generator.randint(1, 30) for _ in range(600)]
    english = ["word " * length for length in lengths]
    italian = ["parola " * length for length in lengths]
    assert fitted(tmp_path, english, italian).text_warnings == (
        "a model trained on 30 pairs learns little but those pairs; it needs a few thousand before "
        "it begins to translate other text",
    )
    numbered = [f"{line}{n}" for n, line in enumerate(italian)]
    assert fitted(tmp_path, english, numbered).text_warnings == ()
    (warning,) = fitted(tmp_path, english, [*numbered[1:], "fine"]).text_warnings
    assert re.fullmatch(
        r"the translations of lines \d to (599|600) seem to be 1 line further up; look for a line "
        "that is missing or too many at either end of this part",
        warning,
    )
