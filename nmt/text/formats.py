"""Files that people take for plain text: which kind of file its first bytes announce.

Kinds that no text can begin with are known by a few bytes. XML, JSON and others are text
themselves, and a sentence may begin with any of their characters, so they are known only by a
complete head.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from nmt.errors import DataError


class NotTextError(DataError):
    """A file is of another kind than plain text.

    Args:
        name: the file.
        what: what it is, for example "is a zip archive".
        remedy: what to do, without a full stop.
    """

    def __init__(self, name: str, what: str, remedy: str) -> None:
        super().__init__(f"{name}: {what}; {remedy}.")
        self.name, self.what, self.remedy = name, what, remedy


@dataclass(frozen=True)
class FileKind:
    """A kind of file that is not plain text."""

    name: str
    """With its article, for example "a zip archive"."""
    remedy: str
    """How to get the text, an imperative."""


_NAME_TEXT = "name a text file"
_SAVE_AS_TEXT = "save it as plain text, one sentence on each line"
_SAVE_AS_TSV = "save its sheet as tab-separated text, as a .tsv file"
_EXTRACT = "write its sentences into a text file for each language, one on each line"
_EXPORT = "export its sentences as text, one on each line"

_ZIP = FileKind("a zip archive", "unpack it with `unzip`, and name the text in it")
_OFFICE = FileKind("an old Microsoft Office file (.doc, .xls, .ppt)", _SAVE_AS_TEXT)

# What a zip archive or an old Office file holds, by the beginning of a name or of a member in it.
_MEMBER = rb"PK\x03\x04.{26}"
_OPEN_DOCUMENT = rb"mimetypeapplication/vnd\.oasis\.opendocument\."
_IN_ZIP = tuple(
    (re.compile(_MEMBER + inside, re.DOTALL), FileKind(name, remedy))
    for inside, name, remedy in (
        (_OPEN_DOCUMENT + rb"text", "an OpenDocument text (.odt)", _SAVE_AS_TEXT),
        (_OPEN_DOCUMENT + rb"spreadsheet", "a spreadsheet (.ods)", _SAVE_AS_TSV),
        (_OPEN_DOCUMENT, "an OpenDocument file", _SAVE_AS_TEXT),
        (rb"mimetypeapplication/epub\+zip", "an e-book (EPUB)", _SAVE_AS_TEXT),
        (rb"word/", "a Word document (.docx)", _SAVE_AS_TEXT),
        (rb"xl/", "a spreadsheet (.xlsx)", _SAVE_AS_TSV),
        (rb"ppt/", "a PowerPoint file (.pptx)", _SAVE_AS_TEXT),
        (rb"[^\0]{0,80}/data\.pkl", "a PyTorch file", _NAME_TEXT),
        (rb"[^\0]{1,80}\.npy", "a NumPy archive (.npz)", _NAME_TEXT),
    )
)
_IN_OFFICE = (
    ("WordDocument".encode("utf-16-le"), FileKind("a Word document (.doc)", _SAVE_AS_TEXT)),
    ("Workbook".encode("utf-16-le"), FileKind("a spreadsheet (.xls)", _SAVE_AS_TSV)),
)

# Regular expressions for the first bytes. Each needs a byte that is not in text.
_BINARY = tuple(
    (re.compile(beginning, re.DOTALL), FileKind(name, remedy))
    for beginning, name, remedy in (
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it with `7z x`, and name the text in it"),
        (rb"Rar!\x1a\x07", "a rar archive", "unpack it with `unrar x`, and name the text in it"),
        (rb".{257}ustar[\0 ]", "a tar archive", "unpack it with `tar -xf`, and name a text in it"),
        (rb"\x04\x22\x4d\x18", "an lz4 file", "unpack it with `lz4 -d`"),
        (rb"LZIP[\0\x01]", "an lzip file", "unpack it with `lzip -d`"),
        (rb"\x5d\0\0.{2}[\0-\x7f\xff]{8}", "an lzma file", "unpack it with `xz -d`"),
        (rb"\x1f\x9d", "a file packed by `compress`", "unpack it with `gunzip`"),
        (rb"\x89LZO\0", "an lzop file", "unpack it with `lzop -d`"),
        (rb"\xff\x06\0\0sNaPpY", "a snappy file", "unpack it"),
        (
            rb"\x89PNG|\xff\xd8\xff|GIF8[79]a.{0,6}\0|BM.{4}\0{4}|II\*\0|MM\0\*|RIFF.{4}WEBP",
            "a picture",
            _NAME_TEXT,
        ),
        (
            rb"\0\0\0.ftyp|\x1aE\xdf\xa3|RIFF.{4}(WAVE|AVI )|ID3[\x02-\x04]\0|OggS\0|fLaC\0",
            "a sound or film",
            _NAME_TEXT,
        ),
        (rb"PAR1[\x15\x00-\x08]", "a Parquet file", _EXPORT),
        (rb"ARROW1\0\0|\xff{4}.{2}\0\0\x10\0", "an Arrow file", _EXPORT),
        (rb"Obj\x01", "an Avro file", _EXPORT),
        (rb"SQLite format 3\0", "an SQLite database", _EXPORT),
        (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", _EXPORT),
        (rb"\x93NUMPY", "a NumPy array", _NAME_TEXT),
        (rb"\x80[\x02-\x05]", "a Python pickle", _NAME_TEXT),
        (rb'.{3}\0{5}\{[\s"}]', "a safetensors file", _NAME_TEXT),
        (rb"GGUF[\x01-\x08]\0\0\0", "a GGUF model", _NAME_TEXT),
        (rb"\n.\n(\x05<unk>|\x05<pad>|\x03<s>|\x04</s>)\x15", "a sentencepiece model", _NAME_TEXT),
        (
            rb"\xde\x12\x04\x95\0\0[\0\x01]\0|\x95\x04\x12\xde\0[\0\x01]\0\0",
            "a compiled gettext catalogue (.mo)",
            "turn it into a .po file with `msgunfmt`, and " + _EXTRACT,
        ),
        (rb"\x7fELF|MZ.{0,62}\0\0\0", "a program", _NAME_TEXT),
        (
            rb"\0\x05\x16[\0\x07]\0",
            "a companion file that macOS made",
            "name the file without `._` in its name",
        ),
        (
            rb"([\t\n\r -~]\0){4}",
            "UTF-16 text without a byte order mark",
            "convert it with `iconv -f utf-16le -t utf-8`",
        ),
        (
            rb"(\0[\t\n\r -~]){4}",
            "UTF-16 text without a byte order mark",
            "convert it with `iconv -f utf-16be -t utf-8`",
        ),
    )
)

# Kinds that are text themselves, by a head that no sentence has.
_TEXTUAL = tuple(
    (re.compile(beginning), FileKind(name, remedy))
    for beginning, name, remedy in (
        (rb"%PDF-[12]\.\d\s*[\r\n]", "a PDF file", "copy its text out, as `pdftotext` does"),
        (rb"%!PS-Adobe-\d\.\d", "a PostScript file", "copy its text out, as `ps2ascii` does"),
        (rb"\{\\rtf\d*+\s*+[\\{}]", "a rich-text document (RTF)", _SAVE_AS_TEXT),
        (
            rb"\s*+(\d++\s++)?\d\d:\d\d:\d\d[,.]\d{3} --> \d\d:\d\d|WEBVTT[^\n]*+\n\r?\n\d\d:"
            rb"|\[Script Info\]\r?\n",
            "a file of subtitles",
            _EXTRACT,
        ),
        (
            rb"(?>\s++|\#[^\n]*+\n)*+msgid\s++\"[^\"\n]*+\"\s*+(\"[^\n]*+\"\s*+)*+msgstr\s++\"",
            "a gettext catalogue (.po)",
            _EXTRACT,
        ),
        (
            rb"version https://git-lfs\.github\.com/spec/v1\r?\noid sha256:",
            "a Git LFS pointer",
            "fetch the file itself with `git lfs pull`",
        ),
    )
)

# An XML declaration or a document type, and then the first element. Repetitions are possessive
# (`*+`) or atomic, so that no text is read many times.
_SPACE = rb"(?>\s++|<!--.*?-->|<\?(?!xml\s).*?\?>)*+"
_MARKUP = re.compile(
    rb"\s*+(?P<xml><\?xml\s++version\s*+=\s*+[\"']1\.\d[\"'][^<>?]*+\?>)?"
    + _SPACE
    + rb"(?P<type><!DOCTYPE\s++\w++[^>\[]*+(?>\[.*?\]\s*+)?>)?"
    + _SPACE
    + rb"<(?P<root>[A-Za-z_][\w.:-]*+)[^<>]*+>",
    re.DOTALL | re.IGNORECASE,
)
_MARKED_UP = {
    b"tmx": FileKind("a TMX file (translation memory)", _EXTRACT),
    b"xliff": FileKind("an XLIFF file", _EXTRACT),
    b"tbx": FileKind("a TBX file (term base)", _EXTRACT),
    b"martif": FileKind("a TBX file (term base)", _EXTRACT),
    b"html": FileKind("an HTML page", "fetch the text itself; perhaps a download failed"),
}
# Elements that announce a file without a declaration, by an attribute or by what follows them.
_BARE = re.compile(
    rb"\s*+<((tmx|xliff)(?=\s)[^<>]*?\sversion\s*+="
    rb"|(src|ref|tst)set(?=\s)[^<>]*?\ssetid\s*+="
    rb"|html[^<>]*+>\s*+<(head|body)\b)",
    re.IGNORECASE,
)

_CSV = FileKind(
    "a table of comma-separated values (.csv)",
    _SAVE_AS_TSV + ", or call it .txt if each line is a text",
)
_JSON = FileKind("a JSON file", _EXPORT)
_JSON_LINES = FileKind(
    "a JSON lines file", "take its texts out, as `jq -r` does, or call it .txt if they are the text"
)
_JSON_OPENING = re.compile(rb'\s*+(\{[ \t]*+[\r\n]|\[\s*+\{)\s*+"[^"\n]*+"\s*+:')


def kind_of(head: bytes, name: str) -> FileKind | None:
    """Return which kind of file begins with `head`; None for plain text.

    Args:
        head: its first bytes, some thousands if possible; text in UTF-8, without byte order mark.
        name: of the file; one that is called .txt may consist of lines of JSON, and one that is
            called .csv is a table, which nothing else tells from text.
    """
    if head.startswith((b"PK\3\4", b"PK\5\6", b"PK\7\x08")):
        return next((kind for member, kind in _IN_ZIP if member.search(head)), _ZIP)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return next((kind for stream, kind in _IN_OFFICE if stream in head), _OFFICE)
    for beginning, kind in (*_BINARY, *_TEXTUAL):
        if beginning.match(head):
            return kind
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    if ".csv" in suffixes[-2:]:  # the last may be that of its packing
        return _CSV
    if ".txt" in suffixes:
        return _markup(head)
    return _markup(head) or _json(head)


def _markup(head: bytes) -> FileKind | None:
    found = _MARKUP.match(head)
    if found is None:
        return None
    root = found["root"].lower()
    if found["xml"] or (found["type"] and root in _MARKED_UP) or _BARE.match(head):
        return _MARKED_UP.get(root) or FileKind(f"an XML file, of <{root.decode()}>", _EXTRACT)
    return None


def _json(head: bytes) -> FileKind | None:
    """Recognise two records with the same fields, or the opening of one value on several lines."""
    if not head.lstrip().startswith((b"{", b"[")):
        return None
    if _JSON_OPENING.match(head):
        return _JSON
    first, *others = head.lstrip().split(b"\n", 2)[:2]
    fields = [_fields(line) for line in (first, *others)]
    return _JSON_LINES if len(fields) == 2 and fields[0] and fields[0] == fields[1] else None


def _fields(line: bytes) -> set[str] | None:
    """Return the names of the fields of a JSON object; None if the line is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return set(value) if isinstance(value, dict) else None
