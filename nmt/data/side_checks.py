"""What `nmt check` says of one side as a whole: its script, its spaces, its capitals."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from nmt.data.report import Check, Finding, Tally
from nmt.text.languages import usual_script
from nmt.text.scripts import HAN, SPACELESS, name_of_script, script_of

_SYLLABARIES = ("HIRAGANA", "KATAKANA")
_DENSE = 4  # letters of other scripts say as much as one of a script without spaces
_LATIN_ONLY = re.compile("[\x00-\u024f\u2000-\u206f\u20ac]*")
_TWO_LATIN_LETTERS = re.compile("[A-Za-z][^A-Za-z]*[A-Za-z]")
_WITHOUT_CASE = "GEORGIAN"  # its letters count as lower case, but capitals are hardly used
_MOST = 0.9  # share of lines that is nearly all
_FEWEST_LINES = 10  # too few say nothing of a language
_LONG_WORD = 20.0  # characters per word on average, where spaces are usual
_LONG_DENSE_WORD = 4.0  # likewise, where they are not
_PACKED = {".gz", ".bz2", ".xz", ".zst"}

_LATIN_LINES = Check(
    name="other-script",
    level="warning",
    message="with mostly Latin letters",
    remedy="delete those that are not translated; names may be right",
    often=0.05,
)
_OTHER_LINES = Check(
    name="other-script",
    level="warning",
    message="with mostly",
    remedy="delete these pairs, unless the language is written in several scripts",
)


class SideStatistics:
    """Scripts and casing of the lines of one side."""

    def __init__(self) -> None:
        self._lines_by_script: dict[str, Tally] = defaultdict(Tally)
        self._upper = self._lower = 0

    def add(self, number: int, text: str) -> None:
        """Count a line."""
        if script := _script_of_line(text):
            self._lines_by_script[script].add(number, text)
        if text.isupper():
            self._upper += 1
        elif text.islower():
            self._lower += 1

    @property
    def main_script(self) -> str | None:
        """Script of most lines, as `script_of` names it (kana count as "CJK"), or None."""
        lines = self._lines_by_script
        return max(lines, key=lambda script: lines[script].count) if lines else None

    def findings(self, where: str, *, lines: int, words: int, characters: int) -> Iterator[Finding]:
        """Yield what is unusual about the side.

        Args:
            where: its file, or what else to call it.
            lines: number of its lines.
            words: number of its words, separated by white space.
            characters: number of its characters.
        """
        main = self.main_script
        if main is None:
            return
        expected = _expected_script(Path(where))
        if expected not in (None, main):
            yield Finding(
                level="warning",
                name="wrong-script",
                where=where,
                count=lines,
                message=f"most lines have {name_of_script(main)} letters, but "
                f"{name_of_script(expected)} ones are usual in the language that the name of the "
                "file ends in",
                remedy="look whether the files are exchanged, or the text is transliterated",
            )
        for script, tally in self._lines_by_script.items():
            if script != main:
                check = _LATIN_LINES if script == "LATIN" else _OTHER_LINES
                own = f"unlike the other lines ({name_of_script(main)})"
                extra = (
                    f", {own}" if script == "LATIN" else f" {name_of_script(script)} letters, {own}"
                )
                yield from check.findings(where, tally, lines, extra=extra)
        yield from self._spaces(where, main, words=words, characters=characters)
        if lines >= _FEWEST_LINES and main != _WITHOUT_CASE:
            yield from self._casing(where)

    def _spaces(self, where: str, main: str, *, words: int, characters: int) -> Iterator[Finding]:
        length = characters / words if words else 0.0
        if main in SPACELESS and length >= _LONG_DENSE_WORD:
            yield Finding(
                level="note",
                name="no-spaces",
                where=where,
                count=0,
                message=f"hardly any spaces, as usual in {name_of_script(main)} writing; word "
                "counts say nothing here, and BLEU needs a tokenizer for it (see nmt evaluate "
                "--help)",
            )
        elif main not in SPACELESS and length >= _LONG_WORD:
            yield Finding(
                level="warning",
                name="no-spaces",
                where=where,
                count=0,
                message=f"hardly any spaces ({length:.0f} characters per word), although the "
                f"letters are {name_of_script(main)}",
                remedy="look whether the spaces were lost; nmt and BLEU count words between spaces",
            )

    def _casing(self, where: str) -> Iterator[Finding]:
        most = _MOST * sum(tally.count for tally in self._lines_by_script.values())
        for case, count in (("upper", self._upper), ("lower", self._lower)):
            if count >= max(most, 1):
                yield Finding(
                    level="warning" if case == "upper" else "note",
                    name=f"all-{case}",
                    where=where,
                    count=count,
                    message=f"nearly all text is in {case} case",
                    remedy="a model knows only what it has seen: use the original text if there is "
                    "one, or convert what you translate and score alike",
                )


def _script_of_line(text: str) -> str | None:
    """Return the script that most of a line is in; None if it has fewer than two letters."""
    if _LATIN_ONLY.fullmatch(text):
        return "LATIN" if _TWO_LATIN_LETTERS.search(text) else None
    letters: Counter[str] = Counter()
    for script, count in Counter(map(script_of, text)).items():
        if script is not None:
            letters[HAN if script in _SYLLABARIES else script] += count
    if letters.total() < 2:
        return None
    return max(letters, key=lambda script: letters[script] * (_DENSE if script in SPACELESS else 1))


def _expected_script(path: Path) -> str | None:
    """Return the usual script of the language that a file name ends in, such as train.ru.gz."""
    suffixes = [suffix for suffix in path.suffixes if suffix not in _PACKED]
    return usual_script(suffixes[-1][1:]) if suffixes else None
