"""What is not plain text is called by its name, and text is never taken for something else."""

import io
import pickle
import sqlite3
import struct
import tarfile
import time
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from nmt.text.formats import kind_of

XML = b'<?xml version="1.0" encoding="UTF-8"?>\n'


def zipped(*names: str, mimetype: str = "") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        if mimetype:
            archive.writestr("mimetype", mimetype, zipfile.ZIP_STORED)
        for name in names:
            archive.writestr(name, f"<a>{name}</a>" * 20)
    return packed.getvalue()


def tarred(kind: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=kind) as archive:
        archive.addfile(tarfile.TarInfo("train.en"), io.BytesIO())
    return packed.getvalue()


def numpy_file(save, *arrays: np.ndarray) -> bytes:
    saved = io.BytesIO()
    save(saved, *arrays)
    return saved.getvalue()


def sound() -> bytes:
    saved = io.BytesIO()
    with wave.open(saved, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(100))
    return saved.getvalue()


def sentencepiece_model(**options) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f"] * 20),
        model_writer=model,
        model_type="char",
        vocab_size=10,
        minloglevel=2,
        **options,
    )
    return model.getvalue()


OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000)

BINARY = {
    "zip": (zipped("train.en", "password/train.it"), "a zip archive", "`unzip`"),
    "an empty zip": (zipped(), "a zip archive", "`unzip`"),
    "docx": (
        zipped("[Content_Types].xml", "_rels/.rels", "docProps/app.xml", "word/document.xml"),
        "a Word document (.docx)",
        "save it as plain text",
    ),
    "xlsx": (zipped("[Content_Types].xml", "xl/workbook.xml"), "a spreadsheet (.xlsx)", ".tsv"),
    "pptx": (zipped("[Content_Types].xml", "ppt/p.xml"), "a PowerPoint file (.pptx)", "save it"),
    "odt": (
        zipped("content.xml", mimetype=OPEN_DOCUMENT + "text"),
        "an OpenDocument text (.odt)",
        "save it as plain text",
    ),
    "ods": (
        zipped("content.xml", mimetype=OPEN_DOCUMENT + "spreadsheet"),
        "a spreadsheet (.ods)",
        ".tsv file",
    ),
    "odg": (zipped(mimetype=OPEN_DOCUMENT + "graphics"), "an OpenDocument file", "save it"),
    "epub": (zipped(mimetype="application/epub+zip"), "an e-book (EPUB)", "save it"),
    "pt": (zipped("archive/data.pkl"), "a PyTorch file", "name a text file"),
    "npz": (numpy_file(np.savez, np.ones(3)), "a NumPy archive (.npz)", "name a text file"),
    "npy": (numpy_file(np.save, np.ones(3)), "a NumPy array", "name a text file"),
    "doc": (
        OLD_OFFICE + "WordDocument".encode("utf-16-le"),
        "a Word document (.doc)",
        "save it as plain text",
    ),
    "xls": (OLD_OFFICE + "Workbook".encode("utf-16-le"), "a spreadsheet (.xls)", ".tsv file"),
    "another old office file": (
        OLD_OFFICE,
        "an old Microsoft Office file (.doc, .xls, .ppt)",
        "save it as plain text",
    ),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive", "`7z x`"),
    "rar": (b"Rar!\x1a\7\1\0", "a rar archive", "`unrar x`"),
    "tar": (tarred(tarfile.USTAR_FORMAT), "a tar archive", "`tar -xf`"),
    "GNU tar": (tarred(tarfile.GNU_FORMAT), "a tar archive", "`tar -xf`"),
    "lz4": (b"\x04\x22\x4d\x18\x64\x40", "an lz4 file", "`lz4 -d`"),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a picture", "name a text file"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a picture", "name a text file"),
    "gif": (b"GIF89a\1\0\1\0\x80\0\0", "a picture", "name a text file"),
    "wav": (sound(), "a sound or film", "name a text file"),
    "mp4": (b"\0\0\0\x20ftypisom\0\0\2\0", "a sound or film", "name a text file"),
    "parquet": (b"PAR1\x15\x04\x15\x20\x15", "a Parquet file", "export its sentences"),
    "arrow": (b"ARROW1\0\0\xff\xff\xff\xff", "an Arrow file", "export its sentences"),
    "hdf5": (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file", "export its sentences"),
    "pickle": (pickle.dumps(["a"]), "a Python pickle", "name a text file"),
    "safetensors": (
        safetensors.numpy.save({"a": np.ones(3)}),
        "a safetensors file",
        "name a text file",
    ),
    "sentencepiece": (sentencepiece_model(), "a sentencepiece model", "name a text file"),
    "sentencepiece, <pad> first": (
        sentencepiece_model(pad_id=0, unk_id=1, bos_id=2, eos_id=3),
        "a sentencepiece model",
        "name a text file",
    ),
    "macOS": (
        b"\0\5\x16\7\0\2\0\0Mac OS X",
        "a companion file that macOS made",
        "name the file without `._` in its name",
    ),
    "UTF-16 LE": (
        "Ein Satz.\n".encode("utf-16-le"),
        "UTF-16 text without a byte order mark",
        "`iconv -f utf-16le -t utf-8`",
    ),
    "UTF-16 BE": (
        "Ein Satz.\n".encode("utf-16-be"),
        "UTF-16 text without a byte order mark",
        "`iconv -f utf-16be -t utf-8`",
    ),
}

BINARY |= {
    f"mo, {order}-endian": (
        struct.pack(f"{sign}7I", 0x950412DE, 0, 2, 28, 44, 0, 60) + b"\0" * 99,
        "a compiled gettext catalogue (.mo)",
        "turn it into a .po file with `msgunfmt`",
    )
    for order, sign in (("little", "<"), ("big", ">"))
}
TEXTUAL = {
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "a PDF file", "`pdftotext`"),
    "rtf": (rb"{\rtf1\ansi\deff0 Hello}", "a rich-text document (RTF)", "save it as plain text"),
    "rtf without a version": (
        rb"{\rtf {\fonttbl}",
        "a rich-text document (RTF)",
        "save it as plain text",
    ),
    "srt": (
        "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\nHello.\r\n".encode()[3:],
        "a file of subtitles",
        "write its sentences into a text file for each language",
    ),
    "vtt": (
        b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello.\n",
        "a file of subtitles",
        "write its sentences",
    ),
    "ass": (b"[Script Info]\nTitle: x\n", "a file of subtitles", "write its sentences"),
    "po": (
        b'# German.\n#, fuzzy\nmsgid ""\nmsgstr ""\n"Language: de\\n"\n',
        "a gettext catalogue (.po)",
        "write its sentences",
    ),
    "po without a head": (
        b'#: a.c:1\nmsgid "Open"\nmsgstr "Apri"\n',
        "a gettext catalogue (.po)",
        "write its sentences",
    ),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n",
        "a Git LFS pointer",
        "`git lfs pull`",
    ),
    "tmx": (
        XML
        + b'<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<!-- by hand -->\n<tmx version="1.4">\n<header/>',
        "a TMX file (translation memory)",
        "write its sentences into a text file for each language",
    ),
    "tmx without a declaration": (
        b'<tmx version="1.4">\n<header creationtool="x"/>',
        "a TMX file (translation memory)",
        "write its sentences into a text file",
    ),
    "xliff": (
        XML + b'<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">',
        "an XLIFF file",
        "write its sentences",
    ),
    "tbx": (XML + b"<martif type='TBX'>", "a TBX file (term base)", "write its sentences"),
    "another xml": (
        XML + b'<dataset id="newstest2021">\n<collection>',
        "an XML file, of <dataset>",
        "write its sentences",
    ),
    "sgm": (
        b'<srcset setid="newstest2014" srclang="any">\n<doc>',
        "an XML file, of <srcset>",
        "write its sentences",
    ),
    "html": (
        b"<!DOCTYPE html>\n<html lang='en'>\n<head>",
        "an HTML page",
        "fetch the text itself; perhaps a download failed",
    ),
    "html of a server": (
        b"<html>\r\n<head><title>404 Not Found</title></head>",
        "an HTML page",
        "perhaps a download failed",
    ),
    "xhtml": (
        XML + b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN" "x.dtd">\n'
        b'<html xmlns="http://www.w3.org/1999/xhtml">',
        "an HTML page",
        "fetch the text itself",
    ),
    "json lines": (
        b'{"en": "A cat.", "it": "Un gatto."}\n{"en": "A dog.", "it": "Un cane."}\n',
        "a JSON lines file",
        "take its texts out, as `jq -r` does, or call it .txt",
    ),
    "json": (b'{\n  "name": "corpus",\n  "pairs": []\n}\n', "a JSON file", "export its sentences"),
    "a json array": (b'[{"en": "A cat.", "it": "Un gatto."}]', "a JSON file", "export its"),
}


@pytest.mark.parametrize("kind", [*BINARY, *TEXTUAL])
def test_a_file_of_another_kind_is_named_with_a_way_out(kind):
    head, name, remedy = (BINARY | TEXTUAL)[kind]
    found = kind_of(head, "train.en")
    assert found is not None
    assert found.name == name
    assert remedy in found.remedy


def test_a_database_is_named(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("create table pairs (source text, target text)")
    database.close()
    found = kind_of((tmp_path / "a.db").read_bytes(), "a.db")
    assert found is not None
    assert found.name == "an SQLite database"


@pytest.mark.parametrize(
    "text",
    [
        "PK is a kind of soup.",
        "PK",
        "BM and MM and II* are abbreviations.",
        "GIF89a is a format of pictures, GIF87a another.",
        "GIF89a",
        "RIFF raff WAVE goodbye, WEBP is a format.",
        "Rar! said the lion.",
        "7z x unpacks it.",
        "PAR1 and ORC are formats.",
        "SQLite format 3 is old.",
        "ID3 tags and OggS are music.",
        "%PDF-1.4 is a version of PDF.",
        "%!PS is how PostScript begins.",
        "BZh91AY is how bzip2 begins.",
        "version https://git-lfs.github.com/spec/v1 is the first line of a pointer.",
        "1\n00:00 is midnight.",
        "WEBVTT is a format.\n\nSo is SRT.",
        'msgid "x" is how an entry begins.',
        "# A comment.",
        "{\\rtf1 is how RTF begins.",
        "{name} has joined the room.\n{name} has left it.",
        "{",
        "{}\n{}\n",
        "[",
        "[1] A citation.\n[2] Another one.",
        '["a", "b"]\n["c"]',
        '{"a": 1}',
        '{"a": 1}\nand then a sentence',
        '{"a": 1}\n{"b": 2}\n',
        '"quoted"\n"lines"\n',
        "<b>Bold</b> words.",
        "<html> is the root of a page.",
        "<html>\nThe element above is the root.",
        "<tmx> is the root of a translation memory.",
        "<tmx version 1.4> is a version.",
        "<?xml version is what declarations begin with?>",
        '<?xml version="1.0"?>',
        '<?xml version="1.0" encoding="UTF-8"?>\nThe line above is a declaration.',
        "<!DOCTYPE html>",
        "<!DOCTYPE html>\nEvery page begins like this.",
        "<!-- a comment -->\nSome text <b>bold</b>.",
        "<seg id=1>A sentence of a test set.</seg>",
        "<2it> I paid ⟨NUM1⟩.",
        "MZ",
        "\n\n\n",
        "\n?\n<unk>",
        "]\n",
        "",
    ],
)
def test_text_that_begins_like_another_kind_is_text(text):
    assert kind_of(text.encode(), "train.en") is None


@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cc", "Cs"])))
def test_text_without_control_characters_is_text(text):
    """Only markup and JSON, which nobody draws by chance, are made of nothing else."""
    assert kind_of(text.encode(), "stdin") is None


@pytest.mark.parametrize("kind", BINARY)
def test_no_utf8_text_begins_like_a_binary_kind(kind):
    head = BINARY[kind][0]
    try:
        text = head.decode()
    except UnicodeDecodeError:
        return
    assert any(character < " " and character not in "\t\n\r" for character in text)


@pytest.mark.parametrize("name", ["train.csv", "TRAIN.CSV", "train.csv.gz"])
def test_a_table_is_known_by_its_name(name):
    found = kind_of(b"A cat.,Un gatto.\n", name)
    assert found is not None
    assert found.name == "a table of comma-separated values (.csv)"
    assert found.remedy.endswith("as a .tsv file, or call it .txt if each line is a text")
    assert kind_of(b"A cat.\n", "a.csv.of.en") is None


@pytest.mark.parametrize("name", ["train.txt", "train.txt.gz", "a.b.txt"])
def test_lines_of_json_are_text_in_a_file_that_is_called_so(name):
    head = TEXTUAL["json lines"][0]
    assert kind_of(head, name) is None
    assert kind_of(head, str(Path("a.txt") / "train.json")) is not None
    assert kind_of(TEXTUAL["tmx"][0], name) is not None


@pytest.mark.parametrize(
    "head",
    [
        b"<?xml version='1.0'?>" + b"<!-- a -->" * 6000,
        b"<!--" * 15_000,
        b"<!DOCTYPE html [" + b"]" * 60_000,
        b"<!DOCTYPE " + b"a" * 60_000,
        b"<?" * 30_000,
        b" " * 60_000 + b"<",
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"\n" + b'{"a":' * 10_000,
        b"PK\3\4" * 15_000,
        b"{" + b"\n" * 60_000,
        b"<tmx " + b"version " * 7000,
        b"<html" + b" " * 60_000,
    ],
    ids=range(12),
)
def test_no_beginning_takes_long(head):
    start = time.process_time()
    kind_of(head, "train.en")
    assert time.process_time() - start < 1
