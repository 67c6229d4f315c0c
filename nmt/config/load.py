"""From a TOML file and `--set` overrides to an Experiment, or to one list of all mistakes."""

import copy
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nmt.config.bleu import SPM
from nmt.config.checks import disagreements
from nmt.config.dump import toml_value
from nmt.config.embedding import EmbeddingConfig, VectorsConfig
from nmt.config.experiment import Experiment
from nmt.config.faults import Fault, faults_of
from nmt.config.schema import kinds, long_form, table
from nmt.config.section import Section
from nmt.errors import ConfigError
from nmt.paths import is_utf8, similar_files

Document = dict[str, Any]


def load(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read the configuration `path`, with `overrides` such as "training.seed=2" on top.

    Paths of data files are not resolved; see `resolve_paths`.

    Raises:
        ConfigError: the file cannot be read, or has wrong keys or values (one line for each).
    """
    document = _read(path)
    amended = copy.deepcopy(document)
    settings: list[_Setting] = []
    problems: list[str] = []
    for text in overrides:
        try:
            settings.append(_parse_setting(text))
            _apply(amended, settings[-1])
        except ConfigError as error:
            problems.append(str(error))
    experiment, faults = _validate(amended)
    problems += [
        f"{_origin(fault, path, document, settings)}: {fault.where}: {fault.message}"
        for fault in faults
    ]
    if experiment is None or problems:
        raise ConfigError("\n".join(problems))
    return experiment


def resolve_paths(experiment: Experiment, base: Path) -> Experiment:
    """Return `experiment` with absolute data paths; relative ones are relative to `base`.

    Raises:
        ConfigError: a path is not UTF-8, or begins with the home folder of an unknown user.
    """
    files = {
        name: tuple(_absolute(f"data.{name}", file, base) if file else "" for file in pair)
        for name, pair in experiment.data
        if name in ("train", "valid", "test") and pair is not None
    }
    changes: dict[str, Section] = {"data": experiment.data.model_copy(update=files)}
    if run := experiment.tokenizer.pieces_from:
        absolute = {"pieces_from": _absolute("tokenizer.from", run, base)}
        changes["tokenizer"] = experiment.tokenizer.model_copy(update=absolute)
    if vectors := _resolved_vectors(experiment.model.embedding, base):
        embedding = experiment.model.embedding.model_copy(update=vectors)
        changes["model"] = experiment.model.model_copy(update={"embedding": embedding})
    tokenize = experiment.validation.tokenize
    if tokenize.startswith(SPM):
        model = _absolute("validation.tokenize", tokenize.removeprefix(SPM), base)
        changes["validation"] = experiment.validation.model_copy(
            update={"tokenize": f"{SPM}{model}"}
        )
    return experiment.model_copy(update=changes)


def _resolved_vectors(embedding: EmbeddingConfig, base: Path) -> dict[str, VectorsConfig]:
    """Return the tables of pretrained vectors whose files are named, with absolute paths."""
    return {
        key: vectors.model_copy(
            update={"file": _absolute(f"model.embedding.{key}", vectors.file, base)}
        )
        for key, vectors in embedding
        if isinstance(vectors, VectorsConfig) and vectors.file
    }


def _absolute(name: str, file: str, base: Path) -> str:
    try:
        path = os.path.abspath(base / Path(file).expanduser())
    except RuntimeError:
        home = Path(file).parts[0]
        raise ConfigError(
            f"{name}: {file}: there is no home folder {home}; "
            f"write the folder out, or ./{home} if it is one of that name"
        ) from None
    if not is_utf8(path):  # each run stores its configuration, which must be UTF-8
        shown = path.encode("utf-8", "backslashreplace").decode()
        raise ConfigError(f"{name}: the path {shown} is not UTF-8; rename the folder or the file")
    return path


def _read(path: Path) -> Document:
    if path.suffix in (".yaml", ".yml"):
        raise ConfigError(
            f"{path}: configurations are TOML, not YAML; write it as "
            f"{path.with_suffix('.toml').name} (`nmt init` writes one to start from)"
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return tomllib.loads(text)
    except FileNotFoundError:
        close = similar_files(path)
        hint = f" (did you mean {close}?)" if close else "; `nmt init` writes one to start from"
        raise ConfigError(f"{path}: no such file{hint}") from None
    except IsADirectoryError:
        inside = path / "config.toml"  # of a run
        which = f", {inside}" if inside.is_file() else ""
        raise ConfigError(
            f"{path}: is a folder; give the configuration file itself{which}"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}; fix its mode, or take a copy of it"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: byte 0x{error.object[error.start]:02x} is not UTF-8; "
            "save the file as UTF-8"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}{_toml_fault(str(error), text)}") from None
    except RecursionError:
        raise ConfigError(
            f"{path}: not TOML: it is nested too deeply; give a configuration"
        ) from None
    except ValueError:
        raise ConfigError(
            f"{path}: not TOML: a number has more than 4,300 digits; shorten it"
        ) from None


def _toml_fault(message: str, text: str) -> str:
    """Return the message with the line number in front and the content of the line."""
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message)
    if found is None:
        return f": not TOML: {message}"
    lines = text.split("\n")
    line = int(found[2] or len(lines))
    column = f", column {found[3]}" if found[3] else ""
    shown = lines[line - 1].strip()
    return f":{line}{column}: not TOML: {found[1]}{f': {shown}' if shown else ''}"


@dataclass(frozen=True)
class _Setting:
    """One `--set` of the command line."""

    text: str
    keys: tuple[str, ...]
    value: Any


def _parse_setting(text: str) -> _Setting:
    key, equals, value = text.partition("=")
    keys = tuple(part.strip() for part in key.split("."))
    if not equals or not all(keys):
        raise ConfigError(
            f"--set {text}: must be key=value, for example --set training.learning_rate=0.0005"
        )
    return _Setting(text, keys, _parse_value(value.strip()))


def _parse_value(text: str) -> Any:
    """Read a TOML value; anything else is a string, so that quotes may be omitted."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _apply(document: Document, setting: _Setting) -> None:
    """Write a setting into the document, creating tables as needed.

    Short forms are expanded, and a tagged table that the file does not mention gets its default
    kind: `training.optimizer.beta2=0.98` is enough.
    """
    section: type[Section] | None = Experiment
    here = document
    for depth, key in enumerate(setting.keys[:-1], 1):
        field = section.model_fields.get(key) if section else None
        value = here.get(key, {})
        if field is not None:
            value = long_form(field, value)
        if not isinstance(value, dict):
            raise ConfigError(
                f"--set {setting.text}: {'.'.join(setting.keys[:depth])} is {toml_value(value)}, "
                f"not a table that could hold {setting.keys[-1]}"
            )
        if field is not None and kinds(field) and not value and setting.keys[-1] != "kind":
            value = {"kind": field.get_default().kind}
        here[key] = value
        here = value
        section = table(field, value.get("kind")) if field is not None else None
    here[setting.keys[-1]] = setting.value


def _validate(document: Document) -> tuple[Experiment | None, list[Fault]]:
    """Return the experiment and all faults: wrong values and disagreements between sections.

    Disagreements are also reported for the rest of a document with wrong values.
    """
    if faults := list(_too_large(document)):
        return None, faults
    experiment: Experiment | None
    try:
        experiment = Experiment.model_validate(document)
    except ValidationError as error:
        faults = list(faults_of(error))
        experiment = _without(document, faults)
    found = disagreements(experiment) if experiment is not None else ()
    return experiment, faults + [one for one in found if not _follows_from(one, faults)]


def _too_large(section: Document, keys: tuple[str, ...] = ()) -> Iterator[Fault]:
    """Find integers beyond 64 bits: TOML has none, and Python cannot always print them."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _too_large(value, (*keys, key))
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            yield Fault((*keys, key), "must be a whole number of at most 64 bits")


# Replaces missing data, so that the other sections can still be compared with each other.
_SOME_DATA = {"target": "b", "train": ["a", "b"], "valid": ["a", "b"]}


def _without(document: Document, faults: Sequence[Fault]) -> Experiment | None:
    """Return the experiment without the faulty keys; None if the rest is not valid."""
    rest = copy.deepcopy(document)
    for fault in faults:
        _remove(rest, fault.keys)
    rest["data"] = {**_SOME_DATA, **rest.get("data", {})}
    try:
        return Experiment.model_validate(rest)
    except ValidationError:
        return None


def _follows_from(found: Fault, faults: Sequence[Fault]) -> bool:
    """True if a disagreement involves a key that is faulty itself or was replaced."""
    keys = [f"{key}." for key in (found.where, *found.involves)]
    wrong = [f"{fault.where}." for fault in faults]
    if any(f"{key}." in wrong for key in ("data", *(f"data.{name}" for name in _SOME_DATA))):
        wrong.append("data.")
    return any(a.startswith(b) or b.startswith(a) for a in keys for b in wrong)


def _remove(document: Document, keys: Sequence[str]) -> None:
    """Delete the value at the path `keys`; if it is missing, the table that should contain it."""
    here, key = document, keys[0]
    for next_key in keys[1:]:
        child = here.get(key)
        if not isinstance(child, dict) or next_key not in child:
            break
        here, key = child, next_key
    here.pop(key, None)


def _origin(fault: Fault, path: Path, document: Document, settings: Sequence[_Setting]) -> str:
    """Return where a faulty key was set: in the file, or by one of the settings."""
    for setting in reversed(settings):
        depth = min(len(setting.keys), len(fault.keys))
        shared = setting.keys[:depth] == fault.keys[:depth]
        if shared and (depth == len(setting.keys) or not _has(document, fault.keys)):
            return f"--set {setting.text}"
    return str(path)


def _has(document: Any, keys: Sequence[str]) -> bool:
    for key in keys:
        if not isinstance(document, dict) or key not in document:
            return False
        document = document[key]
    return True
