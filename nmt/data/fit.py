"""Settings that fit a corpus: a preset for its size, changed where its text needs it."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from nmt.config.data import DataConfig, TokenizerConfig
from nmt.config.experiment import Experiment
from nmt.config.limits import MOST_PIECES
from nmt.config.presets import Preset, from_preset, preset_for
from nmt.data.shift import SHIFT_REMEDY
from nmt.data.survey import Side, Survey
from nmt.errors import DataError
from nmt.text.languages import explain_code, language_of, why_wrong_code
from nmt.text.scripts import HAN
from nmt.text.subword import SubwordKind
from nmt.text.vocabulary import SPECIAL_PIECES

_SHARED_LETTERS = 0.25
"""Least share of letters in common scripts for one vocabulary."""
_MINOR_SCRIPT = 0.1
"""Share of the letters below which a script is not named."""
_FEW = 8
"""Each character has a piece of its own if they take at most this fraction of the pieces."""
_RICH_COVERAGE = 0.9995
"""Otherwise this share of the text; the rest is spelled in bytes (as sentencepiece advises)."""
_BYTES = 256
_SYMBOL = 2.0
"""Mean length, in characters, below which words are symbols, such as phonemes."""
_SINGLE_WORDS = 1.5
"""Mean number of words in a line below which a side is a list of words."""
_CHARACTERS_PER_PIECE = 2.5
"""Of alphabets, at the smallest vocabulary; measured 3.0 for English and Irish at 2,000 pieces."""
_RICH_CHARACTERS, _LETTERS = 1.5, 2.65
"""Mean characters of a piece, spaces left out: of a rich script, and of an alphabet if there are
2,000 pieces. Measured 2.63 for Irish and 2.69 for German, and with 6,000 pieces 3.5 and 3.9."""
_SHARED_WORDS = 0.25
"""Share of the target's words that stand in the source as well, from which on copying pays off:
with 0.29, it brings 2.5 BLEU, see recipes/near_language.py; English and German have 0.05."""
_MANY_COPIES = 0.1
"""Share of the pairs."""
_LENGTHS = (128, 256, 512, 1024)
_LOST = 0.01
"""Share of a side's text that data.max_length may leave out, beyond what the largest of these
would."""
_HARDLY_ANY = 500
"""A model of fewer pairs than this learns little but these pairs."""


@dataclass(frozen=True)
class Fit:
    """A configuration for a corpus, and the reasons."""

    experiment: Experiment
    preset: str
    """Name of the preset."""
    expected: str
    """What these settings have scored, after how long, and on what; "" = not measured."""
    pairs_left: int
    """Pairs left to learn from without empty, repeated and copied ones that are dropped."""
    notes: tuple[str, ...]
    """What was found and chosen, a line each."""
    warnings: tuple[str, ...] = ()
    """What is probably wrong with the language codes, a line each."""
    text_warnings: tuple[str, ...] = ()
    """What is probably wrong with the text, a line each."""


def fit(survey: Survey, data: DataConfig) -> Fit:
    """Return a configuration that fits the corpus.

    Args:
        survey: the training files.
        data: languages and files; what to drop is set here.

    Raises:
        DataError: fewer than two pairs would be left to learn from.
    """
    preset = preset_for(survey.different)
    copies = _pays_to_copy(survey, preset)
    tokenizer, notes = _fit_pieces(survey, preset, copies=copies)
    max_length, lost, length_note = _fit_length(survey, tokenizer, preset)
    right_copies = _why_copies_are_right(data, tokenizer, is_close=copies)
    drop_copies = survey.copies > 0 and not right_copies
    left = survey.different - drop_copies * survey.different_copies
    _require_pairs(survey, data.target, left, drop_copies=drop_copies)
    changes = {
        "max_length": max_length,
        "drop_copies": drop_copies,
        "drop_duplicates": survey.duplicates > 0,
    }
    is_repaired = survey.damaged > 0 and tokenizer.kind not in ("word", "char")
    data = data.model_copy(update=changes)
    kept = (1 - lost) * left / (survey.pairs - survey.empty)  # share of the text
    tokens = round(kept * _pieces(survey.target, tokenizer)) + left
    experiment = from_preset(
        preset, data, tokenizer, tokens=tokens, repair=is_repaired, copies=copies
    )
    means = filter(None, map(explain_code, dict.fromkeys((data.source, data.target))))
    notes = [*means, *notes, length_note]
    if preset.passes:
        updates = experiment.training.max_updates
        passes = updates * preset.batch_tokens / tokens
        notes.append(f"{updates:,} updates (training.max_updates), about {passes:,.0f} passes")
    if is_repaired:
        notes.append(
            f"{survey.damaged:,} {'pair' if survey.damaged == 1 else 'pairs'} with invisible "
            "characters or words cut at their apostrophe: repaired (normalization.repair)"
        )
    return Fit(
        experiment=experiment,
        preset=preset.name,
        expected="" if copies else preset.expected,
        pairs_left=left,
        notes=(*notes, *_notes_on_pairs(survey, right_copies)),
        warnings=tuple(_warnings(survey, data, right_copies)),
        text_warnings=tuple(_text_warnings(survey, left)),
    )


def _why_copies_are_right(
    data: DataConfig, tokenizer: TokenizerConfig, *, is_close: bool
) -> str | None:
    """Return why pairs may have the same text on both sides; None if they may not."""
    if language_of(data.source) == language_of(data.target):
        return "since both sides are one language"
    if tokenizer.kind in ("word", "char"):
        return "since these are no sentences"
    return "since the languages share many words" if is_close else None


def _warnings(survey: Survey, data: DataConfig, right_copies: str | None) -> Iterator[str]:
    """Yield what is probably wrong."""
    for code, side in ((data.source, survey.source), (data.target, survey.target)):
        if why := why_wrong_code(code, side.scripts):
            yield why
    if not right_copies and survey.copies_but_case > _MANY_COPIES * survey.pairs:
        yield (
            f"{survey.copies_but_case:,} of {survey.pairs:,} pairs are the same text on both sides "
            "but for capitals, from which a model learns to copy; delete those that are not "
            "translated or, if both sides are one language, give its code twice"
        )


def _text_warnings(survey: Survey, left: int) -> Iterator[str]:
    """Yield what is probably wrong with the text, of which `left` pairs are learned from."""
    if 2 * survey.empty > survey.pairs:
        yield (
            f"{survey.empty:,} of {survey.pairs:,} pairs have an empty side, and are dropped; look "
            "whether the files are complete"
        )
    for shift in survey.shifts:
        yield f"{shift}; {SHIFT_REMEDY}"
    if left < _HARDLY_ANY:
        yield (
            f"a model trained on {left:,} pairs learns little but those pairs; it needs a few "
            "thousand before it begins to translate other text"
        )


def _require_pairs(survey: Survey, language: str, left: int, *, drop_copies: bool) -> None:
    """Refuse a corpus of which hardly anything is left without copies and repeated pairs.

    Args:
        survey: the training files.
        language: code of the target.
        left: number of pairs that are left.
        drop_copies: whether copies will be dropped.

    Raises:
        DataError: fewer than two pairs are left.
    """
    if left > 1:
        return
    found = "; ".join(_notes_on_pairs(survey, None if drop_copies else "since they are right here"))
    remedy = "name text with more pairs"
    if drop_copies:
        remedy = (
            "name two files that are translations of each other or, if both sides are one "
            f"language, give its code twice: --languages {language}:{language}"
        )
    raise DataError(
        f"{survey.name}: {left or 'none'} of {survey.pairs:,} "
        f"{'pair' if survey.pairs == 1 else 'pairs'} is left to learn from"
        f"{f' ({found})' if found else ''}; {remedy}."
    )


def _pays_to_copy(survey: Survey, preset: Preset) -> bool:
    """Whether the languages are so close that the output should copy words instead of having a
    lexical model."""
    kind, _ = _choose_kind(survey.source, survey.target)
    return kind == "bpe" and preset.is_lexical and survey.shared_words >= _SHARED_WORDS


def _fit_pieces(
    survey: Survey, preset: Preset, *, copies: bool
) -> tuple[TokenizerConfig, list[str]]:
    """Return how to segment: its kind, and a vocabulary with room for the characters."""
    sides = survey.source, survey.target
    kind, notes = _choose_kind(*sides)
    joint = _shares_letters(*sides)
    vocabulary = "one vocabulary" if joint else "a vocabulary for each side"
    letters = f"{_name_scripts(survey.source)} / {_name_scripts(survey.target)}"
    notes.append(f"{letters}: {vocabulary} (tokenizer.joint)")
    texts = [Counter(survey.source.characters) + Counter(survey.target.characters)]
    if not joint:
        texts = [Counter(side.characters) for side in sides]
    most = max(map(len, texts))
    coverage, vocab_size = 1.0, preset.vocab_size
    if kind != "word" and most > preset.vocab_size // _FEW:
        coverage = _RICH_COVERAGE
        needed = max(_needed(text, coverage) for text in texts)
        room = len(SPECIAL_PIECES) + _BYTES + needed + preset.vocab_size // 2
        vocab_size = min(MOST_PIECES, max(preset.vocab_size, -(-room // 500) * 500))
        notes.append(
            f"{most:,} different characters{'' if joint else ' on a side'}: {needed:,} of them get "
            f"pieces of their own, so {vocab_size:,} pieces; the others are spelled in bytes "
            "(tokenizer.character_coverage)"
        )
    if copies:
        notes.append(
            f"{100 * survey.shared_words:.0f} % of the target's words stand in the source line as "
            "well: the model may copy them (model.output), and words are always cut alike "
            "(tokenizer.sampling)"
        )
    tokenizer = TokenizerConfig(
        kind=kind,
        sampling=preset.bpe_dropout if kind == "bpe" and not copies else 0.0,
        vocab_size=vocab_size,
        joint=joint,
        byte_fallback=kind != "word",
        character_coverage=coverage,
    )
    return tokenizer, notes


def _choose_kind(*sides: Side) -> tuple[SubwordKind, list[str]]:
    """Return the kind of pieces, with a note if it is not the usual one."""
    if not any(side.is_spaceless for side in sides):
        if all(side.word_length < _SYMBOL and side.words_per_line > 1 for side in sides):
            return "word", [
                'words of one or two characters: each a piece (tokenizer.kind = "word")'
            ]
        if all(side.words_per_line < _SINGLE_WORDS for side in sides):
            return "char", ['lines of single words: letters as pieces (tokenizer.kind = "char")']
    return "bpe", []


def _name_scripts(side: Side) -> str:
    """Return the scripts of most letters, such as "Latin letters" or "CJK and Hiragana letters"."""
    names = [script for script, share in side.scripts.items() if share >= _MINOR_SCRIPT]
    shown = [name if name == HAN else name.capitalize() for name in names]
    return f"{' and '.join(shown) or 'no'} letters"


def _shares_letters(source: Side, target: Side) -> bool:
    """Whether enough letters of both sides are of the same scripts, or neither has letters."""
    if not source.scripts or not target.scripts:
        return not source.scripts and not target.scripts
    common = source.scripts.keys() & target.scripts.keys()
    shared = sum(min(source.scripts[script], target.scripts[script]) for script in common)
    return shared >= _SHARED_LETTERS


def _needed(characters: Counter[str], coverage: float) -> int:
    """Return how many of the most frequent characters make up this share of the text."""
    remaining = coverage * characters.total()
    for number, (_, count) in enumerate(characters.most_common(), 1):
        remaining -= count
        if remaining <= 0:
            return number
    return len(characters)


def _fit_length(
    survey: Survey, tokenizer: TokenizerConfig, preset: Preset
) -> tuple[int, float, str]:
    """Return the least data.max_length that keeps nearly all of the text that the largest would,
    the share of the text that it leaves out, and a note."""

    def lost(side: Side, max_length: int) -> float:
        """Return the share of the text in lines that are probably longer."""
        if tokenizer.kind == "word":
            return side.longer_than(max_length * (side.word_length + 1))
        is_rich = len(side.characters) > preset.vocab_size // _FEW
        per_piece = 1.0 if is_rich or tokenizer.kind == "char" else _CHARACTERS_PER_PIECE
        return side.longer_than(max_length * per_piece)

    shares = {
        length: max(lost(survey.source, length), lost(survey.target, length)) for length in _LENGTHS
    }
    least = shares[_LENGTHS[-1]]
    chosen = next(length for length in _LENGTHS if shares[length] <= least + _LOST)
    lost_percent = (
        f"about {100 * shares[chosen]:.1f} % of the text" if shares[chosen] else "nothing"
    )
    note = f"pairs of up to {chosen} pieces (data.max_length): leaves out {lost_percent}"
    note += "; split long lines" if shares[chosen] > _LOST else ""
    return chosen, shares[chosen], note


def _pieces(side: Side, tokenizer: TokenizerConfig) -> float:
    """Return about how many pieces the text of a side has."""
    characters = sum(side.characters.values())
    if tokenizer.kind == "word":
        return side.words
    if tokenizer.kind == "char":
        return characters + side.words
    if len(side.characters) > tokenizer.vocab_size // _FEW:
        return characters / _RICH_CHARACTERS
    return characters / (_LETTERS * math.pow(tokenizer.vocab_size / 2_000, 0.3))


def _notes_on_pairs(survey: Survey, right_copies: str | None) -> list[str]:
    """Return which pairs are dropped or kept; `right_copies` is why copies are right, if so."""
    copies = f"kept, {right_copies}" if right_copies else "dropped"
    notes = (
        (survey.empty, "with an empty side: dropped"),
        (survey.copies, f"with the same text on both sides: {copies} (data.drop_copies)"),
        (survey.copies_but_case, "with the same text on both sides but for capitals: kept"),
        (survey.duplicates, "repeated: only the first is kept (data.drop_duplicates)"),
    )
    return [
        f"{count:,} {'pair' if count == 1 else 'pairs'} {what}" for count, what in notes if count
    ]
