"""The systems that are compared: one module each, all with the same interface."""

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
"""Longest translation in pieces, for all that can be told so."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is to be trained, and where."""

    experiment: Experiment
    """The configuration of nmt, of which the others are told the same."""
    corpus: Corpus
    prepared: Path
    """What the system made of the corpus."""
    folder: Path
    """For everything that is written; exists."""


@dataclass(frozen=True, kw_only=True)
class Translating:
    """What is to be translated, and how."""

    model: Training
    """The training that has left a model in its folder."""
    precision: str
    source: Path
    """Cut text."""
    plain: Path
    """The same lines as plain text, for those that cut text themselves."""
    folder: Path
    """For everything that is written; exists."""
    beam: int
    batch: int
    threads: int
    shortlist: int = 0
    """Frequent pieces that are written with, and others that are likely; 0 = all pieces."""


@dataclass(frozen=True)
class Translated:
    """What came of it."""

    lines: list[str]
    """Cut text, in any order."""
    seconds: float
    """Without loading the model."""


class System(Protocol):
    """A toolkit that trains and translates."""

    @property
    def name(self) -> str:
        """What figures call it."""
        ...

    @property
    def precisions(self) -> tuple[str, ...]:
        """What it can compute in on a CPU."""
        ...

    @property
    def has_shortlist(self) -> bool:
        """Whether it can translate with a shortlist of pieces by itself."""
        ...

    def install(self, environment: Environment) -> None:
        """Put it into a fresh environment; `UnavailableError` says why that is not possible."""
        ...

    def help(self, environment: Environment) -> list[str]:
        """Return the command that prints the help of training."""
        ...

    def prepare(self, environment: Environment, corpus: Corpus, folder: Path) -> list[Command]:
        """Return what turns cut text into what training reads; may write files itself."""
        ...

    def train(self, environment: Environment, job: Training) -> Command:
        """Return the training, which logs every update and leaves a model at its end."""
        ...

    def progress(self, line: str) -> Progress | None:
        """Read a line of the training log; None if it does not report an update."""
        ...

    def translate(self, environment: Environment, job: Translating) -> list[Command]:
        """Return the commands of a translation; the last one is it, the others prepare it."""
        ...

    def translated(self, job: Translating, finished: Finished) -> Translated:
        """Return what the last command translated, and in which time by its own report."""
        ...


def flatten(options: Mapping[str, object]) -> list[str]:
    """Return options as arguments of a command line."""
    return [str(word) for pair in options.items() for word in pair]
