"""The compared systems: one module each, all with the same interface."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.corpus import Corpus
from bench.environment import Environment
from bench.measure import Progress
from bench.process import Command, Finished
from nmt.config.experiment import Experiment

MAX_LENGTH = 100
"""Maximum length of a translation in pieces, for systems that have such an option."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """A model to train."""

    experiment: Experiment
    """The configuration of nmt, which the other systems translate to their own."""
    corpus: Corpus
    prepared: Path
    """Folder with the corpus as prepared by the system."""
    folder: Path
    """Existing folder for all output."""


@dataclass(frozen=True, kw_only=True)
class Translating:
    """A text to translate."""

    model: Training
    """The finished training, with a model in its folder."""
    precision: str
    source: Path
    """Segmented text."""
    plain: Path
    """The same lines as plain text, for systems that segment text themselves."""
    folder: Path
    """Existing folder for all output."""
    beam: int
    batch: int
    threads: int
    shortlist: int = 0
    """Number of frequent pieces in the shortlist, besides likely ones; 0 = all pieces."""


@dataclass(frozen=True)
class Translated:
    """A finished translation."""

    lines: list[str]
    """Segmented text, in any order."""
    seconds: float
    """Translation time, without loading the model."""


class System(Protocol):
    """A toolkit that trains and translates."""

    @property
    def name(self) -> str:
        """Name in figures."""
        ...

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions supported on a CPU."""
        ...

    @property
    def has_shortlist(self) -> bool:
        """Whether it can translate with a shortlist of pieces without other tools."""
        ...

    def install(self, environment: Environment) -> None:
        """Install into a new environment; raise `UnavailableError` if that is not possible."""
        ...

    def help(self, environment: Environment) -> list[str]:
        """Return the command that prints the help of the training command."""
        ...

    def prepare(self, environment: Environment, corpus: Corpus, folder: Path) -> list[Command]:
        """Return the commands that prepare segmented text for training; may also write files."""
        ...

    def train(self, environment: Environment, job: Training) -> Command:
        """Return the training command, which logs every update and saves a model at the end."""
        ...

    def progress(self, line: str) -> Progress | None:
        """Parse a line of the training log; None if it does not report an update."""
        ...

    def translate(self, environment: Environment, job: Translating) -> list[Command]:
        """Return the commands of a translation; the last one translates, the others prepare."""
        ...

    def translated(self, job: Translating, finished: Finished) -> Translated:
        """Return the translations of the last command, and the time it reports."""
        ...


def flatten(options: Mapping[str, object]) -> list[str]:
    """Return options as command-line arguments."""
    return [str(word) for pair in options.items() for word in pair]
