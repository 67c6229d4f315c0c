"""Malicious model folders.

Each function of `ATTACKS` changes a good folder; `outside` is a folder beside it with secrets
that must not be read and where nothing may be written. Checksums are recomputed afterwards.
"""

import io
import json
import os
import pickle
import random
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from nmt.storage.checksums import CHECKSUMS

Attack = Callable[[Path, Path], None]
ATTACKS: dict[str, Attack] = {}
"""By name."""
UNSUMMED: set[str] = set()
"""Those that bring checksums of their own."""
HARMLESS: set[str] = set()
"""Those that may be loaded, as what is evil in them is never looked at."""

CONFIG, WEIGHTS, PIECES = "config.json", "model.safetensors", "subword.model"
GIGA = 1 << 30


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return (os.system, (f"touch {self.canary}",))


def attack(*, has_sums: bool = False, is_harmless: bool = False) -> Callable[[Attack], Attack]:
    def keep(function: Attack) -> Attack:
        name = function.__name__
        ATTACKS[name] = function
        if has_sums:
            UNSUMMED.add(name)
        if is_harmless:
            HARMLESS.add(name)
        return function

    return keep


def set_config(folder: Path, **changes: object) -> None:
    """Change keys such as `model.encoder.layers`."""
    config = json.loads((folder / CONFIG).read_text())
    for name, value in changes.items():
        *path, last = name.split("__")
        table = config
        for part in path:
            table = table[part]
        table[last] = value
    (folder / CONFIG).write_text(json.dumps(config))


def write_header(path: Path, header: bytes, size: int | None = None) -> None:
    path.write_bytes(struct.pack("<Q", len(header) if size is None else size) + header)


# --- code ----------------------------------------------------------------------------------------


@attack()
def weights_that_are_a_pickle(folder: Path, outside: Path) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps(Payload(outside / "canary")))


@attack()
def weights_that_torch_saved(folder: Path, outside: Path) -> None:
    torch.save({"weight": Payload(outside / "canary")}, folder / WEIGHTS)


@attack()
def weights_that_are_an_exported_program(folder: Path, outside: Path) -> None:
    with zipfile.ZipFile(folder / WEIGHTS, "w") as archive:
        archive.writestr("archive/data/weights/weight_0", pickle.dumps(Payload(outside / "canary")))
        archive.writestr("archive/version", "1")
        archive.writestr("archive/archive_format", "pt2")


@attack()
def pieces_that_are_a_pickle(folder: Path, outside: Path) -> None:
    (folder / PIECES).write_bytes(pickle.dumps(Payload(outside / "canary")))


@attack()
def configuration_that_is_a_pickle(folder: Path, outside: Path) -> None:
    (folder / CONFIG).write_bytes(pickle.dumps(Payload(outside / "canary")))


@attack(is_harmless=True)
def code_beside_the_weights(folder: Path, outside: Path) -> None:
    code = f"import os; os.system('touch {outside / 'canary'}')\n"
    for name in ("__init__.py", "torch.py", "nmt.py", "model.py", "sitecustomize.py", "json.py"):
        (folder / name).write_text(code)
    for name in ("pytorch_model.bin", "model.pt", "model.pt2", "optimizer.pkl", "data.npy"):
        (folder / name).write_bytes(pickle.dumps(Payload(outside / "canary")))


# --- ways out of the folder ----------------------------------------------------------------------


@attack()
def weights_that_are_a_tar_with_a_way_out(folder: Path, outside: Path) -> None:
    with tarfile.open(folder / WEIGHTS, "w") as archive:
        entry = tarfile.TarInfo("../outside/canary")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"evil"))


@attack()
def weights_that_are_a_zip_with_a_way_out(folder: Path, outside: Path) -> None:
    with zipfile.ZipFile(folder / WEIGHTS, "w") as archive:
        archive.writestr("../outside/canary", "evil")


@attack()
def weights_that_are_a_zip_bomb(folder: Path, outside: Path) -> None:
    with zipfile.ZipFile(folder / WEIGHTS, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(50 << 20))


def link(folder: Path, name: str, outside: Path) -> None:
    """Let a file of the folder be a link to a copy of it outside."""
    (folder / name).rename(outside / name)
    (folder / name).symlink_to(Path("..") / outside.name / name)


@attack()
def weights_that_are_a_link(folder: Path, outside: Path) -> None:
    link(folder, WEIGHTS, outside)


@attack()
def pieces_that_are_a_link(folder: Path, outside: Path) -> None:
    link(folder, PIECES, outside)


@attack()
def configuration_that_is_a_link(folder: Path, outside: Path) -> None:
    link(folder, CONFIG, outside)


@attack(has_sums=True)
def checksums_that_are_a_link(folder: Path, outside: Path) -> None:
    (folder / CHECKSUMS).unlink(missing_ok=True)
    (folder / CHECKSUMS).symlink_to(outside / "secret")


@attack(has_sums=True)
def checksums_without_end(folder: Path, outside: Path) -> None:
    (folder / CHECKSUMS).unlink(missing_ok=True)
    (folder / CHECKSUMS).symlink_to("/dev/zero")


def claim(folder: Path, name: str) -> None:
    """Add a name to the checksums of a folder."""
    with (folder / CHECKSUMS).open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")


@attack(has_sums=True)
def checksums_that_are_a_pipe(folder: Path, outside: Path) -> None:
    (folder / CHECKSUMS).unlink(missing_ok=True)
    os.mkfifo(folder / CHECKSUMS)


@attack(has_sums=True)
def weights_that_are_a_pipe(folder: Path, outside: Path) -> None:
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)


@attack(has_sums=True)
def checksums_of_a_file_above(folder: Path, outside: Path) -> None:
    claim(folder, "../outside/secret")


@attack(has_sums=True)
def checksums_of_a_file_by_its_full_name(folder: Path, outside: Path) -> None:
    claim(folder, str(outside / "secret"))


@attack(has_sums=True)
def checksums_of_a_name_that_cannot_be(folder: Path, outside: Path) -> None:
    claim(folder, "x" * 5000)


@attack(has_sums=True)
def checksums_of_a_name_with_a_zero(folder: Path, outside: Path) -> None:
    claim(folder, "a\0b")


@attack(has_sums=True)
def checksums_of_a_device(folder: Path, outside: Path) -> None:
    (folder / "zero").symlink_to("/dev/zero")
    claim(folder, "zero")


@attack(is_harmless=True)
def weights_that_are_a_hard_link(folder: Path, outside: Path) -> None:
    os.link(folder / WEIGHTS, outside / WEIGHTS)


# --- sizes ---------------------------------------------------------------------------------------


@attack()
def weights_whose_header_is_said_to_be_endless(folder: Path, outside: Path) -> None:
    write_header(folder / WEIGHTS, b"{}", 2**63)


@attack()
def weights_whose_header_is_larger_than_the_file(folder: Path, outside: Path) -> None:
    write_header(folder / WEIGHTS, b"{}", 90 << 20)


@attack()
def weights_whose_header_has_90_megabytes(folder: Path, outside: Path) -> None:
    write_header(folder / WEIGHTS, b'{"__metadata__": {"a": "' + b"x" * (90 << 20) + b'"}}')


@attack()
def weights_of_100_000_tensors(folder: Path, outside: Path) -> None:
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"tensor{number}": entry for number in range(100_000)})
    write_header(folder / WEIGHTS, header.encode())


@attack()
def weights_whose_shape_overflows(folder: Path, outside: Path) -> None:
    entry = {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}
    write_header(folder / WEIGHTS, json.dumps({"weight": entry}).encode() + bytes(4))


@attack()
def weights_that_overlap(folder: Path, outside: Path) -> None:
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    write_header(folder / WEIGHTS, json.dumps({"a": entry, "b": entry}).encode() + bytes(4))


@attack()
def huge_sizes_in_the_configuration(folder: Path, outside: Path) -> None:
    set_config(folder, model__encoder__hidden_size=10**12)


@attack()
def huge_sizes_that_an_empty_tensor_vouches_for(folder: Path, outside: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    save_file({**weights, "empty": torch.empty(10**6, 0)}, folder / WEIGHTS)
    set_config(folder, model__encoder__hidden_size=10**6)


@attack()
def huge_sizes_that_a_vector_vouches_for(folder: Path, outside: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    save_file({**weights, "long": torch.zeros(200_000, dtype=torch.uint8)}, folder / WEIGHTS)
    set_config(folder, model__encoder__hidden_size=200_000, model__decoder__hidden_size=200_000)


@attack()
def many_layers_that_empty_tensors_vouch_for(folder: Path, outside: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    empty = {f"empty{number}": torch.empty(0) for number in range(20_000)}
    save_file({**weights, **empty}, folder / WEIGHTS)
    set_config(folder, model__encoder__layers=20_000)


@attack()
def a_huge_beam(folder: Path, outside: Path) -> None:
    set_config(folder, search__beam=10**9)


@attack()
def a_huge_length(folder: Path, outside: Path) -> None:
    set_config(folder, search__max_length_factor=1e300)


@attack()
def a_huge_vocabulary(folder: Path, outside: Path) -> None:
    set_config(folder, source_vocab=10**12, target_vocab=10**12)


@attack()
def a_negative_size(folder: Path, outside: Path) -> None:
    set_config(folder, model__encoder__hidden_size=-1)


@attack()
def a_configuration_of_a_gigabyte(folder: Path, outside: Path) -> None:
    os.truncate(folder / CONFIG, GIGA)


@attack(has_sums=True)
def checksums_of_a_gigabyte(folder: Path, outside: Path) -> None:
    os.truncate(folder / CHECKSUMS, GIGA)


@attack()
def a_configuration_of_brackets(folder: Path, outside: Path) -> None:
    (folder / CONFIG).write_text("[" * 1_000_000)


@attack()
def a_number_of_many_digits(folder: Path, outside: Path) -> None:
    version = f'"format_version": {"9" * 10**5}'
    config, changed = re.subn(r'"format_version": \d+', version, (folder / CONFIG).read_text())
    assert changed == 1
    (folder / CONFIG).write_text(config)


# --- pieces --------------------------------------------------------------------------------------


@attack()
def pieces_that_are_noise(folder: Path, outside: Path) -> None:
    (folder / PIECES).write_bytes(random.Random(1).randbytes(10_000))


@attack()
def pieces_that_are_empty(folder: Path, outside: Path) -> None:
    (folder / PIECES).write_bytes(b"")


@attack()
def pieces_that_break_off(folder: Path, outside: Path) -> None:
    content = (folder / PIECES).read_bytes()
    (folder / PIECES).write_bytes(content[: len(content) // 2])


@attack()
def a_shortlist_of_strange_pieces(folder: Path, outside: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    source, target = config["source_vocab"], config["target_vocab"]
    likely = torch.full((source, 2), 10**6, dtype=torch.int32)
    tensors = {"frequent": torch.arange(target, dtype=torch.int32), "likely": likely}
    save_file(tensors, folder / "shortlist.safetensors")


@attack()
def a_shortlist_of_nothing(folder: Path, outside: Path) -> None:
    save_file(
        {"frequent": torch.empty(0), "likely": torch.empty(0, 0)}, folder / "shortlist.safetensors"
    )
