"""A prepared corpus: pairs of ids with their texts, in three files.

    train/
      ids.bin            all ids: source of pair 0, target of pair 0, source of pair 1, ...
      texts.txt          the normalised texts, one per line: source, target, source, ...
      index.safetensors  ids of each source and target, bytes of each pair of texts; counts

Only the index is kept in memory (32 bytes per pair). Ids and texts are read with `pread` rather
than mapped: a process crashes if a file it has mapped is truncated. The checksums are in the
`SHA256SUMS` of the whole folder.
"""

import os
import weakref
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt.errors import DataError, ModelError
from nmt.storage.os_errors import explain_write_errors
from nmt.storage.tensors import load_arrays, load_metadata, save_arrays
from nmt.text.vectors import Vectors, read_vectors
from nmt.text.vocabulary import EOS

Ids = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int32]

INDEX = "index.safetensors"
"""Index file; its metadata contain the counts pairs, source_tokens and target_tokens."""
_IDS, _TEXTS = "ids.bin", "texts.txt"


@dataclass(frozen=True)
class EncodedPair:
    """A pair ready to be written.

    Attributes:
        source: ids of the source, without EOS.
        target: ids of the target, without EOS.
        source_text: the normalised line that `source` encodes.
        target_text: the normalised line that `target` encodes.
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
        vocab_size: upper bound of all ids; determines the bytes per id.
        fingerprints: of the subword models of source and target.

    Raises:
        ResourceError: writing failed.
    """
    place = folder / name
    id_type = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
    source_lengths, target_lengths, text_bytes = array("i"), array("i"), array("q")
    with explain_write_errors(place):
        place.mkdir()
        with (place / _IDS).open("xb") as ids, (place / _TEXTS).open("xb") as texts:
            for pair in pairs:
                ids.write(np.array([*pair.source, EOS, *pair.target, EOS], id_type).tobytes())
                source_lengths.append(len(pair.source) + 1)
                target_lengths.append(len(pair.target) + 1)
                text_bytes.append(texts.write(_join(pair)))
    save_arrays(
        place / INDEX,
        {
            "source_lengths": np.array(source_lengths, np.int32),
            "target_lengths": np.array(target_lengths, np.int32),
            "text_bytes": np.array(text_bytes, np.int64),
        },
        {
            "pairs": len(text_bytes),
            "source_tokens": sum(source_lengths),
            "target_tokens": sum(target_lengths),
            "id_type": id_type.str,
            "subword": fingerprints,
        },
    )
    return len(text_bytes)


def _join(pair: EncodedPair) -> bytes:
    return f"{pair.source_text}\n{pair.target_text}\n".encode()


class Corpus:
    """A prepared corpus, open for reading; threads may share it.

    Args:
        folder: written by `nmt prepare`.
        name: name of the corpus in it.
        features: numbers at each source position; 0 if the sources are text.
        values: numbers in each target; 0 if the targets are text.

    Raises:
        DataError: a file is missing, cannot be read, or differs in size from the index.
    """

    def __init__(self, folder: Path, name: str, *, features: int = 0, values: int = 0) -> None:
        self.folder, self.features, self.values = folder / name, features, values
        try:
            self._read_index()
            descriptors = [os.open(self.folder / file, os.O_RDONLY) for file in (_IDS, _TEXTS)]
        except ModelError as error:
            raise DataError(f"{error} Or {self._remedy()}") from error
        except OSError as error:
            raise DataError(
                f"{error.filename}: cannot be read ({error.strerror}); {self._remedy()}"
            ) from error
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(INDEX, str(error)) from error
        self._ids, self._texts = descriptors
        self._closer = weakref.finalize(self, _close, *descriptors)

    def _read_index(self) -> None:
        metadata, arrays = load_metadata(self.folder / INDEX), load_arrays(self.folder / INDEX)
        self.fingerprints: tuple[str, str] = tuple(metadata["subword"])
        """SHA-256 of the subword models of source and target that encoded the texts."""
        self._id_type = np.dtype(metadata["id_type"])
        self.source_lengths: Lengths = arrays["source_lengths"]
        """Pieces of each source with its EOS, [pairs]."""
        self.target_lengths: Lengths = arrays["target_lengths"]
        """Pieces of each target with its EOS, [pairs]."""
        self._id_ends = np.cumsum(self.source_lengths.astype(np.int64) + self.target_lengths)
        self._text_ends = np.cumsum(arrays["text_bytes"])
        for file, ends, size in (
            (_IDS, self._id_ends, self._id_type.itemsize),
            (_TEXTS, self._text_ends, 1),
        ):
            expected = int(ends[-1]) * size if len(ends) else 0
            found = (self.folder / file).stat().st_size
            if found != expected:
                raise self._damaged(file, f"it has {found:,} bytes instead of {expected:,}")

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

    def example(self, index: int) -> tuple[Ids | Vectors, Ids | Vectors]:
        """Return what a model reads and writes: source and target of a pair, each as ids ending in
        EOS, or as numbers [positions, features] and [1, values]."""
        source, target = self.pair(index)
        if not self.features and not self.values:
            return source, target
        texts = self.texts(index)
        return (
            read_vectors(texts[0], self.features) if self.features else source,
            read_vectors(texts[1], self.values) if self.values else target,
        )

    def texts(self, index: int) -> tuple[str, str]:
        """Return source and target of a pair as normalised text."""
        begin, end = self._extent(self._text_ends, index)
        data = self._read(self._texts, _TEXTS, begin, end)
        try:
            source, target = data.decode("utf-8").removesuffix("\n").split("\n")
        except ValueError:
            raise self._damaged(_TEXTS, f"bytes {begin:,} to {end:,} are not two lines") from None
        return source, target

    def close(self) -> None:
        """Close the files; this also happens when the corpus is garbage-collected."""
        self._closer()

    def _extent(self, ends: npt.NDArray[np.int64], index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"there is no pair {index} among {len(self)}")
        return (int(ends[index - 1]) if index else 0), int(ends[index])

    def _read(self, descriptor: int, name: str, begin: int, end: int) -> bytes:
        data = os.pread(descriptor, end - begin, begin)
        if len(data) != end - begin:
            raise self._damaged(name, "it was truncated while in use")
        return data

    def _damaged(self, name: str, fault: str) -> DataError:
        return DataError(f"{self.folder / name}: is damaged, {fault}; {self._remedy()}")

    def _remedy(self) -> str:
        return f"delete {self.folder.parent} and run `nmt prepare` again."


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
