"""Folders with files, and their contents."""

from pathlib import Path

from nmt.storage.checksums import write_checksums
from nmt.storage.files import write_bytes, write_text
from nmt.storage.folders import make_folder


def filled(folder):
    make_folder(folder)
    write_bytes(folder / "weights", bytes(range(256)) * 64)
    write_text(folder / "state.json", "{}\n")
    write_checksums(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return the contents of a folder, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
