"""Put the corpus of a recipe into recipes/NAME/data.

    python recipes/fetch.py NAME

If $NMT_DATA/<folder> exists, the corpus is linked from there; otherwise it is downloaded. In both
cases every file must have the sha256 of the plain text the recipe was measured on. Where only the
checksum of an archive is published, the download is checked instead, and local files are not.
Exit codes: 0 done, 2 unknown recipe, 3 corpus missing, damaged or unavailable.
"""

import argparse
import hashlib
import http.client
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from corpora import CORPORA, EMBEDDED, Corpus, Origin

RECIPES = Path(__file__).resolve().parent
ATTEMPTS = 4
PAUSE = 1.0
"""Seconds before the second attempt; doubled before each further attempt."""
TIMEOUT = 60.0
"""Seconds without data after which an attempt is abandoned."""
CHUNK = 1 << 20


class FetchError(Exception):
    """The corpus is unavailable; the message says which file, why, and what to do."""


class _Interrupted(Exception):
    """An attempt failed in a way that may be temporary."""


def fetch(corpus: Corpus, out: Path, *, local: Path | None, report: Callable[[str], None]) -> None:
    """Put the files of the corpus into `out`.

    Args:
        corpus: what to fetch.
        out: folder for the files; a complete and correct corpus in it is kept.
        local: the folder $NMT_DATA, searched first.
        report: called with one line for each action.

    Raises:
        FetchError: a file is unavailable or has the wrong content.
    """
    missing = [name for name in corpus.sums if not (out / name).exists()]
    if not missing:
        for name, expected in corpus.sums.items():
            _verify(out / name, expected, f"{out / name}", "delete it and fetch again")
        report(f"{out}: complete")
        return
    if local is not None and (local / corpus.folder).is_dir():
        _link(corpus, local / corpus.folder, out)
        report(f"{out}: linked to {local / corpus.folder}")
    elif corpus.origins:
        for origin in corpus.origins:
            if origin.checksum and all((out / name).exists() for name in origin.names):
                report(f"{origin.url}: downloaded before")  # by a fetch that was interrupted
                continue
            report(f"downloading {origin.url}")
            _download(origin, corpus.sums, out)
        _join(corpus, out)
        report(f"{out}: complete, checksums agree")
    else:
        where = f"{local} has no folder {corpus.folder}" if local else "NMT_DATA is not set"
        raise FetchError(
            f"{out}: this corpus cannot be downloaded, and {where}.\n{corpus.note}\n"
            f"Set NMT_DATA to a folder that contains {corpus.folder}/ with the files "
            f"{', '.join(corpus.sums)}."
        )


def _link(corpus: Corpus, folder: Path, out: Path) -> None:
    for name, expected in corpus.sums.items():
        if not (folder / name).is_file():
            raise FetchError(f"{folder / name}: no such file; the corpus in {folder} is incomplete")
        _verify(folder / name, expected, f"{folder / name}", "get the corpus again")
    out.mkdir(parents=True, exist_ok=True)
    for name in corpus.sums:
        temporary = out / f".{name}.part"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to((folder / name).resolve())
        os.replace(temporary, out / name)


def _verify(path: Path, expected: str | None, shown: str, advice: str) -> None:
    if expected is None:
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    _compare(digest, expected, shown, advice)


def _compare(found: "hashlib._Hash", expected: str, shown: str, advice: str) -> None:
    if found.hexdigest() != expected:
        raise FetchError(
            f"{shown}: {found.name} is {found.hexdigest()}, expected {expected}; {advice}"
        )


def _require(content: bytes, checksum: str, shown: str) -> None:
    """Compare with a checksum such as "sha256:0224..."."""
    algorithm, _, expected = checksum.partition(":")
    found = hashlib.new(algorithm, content, usedforsecurity=False)
    _compare(found, expected, shown, "the file on the server has changed; nothing was written")


def _download(origin: Origin, sums: Mapping[str, str | None], out: Path) -> None:
    """Write the texts of one origin; a file gets its final name only after verification."""
    content = _bytes_of(origin.url)
    if origin.checksum:
        _require(content, origin.checksum, origin.url)
    try:
        texts = origin.read(content)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise FetchError(
            f"{origin.url}: the download has unexpected content ({error}); try again, or set "
            "NMT_DATA to a folder that contains the corpus"
        ) from None
    out.mkdir(parents=True, exist_ok=True)
    for name, text in zip(origin.names, texts, strict=True):
        if expected := sums.get(name):
            _require(text, f"sha256:{expected}", f"{name} from {origin.url}")
        temporary = out / f".{name}.part"
        temporary.write_bytes(text)
        os.replace(temporary, out / name)


def _join(corpus: Corpus, out: Path) -> None:
    """Make the files that are others one after the other, and then delete those."""
    for name, parts in corpus.joined.items():
        temporary = out / f".{name}.part"
        with temporary.open("wb") as whole:
            for part in parts:
                with (out / part).open("rb") as file:
                    shutil.copyfileobj(file, whole, CHUNK)
        os.replace(temporary, out / name)
    for parts in corpus.joined.values():
        for part in parts:
            (out / part).unlink()


def _bytes_of(url: str) -> bytes:
    """Download a file, retrying after temporary failures."""
    pause = PAUSE
    for _ in range(ATTEMPTS - 1):
        try:
            return _attempt(url)
        except _Interrupted:
            time.sleep(pause)
            pause *= 2
    try:
        return _attempt(url)
    except _Interrupted as error:
        raise FetchError(
            f"{url}: cannot be downloaded: {error} ({ATTEMPTS} attempts); "
            "check the network, or set NMT_DATA to a folder that contains the corpus"
        ) from None


def _attempt(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "nmt-recipes"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            content: bytes = response.read()  # raises if incomplete
            return content
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (408, 429) or error.code >= 500:
            raise _Interrupted(f"HTTP {error.code} {error.reason}") from None
        raise FetchError(
            f"{url}: HTTP {error.code} {error.reason}; the file is not available, so "
            "set NMT_DATA to a folder that contains the corpus"
        ) from None
    except urllib.error.URLError as error:
        raise _Interrupted(str(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(str(error) or type(error).__name__) from None


def main(arguments: list[str] | None = None) -> int:
    """Fetch the corpus of one recipe; return the exit code."""
    parser = argparse.ArgumentParser(description="Put the corpus of a recipe into its data folder.")
    parser.add_argument("name", help="folder of the recipe below recipes/")
    name = parser.parse_args(arguments).name
    if name in EMBEDDED:
        return 0
    if name not in CORPORA:
        known = ", ".join([*EMBEDDED, *CORPORA])
        print(f"no recipe {name!r}; known recipes: {known}", file=sys.stderr)
        return 2
    local = Path(os.environ["NMT_DATA"]) if os.environ.get("NMT_DATA") else None

    def report(line: str) -> None:
        print(line, file=sys.stderr)

    try:
        fetch(CORPORA[name], RECIPES / name / "data", local=local, report=report)
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 5
    return 0


if __name__ == "__main__":
    sys.exit(main())
