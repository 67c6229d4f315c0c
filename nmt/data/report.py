"""The report of `nmt check` on a corpus: facts, and findings from harmless to serious."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from nmt.text.columns import align_columns

Level = Literal["fault", "warning", "note"]
LEVELS: tuple[Level, ...] = ("fault", "warning", "note")
"""From faults, which must be fixed before training, to notes for information."""

_MOST_SHOWN = 5


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
    """The number of lines with some property, and the first of them."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, line: int) -> None:
        """Count a line, by its number from 1."""
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
    """Description of the lines, and what to do."""
    lines: tuple[int, ...] = ()
    """The first of these lines."""

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.lines) else ""
        lines = f" ({', '.join(map(str, self.lines))}{more})" if self.lines else ""
        count = f"{self.count:,} {'line' if self.count == 1 else 'lines'}{lines} "
        return f"{self.level:<9}{self.where}: {count if self.lines else ''}{self.message}"


@dataclass(frozen=True)
class Report:
    """Everything found in a corpus."""

    files: tuple[FileFacts, ...]
    findings: tuple[Finding, ...]

    @property
    def is_serious(self) -> bool:
        """True if something must be fixed before training."""
        return any(finding.level == "fault" for finding in self.findings)

    def to_json(self) -> Mapping[str, Any]:
        """Return the report as values for `json.dumps`."""
        return {"is_serious": self.is_serious, **asdict(self)}

    def to_text(self) -> str:
        """Return a line per file, then the findings, faults first."""
        rows = [("file", "lines", "words", "characters", "longest line")]
        rows += [
            (
                facts.path,
                f"{facts.lines:,}",
                f"{facts.words:,}",
                f"{facts.characters:,}",
                f"{facts.longest_words:,} words (line {facts.longest_line:,})",
            )
            for facts in self.files
        ]
        findings = sorted(self.findings, key=lambda finding: LEVELS.index(finding.level))
        lines = [*align_columns(rows), "", *map(str, findings)]
        return "\n".join(lines if findings else [*lines, "no problems found"])
