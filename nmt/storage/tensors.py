"""Tensors on disk, as safetensors."""

import contextlib
import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.errors import ModelError, explain_lack_of_memory
from nmt.storage.failures import explain_refusal, format_size
from nmt.storage.files import write_bytes

if TYPE_CHECKING:  # torch takes a second to import, and `nmt --help` needs this module's floor
    from torch import Tensor

_METADATA_KEY = "nmt"
_COPIES = 3  # that safetensors makes of tensors before they are on the disk, at most


def save_tensors(
    path: Path, tensors: Mapping[str, "Tensor"], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write tensors as safetensors, all or nothing; equal tensors give equal bytes.

    Args:
        path: the file, by habit `*.safetensors`.
        tensors: by name, on any device; each storage once (of tied weights pass one).
        metadata: anything JSON can hold. It is stored as one string: with several keys,
            safetensors would order them differently on each write.

    Raises:
        ResourceError: the disk refuses.
    """
    import safetensors.torch
    import torch

    def explain() -> str:
        return f"writing {path}, which takes {format_size(need)}; end other programs, then retry."

    need = _COPIES * sum(tensor.nbytes for tensor in tensors.values())
    with explain_lack_of_memory(explain):  # where safetensors finds none, it ends the process
        torch.empty(need, dtype=torch.uint8)
    text = None if metadata is None else {_METADATA_KEY: json.dumps(metadata, sort_keys=True)}
    # Views and slices are copied, since the format holds contiguous tensors only.
    ready = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    write_bytes(path, safetensors.torch.save(ready, text))


def load_tensors(path: Path) -> dict[str, "Tensor"]:
    """Return the tensors of a safetensors file, on the CPU.

    The file is read, not mapped: a mapped file that shrinks later kills the process.

    Raises:
        ModelError: the file is missing or damaged.
    """
    import safetensors.torch

    with _explain_damage(path):
        return safetensors.torch.load(path.read_bytes())


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a safetensors file, without reading what they hold.

    Raises:
        ModelError: the file is missing or damaged.
    """
    import safetensors

    with _explain_damage(path), safetensors.safe_open(str(path), framework="numpy") as file:
        names = file.keys()
        return {name: tuple(file.get_slice(name).get_shape()) for name in names}


def load_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata that `save_tensors` was given; empty if none was.

    Raises:
        ModelError: the file is missing or damaged.
    """
    import safetensors

    with _explain_damage(path), safetensors.safe_open(str(path), framework="numpy") as file:
        metadata = json.loads((file.metadata() or {}).get(_METADATA_KEY, "{}"))
    if not isinstance(metadata, dict):
        raise ModelError(f"{path}: holds no table of metadata; restore the file from a copy.")
    return metadata


@contextlib.contextmanager
def _explain_damage(path: Path) -> Iterator[None]:
    import safetensors

    try:
        with explain_refusal(path):
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                raise ModelError(f"{path}: is not a plain file; point to a file of weights.")
            yield
    except FileNotFoundError as error:
        raise ModelError(f"{path}: is missing; the folder is not complete.") from error
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path}: is not a readable safetensors file ({error}); restore it from a copy."
        ) from error
