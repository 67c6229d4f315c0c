"""Row 29: a misleading score causes a warning, and every score says how it was computed."""

import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from text_commands import built_once, nmt

from nmt.evaluation.metrics import METRICS, score

TOY = Path(__file__).parents[2] / "data" / "toy"
LINES = {
    language: (TOY / f"test.{language}").read_text(encoding="utf-8").split("\n")[:-1]
    for language in ("en", "it")
}
TOKENIZERS = ("13a", "intl", "zh", "char", "none")
PUNCTUATION = re.compile(r"([.,;:!?])")


def tokenized(line: str) -> str:
    """Every punctuation mark a word of its own, as old tokenizers left text."""
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    return Tokenizer13a()(line)


DAMAGES: dict[str, tuple[Callable[[str], str], str]] = {
    "tokenized": (tokenized, 'look tokenized (" ." or " ,")'),
    "lower case": (str.lower, "are all lower case"),
    "upper case": (str.upper, "are all upper case"),
    "pieces of BPE": (lambda line: re.sub(r"(\w)(\w\w)\b", r"\1@@ \2", line), 'contain "@@ "'),
    "pieces": (lambda line: "▁" + line.replace(" ", " ▁"), 'contain "▁"'),
}


def write(name: str, lines: list[str]) -> None:
    Path(name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def worsen(line: str, chance: random.Random) -> str:
    """A translation that is not quite right."""
    words = line.split(" ")
    for _ in range(chance.randrange(3)):
        place = chance.randrange(len(words))
        match chance.randrange(3):
            case 0:
                words.insert(place, chance.choice(words))
            case 1:
                words[place] = chance.choice(["the", "un", "x-y", "3.5", "(a)"])
            case 2:
                words[place:] = words[place + 1 :] or words[place:]
    return " ".join(words)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("side", ["hypotheses", "references"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_altered_text_causes_a_warning(damage, side, programme):
    change, said = DAMAGES[damage]
    tries, chance = programme.count(quick=4, full=200), random.Random(29)
    with built_once():
        for number in range(tries):
            lines = chance.sample(LINES[chance.choice(["en", "it"])], chance.randrange(20, 200))
            texts = {"hypotheses": [worsen(line, chance) for line in lines], "references": lines}
            write("h", texts["hypotheses"])
            write("r", texts["references"])
            call = ["evaluate", "--hypothesis", "h", "--reference", "r", "-m", "exact"]
            if number == 0:
                assert "warning" not in nmt(*call, "--bootstrap", 0).log
            write(side[0], [change(line) for line in texts[side]])
            found = nmt(*call, "--bootstrap", 0)
            assert found.code == 0
            assert f"warning: {side} {said}" in found.log
    programme.record(29, f"{side}: {damage}: warned of", tries=tries)


@pytest.mark.parametrize("json_wanted", [False, True])
@pytest.mark.parametrize(
    "options",
    [[], ["--bootstrap", 0], ["--by-length"], ["--against", "o"], ["--tokenize", "intl"]],
    ids=lambda options: options[0] if options else "plain",
)
def test_every_score_has_a_signature(options, json_wanted):
    for name in "hro":
        write(name, LINES["en"][:20])
    metrics = [option for metric in METRICS for option in ("-m", metric)]
    call = ["evaluate", "--hypothesis", "h", "--reference", "r", *metrics, *options]
    found = nmt(*call, *(["--json"] if json_wanted else []))
    assert found.code == 0
    if json_wanted:
        told = json.loads(found.out)
        signatures = [each["signature"] for each in told["scores"] + told.get("comparisons", [])]
    else:
        blocks = found.out.decode().split("\n\n")
        scored = blocks[: 2 if "--against" in options else 1]
        signatures = [
            line.split("  ")[-1] for block in scored for line in block.strip().split("\n")
        ]
    assert len(signatures) == len(METRICS) * (2 if "--against" in options else 1)
    for signature in signatures:
        assert re.search(r"nrefs:1\|.*version:\d", signature), signature


def test_an_empty_reference_is_named_by_its_line(programme):
    chance, tries = random.Random(29), programme.count(quick=5, full=200)
    with built_once():
        for _ in range(tries):
            lines = chance.sample(LINES["en"], chance.randrange(3, 100))
            empty = sorted(chance.sample(range(len(lines)), chance.choice([1, 1, 2, 3])))
            write("h", lines)
            write(
                "r",
                [chance.choice(["", " ", "\t"]) if i in empty else x for i, x in enumerate(lines)],
            )
            found = nmt("evaluate", "--hypothesis", "h", "--reference", "r", "--bootstrap", 0)
            named = ", ".join(str(number + 1) for number in empty)
            word = "line" if len(empty) == 1 else "lines"
            assert f"references are empty ({word} {named})" in found.log
    programme.record(29, "empty references: named by their lines", tries=tries)


def test_scores_equal_those_of_the_sacrebleu_command(programme):
    chance, tries, worst = random.Random(29), programme.count(quick=3, full=60), 0.0
    odd = [
        "",
        "…",
        "a\u00a0b",
        "x\u2028y",
        "l'été – «oui»",
        "你好,世界",
        "&quot;a&quot;",
        "e\u0301",
        "\ta ",
    ]
    for number in range(tries):
        language = chance.choice(["en", "it"])
        references = chance.sample(LINES[language], chance.randrange(1, 60))
        references = [chance.choice(odd) if chance.random() < 0.1 else r for r in references]
        hypotheses = [worsen(line, chance) for line in references]
        write("h", hypotheses)
        write("r", references)
        tokenize = TOKENIZERS[number % len(TOKENIZERS)]
        command = [sys.executable, "-m", "sacrebleu", "r", "-i", "h", "-w", "12", "-tok", tokenize]
        command += ["-m", "bleu", "chrf", "ter", "--force"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        began = time.monotonic()
        ours = score(hypotheses, references, ("bleu", "chrf", "ter"), tokenize=tokenize)
        worst = max(worst, time.monotonic() - began)
        for mine, theirs in zip(ours, json.loads(done.stdout), strict=True):
            assert mine.value == pytest.approx(theirs["score"], abs=1e-9)
            assert mine.signature == theirs["signature"]
    programme.record(
        *(29, "BLEU, chrF, TER of odd texts: those of the sacrebleu command to 1e-9"),
        tries=3 * tries,
        worst_seconds=worst,
    )
