"""Rows 3, 18, 19 and 25: no bytes are found that a reader neither accepts nor refuses."""

import importlib.util
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_readers import READERS

HERE = Path(__file__).parent
ROWS = {
    "lines": (3, "any bytes for the line reader, guided by coverage: lines, or the place named"),
    "checkpoint": (18, "any bytes for a file of a checkpoint, guided by coverage: fit, or refused"),
    "model": (19, "any bytes for a file of a model folder, guided by coverage: fit, or refused"),
    "config": (25, "any bytes for a configuration, guided by coverage: loads, or is refused"),
}
GRACE = 300
"""Seconds to start in, and to end a try."""


@pytest.mark.parametrize("target", READERS)
def test_seeds_and_their_mutations_are_accepted_or_refused(target, tmp_path):
    reader, chance = READERS[target](tmp_path), random.Random(3)
    seeds = list(reader.seeds())
    others = [reader.mutate(chance.choice(seeds), chance) for _ in range(100)]
    assert {reader(data) for data in (*seeds, *others)} == {True, False}


@pytest.mark.parametrize("target", READERS)
def test_no_bytes_are_found_that_a_reader_neither_accepts_nor_refuses(target, tmp_path, programme):
    programme.require_full()
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed, or has no wheel for this Python: the extra `fuzz`")
    seconds = programme.count(quick=0, full=60)
    ended = subprocess.run(
        [sys.executable, HERE / "fuzz_targets.py", target, str(seconds), tmp_path / "corpus"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=seconds + GRACE,
    )
    log = ended.stdout.decode(errors="replace")
    found = {path.name: path.read_bytes() for path in tmp_path.glob("*-*") if path.is_file()}
    assert ended.returncode == 0, f"{found}\n{log[-6000:]}"
    assert found == {}
    tries = re.search(r"number_of_executed_units: (\d+)", log)
    assert tries is not None, log[-6000:]
    row, fault = ROWS[target]
    programme.record(row, fault, tries=int(tries[1]))
