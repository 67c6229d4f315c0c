"""Readers of the archives of shared tasks: from the bytes of a download to those of text files.

A reader raises ValueError if an archive is not what it should be.
"""

import io
import tarfile
from collections.abc import Callable, Iterable, Sequence
from xml.sax.saxutils import unescape

Reader = Callable[[bytes], list[bytes]]
Pair = tuple[str, str]

_HELD_OUT = 23
"""Of the talks of IWSLT 2014, every 23rd pair is for development."""


def parallel_texts(first: str, second: str) -> Reader:
    """Return a reader of two files of an archive that are translations of each other, by lines."""

    def read(content: bytes) -> list[bytes]:
        # nmt refuses lines with NUL, which text of the web may have.
        texts = [text.replace(b"\0", b" ") for text in _members(content, (first, second))]
        texts = [text if text.endswith(b"\n") else text + b"\n" for text in texts]
        _require_as_many((first, second), *(text.count(b"\n") for text in texts))
        return texts

    return read


def sgm_texts(*files: Pair) -> Reader:
    """Return a reader of test sets of WMT, given as pairs of a source and a reference.

    The text is that of sacrebleu: SGM is no XML, so entities stay as they are.
    """
    names = [name for pair in files for name in pair]

    def read(content: bytes) -> list[bytes]:
        texts = [_segments(text) for text in _decoded(content, names)]
        for pair, first, second in zip(files, texts[::2], texts[1::2], strict=True):
            _pairs(pair, (first, second))
        return [_joined(text) for text in texts]

    return read


def iwslt14_talks(source: str, target: str) -> Reader:
    """Return a reader of IWSLT 2014 that makes train, dev and test, of both languages in turn.

    The split is that of the literature (Ranzato et al., 2016; fairseq's prepare-iwslt14.sh): every
    23rd pair of the training talks is for development, and the test set is the five official sets
    of 2010 to 2012 together. There, pairs are tokenised, lower-cased and filtered before they are
    split; here, only pairs with an empty side are left out.
    """
    folder = f"{source}-{target}"

    def sides(name: str) -> Pair:
        return f"{folder}/{name.format(source)}", f"{folder}/{name.format(target)}"

    training = sides(f"train.tags.{folder}.{{}}")
    sets = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")
    tests = [sides(f"IWSLT14.{part}.{folder}.{{}}.xml") for part in sets]

    def read(content: bytes) -> list[bytes]:
        names = [*training, *(name for pair in tests for name in pair)]
        texts = dict(zip(names, _decoded(content, names), strict=True))
        spoken = _pairs(training, [_talk(texts[name]) for name in training])
        train = [pair for pair in spoken if all(pair)]
        dev = train[_HELD_OUT - 1 :: _HELD_OUT]
        del train[_HELD_OUT - 1 :: _HELD_OUT]
        test: list[Pair] = []
        for pair in tests:
            test += _pairs(pair, [_test_talk(texts[name]) for name in pair])
        return [
            _joined(pair[side] for pair in part) for part in (train, dev, test) for side in (0, 1)
        ]

    return read


def _members(content: bytes, names: Sequence[str]) -> list[bytes]:
    """Return the named files of a packed tar archive, of which nothing else is read or written."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r|gz") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                file = archive.extractfile(member) if name in names else None
                if file is not None:
                    found[name] = file.read()
                if len(found) == len(names):
                    break
    except tarfile.TarError as error:
        raise ValueError(f"no tar archive: {error}") from None
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"the archive lacks {', '.join(missing)}")
    return [found[name] for name in names]


def _decoded(content: bytes, names: Sequence[str]) -> list[str]:
    return [text.decode("utf-8") for text in _members(content, names)]


def _pairs(names: Pair, sides: Sequence[Sequence[str]]) -> list[Pair]:
    """Return the lines of two sides as pairs."""
    first, second = sides
    _require_as_many(names, len(first), len(second))
    return [*zip(first, second, strict=True)]


def _require_as_many(names: Pair, first: int, second: int) -> None:
    if first != second:
        raise ValueError(f"{names[0]} has {first:,} lines and {names[1]} {second:,}")


def _segments(text: str) -> list[str]:
    """Return the text in each `<seg id="...">...</seg>`, one a line in XML of IWSLT and SGM."""
    lines = (line.strip() for line in text.split("\n"))
    return [
        " ".join(line.partition(">")[2].removesuffix("</seg>").split())
        for line in lines
        if line.startswith("<seg ")
    ]


def _talk(text: str) -> list[str]:
    """Return what each line of the training talks says; "" for tags that are no text."""
    return [_spoken(line.strip()) for line in text.split("\n")]


def _spoken(line: str) -> str:
    for tag in ("title", "description"):
        if line.startswith(f"<{tag}>"):
            return _unescaped(line.removeprefix(f"<{tag}>").removesuffix(f"</{tag}>").strip())
    return "" if line.startswith("<") else _unescaped(line)


def _test_talk(text: str) -> list[str]:
    """Return the lines of a test talk, with the apostrophe of the training talks (as fairseq)."""
    return [_unescaped(segment).replace("’", "'") for segment in _segments(text)]


def _unescaped(text: str) -> str:
    return unescape(text, {"&quot;": '"', "&apos;": "'"})


def _joined(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8")
