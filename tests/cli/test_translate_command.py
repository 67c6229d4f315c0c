import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nmt.cli.lines_out import as_json, as_n_best, as_text
from nmt.cli.output_file import line_writer
from nmt.config.search import SearchConfig, change_search
from nmt.errors import ResourceError, UsageError
from nmt.translator import TranslatedText, Translation, Translator

LINES = ["a cat eats", "", "the small dog sleeps.", "two birds, and a mouse"]
NASTY = "a ||| b\nc\rd\u2028e\x85f ||||"


@pytest.fixture
def expected(model_folder) -> list[Translation]:
    return list(Translator.load(model_folder, precision="auto").translate(LINES, align=True))


@pytest.fixture
def two_best(model_folder) -> list[Translation]:
    """Two translations of a line, or one if only one of them ends within the limit."""
    translator = Translator.load(model_folder, precision="auto")
    options = change_search(translator.options, {"n_best": 2})
    found = list(translator.translate(LINES, options=options))
    assert {len(translation.hypotheses) for translation in found} == {1, 2}
    return found


def test_lines_from_stdin_come_out_translated_in_order(nmt, model_folder, expected):
    code, lines, _ = nmt("translate", model_folder, lines=LINES)
    assert code == 0
    assert lines == [as_text(found, scores=False, align=False) for found in expected]
    assert lines[1] == ""


def test_a_file_is_translated_to_a_file(nmt, model_folder, expected, tmp_path):
    source, target = tmp_path / "in.en", tmp_path / "out.it"
    source.write_text("".join(f"{line}\n" for line in LINES))
    code, lines, _ = nmt("translate", model_folder.parent, "-i", source, "-o", target, "--exact")
    assert (code, lines) == (0, [])
    texts = [as_text(found, scores=False, align=False) for found in expected]
    assert target.read_bytes().decode().split("\n")[:-1] == texts
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_the_input_file_is_not_overwritten(nmt, model_folder, tmp_path):
    text, link = tmp_path / "in.en", tmp_path / "out.it"
    text.write_bytes(b"a cat\n")
    link.symlink_to(text)
    for output in (text, link):
        code, _, errors = nmt("translate", model_folder, "-i", text, "-o", output)
        assert code == 2
        assert "is an input of this command; choose another output." in errors
        both = ("--source", text, "--target", text)
        code, _, errors = nmt("score", model_folder, *both, "-o", output)
        assert code == 2
        assert "is an input of this command; choose another output." in errors
    assert text.read_bytes() == b"a cat\n"


def test_fields_follow_the_text(nmt, model_folder, expected):
    _, lines, _ = nmt("translate", model_folder, "--align", lines=LINES)
    for line, found in zip(lines, expected, strict=True):
        text, links = line.split(" ||| ")
        assert text == as_text(found, scores=False, align=False)
        assert links == " ".join(f"{source}-{target}" for source, target in found.alignment)
    _, lines, _ = nmt("translate", model_folder, "--scores", "--align", lines=LINES)
    assert [len(line.split(" ||| ")) for line in lines] == [4] * 4


def test_n_best_lists_number_the_lines(nmt, model_folder, expected, two_best):
    _, lines, _ = nmt("translate", model_folder, "--n-best", 2, lines=LINES)
    fields = [line.split(" ||| ") for line in lines]
    assert [int(number) for number, *_ in fields] == [
        number for number, found in enumerate(two_best) for _ in found.hypotheses
    ]
    assert fields[0][2] == f"logprob={expected[0].log_prob:.4f}"
    assert float(fields[0][3]) == pytest.approx(expected[0].score, abs=1e-4)


def test_json_lines_hold_everything(nmt, model_folder, expected, two_best):
    _, lines, _ = nmt(
        *("translate", model_folder, "--format", "jsonl", "--n-best", 2, "--align"), lines=LINES
    )
    records = [json.loads(line) for line in lines]
    assert [record["id"] for record in records] == [0, 1, 2, 3]
    assert [record["source"] for record in records] == LINES
    for record, found in zip(records, expected, strict=True):
        assert record["text"] == found.text
        assert record["logprob"] == pytest.approx(found.log_prob, abs=1e-5)
        assert record["score"] == pytest.approx(found.score, abs=1e-5)
        assert record["finished"] == found.finished
        assert record["repeats"] == found.hypotheses[0].repeats
        assert [tuple(link) for link in record["alignment"]] == list(found.alignment)
        assert record["nbest"][0]["text"] == found.text
    assert [[each["text"] for each in record["nbest"]] for record in records] == [
        [hypothesis.text for hypothesis in found.hypotheses] for found in two_best
    ]


def test_search_options_of_the_command_line_override_those_of_the_model(nmt, model_folder):
    arguments = ["--max-length-factor", 0, "--max-length-offset", 3, "--beam", 2, "--format=jsonl"]
    _, lines, _ = nmt("translate", model_folder, *arguments, lines=LINES[:1])
    translator = Translator.load(model_folder, precision="auto")
    changes = {"max_length_factor": 0.0, "max_length_offset": 3, "beam": 2}
    options = change_search(translator.options, changes)
    (found,) = translator.translate(LINES[:1], options=options)
    assert json.loads(lines[0])["text"] == found.text
    assert json.loads(lines[0])["logprob"] == pytest.approx(found.log_prob, abs=1e-5)
    code, _, log = nmt("translate", model_folder, "--n-best", 9, lines=LINES)
    assert code == 2
    assert "error: --n-best: 9 is more than a beam of 3 can find" in log


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--top-k", 5],
            "--top-k: has an effect only with --sample; add that, or leave --top-k out.",
        ),
        (["--temperature", 0.5], "--temperature: has an effect only with --sample; add that, or"),
        (
            ["--beam", 2, "--sample"],
            "--beam: has an effect only with --no-sample; add that, or leave",
        ),
        (["--alpha", 0.5], "--alpha: has an effect only with --length-penalty gnmt; add that, or"),
        (
            ["--alpha", 0.5, "--length-penalty", "none"],
            "--alpha: has an effect only with --length-",
        ),
        (["--top-p", 0, "--sample"], "--top-p: must be greater than 0, got 0.0."),
    ],
)
def test_an_option_without_effect_is_refused(nmt, model_folder, arguments, message):
    code, lines, log = nmt("translate", model_folder, *arguments, lines=LINES)
    assert (code, lines) == (2, [])
    assert f"error: {message}" in log


def test_every_search_option_of_the_configuration_is_a_command_line_option(nmt):
    """With its name, its range and its documentation."""
    code, lines, _ = nmt("translate", "--help")
    assert code == 0
    text = " ".join(" ".join(lines).split())
    for name, field in SearchConfig.model_fields.items():
        option = "--" + name.replace("_", "-")
        assert f" {option} " in text
        words = field.description.split()[-2:]
        assert " ".join(words).replace("_", "-").removeprefix("See ") in text
    assert "[1<=x<=100000]" in text
    assert "With --sample: sample from the k most likely pieces; 0 = from all. [x>=0]" in text
    assert "See --max-length-factor. [1<=x<=100000]" in text


def test_search_options_of_the_model_folder_are_the_defaults(nmt, make_model_folder):
    search = {"sample": True, "n_best": 2, "seed": 5}
    folder = make_model_folder(search=search)
    _, drawn, _ = nmt("translate", folder, lines=LINES[:1])
    assert [line.split(" ||| ")[0] for line in drawn] == ["0", "0"]
    assert nmt("translate", folder, "--seed", 6, lines=LINES[:1])[1] != drawn
    code, found, _ = nmt(
        *("translate", folder, "--no-sample", "--n-best", 1, "--beam", 3), lines=LINES[:1]
    )
    assert code == 0
    assert found == [make_best(folder, LINES[0])]


def make_best(folder: Path, line: str) -> str:
    translator = Translator.load(folder, precision="auto")
    options = change_search(translator.options, {"sample": False, "n_best": 1, "beam": 3})
    return next(translator.translate([line], options=options)).text


def test_alpha_is_the_exponent_of_the_gnmt_length_penalty(nmt, model_folder):
    gnmt = ["--length-penalty", "gnmt", "--format", "jsonl"]
    (_, plain, _), (_, strong, _) = (
        nmt("translate", model_folder, *gnmt, "--alpha", alpha, lines=LINES) for alpha in (0, 1)
    )
    best = json.loads(strong[0])
    tokens = (best["logprob"] / best["score"]) * 6 - 5  # equation 14 at alpha = 1
    assert tokens == pytest.approx(round(tokens), abs=1e-4)
    assert json.loads(plain[0])["score"] == json.loads(plain[0])["logprob"]


@pytest.mark.parametrize(
    ("option", "value", "most"),
    [
        ("--max-length-factor", "inf", "1000"),
        ("--max-length-factor", "1e30", "1000"),
        ("--max-length-offset", "99999999999999999999", "100000"),
        ("--min-length-factor", "inf", "1000"),
        ("--min-length-offset", "100000000", "100000"),
        ("--alpha", "1e30", "10"),
        ("--beam", "99999999999999999999", "100000"),
        ("--n-best", "99999999999999999999", "100000"),
    ],
)
def test_excessive_limits_are_refused(nmt, model_folder, option, value, most):
    code, lines, log = nmt("translate", model_folder, option, value, lines=LINES)
    assert (code, lines) == (2, [])
    assert re.search(rf"error: {option}: .*\b{most}\b", log)


def test_sampling_is_reproducible_by_its_seed(nmt, model_folder):
    draw = ["translate", model_folder, "--sample", "--temperature", 1.5, "--top-k", 50]
    _, first, _ = nmt(*draw, "--seed", 3, lines=LINES)
    assert nmt(*draw, "--seed", 3, "--batch-size", 1, lines=LINES)[1] == first
    assert nmt(*draw, "--seed", 4, lines=LINES)[1] != first


@pytest.mark.parametrize("command", [["translate"], ["score", "--source=s", "--target=t"]])
def test_an_excessive_number_of_threads_is_refused(nmt, command, model_folder):
    code, lines, log = nmt(*command, model_folder, "--threads", 100000)
    assert (code, lines) == (2, [])
    assert re.search(r"error: --threads: .*1024", log)


def test_bad_input_is_named_and_leaves_no_empty_output(nmt, model_folder, tmp_path):
    source, target = tmp_path / "in.en", tmp_path / "out.it"
    source.write_bytes(b"a cat\nb\xffd\n")
    code, _, log = nmt("translate", model_folder, "-i", source, "-o", target)
    assert code == 3
    assert "in.en:2: byte 2 is 0xff, not UTF-8" in log
    assert not target.exists()
    assert not (tmp_path / "out.it.partial").exists()
    assert nmt("translate", model_folder, "-i", source, "--bad-lines", "replace")[0] == 0
    assert nmt("translate", model_folder, "-i", tmp_path / "none.en")[0] == 3
    assert nmt("translate", tmp_path / "none", "-i", source)[0] == 4


@pytest.mark.parametrize("option", ["--input", "--prefix"])
def test_a_file_of_pairs_is_not_translated(nmt, model_folder, tmp_path, option):
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("a cat\tun gatto\n")
    code, lines, log = nmt("translate", model_folder, option, pairs, lines=LINES)
    assert (code, lines) == (3, [])
    assert "pairs.tsv: is called .tsv, so it holds both sides of a corpus; name a file of" in log


def test_a_skipped_line_becomes_an_empty_line(nmt, model_folder, tmp_path):
    source = tmp_path / "in.en"
    source.write_bytes(b"a cat\nb\xffd\na dog\n")
    code, lines, log = nmt("translate", model_folder, "-i", source, "--bad-lines", "skip")
    assert (code, len(lines)) == (0, 3)
    assert [line == "" for line in lines] == [False, True, False]
    assert "in.en:2: byte 2 is 0xff, not UTF-8" in log


def test_a_paragraph_is_split_and_joined_on_its_line(nmt, model_folder):
    sentences = ["A cat eats.", "The dog sleeps.", "Two birds sleep."]
    line = " ".join(sentences)
    _, alone, _ = nmt("translate", model_folder, lines=sentences)
    assert nmt("translate", model_folder, lines=[line])[:2] == (0, [" ".join(alone)])
    code, whole, _ = nmt("translate", model_folder, "--split", "never", lines=[line])
    assert (code, len(whole)) == (0, 1)
    assert whole != [" ".join(alone)]
    two = " ".join(sentences[:2])
    _, lines, _ = nmt("translate", model_folder, "--split", "always", lines=[two])
    assert lines == [" ".join(alone[:2])]


def test_lines_broken_at_a_width_are_joined_on_request(nmt, model_folder):
    _, expected, _ = nmt("translate", model_folder, lines=["a cat eats a mouse", "", "a dog"])
    broken = ["a cat", "eats a", "mouse", "", "a dog"]
    assert nmt("translate", model_folder, "--unwrap", lines=broken)[1] == expected
    assert len(nmt("translate", model_folder, lines=broken)[1]) == 5


def test_what_the_model_cannot_know_is_counted_in_one_warning(nmt, model_folder):
    lines = ["a cat", "a ж cat", "a cat 3500", "a ж"]
    code, out, log = nmt("translate", model_folder, "--format", "jsonl", lines=lines)
    assert code == 0
    records = [json.loads(line) for line in out]
    assert [record["unseen"] for record in records] == [[], ["ж"], ["3", "5", "0"], ["ж"]]
    assert [record["lost"] for record in records] == [[], [], ["3500"], []]
    assert [record["sentences"] for record in records] == [1, 1, 1, 1]
    assert log == (
        'warning: 3 of 4 lines: characters that the model never saw, e.g. line 2: "ж"; '
        "1 of 4 lines: a number or an address lost, e.g. line 3: 3500\n"
    )
    assert nmt("translate", model_folder, lines=["a cat", "42", ""])[2] == ""


def translation_of(text: str) -> Translation:
    return Translation("source", (TranslatedText(text, -1.91, -0.318, True, ((0, 0), (1, 2))),))


def test_no_text_can_add_a_line_or_a_field():
    nasty = translation_of(NASTY)
    for line in (
        as_text(nasty, scores=False, align=False),
        as_text(nasty, scores=True, align=True),
        as_n_best(7, nasty, align=True),
        as_json(7, nasty),
    ):
        assert len(line.splitlines()) == 1
    assert as_text(nasty, scores=False, align=True).count("|||") == 1
    assert as_n_best(7, nasty, align=False).split(" ||| ") == [
        *["7", "a &#124;&#124;&#124; b c d e f &#124;&#124;&#124;|", "logprob=-1.9100", "-0.3180"]
    ]
    assert json.loads(as_json(7, nasty))["text"] == NASTY


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    with (
        pytest.raises(UsageError, match=r"out: cannot be written: No such file .*; choose another"),
        line_writer(tmp_path / "none" / "out"),
    ):
        pass


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("EROFS", "the file system is read-only; choose a folder that can be written"),
        ("ENOSPC", "the disk is full; free some space"),
        ("EACCES", "permission denied; change the owner or mode"),
    ],
)
@pytest.mark.parametrize("call", ["open", "replace"])
def test_a_disk_error_is_a_resource_error(tmp_path, monkeypatch, code, reason, call):
    def refuse(*_: object) -> None:
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr(*{"open": (os, "open"), "replace": (os, "replace")}[call], refuse)
    with (
        pytest.raises(ResourceError, match=rf"cannot write {tmp_path}/out, .* free; {reason}"),
        line_writer(tmp_path / "out") as write,
    ):
        write("a")


@pytest.mark.parametrize("length", [1, 1_000_000])  # within the size of the buffer, or beyond it
def test_a_disk_that_fills_up_is_a_resource_error(length):
    with (
        pytest.raises(ResourceError, match=r"cannot write /dev/full, .*the disk is full"),
        line_writer(Path("/dev/full")) as write,
    ):
        write("a" * length)


def test_a_full_disk_does_not_hide_the_first_error(nmt, model_folder, tmp_path):
    source = tmp_path / "in.en"
    source.write_bytes(b"a cat\nb\xffd\n")
    code, _, log = nmt("translate", model_folder, "-i", source, "-o", "/dev/full")
    assert code == 3
    assert "in.en:2: byte 2 is 0xff, not UTF-8" in log


def test_a_typed_line_is_answered_and_ctrl_c_ends_quietly(model_folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "nmt.cli", "translate", str(model_folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with process:
        for line in (b"a cat\n", b"a dog\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline().endswith(b"\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stderr.read() == b""


def test_at_a_terminal_one_is_told_what_to_type_and_how_to_end(model_folder):
    terminal, its_end = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "nmt.cli", "translate", str(model_folder)],
        stdin=its_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    os.write(terminal, b"a cat\n\x04")
    out, errors = process.communicate(timeout=60)
    os.close(terminal)
    os.close(its_end)
    assert out.count(b"\n") == 1
    assert errors == b"type a sentence and press Enter; Ctrl-D ends\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_translation_to_a_file_says_what_is_done(
    model_folder, tmp_path, number, code
):
    partial = tmp_path / "out.partial"
    process = subprocess.Popen(
        [sys.executable, "-m", "nmt.cli", "translate", model_folder, "-o", tmp_path / "out"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with process:
        process.stdin.write(b"a cat\na dog\n")
        process.stdin.flush()
        while not partial.exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.5)  # the file exists a moment before lines can be written
        for _ in range(2):  # as `timeout` signals the process and its group
            process.send_signal(number)
        assert process.wait(timeout=30) == code
        said = process.stderr.read().decode()
    if partial.exists():
        lines = partial.read_text().count("\n")
        holds = "1 line" if lines == 1 else f"{lines} lines"
        assert said == f"warning: {partial}: holds the {holds} written before the interruption\n"
    else:  # the signal came before the first line
        assert said == ""
    assert not (tmp_path / "out").exists()


def test_pairs_are_scored(nmt, model_folder, tmp_path):
    source, target = tmp_path / "in.en", tmp_path / "out.it"
    source.write_text("a cat\nthe dog sleeps\n")
    target.write_text("un gatto\nil cane dorme\n")
    code, lines, _ = nmt("score", model_folder, "--source", source, "--target", target)
    assert code == 0
    pairs = [("a cat", "un gatto"), ("the dog sleeps", "il cane dorme")]
    for line, pair in zip(lines, Translator.load(model_folder).score(pairs), strict=True):
        total, tokens, mean = line.split("\t")
        assert float(total) == pytest.approx(pair.log_prob, abs=1e-4)
        assert int(tokens) == len(pair.pieces)
        assert float(mean) == pytest.approx(pair.mean, abs=1e-4)

    arguments = ["score", model_folder, "--source", source, "--target", target, "--by-token"]
    _, lines, _ = nmt(*arguments)
    pieces = lines[0].split("\t")[3].split(" ")
    assert pieces[-1].startswith("</s>=-")
    _, lines, _ = nmt(*arguments, "--json")
    record = json.loads(lines[1])
    assert sum(record["logprobs"]) == pytest.approx(record["logprob"])
    assert len(record["pieces"]) == record["tokens"]


def test_the_perplexity_of_all_pairs_is_logged(nmt, model_folder, tmp_path):
    source, target = tmp_path / "in.en", tmp_path / "out.it"
    source.write_text("a cat\n\nthe dog sleeps\n")
    target.write_text("un gatto\n\nil cane dorme\n")
    command = ["score", model_folder, "--source", source, "--target", target]
    _, lines, log = nmt(*command)
    log_prob, pieces = (
        sum(map(float, column)) for column in list(zip(*map(str.split, lines), strict=True))[:2]
    )
    per_piece, per_word = math.exp(-log_prob / pieces), math.exp(-log_prob / 7)
    found = re.search(r"3 lines  ppl (\S+)  per word (\S+)\n", log)
    assert found is not None
    assert float(found[1]) == pytest.approx(per_piece, rel=1e-2)
    assert float(found[2]) == pytest.approx(per_word, rel=1e-2)
    assert [float(line.split("\t")[0]) for line in nmt(*command, "--plain")[1]] == pytest.approx(
        [float(line.split("\t")[0]) for line in lines], abs=1e-3
    )


def test_the_perplexity_of_a_script_without_spaces_is_per_character(nmt, model_folder, tmp_path):
    source, target = tmp_path / "in.en", tmp_path / "out.zh"
    source.write_text("a cat\n")
    target.write_text("一只猫 睡觉\n")
    _, lines, log = nmt("score", model_folder, "--source", source, "--target", target)
    found = re.search(r"1 lines  ppl \S+  per character (\S+)\n", log)
    assert found is not None
    expected = math.exp(-float(lines[0].split("\t")[0]) / 6)
    assert float(found[1]) == pytest.approx(expected, rel=1e-2)


def test_nothing_to_score_has_no_perplexity(nmt, model_folder, tmp_path):
    source, target = tmp_path / "blank.en", tmp_path / "blank.it"
    for path in (source, target):
        path.write_text("\n")
    code, lines, log = nmt("score", model_folder, "--source", source, "--target", target)
    assert (code, lines) == (0, ["0.0000\t0\t0.0000"])
    assert "ppl" not in log


def test_a_skipped_pair_scores_as_an_empty_one(nmt, model_folder, tmp_path):
    source, target = tmp_path / "in.en", tmp_path / "out.it"
    source.write_bytes(b"a cat\nb\xffd\n\n")
    target.write_bytes(b"un gatto\nun cane\n\n")
    arguments = ["score", model_folder, "--source", source, "--target", target]
    code, lines, log = nmt(*arguments, "--bad-lines", "skip")
    assert code == 0
    assert float(lines[0].split("\t")[0]) < 0.0
    assert lines[1:] == ["0.0000\t0\t0.0000"] * 2
    assert "in.en:2: byte 2 is 0xff, not UTF-8" in log
    _, lines, _ = nmt(*arguments, "--bad-lines", "skip", "--json", "--by-token")
    assert json.loads(lines[1]) == {
        "id": 1,
        "logprob": 0.0,
        "tokens": 0,
        "mean": 0.0,
        "pieces": [],
        "logprobs": [],
        "words": [],
    }


def test_unequal_sides_cannot_be_scored(nmt, model_folder, tmp_path):
    source, target = tmp_path / "in.en", tmp_path / "out.it"
    source.write_text("a cat\nthe dog sleeps\n")
    target.write_text("un gatto\n")
    code, lines, log = nmt("score", model_folder, "--source", source, "--target", target)
    assert (code, lines) == (3, [])
    assert "in.en has 2 lines" in log


def test_prefixes_are_completed(nmt, model_folder, tmp_path):
    prefix, source = tmp_path / "prefix", tmp_path / "in.en"
    prefix.write_text("un gatto \n\nŽ\ndue\n")
    source.write_text("".join(f"{line}\n" for line in LINES))
    command = ["translate", model_folder, "-i", source, "--prefix", prefix]
    code, lines, _ = nmt(*command)
    assert code == 0
    assert lines[0].startswith("un gatto ")
    assert (lines[1], lines[2][0], lines[3][:3]) == ("", "Ž", "due")
    prefix.write_text("un\n")
    code, _, log = nmt(*command)
    assert code == 3
    assert "error: --prefix: line 2 has none; give one per line" in log
    assert nmt(*command, "-o", prefix)[0] == 2


def test_short_lists_are_counted(nmt, model_folder, two_best):
    _, lines, log = nmt("translate", model_folder, "--n-best", 2, lines=LINES)
    short = sum(len(found.hypotheses) < 2 and found.text != "" for found in two_best)
    assert len(lines) == sum(len(found.hypotheses) for found in two_best)
    expected = (
        f"{short} of 4 lines: fewer than 2 different translations; a larger --beam may find more"
    )
    assert (expected in log) == (short > 0)
    assert "different translations" not in nmt("translate", model_folder, lines=LINES)[2]


def test_words_and_links_of_given_pairs_are_printed(nmt, model_folder, tmp_path):
    source, target = tmp_path / "in.en", tmp_path / "out.it"
    source.write_text("a cat\n\n")
    target.write_text("un  gatto\n\n")
    command = ["score", model_folder, "--source", source, "--target", target]
    (pair,) = Translator.load(model_folder).score(
        [("a cat", "un  gatto")], align=True, score_words=True
    )
    _, lines, _ = nmt(*command, "--by-word", "--align")
    words, links = lines[0].split("\t")[3:]
    assert words == " ".join(f"{word.text}={word.log_prob:.4f}" for word in pair.word_scores)
    assert links == " ".join(f"{left}-{right}" for left, right in pair.alignment)
    assert lines[1] == "0.0000\t0\t0.0000\t\t"
    _, lines, _ = nmt(*command, "--json", "--align")
    record = json.loads(lines[0])
    assert [word["text"] for word in record["words"]] == ["un", "gatto"]
    for link in record["piece_alignment"]:
        assert "un  gatto"[slice(*link["target"])].strip()
        assert "a cat"[slice(*link["source"])].strip()
    assert json.loads(lines[1])["alignment"] == []
