"""`nmt init`: write a configuration to start from."""

import logging
import os
import re
from pathlib import Path
from typing import Annotated

import typer

from nmt.errors import DataError, UsageError

log = logging.getLogger(__name__)

Pair = tuple[Path, Path]
_CODE = re.compile(r"[\w.-]+")


def init(
    config: Annotated[Path, typer.Argument(help="Configuration file to write.")],
    train: Annotated[
        Pair, typer.Option(metavar="SRC TGT", help="Text files to train on, line by line.")
    ],
    languages: Annotated[
        str, typer.Option(metavar="SRC-TGT", help='Language codes, for example "de-en".')
    ],
    valid: Annotated[
        Pair | None,
        typer.Option(
            metavar="SRC TGT",
            help="Text files that select the best weights; without them, some sentences are held "
            "out from those to train on.",
        ),
    ] = None,
    test: Annotated[
        Pair | None,
        typer.Option(metavar="SRC TGT", help="Text files for a final `nmt evaluate`."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a fully commented configuration, with a preset for the size of the corpus."""
    from nmt.config.data import DataConfig
    from nmt.config.dump import dump
    from nmt.config.presets import from_preset, preset_for
    from nmt.storage.files import write_text

    if config.suffix in (".yaml", ".yml"):
        name = config.with_suffix(".toml").name
        raise UsageError(f"{config}: configurations are TOML, not YAML; call it {name}")
    if config.exists() and not force:
        raise UsageError(f"{config}: already exists; choose another name, or add --force")
    source, target = _codes(languages)
    pairs = _count_pairs(train)
    for files in filter(None, (valid, test)):
        _count_pairs(files)
    preset = preset_for(pairs)
    data = DataConfig(
        source=source,
        target=target,
        train=_seen_from(config, train),
        valid=_seen_from(config, valid) if valid else None,
        test=_seen_from(config, test) if test else None,
    )
    head = f'# {source} to {target}, {pairs:,} pairs: preset "{preset.name}" of `nmt init`.\n\n'
    config.parent.mkdir(parents=True, exist_ok=True)
    write_text(config, head + dump(from_preset(preset, data)))
    log.info('%s: written for %s pairs, preset "%s"', config, f"{pairs:,}", preset.name)
    if valid is None:
        log.info("no --valid: `nmt train` will hold sentences out from --train to validate on")
    log.info("next: nmt train %s", config)


def _codes(languages: str) -> tuple[str, str]:
    source, _, target = languages.partition("-")
    if not _CODE.fullmatch(source) or not _CODE.fullmatch(target) or source == target:
        raise UsageError(
            f'--languages {languages!r}: must be two different codes such as "de-en", source '
            "first; letters, digits and _ . - only"
        )
    return source, target


def _count_pairs(files: Pair) -> int:
    from nmt.text.lines import require_equal_counts, require_file

    for file in files:
        require_file(file)
    count = require_equal_counts(*files)
    if not count:
        raise DataError(f"{files[0]} and {files[1]} have no lines; name files with text")
    return count


def _seen_from(config: Path, files: Pair) -> tuple[str, str]:
    """Return the paths relative to the folder of `config`."""
    folder = config.absolute().parent
    source, target = (os.path.relpath(file.absolute(), folder) for file in files)
    return source, target
