"""Tensors and arrays on disk, as safetensors: loading them runs no code."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.errors import ModelError, explain_lack_of_memory
from nmt.paths import require_regular_file
from nmt.storage.files import write_bytes
from nmt.storage.os_errors import explain_read_errors, format_size

if TYPE_CHECKING:  # torch and numpy are slow to import, and `nmt --help` imports this module
    import numpy as np
    from torch import Tensor

_METADATA_KEY = "nmt"
_COPIES = 3  # maximum number of copies that safetensors makes of tensors while saving


def save_tensors(
    path: Path, tensors: Mapping[str, "Tensor"], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write tensors as safetensors, atomically; equal tensors give equal bytes.

    Args:
        path: the file, `*.safetensors`.
        tensors: by name, on any device; pass tied weights once.
        metadata: any JSON value for each key.

    Raises:
        ResourceError: writing failed, or memory is too small.
    """
    import safetensors.torch
    import torch

    def explain() -> str:
        return f"writing {path}, which takes {format_size(need)}; end other programs, then retry."

    need = _COPIES * sum(tensor.nbytes for tensor in tensors.values())
    with explain_lack_of_memory(explain):  # safetensors aborts the process if memory runs out
        torch.empty(need, dtype=torch.uint8)
    # Views and slices are copied, since the format holds contiguous tensors only.
    ready = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    write_bytes(path, safetensors.torch.save(ready, _as_text(metadata)))


def save_arrays(
    path: Path, arrays: Mapping[str, "np.ndarray[Any, Any]"], metadata: Mapping[str, Any]
) -> None:
    """Write numpy arrays as safetensors, as `save_tensors` does, without importing torch.

    Raises:
        ResourceError: writing failed.
    """
    import safetensors.numpy

    ready = {name: arrays[name] for name in sorted(arrays)}
    write_bytes(path, safetensors.numpy.save(ready, _as_text(metadata)))


def _as_text(metadata: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return metadata under one key, since safetensors writes several in random order."""
    return None if metadata is None else {_METADATA_KEY: json.dumps(metadata, sort_keys=True)}


def load_tensors(path: Path) -> dict[str, "Tensor"]:
    """Return the tensors of a safetensors file, on the CPU.

    The file is read, not mapped: if a mapped file is truncated later, the process crashes.

    Raises:
        ModelError: the file is missing or damaged.
    """
    import safetensors.torch

    with _explain_damage(path):
        return safetensors.torch.load(path.read_bytes())


def load_arrays(path: Path) -> dict[str, "np.ndarray[Any, Any]"]:
    """Return the arrays of a safetensors file; see `load_tensors`.

    Raises:
        ModelError: the file is missing or damaged.
    """
    import safetensors.numpy

    with _explain_damage(path):
        return safetensors.numpy.load(path.read_bytes())


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a safetensors file; only its header is read.

    Raises:
        ModelError: the file is missing or damaged.
    """
    import safetensors

    with _explain_damage(path), safetensors.safe_open(str(path), framework="numpy") as file:
        names = file.keys()
        return {name: tuple(file.get_slice(name).get_shape()) for name in names}


def load_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a safetensors file; empty if it has none.

    Raises:
        ModelError: the file is missing or damaged.
    """
    import safetensors

    with _explain_damage(path), safetensors.safe_open(str(path), framework="numpy") as file:
        metadata = json.loads((file.metadata() or {}).get(_METADATA_KEY, "{}"))
    if not isinstance(metadata, dict):
        raise ModelError(f"{path}: its metadata are no table; restore the file from a copy.")
    return metadata


@contextlib.contextmanager
def _explain_damage(path: Path) -> Iterator[None]:
    import safetensors

    try:
        with explain_read_errors(path):
            require_regular_file(path)
            yield
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path}: is not a readable safetensors file ({error}); restore it from a copy."
        ) from error
