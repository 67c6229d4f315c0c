"""Bring the prepared data of a run up to date with its text files and options.

The folder (see `folder`) appears in one step at the end, so a killed preparation leaves nothing
that could be mistaken for a complete one. The same files and options give the same models and
corpora, byte for byte.
"""

import hashlib
import json
import logging
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import sentencepiece

import nmt
from nmt.config.experiment import Experiment
from nmt.config.load import resolve_paths
from nmt.data.build import Preparation
from nmt.data.corpus import Corpus
from nmt.data.folder import RECORD, TRAIN, VALID, PreparationRecord, PreparedSummary
from nmt.data.shape import Shape
from nmt.errors import DataError, ModelError, NmtError
from nmt.storage.checksums import sha256_of, verify_checksums
from nmt.storage.files import write_json
from nmt.storage.folders import make_folder, new_folder
from nmt.storage.os_errors import explain_write_errors
from nmt.text.lines import BadLines, require_file
from nmt.text.subword import PIECE_FILES, find_pieces, load_subwords

_FORMAT = 3
_FILTER_OPTIONS = {"max_length", "max_ratio", "drop_duplicates", "drop_copies"}

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
        experiment: names the text files and the options.
        base: folder that relative paths refer to.
        out: created or replaced as a whole; left alone if it already holds these data.
        report: called with a line of text at each step.
        bad_lines: what to do with pairs that are not UTF-8. "error" accepts data prepared earlier
            with another choice, and repeats that choice if the data must be prepared again.
        expected_key: key of the data that this run was trained on; other data are refused before
            anything is written.

    Raises:
        DataError: a text file is missing, damaged or does not match its counterpart; no pair is
            left; or the key is not the expected one.
        ConfigError: the vocabulary size does not fit the text.
        ResourceError: writing failed.
    """
    started = time.monotonic()
    experiment = resolve_paths(experiment, base)
    earlier = _read_record(out)
    inputs = _fingerprint_inputs(experiment)
    pieces = _fingerprints_of_pieces(experiment, earlier)
    training_keys = _keys(experiment, inputs, pieces, only_training=True)
    keys = _keys(experiment, inputs, pieces)
    replaced: dict[str, list[str]] = {}
    if earlier is not None and _trained_on_the_same(
        earlier, training_keys, bad_lines, expected_key
    ):
        bad_lines, key = earlier.bad_lines, keys[earlier.bad_lines]
        replaced = {**earlier.replaced, earlier.key: earlier.valid}
    else:
        wanted = expected_key or (earlier.key if earlier else None)
        bad_lines, key = _choose(keys, bad_lines, wanted)
        if expected_key not in (None, key):
            raise _other_data(out, keys, inputs, earlier, expected_key)
    if earlier is not None and earlier.key == key and _is_intact(out):
        update = {"folder": out, "up_to_date": True, "seconds": time.monotonic() - started}
        return earlier.summary.model_copy(update=update)

    make_folder(out.parent)
    with new_folder(out) as folder, explain_write_errors(out):
        preparation = Preparation(experiment, folder, bad_lines, report or (lambda _: None))
        made, training_text = preparation.run()
        _refuse_changed(inputs, _fingerprint_inputs(experiment))
        update = {"folder": out, "seconds": time.monotonic() - started}
        record = PreparationRecord(
            format=_FORMAT,
            nmt=nmt.__version__,
            sentencepiece=sentencepiece.__version__,
            key=key,
            training_key=training_keys[bad_lines],
            valid=_digests(experiment.data.valid, inputs),
            replaced=replaced,
            bad_lines=bad_lines,
            inputs=inputs,
            normalization=experiment.normalization,
            subword=[subword.fingerprint for subword in load_subwords(folder)],
            taken=pieces,
            summary=made.model_copy(update=update),
            training_text=training_text,
        )
        write_json(folder / RECORD, record.model_dump(mode="json"))
    return record.summary


def _fingerprint_inputs(experiment: Experiment) -> dict[str, str]:
    """Return the SHA-256 of every text file; files are always read, whatever their time stamp."""
    require_inputs(experiment)
    return {file: sha256_of(Path(file)) for file in _input_files(experiment)}


def require_inputs(experiment: Experiment) -> None:
    """Check that every text file can be read.

    Raises:
        DataError: some cannot; all of them are named.
    """
    faults = []
    for file in _input_files(experiment):
        try:
            require_file(Path(file))
        except DataError as error:
            faults.append(str(error))
    if faults:
        raise DataError("\n".join(faults))


def _input_files(experiment: Experiment) -> list[str]:
    data = experiment.data
    files = (*data.train, *(data.valid or ()), *(data.test or ()))
    return [file for file in dict.fromkeys(files) if file]


def _choose(
    keys: Mapping[BadLines, str], bad_lines: BadLines, wanted: str | None
) -> tuple[BadLines, str]:
    """Return how bad lines are treated, and the key of the resulting data.

    "error" is replaced by the choice that yields the data with the key `wanted`.
    """
    choices = keys if bad_lines == "error" else (bad_lines,)
    chosen = next((choice for choice in choices if keys[choice] == wanted), bad_lines)
    return chosen, keys[chosen]


def _trained_on_the_same(
    earlier: PreparationRecord,
    training_keys: Mapping[BadLines, str],
    bad_lines: BadLines,
    expected_key: str | None,
) -> bool:
    """Whether the run was trained on the earlier data, and its training data are still the same.

    Its validation and test files may then be others.
    """
    return (
        expected_key in (earlier.key, *earlier.replaced)
        and bad_lines in ("error", earlier.bad_lines)
        and earlier.training_key == training_keys[earlier.bad_lines]
    )


def _digests(files: Sequence[str] | None, inputs: Mapping[str, str]) -> list[str]:
    """Return the SHA-256 of each text file, "" for a side without one."""
    return [inputs[file] if file else "" for file in files or ()]


def _keys(
    experiment: Experiment,
    inputs: Mapping[str, str],
    pieces: list[str],
    *,
    only_training: bool = False,
) -> dict[BadLines, str]:
    """Return the key of the data, or of the training data, for each way to treat bad lines."""
    data = experiment.data
    held_out = [_digests(data.valid, inputs), _digests(data.test, inputs)]
    if only_training and not data.drop_held_out:
        held_out = [["held out" if data.valid is None else "named"]]
    return {
        choice: _key(experiment, [_digests(data.train, inputs), *held_out], pieces, choice)
        for choice in get_args(BadLines)
    }


def _key(
    experiment: Experiment, files: list[list[str]], pieces: list[str], bad_lines: BadLines
) -> str:
    """Return a hash of everything the result depends on: digests of files, pieces, options."""
    data = experiment.data
    parts: dict[str, object] = {
        "format": _FORMAT,
        "files": files,
        "data": data.model_dump(include=_FILTER_OPTIONS)
        # Data of older runs do not have these keys.
        | ({"drop_held_out": True} if data.drop_held_out else {})
        | ({"join_lines": data.join_lines} if data.join_lines else {}),
        "normalization": experiment.normalization.model_dump(exclude={"repair"})
        | ({"repair": True} if experiment.normalization.repair else {}),
        "tokenizer": experiment.tokenizer.model_dump(exclude=_tokenizer_keys_left_out(experiment)),
        "pieces": pieces,
        "shared": experiment.model.embedding.shares_vocabulary,
        "bad_lines": bad_lines,
    }
    if not (shape := Shape.of(experiment.model)).is_text:
        parts["shape"] = asdict(shape)
    if experiment.model.output.kind == "pointer":  # refuses some pairs
        parts["pointer"] = True
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tokenizer_keys_left_out(experiment: Experiment) -> set[str]:
    """Return the keys of [tokenizer] on which prepared data do not depend.

    Without symbols, data prepared before that key existed stay up to date.
    """
    return {"sampling", "pieces_from"} | (set() if experiment.tokenizer.symbols else {"symbols"})


def _fingerprints_of_pieces(experiment: Experiment, earlier: PreparationRecord | None) -> list[str]:
    """Return the fingerprints of the subword models taken from another run.

    If that run is gone, they are those of the earlier preparation.
    """
    run = experiment.tokenizer.pieces_from
    if not run:
        return []
    if earlier is not None and earlier.taken and not Path(run).exists():
        return earlier.taken
    return [subword.fingerprint for subword in load_subwords(find_pieces(Path(run)))]


def _other_data(
    out: Path,
    keys: Mapping[BadLines, str],
    inputs: Mapping[str, str],
    earlier: PreparationRecord | None,
    expected_key: str | None,
) -> DataError:
    """Explain how the data differ from those that the run was trained on."""
    for choice, key in keys.items():
        if key == expected_key:
            return DataError(
                f"{out.parent}: was trained on text prepared with --bad-lines {choice}; "
                "give the same, or choose another --run."
            )
    before = earlier.inputs.values() if earlier is not None else inputs.values()
    changed = [file for file, digest in inputs.items() if digest not in before]
    what = ", ".join(changed) or "the text files, or the options of their preparation,"
    return DataError(
        f"{out.parent}: {what} changed since the run was started; "
        "restore what it was trained on, or choose another --run. To train its weights further on "
        f"other text: nmt train CONFIG --run ANOTHER --from {shlex.quote(str(out.parent))}"
    )


def _refuse_changed(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Refuse the result if a text file changed while it was read."""
    for file, digest in before.items():
        if after[file] != digest:
            raise DataError(f"{file}: changed while it was read; start again when it is complete.")


def _read_record(folder: Path) -> PreparationRecord | None:
    """Return the record of an earlier preparation; None if there is none of this format."""
    if not (folder / RECORD).exists():
        return None
    try:
        record = PreparationRecord.load(folder)
    except ModelError as error:
        _logger.warning("%s; prepared again", error)
        return None
    return record if record.format == _FORMAT else None


def _is_intact(out: Path) -> bool:
    """True if all files of an earlier preparation are undamaged and belong together.

    All files are read, since the model would silently train on flipped bits.
    """
    parts = [path for name in (TRAIN, VALID) for path in (out / name).glob("[!.]*")]
    pieces = [out / name for name in PIECE_FILES if (out / name).exists()]
    needed = [RECORD, *(path.relative_to(out).as_posix() for path in [*parts, *pieces])]
    try:
        verify_checksums(out, needed=needed)
        fingerprints = tuple(subword.fingerprint for subword in load_subwords(out))
        if any(Corpus(out, name).fingerprints != fingerprints for name in (TRAIN, VALID)):
            raise DataError(f"{out}: the subword models did not encode these corpora")
    except NmtError as error:
        _logger.warning("%s; prepared again", error)
        return False
    return True
