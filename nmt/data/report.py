"""The report of `nmt check` on a corpus: facts, and findings from harmless to serious."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from nmt.text.columns import align_columns
from nmt.text.excerpt import excerpt, spell_out

Level = Literal["fault", "warning", "note"]
LEVELS: tuple[Level, ...] = ("fault", "warning", "note")
"""From faults, which must be fixed before training, to notes for information."""

_MOST_SHOWN = 5
_MOST_DIFFERENT = 1000  # offending places that are told apart
_LONGEST_PLACE = 12  # characters
_HALF = 36  # characters of each side
_INDENT = " " * 9


@dataclass(frozen=True)
class FileFacts:
    """Size of one text file."""

    path: str
    lines: int
    words: int
    """Separated by white space."""
    characters: int
    longest_line: int
    """Number of the line with the most words; 0 if there is none."""
    longest_words: int
    """Number of words in it."""


@dataclass
class Tally:
    """The number of lines with some property, the first of them, and an example."""

    count: int = 0
    first: list[int] = field(default_factory=list)
    example: str = ""
    places: Counter[str] = field(default_factory=Counter)

    def add(self, line: int, text: str = "", span: tuple[int, int] = (0, 0)) -> None:
        """Count a line, by its number from 1; `span` is the offending place in its text."""
        self._count(line)
        if self.count == 1:
            self.example = excerpt(text, *span)
        if 0 < span[1] - span[0] <= _LONGEST_PLACE:
            place = spell_out(text[slice(*span)].strip(" "))
            if place in self.places or len(self.places) < _MOST_DIFFERENT:
                self.places[place] += 1

    def add_pair(self, line: int, source: str, target: str, what: str = "") -> None:
        """Count a pair of lines; `what` says what is odd about it."""
        self._count(line)
        if self.count == 1:
            sides = f"{excerpt(source, width=_HALF)} ||| {excerpt(target, width=_HALF)}"
            self.example = f"{sides} ({what})" if what else sides

    def _count(self, line: int) -> None:
        self.count += 1
        if len(self.first) < _MOST_SHOWN:
            self.first.append(line)


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing about a file or a pair of files."""

    level: Level
    name: str
    """Identifier for programs, for example "not-utf8"."""
    where: str
    """File, or both files of a pair."""
    count: int
    """Number of such lines."""
    message: str
    """Description of the lines."""
    lines: tuple[int, ...] = ()
    """The first of these lines."""
    total: int = 0
    """Number of lines among which these were looked for."""
    places: Mapping[str, int] = field(default_factory=dict)
    """The most frequent offending places, and in how many lines each comes first; empty for kinds
    whose places differ from line to line."""
    example: str = ""
    """Part of the first line, invisible characters spelled out."""
    remedy: str = ""
    """What to do."""

    def __str__(self) -> str:
        return "\n".join([f"{self.level:<9}{self.where}: {self._head()}", *self._details()])

    def _head(self) -> str:
        if not self.lines:
            return self.message
        more = ", ..." if self.count > len(self.lines) else ""
        count = f"{self.count:,} of {self.total:,} {'line' if self.total == 1 else 'lines'}"
        lines = ", ".join(f"{line:,}" for line in self.lines)
        return f"{count} ({lines}{more}) {self.message}"

    def _details(self) -> list[str]:
        details = []
        if len(self.places) > 1:
            counts = ", ".join(f"{place} in {count:,}" for place, count in self.places.items())
            details.append(f"most often: {counts}")
        if self.example:
            details.append(f"line {self.lines[0]:,}: {self.example}")
        if self.remedy and self.level != "note":
            details.append(f"fix: {self.remedy}")
        return [_INDENT + detail for detail in details]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A kind of finding: how serious it is, what it says, and what to do about it."""

    name: str
    level: Level
    """Of findings that are not rare; a fault is never rare."""
    message: str
    remedy: str = ""
    often: float = 0.001
    """Share of the lines from which a warning is one; below, it is a note."""
    least: float = 0.0
    """Share of the lines below which nothing is said, since any corpus has a few."""
    lists_places: bool = False
    """Whether the most frequent offending places are listed, since there are few kinds of them."""

    def findings(self, where: str, tally: Tally, lines: int, *, extra: str = "") -> list[Finding]:
        """Return the finding about the lines of a tally, or nothing if they are too few.

        Args:
            where: file, or both files of a pair.
            tally: the lines found.
            lines: number of all lines.
            extra: something to add to the message.
        """
        share = tally.count / lines if lines else 0.0
        if not tally.count or share < self.least:
            return []
        level = "note" if self.level == "warning" and share < self.often else self.level
        return [
            Finding(
                level=level,
                name=self.name,
                where=where,
                count=tally.count,
                message=self.message + extra,
                lines=tuple(tally.first),
                total=lines,
                places=dict(tally.places.most_common(_MOST_SHOWN) if self.lists_places else ()),
                example=tally.example,
                remedy=self.remedy,
            )
        ]


@dataclass(frozen=True)
class Copying:
    """Scores of the source as its own translation: what a model must beat."""

    where: str
    lines: int
    """Number of lines that were scored."""
    bleu: float
    chrf: float
    signature: str
    """Of BLEU."""

    def __str__(self) -> str:
        lines = f"{self.lines:,} {'line' if self.lines == 1 else 'lines'} of {self.where}"
        return (
            f"copying the source scores BLEU {self.bleu:.1f}, chrF2 {self.chrf:.1f} ({lines}); "
            "a model must beat that"
        )


@dataclass(frozen=True)
class Report:
    """Everything found in a corpus."""

    files: tuple[FileFacts, ...]
    findings: tuple[Finding, ...]
    copying: Copying | None = None
    """None if the two sides have different scripts, or nothing was scored."""
    sample: tuple[tuple[str, str], ...] = ()
    """Pairs to score: an even sample of the test set, or of the corpus if there is none."""

    @property
    def is_serious(self) -> bool:
        """True if something must be fixed before training."""
        return any(finding.level == "fault" for finding in self.findings)

    def to_json(self) -> Mapping[str, Any]:
        """Return the report as values for `json.dumps`."""
        values = asdict(replace(self, sample=()))
        del values["sample"]
        return {"is_serious": self.is_serious, **values}

    def to_text(self) -> str:
        """Return a line per file, then the findings, faults first."""
        rows = [("file", "lines", "words", "characters", "longest line")]
        rows += [
            (
                facts.path,
                f"{facts.lines:,}",
                f"{facts.words:,}",
                f"{facts.characters:,}",
                f"{facts.longest_words:,} word{'s' * (facts.longest_words != 1)} "
                f"(line {facts.longest_line:,})"
                if facts.lines
                else "none",
            )
            for facts in self.files
        ]
        lines = [*align_columns(rows), ""] if self.files else []
        if self.copying is not None:
            lines += [str(self.copying), ""]
        findings = sorted(self.findings, key=lambda finding: LEVELS.index(finding.level))
        lines += map(str, findings)
        return "\n".join(lines if findings else [*lines, "no problems found"])
