"""Text comes out the same, however it is packed and encoded, from files and from standard input."""

import bz2
import codecs
import errno
import gzip
import importlib
import io
import lzma
import os
import sys
import threading
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.errors import DataError
from nmt.text import opening
from nmt.text.formats import NotTextError
from nmt.text.lines import count_lines, read_lines, read_records, require_file

TEXT = "Ein Satz.\n\u4e00\u4e8c \U0001f600\r\n\nmit \u2028 und \x0b darin\nohne Ende"
LINES = ["Ein Satz.", "\u4e00\u4e8c \U0001f600", "", "mit \u2028 und \x0b darin", "ohne Ende"]


def zstd() -> object:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return pytest.skip("no library for Zstandard")


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "Zstandard": lambda data: zstd().compress(data),
}
ENCODINGS = {
    "UTF-8": b"",
    "UTF-8 with a mark": codecs.BOM_UTF8,
    "UTF-16 LE": codecs.BOM_UTF16_LE,
    "UTF-16 BE": codecs.BOM_UTF16_BE,
    "UTF-32 LE": codecs.BOM_UTF32_LE,
    "UTF-32 BE": codecs.BOM_UTF32_BE,
}
packed = pytest.mark.parametrize("packing", PACKERS)
encoded = pytest.mark.parametrize("encoding", ENCODINGS)


def encode(text: str, encoding: str) -> bytes:
    name = encoding.removesuffix(" with a mark").replace(" ", "-")
    return ENCODINGS[encoding] + text.encode(name)


@pytest.fixture
def write(tmp_path):
    def write_file(data: bytes, name: str = "in.de") -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write_file


def put_on_stdin(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))


@packed
@encoded
def test_a_file_is_read_whatever_its_packing_and_encoding(packing, encoding, write, monkeypatch):
    path = write(PACKERS[packing](encode(TEXT, encoding)))
    require_file(path)
    assert list(read_lines(path)) == LINES
    assert count_lines(path) == len(LINES)
    put_on_stdin(path.read_bytes(), monkeypatch)
    assert list(read_lines(None)) == LINES


@encoded
def test_a_plain_file_is_read_whatever_its_encoding(encoding, write, monkeypatch):
    path = write(encode(TEXT, encoding))
    assert list(read_lines(path)) == LINES
    assert count_lines(path) == len(LINES)
    put_on_stdin(path.read_bytes(), monkeypatch)
    assert list(read_lines(Path("-"))) == LINES


@packed
def test_a_name_does_not_decide_what_is_packed(packing, write):
    assert list(read_lines(write(PACKERS[packing](b"a\n"), "a.zip"))) == ["a"]
    assert list(read_lines(write(b"a\n", "a.gz"))) == ["a"]


def test_a_file_may_be_called_stdin(write, monkeypatch):
    monkeypatch.chdir(write(b"a\n", "stdin").parent)
    put_on_stdin(b"b\n", monkeypatch)
    assert list(read_lines(Path("stdin"))) == ["a"]


@packed
def test_an_empty_packed_file_has_no_lines(packing, write):
    assert list(read_lines(write(PACKERS[packing](b"")))) == []


@packed
@pytest.mark.parametrize("padding", [b"", bytes(8)])
def test_all_members_of_a_packed_file_are_read(packing, padding, write):
    pack = PACKERS[packing]
    path = write(pack(b"a\nb") + padding + pack(b"") + padding + pack(b"c\nd\n") + padding)
    assert list(read_lines(path)) == ["a", "bc", "d"]
    assert count_lines(path) == 3


@packed
def test_many_members_that_end_at_the_end_of_a_block_are_read(packing, write, monkeypatch):
    monkeypatch.setattr(opening, "_CHUNK", 7)
    pack = PACKERS[packing]
    assert list(read_lines(write(pack(b"line\n" * 30) * 20))) == ["line"] * 600


@packed
@pytest.mark.parametrize("what", ["cut", "bytes after the end", "a damaged second member"])
def test_a_damaged_packed_file_is_named(packing, what, write, monkeypatch):
    data = PACKERS[packing](b"".join(b"line %d\n" % number for number in range(1000)))
    damaged = {
        "cut": data[:-5],
        "bytes after the end": data + b"more",
        "a damaged second member": data + b"\xff" + data[1:],
    }[what]
    path = write(damaged, "a.packed")
    for read in (count_lines, lambda path: list(read_lines(path))):
        with pytest.raises(DataError) as caught:
            read(path)
        said = str(caught.value)
        assert said.startswith(f"{path}: is a damaged {packing} file (")
        assert said.endswith("); fetch it again.")
    put_on_stdin(damaged, monkeypatch)
    with pytest.raises(DataError, match=rf"^stdin: is a damaged {packing} file \(.*\); fetch it"):
        list(read_lines(None))


@packed
def test_a_file_that_ends_too_early_is_distinguished_from_a_broken_one(packing, write):
    path = write(PACKERS[packing](TEXT.encode())[:-2])
    with pytest.raises(DataError, match=r"\(it ends too early\); fetch it again\.$"):
        count_lines(path)


@packed
def test_an_endless_line_fills_no_memory(packing, tmp_path):
    import tracemalloc

    bomb = tmp_path / "bomb"
    bomb.write_bytes(PACKERS[packing](b"one\n" + bytes(66 << 20)))
    tracemalloc.start()
    lines = read_lines(bomb, bad_lines="replace")
    assert next(lines) == "one"
    with pytest.raises(DataError, match=r"bomb:2: is a line of more than 64 MiB; is this text\?"):
        next(lines)
    assert tracemalloc.get_traced_memory()[1] < 150 << 20  # the line, and a copy of it
    tracemalloc.stop()


def test_a_file_packed_twice_is_refused(write):
    path = write(bz2.compress(gzip.compress(b"a\n")))
    with pytest.raises(NotTextError) as caught:
        list(read_lines(path))
    assert str(caught.value) == f"{path}: is a gzip file inside a bzip2 file; unpack it once."


def test_without_its_library_a_zstandard_file_is_named_with_two_ways_out(write, monkeypatch):
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    path = write(b"\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00\x99\xe9\xd8\x51")
    for read in (require_file, count_lines, lambda path: list(read_lines(path))):
        with pytest.raises(DataError) as caught:
            read(path)
        assert str(caught.value) == (
            f"{path}: is a Zstandard file, and no library that unpacks it is installed; "
            "`pip install backports.zstd`, or unpack it with `zstd -d`."
        )


@pytest.mark.parametrize("name", ["compression.zstd", "backports.zstd"])
def test_the_library_for_zstandard_is_that_of_python_or_its_backport(name, write, monkeypatch):
    class ZstdDecompressor:
        eof, needs_input, unused_data = False, True, b""

        def decompress(self, data: bytes, max_length: int) -> bytes:
            self.eof = True
            return data[-2:]

    for module in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    found = types.ModuleType(name)
    found.ZstdDecompressor = ZstdDecompressor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, found)
    for parent in ("compression", "backports"):
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    assert list(read_lines(write(b"\x28\xb5\x2f\xfd..a\n"))) == ["a"]


def test_memory_is_not_reported_as_damage(write, monkeypatch):
    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(opening._GzipUnpacker, "decompress", refuse)
    with pytest.raises(MemoryError):
        count_lines(write(gzip.compress(b"a\n")))


def archive() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("train.en", "a\n")
    return data.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress], ids=["plain", "gz", "bz2"])
def test_a_file_that_is_not_text_is_refused_wherever_it_is_read(pack, write, monkeypatch):
    path = write(pack(archive()), "train.en")
    inside = {bytes: "", gzip.compress: " inside a gzip file", bz2.compress: " inside a bzip2 file"}
    what = (
        f"is a zip archive{inside[pack]}, not plain text; unpack it with `unzip`, and name the "
        "text in it."
    )
    for read in (require_file, count_lines, lambda path: list(read_records(path))):
        with pytest.raises(NotTextError) as caught:
            read(path)
        assert str(caught.value) == f"{path}: {what}"
    put_on_stdin(path.read_bytes(), monkeypatch)
    with pytest.raises(NotTextError) as caught:
        list(read_lines(None, bad_lines="skip"))
    assert str(caught.value) == f"stdin: {what}"


@encoded
def test_markup_is_recognised_in_every_encoding(encoding, write):
    path = write(encode('<?xml version="1.0"?>\n<tmx version="1.4">\n<header/>\n', encoding))
    with pytest.raises(NotTextError, match="is a TMX file"):
        require_file(path)


@pytest.mark.parametrize("encoding", ["UTF-16 LE", "UTF-16 BE"])
def test_only_a_line_feed_ends_a_line_of_utf16(encoding, write):
    """U+0A00 and U+0D0A hold the byte of a line feed."""
    text = "\u0a00\u000a\u0d0a\u2028\x85\u0a0a"
    assert list(read_lines(write(encode(text, encoding)))) == ["\u0a00", "\u0d0a\u2028\x85\u0a0a"]


@pytest.mark.parametrize(
    ("encoding", "wrong"),
    [
        ("UTF-16 LE", b"\x00\xd8"),  # half a surrogate pair
        ("UTF-16 BE", b"\xdc\x00"),
        ("UTF-32 LE", b"\x00\xd8\x00\x00"),
        ("UTF-32 BE", b"\x00\x11\x00\x00"),  # beyond U+10FFFF
    ],
)
def test_a_wrong_character_is_named_by_line_and_place(encoding, wrong, write, caplog):
    mark = ENCODINGS[encoding]
    before, after = (encode(text, encoding)[len(mark) :] for text in ("gut\nä\U0001f600", "b\nc\n"))
    path = write(mark + before + wrong + after)
    with pytest.raises(DataError) as caught:
        list(read_lines(path))
    assert str(caught.value) == (
        f"{path}:2: character 3 is not {encoding[:6]}; repair the line, or save the text as UTF-8."
    )
    assert count_lines(path) == 3
    assert list(read_lines(path, bad_lines="skip")) == ["gut", "", "c"]
    assert list(read_lines(path, bad_lines="replace")) == ["gut", "ä\U0001f600\ufffdb", "c"]


@pytest.mark.parametrize("encoding", ["UTF-16 LE", "UTF-16 BE", "UTF-32 LE", "UTF-32 BE"])
def test_an_incomplete_character_at_the_end_is_named(encoding, write):
    path = write(encode("a\nbc", encoding)[:-1])
    with pytest.raises(DataError, match=rf":2: character 2 is not {encoding[:6]}"):
        list(read_lines(path))


def test_a_nul_of_utf16_is_named_by_line_and_place(write):
    path = write(encode("a\nb\0", "UTF-16 LE"))
    with pytest.raises(DataError, match=r":2: character 2 is 0x00 \(NUL\), which is not allowed"):
        list(read_lines(path))


def test_lines_of_a_pipe_come_as_soon_as_they_are_written(tmp_path):
    """A person, or a program, may wait for the answer before the next line."""
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as source, open(write_end, "wb", buffering=0) as sink:
        sys_stdin = io.TextIOWrapper(source)
        lines = iter_of(sys_stdin)
        for line in ("a", "", '{"a": 1}', "", "b"):
            sink.write(f"{line}\n".encode())
            assert next(lines) == line
        sink.write(b"c")
        sink.write(b"d\n")
        assert next(lines) == "cd"
        sys_stdin.detach()


def iter_of(stream: io.TextIOWrapper):
    """Read the lines of a stream as standard input."""
    previous, sys.stdin = sys.stdin, stream
    try:
        yield from read_lines(None)
    finally:
        sys.stdin = previous


def test_a_first_line_that_comes_in_parts_is_waited_for(tmp_path):
    """The first part alone does not tell what the file is."""
    os.mkfifo(tmp_path / "pipe")
    data = encode("ab\nc\n", "UTF-16 LE")

    def feed() -> None:
        with (tmp_path / "pipe").open("wb", buffering=0) as sink:
            for byte in data:
                sink.write(bytes([byte]))

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert list(read_lines(tmp_path / "pipe")) == ["ab", "c"]
    feeder.join()


def test_a_standard_input_that_fails_later_is_named(monkeypatch):
    class Failing(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            if data := super().read1(3):
                return data
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Failing(b"a\nb\nc")))
    lines = read_lines(None)
    assert next(lines) == "a"
    refusal = r"^stdin: cannot be read: Input/output error; name a file, or redirect one\.$"
    with pytest.raises(DataError, match=refusal):
        list(lines)
