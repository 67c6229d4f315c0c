"""`nmt init`: write a configuration to start from."""

import logging
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.errors import DataError, UsageError
from nmt.paths import is_same_file

if TYPE_CHECKING:
    from nmt.data.survey import Survey

log = logging.getLogger(__name__)

Pair = tuple[Path, Path]

_FEW_VALID = 50
"""With fewer pairs than this, scores of weights differ mostly by chance."""


def init(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration file to write.")],
    train: Annotated[
        Pair,
        typer.Option(metavar="SRC [TGT]", help="Text files to train on, or one .tsv of both."),
    ],
    languages: Annotated[
        str,
        typer.Option(
            metavar="SRC-TGT", help='Language codes, such as "de-en", "pt-BR-en" or "zh-Hans:pt".'
        ),
    ],
    valid: Annotated[
        Pair | None,
        typer.Option(
            metavar="SRC [TGT]",
            help="Text files that select the best weights; without them, some sentences are held "
            "out from those to train on.",
        ),
    ] = None,
    test: Annotated[
        Pair | None,
        typer.Option(
            metavar="SRC [TGT]",
            help="Text files of a test set; `nmt train` warns of its pairs in the training files.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a fully commented configuration that fits the corpus.

    A preset for its size, changed where its scripts, characters, lengths or pairs need it.
    """
    from nmt.config.data import DataConfig
    from nmt.config.dump import dump
    from nmt.data.fit import fit
    from nmt.data.survey import survey
    from nmt.storage.files import write_text
    from nmt.text.languages import split_languages

    if config.suffix in (".yaml", ".yml"):
        name = config.with_suffix(".toml").name
        raise UsageError(f"{config}: configurations are TOML, not YAML; call it {name}")
    if config.exists() and not force:
        raise UsageError(f"{config}: already exists; choose another name, or add --force")
    source, target = split_languages(languages)
    lines = _require_text(train)
    held_out = {option: files for option, files in (("--valid", valid), ("--test", test)) if files}
    for files in held_out.values():
        lines += _require_text(files)
    for option, files in held_out.items():
        _require_other(option, files, "--train", train)
    if test is not None and valid is not None:
        _require_other("--test", test, "--valid", valid)
    data = DataConfig(
        source=source,
        target=target,
        train=_seen_from(config, train),
        valid=_seen_from(config, valid) if valid else None,
        test=_seen_from(config, test) if test else None,
    )
    found = survey(*train)
    good = found.pairs + sum(_compare(*item, found) for item in held_out.items())
    made = fit(found, data)
    size = f"{found.pairs:,} {'pair' if found.pairs == 1 else 'pairs'}"
    if made.pairs_left < found.pairs:
        size = f"{made.pairs_left:,} of {size}"
    title = f'{source} to {target}, {size}: preset "{made.preset}" of `nmt init`.'
    head = "".join(f"# {line}\n" for line in [title, *(f"- {note}" for note in made.notes)])
    config.parent.mkdir(parents=True, exist_ok=True)
    write_text(config, f"{head}\n{dump(made.experiment)}")
    log.info('%s: written for %s, preset "%s"', config, size, made.preset)
    for note in made.notes:
        log.info("- %s", note)
    if made.expected:
        log.info("what these settings have scored on other text: %s", made.expected)
    for warning in made.text_warnings:
        log.warning("--train: %s", warning)
    for warning in made.warnings:
        log.warning("--languages %s: %s", languages, warning)
    if valid is None:
        log.info("no --valid: `nmt train` will hold sentences out from --train to validate on")
    if good < lines:
        log.warning(
            "bad lines end training; convert the files to UTF-8, or leave the lines out by: "
            "nmt prepare %s --bad-lines skip",
            config,
        )
    names = shlex.join(dict.fromkeys(map(str, train)))
    log.info("to look for faults in the text: nmt check %s", names)
    log.info("next: nmt train %s", config)


def _require_text(files: Pair) -> int:
    """Return the number of lines; refuse files that are missing, empty, of different numbers of
    lines, or no two sides."""
    from nmt.data.survey import require_letters
    from nmt.text.lines import require_equal_counts, require_file

    for file in files:
        require_file(file)
    lines = require_equal_counts(*files)
    if not lines:
        names = " and ".join(dict.fromkeys(map(str, files)))
        raise DataError(f"{names}: no lines; name files with text.")
    if is_same_file(*files):
        require_letters(files[0])
    return lines


def _compare(option: str, files: Pair, train: "Survey") -> int:
    """Return the number of pairs of held-out files; refuse hardly any, and warn of a few, and if
    their sides seem to be exchanged or shifted."""
    from nmt.data.exchange import are_exchanged
    from nmt.data.shift import SHIFT_REMEDY
    from nmt.data.survey import survey

    found = survey(*files)
    left = found.pairs - found.empty
    if found.empty and left < 2:
        raise DataError(
            f"{option} {found.name}: {left} of {found.pairs:,} pairs "
            f"{'has' if left == 1 else 'have'} text on both sides; name files with more text."
        )
    if option == "--valid" and left < _FEW_VALID:
        log.warning(
            "%s %s: too few pairs (%d) to choose the best weights by; name a few hundred",
            option,
            found.name,
            left,
        )
    for shift in found.shifts:
        log.warning("%s %s: %s; %s", option, found.name, shift, SHIFT_REMEDY)
    if are_exchanged(train.sample, found.sample):
        log.warning(
            "%s %s: source and target seem to be exchanged, in comparison with --train; name the "
            "source first",
            option,
            found.name,
        )
    return found.pairs


def _require_other(option: str, files: Pair, other_option: str, others: Pair) -> None:
    """Refuse held-out files that are trained on, or that select the weights they are to score."""
    for file in files:
        if any(is_same_file(file, other) for other in others):
            raise UsageError(
                f"{option} {file}: is named in {other_option}, too, so scores on it say nothing; "
                f"name other text, or leave {option} out."
            )


def _seen_from(config: Path, files: Pair) -> tuple[str, str]:
    """Return the paths relative to the folder of `config`."""
    folder = config.absolute().parent
    source, target = (os.path.relpath(file.absolute(), folder) for file in files)
    return source, target
