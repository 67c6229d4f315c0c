"""Opening a text as people have it: packed or not, in UTF-8 or in another encoding that says so.

The first bytes decide, not the name, and standard input is treated as a file is. What comes out is
a stream of UTF-8; files that are not plain text are refused by the name of their kind.
"""

import bz2
import codecs
import contextlib
import importlib
import io
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

from nmt.errors import DataError
from nmt.paths import similar_files
from nmt.text.formats import NotTextError, kind_of

Encoding = Literal["UTF-8", "UTF-16", "UTF-32"]

_HEAD = 1 << 16  # bytes, by which the kind of a file is recognised
_CHUNK = 1 << 16  # bytes read at once
_MOST_MEMORY = 512 << 20  # bytes; an xz file may ask for gigabytes to be unpacked
_MARKS: tuple[tuple[bytes, Encoding], ...] = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


@dataclass(frozen=True)
class OpenText:
    """A text that is open for reading."""

    stream: io.BufferedIOBase
    """Its content in UTF-8. A byte order mark of UTF-8 is still there; a wrong character of another
    encoding has become the byte 0xff."""
    encoding: Encoding
    """What it was written in."""


def name_of(path: Path | None) -> str:
    """Return how to call a text in messages."""
    return "stdin" if path is None or str(path) == "-" else str(path)


@contextlib.contextmanager
def open_text(path: Path | None) -> Iterator[OpenText]:
    """Open a text; errors while it is read inside the block are explained as well.

    Args:
        path: a file, plain or packed by gzip, bzip2, xz or Zstandard; None or "-" is standard
            input.

    Raises:
        DataError: the file cannot be read or unpacked.
        NotTextError: it is of another kind than plain text.
    """
    name = name_of(path)
    if path is None or str(path) == "-":
        try:
            yield _recognised(cast(io.BufferedIOBase, sys.stdin.buffer), name)
        except OSError as error:
            raise DataError(
                f"stdin: cannot be read: {error.strerror or error}; name a file, or redirect one."
            ) from error
    else:
        with _explain_failures(path), path.open("rb") as file:
            yield _recognised(file, name)


def _recognised(stream: io.BufferedIOBase, name: str) -> OpenText:
    """Unpack a stream if needed, refuse what is not text, and convert it to UTF-8."""
    head, stream = _look_ahead(stream)
    packing = _packing_of(head)
    if packing is not None:
        head, stream = _look_ahead(_unpack(stream, packing, name))
        if (inner := _packing_of(head)) is not None:
            raise NotTextError(name, f"is {inner.a_file} inside {packing.a_file}", "unpack it once")
    encoding = _encoding_of(head)
    kind = kind_of(_in_utf8(head, encoding), name)
    if kind is not None:
        packed = f" inside {packing.a_file}" if packing is not None else ""
        raise NotTextError(name, f"is {kind.name}{packed}, not plain text", kind.remedy)
    if encoding != "UTF-8":
        stream = io.BufferedReader(_Converted(stream, encoding), _CHUNK)
    return OpenText(stream, encoding)


def _look_ahead(stream: io.BufferedIOBase) -> tuple[bytes, io.BufferedIOBase]:
    """Return the first bytes of a stream, and the stream with them.

    No more than the first line is waited for: it may come from a person who waits for an answer.
    """
    head = more = stream.read1(_HEAD)
    while more and b"\n" not in head and len(head) < _HEAD:
        more = stream.read1(_HEAD)
        head += more
    return head, io.BufferedReader(_Rejoined(head, stream), _CHUNK)


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes have been read already."""

    def __init__(self, head: bytes, rest: io.BufferedIOBase) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._head[: len(buffer)] or self._rest.read1(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


class _Unpacker(Protocol):
    """What unpacks one member of a file, as in the standard library."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _GzipUnpacker:
    """Unpacks a member of a gzip file."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._unpacker.eof

    @property
    def needs_input(self) -> bool:
        return not self._unpacker.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._unpacker.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._unpacker.decompress(self._unpacker.unconsumed_tail + data, max_length)


def _xz_unpacker() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY)


def _zstandard_unpacker() -> _Unpacker:
    try:
        module = importlib.import_module("compression.zstd")  # from Python 3.14 on
    except ImportError:
        module = importlib.import_module("backports.zstd")
    unpacker: _Unpacker = module.ZstdDecompressor()
    return unpacker


@dataclass(frozen=True)
class _Packing:
    """A way to pack a file."""

    name: str
    beginning: re.Pattern[bytes]
    make_unpacker: Callable[[], _Unpacker]
    """Raises ImportError without the library that it needs."""

    @property
    def a_file(self) -> str:
        return f"{'an' if self.name == 'xz' else 'a'} {self.name} file"


_PACKINGS = (
    _Packing("gzip", re.compile(rb"\x1f\x8b"), _GzipUnpacker),
    _Packing("bzip2", re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), bz2.BZ2Decompressor),
    _Packing("xz", re.compile(rb"\xfd7zXZ\0"), _xz_unpacker),
    _Packing(
        "Zstandard",
        re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
        _zstandard_unpacker,
    ),
)


def _packing_of(head: bytes) -> _Packing | None:
    return next((packing for packing in _PACKINGS if packing.beginning.match(head)), None)


def _unpack(packed: io.BufferedIOBase, packing: _Packing, name: str) -> io.BufferedIOBase:
    """Return the content of a packed file.

    Raises:
        DataError: a library that unpacks it is missing.
    """
    try:
        return io.BufferedReader(_Members(packed, packing, name), _CHUNK)
    except ImportError:
        raise DataError(
            f"{name}: is {packing.a_file}, and no library that unpacks it is installed; "
            "`pip install backports.zstd`, or unpack it with `zstd -d`."
        ) from None


class _Members(io.RawIOBase):
    """The content of a packed file: of all its members, one after the other.

    The readers of the standard library end without a word where a further member is damaged.

    Raises:
        ImportError: the library that it needs is missing.
    """

    def __init__(self, packed: io.BufferedIOBase, packing: _Packing, name: str) -> None:
        self._packed, self._packing, self._name = packed, packing, name
        self._unpacker = packing.make_unpacker()
        self._next = b""  # packed bytes that have been read but not unpacked

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = b""
        while not data:
            if self._unpacker.eof and not self._begin_member():
                return 0
            data = self._unpack(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _begin_member(self) -> bool:
        """Go on to the next member; return whether there is one. Zeros between them are padding."""
        rest = self._unpacker.unused_data.lstrip(b"\0")
        while not rest:
            chunk = self._packed.read1(_CHUNK)
            if not chunk:
                return False
            rest = chunk.lstrip(b"\0")
        self._unpacker, self._next = self._packing.make_unpacker(), rest
        return True

    def _unpack(self, size: int) -> bytes:
        """Return up to `size` bytes of this member; none where a block or the member ends."""
        packed = b""
        if self._unpacker.needs_input:
            packed, self._next = self._next or self._packed.read1(_CHUNK), b""
            if not packed:
                raise self._damaged("it ends too early")
        try:
            return self._unpacker.decompress(packed, size)
        except MemoryError:
            raise
        except Exception as error:  # each library has a class of its own
            raise self._damaged(error) from error

    def _damaged(self, reason: object) -> DataError:
        name, packing = self._name, self._packing.name
        return DataError(f"{name}: is a damaged {packing} file ({reason}); fetch it again.")


def _mark_as_wrong(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be decoded by one character that stands for the byte 0xff."""
    return "\udcff", error.end  # type: ignore[attr-defined]


codecs.register_error("nmt.mark-as-wrong", _mark_as_wrong)


class _Converted(io.RawIOBase):
    """A text of another encoding in UTF-8, without its byte order mark."""

    def __init__(self, stream: io.BufferedIOBase, encoding: Encoding) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("nmt.mark-as-wrong")
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        more = b"?"
        while more and not self._ready:
            more = self._stream.read1(_CHUNK)
            text = self._decoder.decode(more, final=not more)
            self._ready = text.encode("utf-8", "surrogateescape")
        data, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def _encoding_of(head: bytes) -> Encoding:
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "UTF-8")


def _in_utf8(head: bytes, encoding: Encoding) -> bytes:
    """Return the first bytes of a text in UTF-8, without its byte order mark."""
    if encoding == "UTF-8":
        return head.removeprefix(codecs.BOM_UTF8)
    return head.decode(encoding, errors="ignore").encode()


@contextlib.contextmanager
def _explain_failures(path: Path) -> Iterator[None]:
    """Turn errors of opening and reading into a DataError that says what to do."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {_guess(path)}") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder; name a file in it.") from None
    except PermissionError:
        raise DataError(f"{path}: reading it is not permitted; change its mode.") from None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be read: {reason}; take a copy of it.") from error


def _guess(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no folder {path.parent} either."
    close = similar_files(path)
    return f"did you mean {close}?" if close else "check its name."
