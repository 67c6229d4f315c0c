"""Standard output whose reader goes away, or whose disk is full, for every command that writes."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from launcher import Launcher, Process, settings
from tiny import write_corpus

COMMANDS = {
    "--help": ["--help"],
    "--version": ["--version"],
    "check": ["check", "{tiny}/train.xx", "{tiny}/train.yy"],
    "prepare": ["prepare", "{tiny}/tiny.toml", "--run", "{new}"],
    "train --dry-run": ["train", "{tiny}/tiny.toml", "--dry-run"],
    "tokenize": ["tokenize", "{model}"],
    "translate": ["translate", "{model}"],
    "translate jsonl": ["translate", "{model}", "--format", "jsonl"],
    "score": ["score", "{model}", "--source", "{tiny}/train.xx", "--target", "{tiny}/train.yy"],
    "evaluate": ["evaluate", "--hypothesis", "{tiny}/train.xx", "--reference", "{tiny}/train.yy"],
    "evaluate of a run": [
        *("evaluate", "--run", "{run}", "--test", "{tiny}/valid.xx", "{tiny}/valid.yy"),
    ],
    "show": ["show", "{run}"],
    "bench": ["bench", "--only", "matrix", "--precision", "fp32", "--windows", "1"],
}
QUICK = ("--help", "check", "prepare", "train --dry-run", "tokenize", "score", "evaluate", "show")


@pytest.fixture(scope="module")
def places(tmp_path_factory, running_launcher, model_folder: Path) -> dict[str, object]:
    """Return the inputs of commands: a corpus, a model, a run."""
    tiny = tmp_path_factory.mktemp("tiny")
    write_corpus(tiny)
    run = tiny / "run"
    trained = running_launcher.start(
        "train", tiny / "tiny.toml", "--run", run, *settings(("training.max_updates=2",))
    )
    assert trained.wait() == 0, trained.errors
    return {"tiny": tiny, "run": run, "model": model_folder}


def start(
    launcher: Launcher, places: dict[str, object], command: str, stdout: Path | str, new: Path
) -> Process:
    arguments = [part.format(**places, new=new) for part in COMMANDS[command]]
    quiet = [] if command.startswith("--") else ["--quiet"]
    source = Path(str(places["tiny"])) / "train.xx"
    return launcher.start(*quiet, *arguments, stdin=source, stdout=stdout)


def is_open(process: Process, pipe: Path) -> bool:
    """Whether the process has the pipe as its standard output."""
    return os.path.realpath(f"/proc/{process.pid}/fd/1") == str(pipe)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_behind_standard_output_exits_with_5(
    tmp_path, launcher, programme, places, command
):
    if command not in QUICK:
        programme.require_full()
    begin = time.monotonic()
    process = start(launcher, places, command, "/dev/full", tmp_path / "new")
    assert process.wait() == 5, process.errors
    assert "error: " in process.errors
    assert "No space left on device" in process.errors or "the disk is full" in process.errors
    assert "Traceback" not in process.errors
    assert "Exception ignored" not in process.errors
    programme.record(
        *(23, "a command whose standard output is /dev/full: exit 5"),
        tries=1,
        worst_seconds=time.monotonic() - begin,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_goes_away_ends_the_command_quietly_with_141(
    tmp_path, launcher, programme, places, command
):
    if command not in QUICK:
        programme.require_full()
    begin, pipe = time.monotonic(), tmp_path / "pipe"
    os.mkfifo(pipe)
    ear = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    process = start(launcher, places, command, pipe, tmp_path / "new")
    process.wait_until(lambda: is_open(process, pipe), "its pipe")
    os.close(ear)
    assert process.wait() == 141, process.errors
    told = [line for line in process.errors.splitlines() if not line.startswith("warning: ")]
    assert told == []  # warnings concern the corpus
    programme.record(
        *(23, "a command whose reader goes away: exit 141, quiet"),
        tries=1,
        worst_seconds=time.monotonic() - begin,
    )


@pytest.mark.parametrize("command", ["tokenize", "translate", "translate jsonl"])
def test_non_blocking_streams_lose_no_line(places, command, tmp_path):
    """Another program on the same pipe may have made it non-blocking; bytes come and go slowly."""
    lines = 300
    incoming, outgoing = os.pipe(), os.pipe()
    for end in (incoming[0], outgoing[1]):
        os.set_blocking(end, False)
    arguments = [part.format(**places) for part in COMMANDS[command]]
    process = subprocess.Popen(
        [sys.executable, "-m", "nmt.cli", "--quiet", *arguments],
        stdin=incoming[0],
        stdout=outgoing[1],
    )
    for end in (incoming[0], outgoing[1]):
        os.close(end)

    def feed() -> None:
        with open(incoming[1], "wb", buffering=0) as pipe:
            for number in range(lines):
                pipe.write(b"a b")
                if number % 30 == 0:
                    time.sleep(0.02)  # in the middle of a line, so that there is nothing to read
                pipe.write(b" c" * 200 + b"\n")

    feeder = threading.Thread(target=feed)
    feeder.start()
    with open(outgoing[0], "rb") as pipe:
        time.sleep(0.5)  # in which the pipe fills up
        found = pipe.read()
    feeder.join()
    assert process.wait() == 0
    assert found.count(b"\n") == lines
