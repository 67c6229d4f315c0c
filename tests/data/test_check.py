"""`nmt check` reads past every fault and reports them all."""

import json
from pathlib import Path

import pytest

from nmt.data.check import check
from nmt.errors import DataError


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(name: str, content: bytes | str) -> Path:
        data = content if isinstance(content, bytes) else content.encode()
        Path(name).write_bytes(data)
        return Path(name)

    return write


def found(report) -> dict[tuple[str, str], tuple[str, tuple[int, ...]]]:
    return {(f.name, f.where): (f.level, f.lines) for f in report.findings}


def test_a_clean_corpus_has_no_findings(write):
    report = check(write("a.en", "a cat\ntwo big dogs\n"), write("a.it", "un gatto\ndue cani\n"))
    assert not report.findings
    assert not report.is_serious
    assert report.to_text().splitlines() == [
        "file  lines  words  characters      longest line",
        "a.en      2      5          17  3 words (line 2)",
        "a.it      2      4          16  2 words (line 1)",
        "",
        "no problems found",
    ]


@pytest.mark.parametrize(
    ("line", "name", "level"),
    [
        (b"caf\xe9", "not-utf8", "fault"),
        (b"a\0b", "nul", "fault"),
        ("broken � word", "replacement", "warning"),
        (b"bell \x07", "control", "warning"),
        ("line\u2028end", "control", "warning"),
        ("next\u0085line", "control", "warning"),
        (b"a\rb", "lone-cr", "warning"),
        (b"windows\r", "crlf", "note"),
        (b"", "empty", "warning"),
        (b" \t ", "empty", "warning"),
        (b"ab " * 1500, "long", "warning"),
        ("cafe\u0301", "not-nfc", "note"),
    ],
)
def test_an_odd_line_is_found(write, line, name, level):
    data = line if isinstance(line, bytes) else line.encode()
    source = write("a.en", b"one\n" + data + b"\nthree\n")
    report = check(source, write("a.it", b"uno\n" + data + b"\ntre\n"))
    assert found(report)[name, "a.en"] == (level, (2,))
    assert report.is_serious == (level == "fault")
    names = {finding.name for finding in report.findings}
    assert names <= {name, "copy"}  # and nothing else


def test_bad_bytes_are_all_counted_and_the_first_is_located(write):
    source = write("a.en", b"ok\nab\xff\n\xfe\nok\n")
    report = check(source, write("a.it", "a\nb\nc\nd\n"))
    [finding] = report.findings
    assert str(finding) == (
        "fault    a.en: 2 lines (2, 3) not UTF-8; convert the file, or repair or delete these; "
        "first a.en:2: byte 3 is 0xff"
    )


def test_a_byte_order_mark_is_noted_and_not_a_control_character(write):
    report = check(write("a.en", "\ufeffone\n"), write("a.it", "uno\n"))
    assert found(report) == {("bom", "a.en"): ("note", (1,))}


def test_unequal_counts_are_a_fault_and_name_both(write):
    report = check(write("a.en", "a\nb\nc\n"), write("a.it", "x\ny\n"))
    assert report.is_serious
    [finding] = report.findings
    assert finding.name == "unequal"
    assert "a.en has 3 lines, a.it" in finding.message


def test_empty_files_are_a_fault(write):
    report = check(write("a.en", ""), write("a.it", ""))
    assert [finding.name for finding in report.findings] == ["no-lines"]


def test_odd_pairs_are_found(write):
    source = "same\nshort\nempty there\na cat\na  cat \nother\na cat\n"
    target = f"same\n{'long ' * 10}\n\nun gatto\nun gatto\naltro\nuna gatta\n"
    report = check(write("a.en", source), write("a.it", target))
    where = "a.en + a.it"
    assert found(report) == {
        ("empty", "a.it"): ("warning", (3,)),
        ("half-empty", where): ("warning", (3,)),
        ("copy", where): ("warning", (1,)),
        ("ratio", where): ("warning", (2,)),
        ("duplicate", where): ("note", (5,)),
    }


def test_pairs_that_differ_only_in_their_split_are_not_duplicates(write):
    report = check(write("a.en", "a b\na\n"), write("a.it", "c\nb c\n"))
    assert not report.findings


def test_test_pairs_inside_train_are_a_fault(write):
    train = write("a.en", "one\ntwo\nthree\n\n"), write("a.it", "uno\ndue\ntre\n\n")
    test = write("t.en", "four\ntwo\none\n\n"), write("t.it", "tre\n due\nprimo\n\n")
    report = check(*train, against=test)
    leaks = {key: value for key, value in found(report).items() if "test" in key[0]}
    assert leaks == {
        ("test-in-train", "t.en + t.it"): ("fault", (2,)),
        ("test-source-in-train", "t.en"): ("note", (3,)),
        ("test-target-in-train", "t.it"): ("note", (1,)),
    }
    assert report.is_serious


def test_a_separate_test_set_is_not_a_fault(write):
    train = write("a.en", "one\n"), write("a.it", "uno\n")
    assert not check(*train, against=(write("t.en", "two\n"), write("t.it", "due\n"))).findings


def test_only_the_first_lines_are_listed(write):
    report = check(write("a.en", "x\r\n" * 9), write("a.it", "".join(f"{i}\n" for i in range(9))))
    finding = next(f for f in report.findings if f.name == "crlf")
    assert (finding.count, finding.lines) == (9, (1, 2, 3, 4, 5))
    assert str(finding).startswith("note     a.en: 9 lines (1, 2, 3, 4, 5, ...) ending in CR LF")


def test_faults_come_first(write):
    report = check(write("a.en", b"x\r\n\xff\n"), write("a.it", "\nz\n"))
    levels = [line.split()[0] for line in report.to_text().splitlines()[4:]]
    assert levels == sorted(levels, key=["fault", "warning", "note"].index)


def test_the_report_is_json(write):
    report = check(write("a.en", b"\xff\n"), write("a.it", "y\n"))
    told = json.loads(json.dumps(report.to_json()))
    assert told["is_serious"] is True
    assert told["files"][0]["lines"] == 1
    assert told["findings"][0]["lines"] == [1]


def test_a_missing_file_is_an_error(write):
    with pytest.raises(DataError, match=r"b\.en: no such file"):
        check(Path("b.en"), write("a.it", "x\n"))
