"""The texts that `nmt evaluate` scores: files that are named, or a run's translations."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.cli.lines_out import one_line
from nmt.cli.output_file import line_writer
from nmt.errors import UsageError
from nmt.paths import is_same_file

if TYPE_CHECKING:
    from nmt.config.experiment import Experiment

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Text:
    """The lines of a text, and its name in messages."""

    name: str
    lines: list[str]


@dataclass(frozen=True)
class Texts:
    """Everything that is compared."""

    hypotheses: Text
    references: list[Text]
    """At least one."""
    sources: Text | None
    """What the run translated; None if the hypotheses were given."""
    other: Text | None
    """The hypotheses of another system, for a paired test."""
    measured: Text | None
    """The text whose length counts; None: the first reference."""


def read_text(path: Path) -> Text:
    """Read a file."""
    from nmt.text.lines import read_lines

    return Text(str(path), list(read_lines(path)))


def experiment_of(run: Path) -> "Experiment | None":
    """Return the configuration of a run, or of a checkpoint's run; None for a model folder."""
    from nmt.config.load import load
    from nmt.models.checkpoints import run_of

    path = (run_of(run) or run) / "config.toml"
    return load(path) if path.is_file() else None


def test_files_of(run: Path, experiment: "Experiment | None") -> tuple[Path, Path]:
    """Return the files that a run's configuration names to score the finished model on.

    Raises:
        UsageError: it names none.
        ModelError: it is no run and no model folder.
    """
    from nmt.models.description import find_model_folder

    if experiment is None:
        find_model_folder(run)
        raise UsageError(f"{run}: has no config.toml that names test files; give --test SRC REF")
    if not experiment.data.has_source:
        raise UsageError(
            f"{run}: is a language model, which translates nothing; score text by "
            f"`nmt score {run} --target FILE`"
        )
    if experiment.data.test is None:
        raise UsageError(f"{run / 'config.toml'}: names no data.test; give --test SRC REF")
    source, target = experiment.data.test
    log.info("test files of %s: %s", run, " ".join(dict.fromkeys((source, target))))
    return Path(source), Path(target)


def read_test(
    test: tuple[Path, Path] | None, more_references: Sequence[Path]
) -> tuple[Text | None, list[Text]]:
    """Return the source, if there is one, and all references.

    Raises:
        UsageError: a file is named twice as a reference.
        DataError: a file cannot be read, or the numbers of lines differ.
    """
    from nmt.evaluation.metrics import require_equal_counts
    from nmt.text.lines import read_parallel

    for place, path in enumerate(more_references):
        if any(
            is_same_file(path, other) for other in [*more_references[:place], *(test or ())[1:]]
        ):
            raise UsageError(f"{path}: is named twice as a reference; name each one once.")
    source, references = None, []
    if test is not None:
        sides = [list(side) for side in zip(*read_parallel(*test), strict=True)] or [[], []]
        source, reference = (Text(str(path), side) for path, side in zip(test, sides, strict=True))
        references.append(reference)
    references += map(read_text, more_references)
    first = references[0]
    for other in references[1:]:
        require_equal_counts(other.lines, first.lines, (other.name, first.name))
    return source, references


def translate(
    run: Sequence[Path],
    lines: Iterable[str],
    output: Path | None,
    *,
    fast: bool,
    checkpoint: str | None,
) -> Text:
    """Translate `lines`, and keep the translations in `output` if it is given."""
    from nmt.translator import Translator

    translator = Translator.load(run[0] if len(run) == 1 else run, fast=fast, checkpoint=checkpoint)
    found = (one_line(each.text) for each in translator.translate(lines))
    return Text("the translation", list(_keep(found, output) if output else found))


def _keep(lines: Iterable[str], output: Path) -> Iterator[str]:
    """Yield `lines`, each written to a file, which is opened before the first line is computed."""
    with line_writer(output) as write:
        for line in lines:
            write(line)
            yield line
