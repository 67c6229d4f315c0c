"""From text files to a folder that training reads: filtered, cut into pieces, checked.

    data/
      subword.model              or source.model and target.model, see `Preparation`
      train/ valid/              prepared corpora, see `binary`
      shortlist.safetensors      see `lexicon`
      dropped.tsv                every pair left out of training, and why
      manifest.json              what went in, what came out

The folder appears at once when all is done, so a killed preparation leaves nothing behind that
could be taken for a whole one. The same files and options give the same models and corpora,
byte for byte.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import sentencepiece

import nmt
from nmt.config.experiment import Experiment
from nmt.config.load import resolve_paths
from nmt.data.binary import MANIFEST, Corpus
from nmt.data.preparation import Preparation
from nmt.data.prepared import TRAIN, VALID, InputFile, Manifest, PreparedSummary
from nmt.errors import DataError, ModelError, NmtError
from nmt.storage.failures import explain_failures
from nmt.storage.files import require_utf8_name, write_json
from nmt.storage.folders import make_folder, new_folder
from nmt.storage.manifest import sha256_of, verify_manifest
from nmt.text.lines import BadLines, require_file
from nmt.text.subword import PIECE_FILES, load_subwords

_FORMAT = 2
_FILTER_OPTIONS = {"max_length", "max_ratio", "drop_duplicates", "drop_copies"}

_CHOICES: tuple[BadLines, ...] = get_args(BadLines)

_logger = logging.getLogger(__name__)


def prepare(
    experiment: Experiment,
    base: Path,
    out: Path,
    *,
    report: Callable[[str], None] | None = None,
    bad_lines: BadLines = "error",
    expected_key: str | None = None,
) -> PreparedSummary:
    """Bring the folder `out` up to date with the text files and options of an experiment.

    Args:
        experiment: which files, and what to do with them.
        base: the folder at which relative paths start.
        out: made or replaced as a whole; left alone if it already holds these data.
        report: told what is being done, a line each time.
        bad_lines: what to do with pairs that are not UTF-8. "error" accepts what an earlier
            call with another choice has made, and mends it by that choice.
        expected_key: of the data that a model in this run has learned from; others are refused
            before anything is written.

    Raises:
        DataError: a text file is missing, damaged or does not match its counterpart; no pair is
            left; or the key is not the expected one.
        ConfigError: the vocabulary size does not fit the text.
        ResourceError: the disk refuses.
    """
    started = time.monotonic()
    experiment = resolve_paths(experiment, base)
    tell = report or (lambda _: None)
    earlier = _read_manifest(out)
    known = {} if earlier is None else earlier.inputs
    inputs = _fingerprint_inputs(experiment)
    keys = {choice: _key(experiment, inputs, choice) for choice in _CHOICES}
    wanted = expected_key or (earlier.key if earlier is not None else None)
    if bad_lines == "error":
        bad_lines = next((choice for choice in _CHOICES if keys[choice] == wanted), "error")
    key = keys[bad_lines]
    if expected_key not in (None, key):
        if expected_key in keys.values():
            former = next(choice for choice in _CHOICES if keys[choice] == expected_key)
            raise DataError(
                f"{out.parent}: was trained on text prepared with --bad-lines {former}; "
                "give the same, or choose another --run."
            )
        raise DataError(_explain_other_data(out, known, inputs))
    summary = _summary_if_current(out, earlier, key)
    if summary is not None:
        return replace(summary, seconds=time.monotonic() - started)

    make_folder(out.parent)
    with new_folder(out) as folder, explain_failures(out):
        made = Preparation(experiment, folder, bad_lines, tell).run()
        _refuse_changed(inputs, _fingerprint_inputs(experiment))
        summary = replace(made, folder=out, seconds=time.monotonic() - started)
        result = {k: v for k, v in asdict(summary).items() if k not in ("folder", "up_to_date")}
        write_json(
            folder / MANIFEST,
            {
                "format": _FORMAT,
                "nmt": nmt.__version__,
                "sentencepiece": sentencepiece.__version__,
                "key": key,
                "bad_lines": bad_lines,
                "inputs": {file: entry.model_dump() for file, entry in inputs.items()},
                "normalization": experiment.normalization.model_dump(),
                "tokenizer": experiment.tokenizer.model_dump(exclude={"sampling"}),
                "subword": [subword.fingerprint for subword in load_subwords(folder)],
                "summary": result,
            },
        )
    return summary


def _fingerprint_inputs(experiment: Experiment) -> dict[str, InputFile]:
    """Return size and SHA-256 of every text file; all of it is read, whatever its time says."""
    data = experiment.data
    inputs = {}
    for file in (*data.train, *data.valid, *(data.test or ())):
        path = Path(file)
        require_file(path)
        require_utf8_name(path)
        inputs[file] = InputFile(bytes=path.stat().st_size, sha256=sha256_of(path))
    return inputs


def _refuse_changed(before: Mapping[str, InputFile], after: Mapping[str, InputFile]) -> None:
    """Refuse what was made of text that somebody was still writing."""
    for file, entry in before.items():
        if after[file] != entry:
            raise DataError(f"{file}: changed while it was read; start again when it is complete.")


def _names_read(out: Path) -> list[str]:
    """Return the names of the files in a folder of prepared data that training reads."""
    read = [path for part in (TRAIN, VALID) for path in (out / part).glob("[!.]*")]
    pieces = [out / name for name in PIECE_FILES if (out / name).exists()]
    return [MANIFEST, *(path.relative_to(out).as_posix() for path in [*pieces, *read])]


def _key(experiment: Experiment, inputs: Mapping[str, InputFile], bad_lines: BadLines) -> str:
    """Return a hash of everything that the result depends on."""
    data = experiment.data
    sides = [data.train, data.valid, data.test or ()]
    parts = {
        "format": _FORMAT,
        "files": [[inputs[file].sha256 for file in side] for side in sides],
        "data": data.model_dump(include=_FILTER_OPTIONS),
        "normalization": experiment.normalization.model_dump(),
        "tokenizer": experiment.tokenizer.model_dump(exclude={"sampling"}),
        "shared": experiment.model.embedding.shares_vocabulary,
        **({} if bad_lines == "error" else {"bad_lines": bad_lines}),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _explain_other_data(
    out: Path, known: Mapping[str, InputFile], inputs: Mapping[str, InputFile]
) -> str:
    """Say which files are not those that a run has learned from, as far as that is known."""
    before = {entry.sha256 for entry in known.values()}
    changed = [file for file, entry in inputs.items() if entry.sha256 not in before]
    what = ", ".join(changed) if known and changed else "the text files, or how they are prepared,"
    return (
        f"{out.parent}: {what} changed since the run was started; "
        "restore what it was trained on, or choose another --run."
    )


def _read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of an earlier preparation; None if there is none of this format."""
    try:
        manifest = Manifest.load(folder)
    except ModelError as error:
        if (folder / MANIFEST).exists():
            _logger.warning("%s; prepared again", error)
        return None
    return manifest if manifest.format == _FORMAT else None


def _summary_if_current(out: Path, manifest: Manifest | None, key: str) -> PreparedSummary | None:
    """Return what an earlier call made, if it is whole and what this call would make.

    All of it is read: a flipped bit would be learned without a sign.
    """
    if manifest is None or manifest.key != key:
        return None
    try:
        verify_manifest(out, needed=_names_read(out))
        fingerprints = tuple(subword.fingerprint for subword in load_subwords(out))
        corpora = [Corpus.open(out, name) for name in (TRAIN, VALID)]
        if any(corpus.fingerprints != fingerprints for corpus in corpora):
            raise DataError(f"{out}: the subword models did not cut these corpora")
        return PreparedSummary.from_manifest(manifest, out)
    except NmtError as error:
        _logger.warning("%s; prepared again", error)
        return None
