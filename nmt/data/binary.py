"""A prepared corpus: pairs as ids and as text, in a few flat files with their checksums.

    train/
      ids.bin        all ids: source of pair 0, target of pair 0, source of pair 1, ...
      texts.txt      the normalised texts, a line each: source, target, source, ...
      index.bin      three columns: pieces of source, pieces of target, bytes of both texts
      manifest.json  counts, sizes and SHA-256 of the files, fingerprints of the subword models

Only the index is kept in memory (32 bytes per pair); pairs are read by `pread` where they lie.
Nothing is mapped into memory: a mapped file that shrinks kills the process that reads it.
"""

import hashlib
import json
import os
import weakref
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt.errors import DataError
from nmt.storage.failures import explain_failures
from nmt.storage.files import write_json
from nmt.storage.manifest import sha256_of
from nmt.text.vocabulary import EOS

Ids = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int32]

MANIFEST = "manifest.json"
_FORMAT = 1
_IDS, _TEXTS, _INDEX = "ids.bin", "texts.txt", "index.bin"
_LENGTH, _EXTENT = np.dtype("<i4"), np.dtype("<i8")
_INDEX_BYTES = 2 * _LENGTH.itemsize + _EXTENT.itemsize  # per pair


@dataclass(frozen=True)
class EncodedPair:
    """A pair ready to be written.

    Attributes:
        source: ids of the source, without EOS.
        target: ids of the target, without EOS.
        source_text: the normalised line that `source` was cut from.
        target_text: the normalised line that `target` was cut from.
    """

    source: Sequence[int]
    target: Sequence[int]
    source_text: str
    target_text: str


def write_corpus(
    folder: Path,
    name: str,
    pairs: Iterable[EncodedPair],
    *,
    vocab_size: int,
    fingerprints: tuple[str, str],
) -> int:
    """Write the corpus `name` into `folder` and return its number of pairs.

    The files appear one after another: write into a folder that is published when complete.

    Args:
        folder: must exist; the corpus becomes a folder in it.
        name: for example "train".
        pairs: consumed once, never kept.
        vocab_size: all ids lie below; decides how many bytes an id takes.
        fingerprints: of the subword models of source and target.

    Raises:
        ResourceError: the disk refuses.
    """
    place = folder / name
    id_type = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
    source_lengths, target_lengths, extents = array("i"), array("i"), array("q")
    with explain_failures(place):
        place.mkdir()
        with _HashedFile(place / _IDS) as ids, _HashedFile(place / _TEXTS) as texts:
            for pair in pairs:
                ids.write(np.array([*pair.source, EOS, *pair.target, EOS], id_type).tobytes())
                source_lengths.append(len(pair.source) + 1)
                target_lengths.append(len(pair.target) + 1)
                text = f"{pair.source_text}\n{pair.target_text}\n".encode()
                texts.write(text)
                extents.append(len(text))
        with _HashedFile(place / _INDEX) as index:
            index.write(np.array(source_lengths, _LENGTH).tobytes())
            index.write(np.array(target_lengths, _LENGTH).tobytes())
            index.write(np.array(extents, _EXTENT).tobytes())
    write_json(
        place / MANIFEST,
        {
            "format": _FORMAT,
            "pairs": len(extents),
            "source_tokens": sum(source_lengths),
            "target_tokens": sum(target_lengths),
            "id_type": id_type.str,
            "subword": list(fingerprints),
            "files": {file.name: file.entry() for file in (ids, texts, index)},
        },
    )
    return len(extents)


class _HashedFile:
    """A file being written whose size and SHA-256 are known at the end."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._file = path.open("xb")
        self._hash = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> "_HashedFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)

    def entry(self) -> dict[str, int | str]:
        return {"bytes": self._size, "sha256": self._hash.hexdigest()}


class Corpus:
    """A prepared corpus, open for reading; threads may share it. Use `Corpus.open`."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        """Where the files lie."""
        self.fingerprints: tuple[str, str] = tuple(manifest["subword"])
        """SHA-256 of the subword models of source and target that cut the texts."""
        self._files: dict[str, dict[str, Any]] = dict(manifest["files"])
        self._id_type = np.dtype(manifest["id_type"])
        self._check_sizes(int(manifest["pairs"]))
        self._read_index(int(manifest["pairs"]))
        self._ids, self._texts = (os.open(folder / file, os.O_RDONLY) for file in (_IDS, _TEXTS))
        self._closer = weakref.finalize(self, _close, self._ids, self._texts)

    @classmethod
    def open(cls, folder: Path, name: str) -> "Corpus":
        """Open the corpus `name` in the folder that `nmt prepare` wrote.

        The sizes of all files are checked, their contents are not: see `verify`.

        Raises:
            DataError: a file is missing, cannot be read, or has not the size that the manifest
                tells.
        """
        place = folder / name
        path = place / MANIFEST
        try:
            manifest = json.loads(path.read_bytes())
            if manifest["format"] != _FORMAT:
                raise DataError(
                    f"{path}: has format {manifest['format']}, this version of nmt reads "
                    f"{_FORMAT}; {_redo(folder)}"
                )
            return cls(place, manifest)
        except FileNotFoundError as error:
            raise DataError(f"{error.filename}: is missing; {_redo(folder)}") from None
        except OSError as error:
            raise DataError(
                f"{error.filename}: cannot be read ({error.strerror}); mend its mode, or "
                f"{_redo(folder)}"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: is damaged ({error}); {_redo(folder)}") from error

    def __len__(self) -> int:
        return len(self.source_lengths)

    def pair(self, index: int) -> tuple[Ids, Ids]:
        """Return source and target ids of a pair, both ending in EOS."""
        begin, end = self._extent(self._id_ends, index)
        size = self._id_type.itemsize
        data = self._read(self._ids, _IDS, begin * size, end * size)
        ids = np.frombuffer(data, self._id_type).astype(np.int64)
        cut = int(self.source_lengths[index])
        return ids[:cut], ids[cut:]

    def texts(self, index: int) -> tuple[str, str]:
        """Return source and target of a pair as normalised text."""
        begin, end = self._extent(self._text_ends, index)
        data = self._read(self._texts, _TEXTS, begin, end)
        try:
            source, target, rest = data.decode("utf-8").split("\n")
        except ValueError:
            raise self._damage(_TEXTS, f"bytes {begin:,} to {end:,} are no two lines") from None
        if rest:
            raise self._damage(_TEXTS, f"bytes {begin:,} to {end:,} are no two lines")
        return source, target

    def verify(self) -> None:
        """Check the contents of all files against their SHA-256.

        Raises:
            DataError: a file was changed.
        """
        for name, entry in self._files.items():
            if sha256_of(self.folder / name) != entry["sha256"]:
                raise self._damage(name, "its SHA-256 is not the one in the manifest")

    def close(self) -> None:
        """Close the files; also happens when the corpus is no longer used."""
        self._closer()

    def _extent(self, ends: npt.NDArray[np.int64], index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"there is no pair {index} among {len(self)}")
        return (int(ends[index - 1]) if index else 0), int(ends[index])

    def _read(self, descriptor: int, name: str, begin: int, end: int) -> bytes:
        data = os.pread(descriptor, end - begin, begin)
        if len(data) != end - begin:
            raise self._damage(name, "it was cut off while in use")
        return data

    def _check_sizes(self, pairs: int) -> None:
        for name in (_IDS, _TEXTS, _INDEX):
            expected, found = int(self._files[name]["bytes"]), (self.folder / name).stat().st_size
            if expected != found:
                raise self._damage(name, f"it has {found:,} bytes instead of {expected:,}")
        if int(self._files[_INDEX]["bytes"]) != pairs * _INDEX_BYTES:
            raise self._damage(_INDEX, f"it does not belong to {pairs:,} pairs")

    def _read_index(self, pairs: int) -> None:
        path = self.folder / _INDEX
        width = _LENGTH.itemsize * pairs
        self.source_lengths: Lengths = np.fromfile(path, _LENGTH, pairs).astype(np.int32)
        """Pieces of each source with its EOS, [pairs]."""
        self.target_lengths: Lengths = np.fromfile(path, _LENGTH, pairs, offset=width).astype(
            np.int32
        )
        """Pieces of each target with its EOS, [pairs]."""
        extents = np.fromfile(path, _EXTENT, pairs, offset=2 * width)
        self._id_ends = np.cumsum(self.source_lengths.astype(np.int64) + self.target_lengths)
        self._text_ends = np.cumsum(extents)
        for name, ends, size in (
            (_IDS, self._id_ends, self._id_type.itemsize),
            (_TEXTS, self._text_ends, 1),
        ):
            if int(ends[-1] if pairs else 0) * size != int(self._files[name]["bytes"]):
                raise self._damage(_INDEX, f"its lengths do not add up to the size of {name}")

    def _damage(self, name: str, fault: str) -> DataError:
        return DataError(f"{self.folder / name}: is damaged, {fault}; {_redo(self.folder.parent)}")


def _redo(folder: Path) -> str:
    return f"delete {folder} and run `nmt prepare` again."


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
