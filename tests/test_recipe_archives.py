"""Corpora in archives: made-up ones in the layout of the real ones are fetched and trained on."""

import hashlib
import io
import shutil
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import Server, refuses, serves

from nmt.cli.main import run

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "recipes"
sys.path.insert(0, str(RECIPES))

import archives  # noqa: E402
import fetch  # noqa: E402
from corpora import CORPORA, Corpus, Origin  # noqa: E402
from fetch import FetchError  # noqa: E402

ARCHIVED = ("iwslt14-de-en", "wmt17-en-de")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def packed(files: dict[str, str]) -> bytes:
    """Return a .tgz of these texts, among other files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in {"README": "read me\n", **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def toy(language: str, part: str = "train") -> list[str]:
    """Lines of the toy corpus; Italian stands for whatever English is paired with."""
    code = "en" if language == "en" else "it"
    return (ROOT / "data" / "toy" / f"{part}.{code}").read_text(encoding="utf-8").splitlines()


def lines_of(text: list[str]) -> str:
    return "".join(f"{line}\n" for line in text)


# The layouts


def talk(lines: list[str], number: int) -> str:
    """A training talk of IWSLT, as in train.tags.de-en.*."""
    return (
        f"<url>http://www.ted.com/talks/{number}.html</url>\n"
        "<keywords>talks,art &amp; design</keywords>\n"
        "<speaker>Some Body</speaker>\n"
        f"<talkid>{number}</talkid>\n"
        f"<title>{lines[0]}</title>\n"
        f"<description>{lines[1]}</description>\n" + lines_of(lines[2:])
    )


def xml(lines: list[str]) -> str:
    """A development or test set of IWSLT."""
    segments = [f'<seg id="{n}"> {line} </seg>' for n, line in enumerate(lines, start=1)]
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<mteval>\n'
        '<refset setid="iwslt2014-tst2012" srclang="german" trglang="english" refid="ref">\n'
        '<doc docid="1330" genre="lectures">\n<title>A talk</title>\n'
        + lines_of(segments)
        + "</doc>\n</refset>\n</mteval>\n"
    )


def sgm(lines: list[str]) -> str:
    """A test set of WMT."""
    segments = [f'<seg id="{n}">{line}</seg>' for n, line in enumerate(lines, start=1)]
    return (
        '<srcset setid="newstest2017" srclang="any">\n'
        '<doc sysid="ref" docid="abc" genre="news" origlang="en">\n<p>\n'
        + lines_of(segments)
        + "</p>\n</doc>\n</srcset>\n"
    )


SETS = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")


def iwslt14(train: dict[str, str], tests: dict[str, list[str]]) -> bytes:
    """The archive of IWSLT 2014, whose five sets have a fifth of `tests` each."""
    files = {f"de-en/train.tags.de-en.{code}": text for code, text in train.items()}
    for code, lines in tests.items():
        for place, name in enumerate(SETS):
            share = lines[place * len(lines) // 5 : (place + 1) * len(lines) // 5]
            files[f"de-en/IWSLT14.{name}.de-en.{code}.xml"] = xml(share)
    return packed(files)


def wmt17(lines: int = 250) -> dict[str, bytes]:
    """The five archives of WMT 2017, by the last part of their address."""
    tests = {}
    for year, part in ((2016, "dev"), (2017, "test")):
        tests[f"dev/newstest{year}-ende-src.en.sgm"] = sgm(toy("en", part)[:20])
        tests[f"dev/newstest{year}-ende-ref.de.sgm"] = sgm(toy("de", part)[:20])
    contents = {"dev.tgz": packed(tests)}
    files = {
        "training-parallel-europarl-v7.tgz": "training/europarl-v7.de-en",
        "training-parallel-commoncrawl.tgz": "commoncrawl.de-en",
        "training-parallel-nc-v12.tgz": "training/news-commentary-v12.de-en",
        "rapid2016.tgz": "rapid2016.de-en",
    }
    for place, (archive, file) in enumerate(files.items()):
        share = slice(place * lines, (place + 1) * lines)
        contents[archive] = packed(
            {f"{file}.{code}": lines_of(toy(code)[share]) for code in ("de", "en")}
        )
    return contents


def iwslt15() -> dict[str, bytes]:
    """The files of English to Vietnamese."""
    names = {"train": "train", "tst2012": "dev", "tst2013": "test"}
    return {
        f"{name}.{code}": lines_of(toy(code, part)[: 1000 if part == "train" else 20]).encode()
        for name, part in names.items()
        for code in ("en", "vi")
    }


def made_up_iwslt14() -> dict[str, bytes]:
    train = {
        code: "".join(talk(toy(code)[start : start + 100], start) for start in range(0, 1000, 100))
        for code in ("de", "en")
    }
    return {"de-en.tgz": iwslt14(train, {code: toy(code, "test")[:20] for code in ("de", "en")})}


MADE_UP = {"iwslt14-de-en": made_up_iwslt14, "iwslt15-en-vi": iwslt15, "wmt17-en-de": wmt17}


def served(name: str, contents: dict[str, bytes], server: Server) -> Corpus:
    """Return the corpus of a recipe as made up: with other addresses and checksums, else alike."""
    corpus = CORPORA[name]
    origins, sums = [], dict(corpus.sums)
    for origin in corpus.origins:
        file = origin.url.rpartition("/")[2]
        server.answers[f"/{file}"] = [serves(contents[file])]
        checksum = f"sha256:{sha256(contents[file])}" if origin.checksum else ""
        origins.append(replace(origin, url=f"{server.url}/{file}", checksum=checksum))
        if not checksum:  # the download is the text
            sums[origin.names[0]] = sha256(contents[file])
    return replace(corpus, origins=tuple(origins), sums=sums)


def download(corpus: Corpus, out: Path) -> list[str]:
    reports: list[str] = []
    fetch.fetch(corpus, out, local=None, report=reports.append)
    return reports


def read(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


# IWSLT 2014


def test_every_23rd_pair_of_the_talks_is_for_development(server: Server, tmp_path: Path) -> None:
    download(served("iwslt14-de-en", made_up_iwslt14(), server), tmp_path)
    for code in ("de", "en"):
        lines = toy(code)[:1000]
        assert read(tmp_path / f"dev.{code}") == lines[22::23]
        del lines[22::23]
        assert read(tmp_path / f"train.{code}") == lines
        assert read(tmp_path / f"test.{code}") == toy(code, "test")[:20]


def test_talks_lose_tags_entities_and_pairs_with_an_empty_side(
    server: Server, tmp_path: Path
) -> None:
    train = {
        "de": talk(["Titel", "Worum es geht", " Kunst &amp; Handwerk ", "", "Ende"], 1),
        "en": talk(["Title", "What it is about", "Art &amp; craft", "Nothing", "End"], 1),
    }
    tests = {
        "de": ["1", "2", "3", "4", "Das geht so"],
        "en": ["1", "2", "3", "4", "It’s  &quot;so&quot;"],
    }
    contents = {"de-en.tgz": iwslt14(train, tests)}
    download(served("iwslt14-de-en", contents, server), tmp_path)
    assert read(tmp_path / "train.de") == ["Titel", "Worum es geht", "Kunst & Handwerk", "Ende"]
    assert read(tmp_path / "train.en") == ["Title", "What it is about", "Art & craft", "End"]
    assert read(tmp_path / "test.en")[-1] == 'It\'s "so"'
    assert read(tmp_path / "dev.de") == []


def test_talks_whose_sides_differ_are_refused(server: Server, tmp_path: Path) -> None:
    train = {"de": talk(["a", "b", "c"], 1), "en": talk(["a", "b"], 1)}
    contents = {"de-en.tgz": iwslt14(train, {"de": ["1"] * 5, "en": ["1"] * 5})}
    with pytest.raises(
        FetchError, match=r"de-en/train\.tags\.de-en\.de has 8 lines and de-en/trai"
    ):
        download(served("iwslt14-de-en", contents, server), tmp_path)
    assert list(tmp_path.iterdir()) == []


# WMT 2017


def test_the_training_texts_of_wmt_are_joined(server: Server, tmp_path: Path) -> None:
    reports = download(served("wmt17-en-de", wmt17(), server), tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {*CORPORA["wmt17-en-de"].sums}
    for code in ("de", "en"):
        assert read(tmp_path / f"train.{code}") == toy(code)[:1000]
        assert read(tmp_path / f"dev.{code}") == toy(code, "dev")[:20]
        assert read(tmp_path / f"test.{code}") == toy(code, "test")[:20]
    assert reports[-1] == f"{tmp_path}: complete, checksums agree"


def test_a_fetch_that_was_interrupted_downloads_only_what_is_missing(
    server: Server, tmp_path: Path
) -> None:
    corpus = served("wmt17-en-de", wmt17(), server)
    server.answers["/rapid2016.tgz"].insert(0, refuses(404))
    with pytest.raises(FetchError, match="404"):
        download(corpus, tmp_path)
    reports = download(corpus, tmp_path)
    assert f"{server.url}/dev.tgz: downloaded before" in reports
    assert server.requests.count("/dev.tgz") == 1
    assert server.requests.count("/rapid2016.tgz") == 2
    assert len(read(tmp_path / "train.en")) == 1000


def test_sgm_is_read_as_sacrebleu_does(tmp_path: Path) -> None:
    odd = ["AT&T  and R&amp;D", "1 < 2 > 1", ""]
    content = packed(
        {"a.sgm": sgm(odd), "b.sgm": sgm(odd).replace('<seg id="1">', '<seg  id="1">')}
    )
    texts = archives.sgm_texts(("a.sgm", "b.sgm"))(content)
    assert texts == [b"AT&T and R&amp;D\n1 < 2 > 1\n\n"] * 2


def test_a_text_without_a_last_line_feed_does_not_run_into_the_next() -> None:
    content = packed({"./a.en": "one\ntwo\0", "./a.de": "eins\nzwei"})
    assert archives.parallel_texts("a.en", "a.de")(content) == [b"one\ntwo \n", b"eins\nzwei\n"]


# Archives that are not what they should be


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (packed({"a.en": "one\n"}), r"the archive lacks a\.de"),
        (packed({"a.en": "1\n2\n", "a.de": "1\n"}), r"a\.en has 2 lines and a\.de 1"),
        (b"<html>Not found</html>", "no tar archive: .*"),
        (packed({"a.en": "one\n", "a.de": "eins\n"})[:60], "no tar archive: .*"),
    ],
    ids=["lacks-a-text", "unequal", "a-page", "cut-off"],  # the bytes hold the time
)
def test_what_is_wrong_with_an_archive_is_said(
    content: bytes, reason: str, server: Server, tmp_path: Path
) -> None:
    server.answers["/a.tgz"] = [serves(content)]
    origin = Origin(
        f"{server.url}/a.tgz",
        archives.parallel_texts("a.en", "a.de"),
        ("a.en", "a.de"),
        f"sha256:{sha256(content)}",
    )
    message = rf"/a\.tgz: the download has unexpected content \({reason}\); try again"
    with pytest.raises(FetchError, match=message):
        download(Corpus("a", {"a.en": None, "a.de": None}, (origin,)), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_changed_archive_is_refused_before_it_is_read(
    algorithm: str, server: Server, tmp_path: Path
) -> None:
    server.answers["/a.tgz"] = [serves(b"other")]
    expected = hashlib.new(algorithm, b"archive").hexdigest()
    origin = Origin(f"{server.url}/a.tgz", lambda _: [b"read"], ("a",), f"{algorithm}:{expected}")
    with pytest.raises(FetchError) as caught:
        download(Corpus("a", {"a": None}, (origin,)), tmp_path)
    assert str(caught.value) == (
        f"{server.url}/a.tgz: {algorithm} is {hashlib.new(algorithm, b'other').hexdigest()}, "
        f"expected {expected}; the file on the server has changed; nothing was written"
    )


def test_every_text_has_a_checksum_or_its_download_has() -> None:
    for corpus in CORPORA.values():
        for origin in corpus.origins:
            assert origin.checksum or all(corpus.sums[name] for name in origin.names)
            assert origin.checksum.partition(":")[0] in ("", "sha256", "md5")
        made = {name for origin in corpus.origins for name in origin.names} | {*corpus.joined}
        parts = {part for joined in corpus.joined.values() for part in joined}
        assert not corpus.origins or made - parts == {*corpus.sums}


def test_local_files_without_a_published_checksum_are_linked(tmp_path: Path) -> None:
    corpus = CORPORA["iwslt14-de-en"]
    (tmp_path / corpus.folder).mkdir()
    for name in corpus.sums:
        (tmp_path / corpus.folder / name).write_text("text\n")
    fetch.fetch(corpus, tmp_path / "data", local=tmp_path, report=lambda _: None)
    assert (tmp_path / "data" / "train.de").is_symlink()
    assert fetch.fetch(corpus, tmp_path / "data", local=tmp_path, report=lambda _: None) is None


# Configuration and data together


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE_UP)
def test_a_model_is_trained_on_what_is_fetched(name: str, server: Server, tmp_path: Path) -> None:
    """The sizes are smaller, and everything else is that of the recipe."""
    download(served(name, MADE_UP[name](), server), tmp_path / "data")
    shutil.copy(RECIPES / name / "config.toml", tmp_path)
    settings = {
        "model.embedding.size": 32,
        "model.encoder.hidden_size": 16,
        "model.decoder.hidden_size": 32,
        "tokenizer.vocab_size": 600,
        "training.batch_tokens": 256,
        "training.accumulate": 2,
        "training.max_updates": 4,
        "training.precision": "fp32",
        "training.threads": 1,
        "validation.every": 2,
        "validation.max_lines": 4,
    }
    if name != "wmt17-en-de":
        settings |= {"training.schedule.updates": 4, "training.schedule.warmup": 1}
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    done = tmp_path / "run"
    assert run(["train", str(tmp_path / "config.toml"), "--run", str(done), *options]) == 0
    assert (done / "model" / "model.safetensors").exists()
