"""Rows 1 to 6: nothing that a text file can hold loses a line or causes a traceback."""

import gzip
import io
import json
import logging
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from filled_folder import contents
from fuzz_bytes import any_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from text_commands import Outcome, built_once, nmt

from nmt.errors import DataError
from nmt.evaluation.metrics import score
from nmt.evaluation.significance import compare
from nmt.text.lines import count_lines, read_lines
from nmt.text.subword import Subword

HERE = Path(__file__).parent
CONFIG = """
[data]
source = "en"
target = "it"
train = ["s", "t"]
valid = ["s", "t"]
[tokenizer]
kind = "char"
vocab_size = 300
[model]
embedding.size = 8
encoder.hidden_size = 4
decoder.hidden_size = 8
[training]
max_updates = 1
device = "cpu"
threads = 1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(CONFIG)
    return tmp_path


# --- row 1: as many lines on both sides --------------------------------------------------------


def parallel(chance: random.Random, lines: int) -> tuple[list[str], list[str]]:
    """Lines whose translations have corresponding lengths."""
    sizes = [chance.randrange(2, 40) for _ in range(lines)]
    translated = [max(1, round(size * chance.uniform(0.9, 1.3))) for size in sizes]
    return ["ab " * size for size in sizes], ["uvw" * size for size in translated]


def write(name: str, lines: list[str]) -> None:
    Path(name).write_text("".join(f"{line}\n" for line in lines))


def test_unequal_counts_are_refused_by_every_command_with_a_guess_where(
    folder, model_folder, programme
):
    chance, tries, worst = random.Random(1), programme.count(quick=3, full=60), 0.0
    for _ in range(tries):
        lines = chance.randrange(100, 1000)
        sides = parallel(chance, lines)
        changed, place = chance.randrange(2), chance.randrange(lines)
        if is_deleted := chance.random() < 0.5:
            del sides[changed][place]
        else:
            sides[changed].insert(place, "xyz " * chance.randrange(1, 30))
        write("s", sides[0])
        write("t", sides[1])
        write("copy", sides[0])
        counts = len(sides[0]), len(sides[1])
        before = without_runs(folder)
        pair = ["--source", "s", "--target", "t"]
        began = time.monotonic()
        with built_once():
            found = {
                "check": nmt("check", "s", "t"),
                "prepare": nmt("prepare", "c.toml", "--run", "run"),
                "train": nmt("train", "c.toml", "--run", "run"),
                "init": nmt(
                    *("init", "new.toml", "--languages", "a-b"),
                    *("--train", "s", "t", "--valid", "s", "t"),
                ),
                "score": nmt("score", model_folder, *pair, "-o", "out"),
                "evaluate": nmt("evaluate", "--hypothesis", "s", "--reference", "t"),
                "evaluate --against": nmt(
                    *("evaluate", "--hypothesis", "s", "--reference", "copy", "--against", "t")
                ),
                "evaluate --run": nmt("evaluate", "--run", model_folder, "--test", "s", "t"),
            }
        worst = max(worst, time.monotonic() - began)
        for name, outcome in found.items():
            said = outcome.out.decode() if name == "check" else outcome.log
            assert outcome.code == 3, (name, said)
            assert f"{counts[0]:,}" in said, name
            assert f"{counts[1]:,}" in said, name
            assert guess(said, counts) == pytest.approx(place, abs=30), (name, is_deleted, said)
        assert without_runs(folder) == before
        assert not Path("run/data").exists()
    programme.record(
        *(1, "a line deleted or inserted on one side: 8 commands refuse, near the place"),
        tries=8 * tries,
        worst_seconds=worst,
    )


def without_runs(folder: Path) -> dict[str, bytes]:
    """The contents of a folder, except for the lock and the log of a run."""
    return {name: data for name, data in contents(folder).items() if not name.startswith("run/")}


def guess(said: str, counts: tuple[int, int]) -> int:
    """The line, from 1, that a message names as the likely shift."""
    if "cut off at its end" in said:
        return min(counts) + 1
    _, _, rest = said.partition("first likely shift near line ")
    return int(rest.split(";")[0].replace(",", ""))


@pytest.mark.parametrize(("hypotheses", "references"), [(["a"], ["a", "b"]), (["a", "b"], ["a"])])
def test_unequal_counts_are_refused_by_the_python_interface(hypotheses, references):
    for call in (
        lambda: score(hypotheses, references),
        lambda: compare(hypotheses, references, references),
        lambda: compare(references, hypotheses, references),
    ):
        with pytest.raises(DataError, match=r"has . lines?, .* has .; a score needs one") as caught:
            call()
        assert caught.value.exit_code == 3


# --- row 2: only a line feed ends a line -------------------------------------------------------

SEPARATORS = ["\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\r\n"]
"""Everything that some program or other takes for the end of a line: eleven."""
TEXTS = st.lists(
    st.one_of(st.sampled_from(SEPARATORS), st.text(st.characters(exclude_characters="\0")))
).map("".join)


def check_lines(text: str, *, packed: bool) -> None:
    """Compare the lines of a file, plain or gzip, and standard input with those of the text."""
    data = text.encode("utf-8", "replace")
    records = data.decode().split("\n")
    expected = [line.removesuffix("\r") for line in (records if records[-1] else records[:-1])]
    if expected:
        expected[0] = expected[0].removeprefix("\ufeff")
    path = Path("in.gz" if packed else "in")
    path.write_bytes(gzip.compress(data) if packed else data)
    sys.stdin = io.TextIOWrapper(io.BytesIO(data), encoding="ascii")
    assert list(read_lines(None)) == expected
    assert list(read_lines(path)) == expected
    assert count_lines(path) == len(expected)


def test_file_gzip_and_stdin_agree_that_only_a_line_feed_ends_a_line(
    folder, monkeypatch, programme
):
    drawn, tries = programme.count(quick=300, full=5000), programme.count(quick=500, full=95_000)
    # Thousands of texts have lines that end in CR LF, each with a warning.
    monkeypatch.setattr(logging.getLogger("nmt.text.lines"), "disabled", True)

    @given(text=TEXTS, packed=st.booleans())
    @settings(max_examples=drawn)
    def hold(text: str, packed: bool) -> None:
        check_lines(text, packed=packed)

    monkeypatch.setattr(sys, "stdin", sys.stdin)  # put back at the end
    hold()
    chance = random.Random(2)
    alphabet = [*SEPARATORS, *SEPARATORS, "a", "é", " ", "\ufeff", "\U0001f600"]
    for number in range(tries):
        text = "".join(chance.choices(alphabet, k=chance.randrange(12)))
        check_lines(text, packed=number % 10 == 0)
    programme.record(2, "texts of 11 line separators: file, gzip, stdin agree", tries=drawn + tries)


@pytest.mark.parametrize("separator", SEPARATORS[1:])
def test_lines_in_are_lines_out_whatever_they_contain(separator, folder, model_folder):
    data = f"a{separator}cat\nthe dog{separator}\n{separator}\ntwo birds".encode()
    Path("in").write_bytes(data)
    records = data.count(b"\n") + 1
    for options in ([], ["--format", "jsonl"]):
        piped = nmt("translate", model_folder, *options, stdin=data)
        assert len(piped.lines) == records
        assert nmt("translate", model_folder, *options, "-i", "in").lines == piped.lines
        written = nmt("translate", model_folder, *options, "-i", "in", "-o", "out")
        assert written.code == 0
        assert Path("out").read_bytes() == piped.out
    assert len(nmt("tokenize", model_folder, stdin=data).lines) == records
    if separator == "\r\n":
        assert piped.log.count("lines end in CR LF") == 1


# --- row 3: bytes that are not text ------------------------------------------------------------

LOCALES = {
    "C.UTF-8": {"LC_ALL": "C.UTF-8"},
    "POSIX": {"LC_ALL": "POSIX"},
    "POSIX, ASCII": {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "strict ASCII": {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"},
    "strict UTF-8": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8:strict"},
}


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    kept.pop("LANG", None)
    root = str(HERE.parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **changes}


def test_no_bytes_cause_a_traceback_in_any_locale(folder, model_folder, programme):
    each = programme.count(quick=15, full=2000)
    refused, worst = 0, 0.0
    for number, (locale, settings_of_locale) in enumerate(LOCALES.items()):
        own = folder / str(number)
        own.mkdir()
        (own / "demo.toml").write_text(CONFIG)
        done = subprocess.run(
            [
                *(sys.executable, HERE / "fuzz_bytes.py", own, model_folder, own / "demo.toml"),
                *(str(number), str(each)),
            ],
            env=environment(**settings_of_locale),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, (locale, done.stderr[-3000:].decode())
        found = json.loads(done.stdout)
        assert found["wrong"] == [], locale
        refused, worst = refused + found["refused"], max(worst, found["worst"])
    assert refused > each // 2
    programme.record(
        *(3, "bytes that are no text, 9 commands, 5 locales: read, or refused by name"),
        tries=each * len(LOCALES),
        worst_seconds=worst,
    )


def test_any_bytes_are_lines_or_are_reported_with_their_place(folder, monkeypatch, programme):
    tries, chance = programme.count(quick=1000, full=90_000), random.Random(3)
    monkeypatch.setattr(logging.getLogger("nmt.text.lines"), "disabled", True)
    monkeypatch.setattr(sys, "stdin", sys.stdin)  # put back at the end
    path, refused = Path("in"), 0
    for _ in range(tries):
        data = any_bytes(chance).removeprefix(b"\x1f\x8b")
        path.write_bytes(data)
        lines = count_lines(path)
        skipped, replaced = (list(read_lines(path, bad_lines=way)) for way in ("skip", "replace"))
        assert len(skipped) == len(replaced) == lines
        for source, name in ((path, "in"), (None, "stdin")):
            sys.stdin = io.TextIOWrapper(io.BytesIO(data), encoding="ascii")
            try:
                assert list(read_lines(source)) == skipped == replaced
            except DataError as error:
                place = re.match(rf"{name}:(\d+): byte (\d+) is 0x(..)", str(error))
                refused += 1
            else:
                continue
            line, byte = int(place[1]), int(place[2])
            assert data.split(b"\n")[line - 1][byte - 1] == int(place[3], 16)
    assert tries < refused < 2 * tries
    programme.record(
        3, "bytes that are no text: lines, or the place of the first wrong byte", tries=tries
    )


@pytest.mark.parametrize("locale", LOCALES)
def test_file_names_do_not_depend_on_the_locale(locale, folder):
    names = [os.fsencode("ä €.en"), b"b\xff.it"]
    for name in names:
        Path(os.fsdecode(name)).write_bytes(b"one\ntwo\n")
    command = [sys.executable, "-m", "nmt.cli", "check", *names]
    done = subprocess.run(
        command, env=environment(**LOCALES[locale]), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    for name in names:
        assert name in done.stdout
    if locale.startswith("strict"):
        (folder / "c.toml").write_text(CONFIG.replace('"en"', '"日本語"'))
        command = [sys.executable, "-m", "nmt.cli", "train", "c.toml", "--dry-run"]
        done = subprocess.run(
            command, env=environment(**LOCALES[locale]), capture_output=True, check=False
        )
        assert "日本語" in done.stdout.decode()


def test_a_folder_whose_name_is_not_utf8_is_refused_before_anything_is_done(tmp_path, monkeypatch):
    folder = tmp_path / os.fsdecode(b"d\xff")
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("c.toml").write_text(CONFIG)
    write("s", ["a"])
    write("t", ["b"])
    before = contents(folder)
    for command in ("prepare", "train"):
        found = nmt(command, "c.toml")
        assert found.code == 2
        assert "data.train: the path " in found.log
        assert "\\udcff/s is not UTF-8; rename the folder or the file" in found.log
        assert contents(folder) == before


# --- row 4: blank lines ------------------------------------------------------------------------

BLANKS = ["", "", " ", "\t", "\r", "\v\f", "\u00a0", "\u3000", "\u2028", "\x85", "  \t "]
FORMATS: list[list[str]] = [
    *([], ["--scores"], ["--align"], ["--exact"], ["--sample"]),
    *(["--format", "jsonl"], ["--format", "nbest"], ["--n-best", "2", "--beam", "2"]),
]


def test_blank_lines_stay_blank_and_in_place(folder, model_folder, programme):
    chance, tries = random.Random(4), programme.count(quick=4, full=150)
    words = ["a", "cat", "eats", "the", "small", "mouse."]
    with built_once():
        for number in range(tries):
            lines = [
                chance.choice(BLANKS)
                if chance.random() < 0.6
                else " ".join(chance.choices(words, k=chance.randrange(1, 4)))
                for _ in range(chance.randrange(1, 60))
            ]
            data = "".join(f"{line}\n" for line in lines).encode()
            if not chance.randrange(3) and lines[-1]:
                data = data.removesuffix(b"\n")
            Path("in").write_bytes(data)
            options = FORMATS[number % len(FORMATS)]
            size = ["--batch-size", str(chance.choice([1, 3, 64]))]
            where = ["-i", "in"] if chance.randrange(2) else []
            found = nmt("translate", model_folder, *size, *where, *options, stdin=data)
            check_blanks(lines, found, options)
    programme.record(4, "blank lines interleaved: N in, N out, blank ones blank", tries=tries)


def check_blanks(lines: list[str], found: Outcome, options: list[str]) -> None:
    assert found.code == 0
    if "jsonl" in options:
        texts = [json.loads(line)["text"] for line in found.lines]
    elif "nbest" in options or "--n-best" in options:
        numbered = [line.split(" ||| ") for line in found.lines]
        texts = [{int(n): text for n, text, *_ in reversed(numbered)}[i] for i in range(len(lines))]
        assert {int(number) for number, *_ in numbered} == set(range(len(lines)))
    else:
        texts = [line.split(" ||| ")[0] for line in found.lines]
    assert len(texts) == len(lines)
    for line, text in zip(lines, texts, strict=True):
        assert text == "" or line.strip()


# --- row 5: very long lines --------------------------------------------------------------------

LONG = {
    "words": "a cat eats the mouse " * 48_000,
    "no space": "x" * 1_000_000,
    "emoji": "x" + "\U0001f600" * 250_000,  # without a letter, it would be copied
}
_ROOM = 600 << 20
"""Bytes that a line of 1 MB may cost."""
_MORE = 50 << 20
"""Bytes by which the memory for few long lines and for many may differ."""
_LIMIT = 12 << 30
"""Bytes of addresses; torch takes some for itself."""


def measured(*arguments: object, stdin: bytes = b"") -> tuple[int, bytes, str, int]:
    """Run a command with limited memory; return code, output, log, and peak memory in bytes."""
    command = [sys.executable, "-m", "nmt.cli", *map(str, arguments)]
    Path("stdin").write_bytes(stdin)
    with (
        Path("stdin").open("rb") as source,
        Path("out").open("wb") as out,
        Path("log").open("wb") as log,
    ):
        process = subprocess.Popen(
            *(command, -1, None, source, out, log),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (_LIMIT, _LIMIT)),
            env=environment(),
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    told = Path("log").read_text()
    return process.returncode, Path("out").read_bytes(), told, usage.ru_maxrss << 10


def long_line_commands(model: Path) -> dict[str, list[object]]:
    return {
        "translate": ["translate", model, "--beam", 1, "--split", "never"],
        "score": ["score", model, "--source", "s", "--target", "t"],
        "tokenize": ["tokenize", model],
        "check": ["check", "s", "t"],
        "prepare": ["prepare", "c.toml", "--run", "run"],
        "train": ["train", "c.toml", "--run", "run2"],
        "evaluate": [
            *("evaluate", "--hypothesis", "s", "--reference", "t"),
            *("-m", "bleu", "-m", "chrf", "--bootstrap", 0),
        ],
    }


@pytest.mark.parametrize("kind", LONG)
def test_a_line_of_a_megabyte_is_cut_and_takes_little_memory(kind, folder, model_folder, programme):
    names = list(long_line_commands(model_folder))
    if not programme.full:
        names = {"words": ["translate", "score"], "no space": ["tokenize"], "emoji": []}[kind]
    worst = 0.0
    for name in names:
        arguments = long_line_commands(model_folder)[name]
        peaks = []
        for line in ("a small dog", LONG[kind]):
            lines = [*["a cat", "the dog sleeps"] * 20, line, "two birds"]
            for side in "st":
                write(side, lines)
            for run in ("run", "run2"):  # of other texts
                shutil.rmtree(run, ignore_errors=True)
            began = time.monotonic()
            code, out, log, peak = measured(*arguments, stdin=Path("s").read_bytes())
            worst = max(worst, time.monotonic() - began)
            assert code == 0, log
            peaks.append(peak)
            if name in ("translate", "score", "tokenize"):
                assert out.count(b"\n") == len(lines)
        assert peaks[1] < peaks[0] + _ROOM, (name, peaks)
        if name in ("translate", "score"):
            assert "line 41: has " in log
            assert "pieces, only the first 1,024 are " in log
    if names:
        programme.record(
            *(5, f"a line of 1 MB ({kind}): cut with a warning, below 600 MB more memory"),
            tries=len(names),
            worst_seconds=worst,
        )


# --- row 6: unseen scripts ---------------------------------------------------------------------


def test_every_unicode_character_round_trips_by_byte_fallback(model_folder, programme):
    subword = Subword.load(model_folder / "subword.model")
    stride = programme.count(quick=97, full=1)
    codes = [
        code
        for code in range(1, 0x110000, stride)
        if not 0xD800 <= code < 0xE000 and chr(code) not in "\n\r▁"
    ]
    texts = [f"a{chr(code)}b {chr(code)}" for code in codes]
    for begin in range(0, len(texts), 10_000):
        part = texts[begin : begin + 10_000]
        for text, ids in zip(part, subword.encode_all(part), strict=True):
            assert subword.decode(ids) == text
    programme.record(6, "each character of Unicode: cut into pieces and joined", tries=len(texts))


def test_unseen_scripts_and_emoji_are_translated_without_a_crash(model_folder, programme):
    scripts: dict[str, list[str]] = {}
    for code in range(0x110000):
        if not 0xD800 <= code < 0xE000:
            name = unicodedata.name(chr(code), "").split(" ")[0]
            scripts.setdefault(name, []).append(chr(code))
    chance = random.Random(6)
    lines = [
        "".join(chance.choices(characters, k=8)) for characters in scripts.values() if characters
    ]
    lines += ["👩‍👩‍👧‍👦 🇮🇹 👍🏽 e\u0301\u0327 \u202eabc\u202c", "\u200b\u2060\ufeff", "\U0010ffff"]
    lines = [line.replace("\n", " ").replace("\0", " ") for line in lines]
    chosen = chance.sample(lines, min(len(lines), programme.count(quick=60, full=len(lines))))
    data = "".join(f"{line}\n" for line in chosen).encode()
    found = nmt("translate", model_folder, "--beam", 2, stdin=data)
    assert found.code == 0
    assert len(found.lines) == len(chosen)
    cut = nmt("tokenize", model_folder / "subword.model", stdin=data)
    back = nmt("tokenize", model_folder / "subword.model", "--decode", stdin=cut.out)
    assert back.lines == [line.replace("\r", "") for line in chosen]
    programme.record(6, "a line of each script: translated; cut and joined", tries=len(chosen))


# --- missing files -----------------------------------------------------------------------------


def test_a_missing_text_is_named_before_any_output_is_started(folder, model_folder):
    write("s", ["a cat"])
    before = contents(folder)
    for arguments in (
        ["translate", model_folder, "-i", "t", "-o", "out"],
        ["score", model_folder, "--source", "s", "--target", "t", "-o", "out"],
        ["evaluate", "--run", model_folder, "--test", "s", "t", "-o", "out"],
        ["check", "s", "t"],
        ["init", "new.toml", "--languages", "a-b", "--train", "s", "t", "--valid", "s", "s"],
    ):
        found = nmt(*arguments)
        assert found.code == 3
        assert "error: t: no such file; " in found.log
        assert contents(folder) == before


@pytest.mark.parametrize("name", ["translate", "score"])
def test_many_lines_of_a_megabyte_take_the_memory_of_a_few(name, folder, model_folder, programme):
    arguments = long_line_commands(model_folder)[name]
    peaks = []
    # A window is translated while the next is read, so that few lines must fill both.
    few, many = programme.count(quick=3, full=10), programme.count(quick=6, full=30)
    for count in (few, many):
        for side in "st":
            write(side, [LONG["words"]] * count)
        code, out, log, peak = measured(*arguments, stdin=Path("s").read_bytes())
        assert code == 0, log
        assert out.count(b"\n") == count
        peaks.append(peak)
    assert peaks[1] < peaks[0] + _MORE, peaks
    programme.record(5, f"{name}: {many} lines of 1 MB take the memory of {few}", tries=many)
