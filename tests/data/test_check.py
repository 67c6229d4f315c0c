"""`nmt check` reads past every fault and reports them all."""

import bz2
import gzip
import itertools
import json
import lzma
import random
import re
from pathlib import Path

import pytest

from nmt.data.check import check
from nmt.data.sample import Sample
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
    assert str(finding).splitlines() == [
        "fault    a.en: 2 of 4 lines (2, 3) not UTF-8; first a.en:2: byte 3 is 0xff",
        r"         most often: \xff in 1, \xfe in 1",
        r"         line 2: ab\xff",
        "         fix: convert the file, for example with iconv -f latin1 -t utf-8, or repair "
        "these",
    ]


def test_a_byte_order_mark_is_noted_and_not_a_control_character(write):
    report = check(write("a.en", "\ufeffone\n"), write("a.it", "uno\n"))
    assert found(report) == {("bom", "a.en"): ("note", (1,))}


@pytest.mark.parametrize("end", [b"", b"\r", b"\n", b"\r\n"])
def test_line_ends_of_old_macs_are_a_fault(write, end):
    report = check(write("a.en", b"a cat\rtwo dogs\rsix" + end), write("a.it", "un gatto\n"))
    [finding] = [finding for finding in report.findings if finding.level == "fault"]
    assert (finding.name, finding.where, finding.lines) == ("cr-ends", "a.en", (1,))
    assert finding.remedy == r"convert the file with tr '\r' '\n'"
    assert "lone-cr" not in {finding.name for finding in report.findings}


def test_unequal_counts_are_a_fault_and_name_both(write):
    report = check(write("a.en", "a\nb\nc\n"), write("a.it", "x\ny\n"))
    assert report.is_serious
    [finding] = report.findings
    assert finding.name == "unequal"
    assert "a.en has 3 lines, a.it" in finding.message
    assert str(finding).endswith(
        "fix: look for a line that is missing, or one too many, or name other files"
    )


def test_numbers_of_lines_have_separators(write):
    text = "a cat\n" * 1233 + "\n"
    report = check(write("a.en", text), write("a.it", text))
    assert "a.en: 1 of 1,234 lines (1,234) empty;" in report.to_text()


def test_empty_files_are_a_fault(write):
    report = check(write("a.en", ""), write("a.it", ""))
    assert [finding.name for finding in report.findings] == ["no-lines"]
    assert "line 0" not in report.to_text()


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


@pytest.fixture
def clean(write):
    """Write 2,000 pairs without a flaw, but for given lines of the source; return the files."""

    def clean(*odd: str, target: tuple[str, ...] = (), name: str = "a") -> tuple[Path, Path]:
        words = ("cat", "dog", "mouse", "gatto", "cane", "topo")
        sides = [
            [f"The {words[n % 3]} sees {spelled(n)}." for n in range(2000)],
            [f"Il {words[n % 3 + 3]} vede {spelled(n)[::-1]}." for n in range(2000)],
        ]
        sides[0][: len(odd)] = odd
        sides[1][: len(target)] = target
        files = [f"{name}.en", f"{name}.it"]
        return tuple(write(f, "\n".join(side) + "\n") for f, side in zip(files, sides, strict=True))

    return clean


def spelled(number: int) -> str:
    """A number as a word of letters."""
    return "".join("abcdefghij"[int(digit)] * 2 for digit in str(number))


def test_the_clean_corpus_of_these_tests_is_clean(clean):
    assert not check(*clean()).findings


def test_a_finding_has_count_lines_example_and_remedy(clean):
    report = check(*clean("It&apos;s a cat.", "Mine.", "&quot;A&quot; &apos;b&apos;"))
    [finding] = report.findings
    assert (finding.level, finding.name, finding.where) == ("warning", "entity", "a.en")
    assert (finding.count, finding.total, finding.lines) == (2, 2000, (1, 3))
    assert finding.example == "It&apos;s a cat."
    assert finding.places == {"&apos;": 1, "&quot;": 1}
    assert "html.unescape" in finding.remedy
    assert str(finding).splitlines() == [
        "warning  a.en: 2 of 2,000 lines (1, 3) with HTML entities",
        "         most often: &apos; in 1, &quot; in 1",
        "         line 1: It&apos;s a cat.",
        "         fix: replace them by their characters, for example with html.unescape of Python",
    ]


def test_a_rare_flaw_is_a_note_of_two_lines(clean):
    report = check(*clean("It&apos;s a cat."))
    [finding] = report.findings
    assert finding.level == "note"
    assert len(str(finding).splitlines()) == 2


def test_what_cannot_be_seen_is_spelled_out(clean):
    [finding] = check(*clean("a cat\u200b and a dog", "x\u200by", "so\u00adft")).findings
    assert finding.example == "a cat⟨U+200B⟩ and a dog"
    assert finding.places == {"⟨U+200B⟩": 2, "⟨U+00AD⟩": 1}


def test_a_control_character_is_reported_with_its_code(clean):
    [finding] = check(*clean("a\x07b", "c\x92d")).findings
    assert finding.places == {"⟨U+0007⟩": 1, "⟨U+0092⟩": 1}


def test_some_spaced_punctuation_is_a_note_and_much_of_it_a_warning(clean):
    [some] = check(*clean(*["A cat ."] * 100)).findings
    assert (some.level, some.name) == ("note", "tokenized")
    [much] = check(*clean(*["A cat ."] * 300)).findings
    assert much.level == "warning"


def test_lines_of_several_sentences_are_noted_if_there_are_many(clean):
    assert not check(*clean(*["It rains. We stay."] * 50)).findings
    [finding] = check(*clean(*["It rains. We stay."] * 200)).findings
    assert (finding.level, finding.name) == ("note", "sentences")


@pytest.mark.parametrize("line", ["Кошка видит собаку.", "我看见猫。", "γάτα"])
def test_lines_in_another_script_are_found(clean, line):
    [finding] = check(*clean(*[line] * 3)).findings
    assert (finding.level, finding.name, finding.lines) == ("warning", "other-script", (1, 2, 3))
    assert "unlike the other lines (Latin)" in finding.message


def test_a_few_names_in_latin_letters_are_only_noted(write):
    source = write("a.ja", "猫を見た。\nカタカナ\n" * 50 + "Microsoft Windows\n")
    report = check(source, write("a.xx", "Kissa\nNaki\n" * 50 + "Win Mic\n"))
    named = {(f.name, f.level) for f in report.findings if f.where == "a.ja"}
    assert ("other-script", "note") in named
    assert ("other-script", "warning") not in named


def test_exchanged_files_are_found_by_their_scripts(write):
    russian, english = "Кошка видит собаку.\n" * 3, "A cat sees a dog.\n" * 3
    report = check(write("a.ru", english), write("a.en", russian))
    assert {(f.name, f.where) for f in report.findings} >= {
        ("wrong-script", "a.ru"),
        ("wrong-script", "a.en"),
    }
    report = check(write("a.ru", russian), write("a.en", english))
    assert "wrong-script" not in {f.name for f in report.findings}
    report = check(write("a.sr-Latn", "Mačka\n"), write("a.human", "Кошка\n"))
    assert "wrong-script" not in {f.name for f in report.findings}


def test_a_script_without_spaces_is_noted(write):
    report = check(write("a.zh", "我有三个苹果。\n"), write("a.en", "I have three apples.\n"))
    assert found(report) == {("no-spaces", "a.zh"): ("note", ())}


def test_lost_spaces_are_a_warning(write):
    report = check(write("a.de", "ichhabedreiäpfelundeinebirne\n"), write("a.en", "I have fruit\n"))
    assert found(report) == {("no-spaces", "a.de"): ("warning", ())}


def test_a_side_in_capitals_is_a_warning_and_in_lower_case_a_note(write):
    lines = [f"The {spelled(n)}\n" for n in range(20)]
    others = [f"il {spelled(n)[::-1]}\n" for n in range(20)]
    report = check(write("a.en", "".join(lines).upper()), write("a.it", "".join(others)))
    assert found(report) == {
        ("all-upper", "a.en"): ("warning", ()),
        ("all-lower", "a.it"): ("note", ()),
    }


def test_copies_are_counted_with_their_number_among_all(clean):
    same = [f"Same {spelled(n)}" for n in range(30)]
    [finding] = check(*clean(*same, target=tuple(same))).findings
    assert (finding.level, finding.name, finding.count, finding.total) == (
        "warning",
        "copy",
        30,
        2000,
    )
    [finding] = check(*clean(*same[:5], target=tuple(same[:5]))).findings
    assert finding.level == "note"


def test_placeholders_that_differ_are_counted_among_pairs_with_some(clean):
    source = ["Hello {name}, %s of %1$s.", "{0} files, 100 % done.", "A {b} C.", "See ${x} {}."]
    target = ("Ciao {name}, %s di %1$s.", "{0} file, 100 % fatto.", "Ci.", "Vedi ${x} {} {}.")
    [finding] = check(*clean(*source, target=target)).findings
    assert (finding.name, finding.level) == ("placeholders", "warning")
    assert (finding.count, finding.total, finding.lines) == (2, 4, (3, 4))
    assert finding.example == "A {b} C. ||| Ci. ({b} and nothing)"


def test_copies_but_for_punctuation_are_counted_apart(clean):
    source = [f"Same, {spelled(n)}." for n in range(30)]
    target = tuple(text.replace(".", " !") for text in source)
    [finding] = check(*clean(*source, target=target)).findings
    assert (finding.level, finding.name, finding.count) == ("warning", "near-copy", 30)


def test_copies_but_for_capitals_are_counted_apart(clean):
    capitals = [f"Same {spelled(n)}" for n in range(30)]
    small = tuple(text.lower() for text in capitals)
    [finding] = check(*clean(*capitals, target=small)).findings
    assert (finding.level, finding.name, finding.count) == ("warning", "near-copy", 30)


@pytest.mark.parametrize("first", [300, 1000, 1900])
def test_sides_that_are_exchanged_from_some_line_on_are_found(clean, write, first):
    left, right = (file.read_text().splitlines(keepends=True) for file in clean())
    source = write("b.xx", "".join(left[: first - 1] + right[first - 1 :]))
    target = write("b.yy", "".join(right[: first - 1] + left[first - 1 :]))
    [finding] = check(source, target).findings
    assert (finding.level, finding.name, finding.count) == ("warning", "exchanged", 2001 - first)
    assert finding.message == (
        f"from about line {first:,} on, source and target seem to be exchanged "
        f"({2001 - first:,} of 2,000 lines)"
    )


def test_translations_that_stand_a_line_further_up_are_found(clean):
    """As 178 do in the English-Irish training corpus of LoResMT 2021, from line 3,240 on."""
    chance = random.Random(3)
    names = [" ".join(spelled(n) for _ in range(chance.randint(1, 9))) for n in range(2000)]
    target = [f"Il gatto vede {name[::-1]}." for name in names]
    lost = (*target[:299], *target[300:500], target[299], *target[500:])
    source = [f"The cat sees {name}." for name in names]
    [finding] = check(*clean(*source, target=lost)).findings
    assert (finding.level, finding.name) == ("warning", "shifted")
    first, last = map(int, re.findall(r"lines (\d+) to (\d+) ", finding.message)[0])
    assert (first, last) == (pytest.approx(301, abs=3), pytest.approx(500, abs=3))
    assert "1 line further up" in finding.message


def test_a_test_set_whose_sides_are_exchanged_is_found(clean, write):
    files = clean()
    test = [
        write(f"t.{n}", "".join(file.read_text().splitlines(keepends=True)[:50]))
        for n, file in enumerate(files)
    ]
    right, wrong = (
        check(*files, against=(test[0], test[1])),
        check(*files, against=(test[1], test[0])),
    )
    assert "exchanged-test" not in {finding.name for finding in right.findings}
    (finding,) = (each for each in wrong.findings if each.name == "exchanged-test")
    assert str(finding).startswith("warning  t.1 + t.0: source and target seem to be exchanged")


def test_sides_of_one_language_are_not_taken_for_exchanged(clean):
    source, _ = clean()
    _, target = clean(name="b")
    target.write_text("".join(sorted(source.read_text().splitlines(keepends=True))))
    assert "exchanged" not in {finding.name for finding in check(source, target).findings}


def test_numbers_that_differ_are_counted_among_pairs_with_numbers(clean):
    source = [f"It costs {n} euros." for n in range(10, 30)]
    target = [f"Costa {n} euro." for n in (31, *range(11, 30))]
    [finding] = check(*clean(*source, target=tuple(target))).findings
    assert (finding.level, finding.name) == ("note", "numbers")
    assert (finding.count, finding.total, finding.lines) == (1, 20, (1,))
    assert finding.example == "It costs 10 euros. ||| Costa 31 euro. (10 and 31)"
    [finding] = check(*clean(*source, target=tuple(target[::-1]))).findings
    assert finding.level == "warning"


def test_line_lengths_of_a_pair_are_shown(clean):
    [finding] = check(*clean("No.", target=("x" * 99,))).findings
    assert finding.name == "ratio"
    assert finding.example.endswith("(3 and 99 characters)")


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


def test_a_leak_says_where_it_is_in_the_training_files(write):
    train = write("a.en", "one\ntwo\ntwo\n"), write("a.it", "uno\ndue\ndue\n")
    test = write("t.en", "two\ntwo\n"), write("t.it", "due\ndue\n")
    finding = next(f for f in check(*train, against=test).findings if f.name == "test-in-train")
    assert finding.count == 2
    assert finding.example == "two"
    assert finding.message == "also in a.en + a.it (line 2)"
    assert "data.drop_held_out = true" in finding.remedy


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("the big dog sleeps in our garden", "il grande cane dorme nel nostro giardino"),
        ("The big dog sleeps, in our garden!", "Il grande cane: dorme nel nostro giardino"),
        ("The big dog sleeps in our garden 7", "Il grande cane dorme nel nostro giardino 8"),
        ("The small dog sleeps in our garden.", "Il piccolo cane dorme nel nostro giardino."),
        ("The big dog sleeps in garden.", "Il grande cane dorme sempre nel nostro giardino."),
    ],
)
def test_a_test_pair_that_is_nearly_a_training_pair_is_found(clean, write, source, target):
    known = "The big dog sleeps in our garden.", "Il grande cane dorme nel nostro giardino."
    train = clean("Other.", known[0], target=("Altro.", known[1]))
    test = write("t.en", f"A cat.\n{source}\n"), write("t.it", f"Un gatto.\n{target}\n")
    report = check(*train, against=test)
    [finding] = (f for f in report.findings if f.name.startswith("test"))
    assert (finding.name, finding.lines, finding.level) == ("test-near-train", (2,), "warning")
    assert finding.message == (
        "found, but for case, punctuation, digits or a word, in a.en + a.it (line 2)"
    )


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("The big dog sleeps in our garden.", "Un altro testo che non somiglia per niente."),
        ("The small cat sleeps in our garden.", "Il piccolo gatto dorme nel nostro giardino."),
        ("4/10/12", "2012-10-04"),
        ("a b c d e f h", "x y z v w u h"),
    ],
)
def test_a_test_pair_that_is_another_is_not_near(clean, write, source, target):
    known = ("The big dog sleeps in our garden.", "12/4/10", "a b c d e f g")
    translated = ("Il grande cane dorme nel nostro giardino.", "2010-04-12", "x y z v w u g")
    test = write("t.en", f"{source}\n"), write("t.it", f"{target}\n")
    report = check(*clean(*known, target=translated), against=test)
    assert "test-near-train" not in {finding.name for finding in report.findings}


def test_the_sample_is_even_and_bounded(clean):
    report = check(*clean())
    assert len(report.sample) == 2000
    sample = Sample()
    for number in range(1, 100_001):
        sample.add(number, str(number), "x")
    kept = [int(source) for source, _ in sample.pairs]
    assert 1000 < len(kept) <= 2000
    assert len({b - a for a, b in itertools.pairwise(kept)}) == 1


def test_a_separate_test_set_is_not_a_fault(write):
    train = write("a.en", "one\n"), write("a.it", "uno\n")
    assert not check(*train, against=(write("t.en", "two\n"), write("t.it", "due\n"))).findings


def test_only_the_first_lines_are_listed(write):
    report = check(write("a.en", "x\r\n" * 9), write("a.it", "".join(f"{i}\n" for i in range(9))))
    finding = next(f for f in report.findings if f.name == "crlf")
    assert (finding.count, finding.lines) == (9, (1, 2, 3, 4, 5))
    assert str(finding).startswith(
        "note     a.en: 9 of 9 lines (1, 2, 3, 4, 5, ...) ending in CR LF"
    )


def test_faults_come_first(write):
    report = check(write("a.en", b"x\r\n\xff\n"), write("a.it", "\nz\n"))
    lines = [line for line in report.to_text().splitlines()[4:] if line[0] != " "]
    levels = [line.split()[0] for line in lines]
    assert len(levels) > 2
    assert levels == sorted(levels, key=["fault", "warning", "note"].index)


def test_the_report_is_json(write):
    report = check(write("a.en", b"\xff\n"), write("a.it", "y\n"))
    told = json.loads(json.dumps(report.to_json()))
    assert told["is_serious"] is True
    assert told["files"][0]["lines"] == 1
    assert told["findings"][0]["lines"] == [1]
    assert told["findings"][0]["example"] == r"\xff"
    assert told["findings"][0]["remedy"]
    assert "sample" not in told


def test_a_missing_file_is_an_error(write):
    with pytest.raises(DataError, match=r"b\.en: no such file"):
        check(Path("b.en"), write("a.it", "x\n"))


def test_a_file_that_is_not_text_is_the_only_finding(write):
    report = check(write("a.en", b"PK\3\4\r\0\xff\n\r" * 9), write("a.it", "uno\n"))
    [finding] = report.findings
    assert (finding.level, finding.name, finding.where) == ("fault", "not-text", "a.en")
    assert [facts.path for facts in report.files] == ["a.it"]
    assert (report.files[0].lines, report.files[0].words) == (1, 1)
    assert str(finding).splitlines() == [
        "fault    a.en: is a zip archive, not plain text",
        "         fix: unpack it with `unzip`, and name the text in it",
    ]
    assert report.is_serious


def test_each_file_that_is_not_text_is_named(write):
    report = check(
        write("a.en", b"%PDF-1.4\n%"),
        write("a.it", b"\x89PNG\r\n\x1a\n"),
        against=(write("t.en", "a\n"), write("t.it", b"Rar!\x1a\7\0")),
    )
    assert {f.where: f.message.split(",")[0] for f in report.findings} == {
        "a.en": "is a PDF file",
        "a.it": "is a picture",
        "t.it": "is a rar archive",
    }


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_packed_and_utf16_files_are_examined_as_plain_ones_are(write, pack):
    plain = check(write("a.en", "a cat\n\nb\0\n"), write("a.it", "un gatto\n\nb\n"))
    source = write("b.en", pack("a cat\n\nb\0\n".encode("utf-16")))
    report = check(source, write("b.it", pack(b"un gatto\n\nb\n")))
    assert [(f.level, f.name, f.lines) for f in report.findings] == [
        (f.level, f.name, f.lines) for f in plain.findings
    ]


def test_pairs_are_examined_as_two_files_are(write):
    lines = [("one", "uno"), ("", ""), ("two", ""), ("a\u0007", "b"), ("same", "same")] * 2
    plain = check(*(write(f"a.{i}", "".join(f"{p[i]}\n" for p in lines)) for i in (0, 1)))
    path = write("c.tsv", "".join(f"{source}\t{target}\n" for source, target in lines))
    report = check(path, path)
    names = {"a.0": "c.tsv (source)", "a.1": "c.tsv (target)", "a.0 + a.1": "c.tsv"}
    assert [(f.level, f.name, f.where, f.lines) for f in report.findings] == [
        (f.level, f.name, names[f.where], f.lines) for f in plain.findings
    ]
    assert [facts.path for facts in report.files] == ["c.tsv (source)", "c.tsv (target)"]
    assert [f.example for f in report.findings] == [f.example for f in plain.findings]
    assert report.sample == plain.sample


def test_lines_of_pairs_without_two_columns_are_counted(write):
    path = write("c.tsv", "a\tb\nno tab\n\nx\ty\tz\tz\n \n")
    report = check(path, path)
    findings = {finding.name: finding for finding in report.findings}
    assert str(findings["no-tab"]).splitlines() == [
        "fault    c.tsv: 1 of 5 lines (2) without a tab between source and translation",
        "         line 2: no tab",
        "         fix: repair or delete these",
    ]
    assert found(report)["columns", "c.tsv"] == ("note", (4,))


def test_an_empty_file_of_pairs_is_named_once(write):
    path = write("c.tsv", "")
    [finding] = check(path, path).findings
    assert str(finding) == (
        "fault    c.tsv: c.tsv is empty\n         fix: name files that hold text"
    )


def test_a_leak_between_files_of_pairs_names_the_columns(write):
    train = write("a.tsv", "one\tuno\ntwo\tdue\nthree\ttre\n")
    test = write("t.tsv", "two\tdue\nthree\tquattro\n")
    findings = {f.name: f for f in check(train, train, against=(test, test)).findings}
    leak, known = findings["test-in-train"], findings["test-source-in-train"]
    assert (leak.where, leak.message) == ("t.tsv", "also in a.tsv (line 2)")
    assert (known.where, known.example) == ("t.tsv (source)", "three")
    assert known.message == "also in a.tsv (source), in another pair (line 3)"


def test_rare_words_of_both_sides_of_a_test_set_are_found(write):
    train = write("a.en", "known\n" * 9), write("a.it", "noto\n" * 9)
    test = write("t.en", "known new\n" * 300), write("t.it", "noto nuovo\n" * 300)
    messages = {f.where: f.message for f in check(*train, against=test).findings}
    assert messages["t.en"].startswith("50.0% of the words occur fewer than 5 times in a.en")
    assert messages["t.it"].endswith("in a.it, such as nuovo")
