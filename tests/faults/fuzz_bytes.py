"""Feed commands with bytes that are not text, under the locale of this process, and report.

    python fuzz_bytes.py FOLDER MODEL CONFIG SEED CASES

FOLDER is empty and belongs to this process; MODEL is a model folder, CONFIG what `nmt prepare`
and `nmt train` read. Standard streams are real files with the encodings that the locale gives
them. Prints one JSON object: cases, those refused, and what went wrong.
"""

import io
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import typer

from nmt.cli import main

_NASTY = (
    *(b"\xff", b"\xfe\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"),
    *(b"\0", b"\xef\xbb\xbf", b"\r", b"\r\n", b"\n", b"\n\n", b"\x85", b"\xe2\x80\xa8"),
    *(b"\x1f\x8b", b"\x1b[2J", b"\xf0\x9f", "\U0001f600".encode(), "▁".encode(), b"|||"),
)
"""No UTF-8, a surrogate, too large, half a character, NUL, marks, line ends, gzip, escapes."""


def any_bytes(chance: random.Random) -> bytes:
    """A text of a few lines with up to six damaged places, or nothing but noise; never UTF-16."""
    return _any_bytes(chance).lstrip(b"\xfe\xff")


def _any_bytes(chance: random.Random) -> bytes:
    if chance.random() < 0.2:
        return chance.randbytes(chance.randrange(40))
    data = bytearray(b"a cat eats\nthe small dog sleeps.\n\ntwo birds, and a mouse\n")
    for _ in range(chance.randrange(7)):
        place = chance.randrange(len(data) + 1)
        data[place : place + chance.randrange(3)] = chance.choice(_NASTY)
    return bytes(data[: chance.randrange(1, len(data) + 1)])


def count_lines(data: bytes) -> int:
    return data.count(b"\n") + (data[-1:] not in (b"", b"\n"))


class Fuzzer:
    def __init__(self, folder: Path, model: Path, config: Path, seed: int) -> None:
        self.folder, self.model, self.config = folder, model, config
        self.chance = random.Random(seed)
        self.refused = 0
        self.wrong: list[str] = []
        self.worst = 0.0

    def case(self, number: int) -> None:
        """Run one command on new bytes; the slow commands run first, and seldom after that."""
        source, target = any_bytes(self.chance), any_bytes(self.chance)
        if self.chance.random() < 0.5:  # a target of as many lines as the source
            lines = count_lines(source)
            target = b"".join(line + b"\n" for line in (target.split(b"\n") * (lines + 1))[:lines])
        for name, data in (("s", source), ("t", target)):
            (self.folder / name).write_bytes(data)
        bad_lines = ["--bad-lines", self.chance.choice(["error", "skip", "replace"])]
        pair = [self.folder / "s", self.folder / "t"]
        pieces = self.model / "subword.model"
        ways = self.chance.choice([[], ["--ids"], ["--sample", "0.2"]])
        quick: list[list[object]] = [
            ["check", *pair],
            ["tokenize", pieces, *ways],
            ["tokenize", pieces, "--decode", *ways[:1]]
            if ways != ["--sample", "0.2"]
            else ["check", *pair, "--json"],
            ["evaluate", "--hypothesis", pair[0], "--reference", pair[1], "--bootstrap", 0],
            ["evaluate", "--hypothesis", "-", "--reference", pair[1], "--bootstrap", 0, "--json"],
        ]
        slow: list[list[object]] = [
            ["translate", self.model, "--beam", 1, *bad_lines],
            ["translate", self.model, "-i", pair[0], "--format", "jsonl", *bad_lines],
            ["score", self.model, "--source", pair[0], "--target", pair[1], *bad_lines],
            ["evaluate", "--run", self.model, "--test", *pair, "--bootstrap", 0],
            ["prepare", self.config, "--run", self.folder / "run", *bad_lines],
            ["train", self.config, "--run", self.folder / "run"],
            ["tokenize", self.model],
            ["init", "--force", "--train", *pair, "--languages", "a-b", self.folder / "c.toml"],
        ]
        if number < len(slow):
            arguments = slow[number]
        else:
            arguments = self.chance.choice(slow if self.chance.random() < 0.01 else quick)
        self.call([str(argument) for argument in arguments], source, target)

    def call(self, arguments: list[str], source: bytes, target: bytes) -> None:
        started = time.monotonic()
        code, out, log = run(self.folder, arguments)
        self.worst = max(self.worst, time.monotonic() - started)
        self.refused += code == 3
        faults = []
        if code not in (0, 3) or b"Traceback" in log:
            faults.append(f"exit code {code}")
        if code == 3 and arguments[0] != "check" and b"error: " not in log:
            faults.append("refused without a word")
        is_line_by_line = arguments[0] in ("translate", "tokenize", "score")
        if code == 0 and is_line_by_line and out.count(b"\n") != count_lines(source):
            faults.append(f"{count_lines(source)} lines in, other numbers out: {out!r}")
        try:
            out.decode()
        except UnicodeDecodeError:
            faults.append("output is not UTF-8")
        if faults:
            self.wrong.append(f"{arguments}: {faults}: {source!r} {target!r} {log[-1500:]!r}")


def run(folder: Path, arguments: list[str]) -> tuple[int, bytes, bytes]:
    """Run a command on real files as standard streams."""
    with (folder / "out").open("wb") as out, (folder / "log").open("wb") as log:
        source = os.open(folder / "s", os.O_RDONLY)
        os.dup2(source, 0)
        os.close(source)
        os.dup2(out.fileno(), 1)
        os.dup2(log.fileno(), 2)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
        code = main.run(arguments)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    return code, (folder / "out").read_bytes(), (folder / "log").read_bytes()


def fuzz(folder: Path, model: Path, config: Path, seed: int, cases: int) -> Iterator[str]:
    main.app = typer.main.get_command(main.app)  # type: ignore[assignment]
    fuzzer = Fuzzer(folder, model, config, seed)
    for number in range(cases):
        fuzzer.case(number)
        if len(fuzzer.wrong) >= 10:
            break
    yield json.dumps(
        {"cases": cases, "refused": fuzzer.refused, "wrong": fuzzer.wrong, "worst": fuzzer.worst}
    )


if __name__ == "__main__":
    answer = os.dup(1)
    main.prepare_streams()
    report = "".join(fuzz(*map(Path, sys.argv[1:4]), *map(int, sys.argv[4:6])))
    io.FileIO(answer, "w").write(report.encode())
