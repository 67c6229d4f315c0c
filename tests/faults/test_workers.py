"""Killed processes that nmt started itself: the parts of a benchmark, and the compiler.

Batches are made by a thread rather than by worker processes, so there are none of those to kill.
"""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from nmt.benchmark.part import Task
from nmt.benchmark.run import run_tasks
from nmt.errors import ResourceError


def kill_child(kind: int, end: threading.Event) -> None:
    """Kill the first process that this one starts for the benchmark."""
    while not end.is_set():
        for children in Path("/proc/self/task").glob("*/children"):
            for child in children.read_text().split():
                if b"nmt.benchmark" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), kind)
                    return
        time.sleep(0.005)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("kind", "end"),
    [
        (signal.SIGKILL, r"was killed \(signal 9; often for lack of memory\)"),
        (signal.SIGSEGV, r"was killed \(signal 11\)"),
    ],
)
def test_a_killed_part_of_a_benchmark_is_named(tmp_path, programme, kind, end):
    begin, over = time.monotonic(), threading.Event()
    killer = threading.Thread(target=kill_child, args=(kind, over))
    killer.start()
    task = Task(part="matrix", folder=str(tmp_path), config="small", precision="fp32")
    try:
        with pytest.raises(ResourceError, match=rf"matrix in fp32: the process {end}; see"):
            list(run_tasks([task]))
    finally:
        over.set()
        killer.join()
    programme.record(
        22,
        f"part of a benchmark, {kind.name}: named",
        tries=1,
        worst_seconds=time.monotonic() - begin,
    )


def test_a_killed_compiler_leads_to_the_plain_code_paths(
    tmp_path, launcher, programme, model_folder
):
    compiler, lines = tmp_path / "c++", tmp_path / "lines"
    compiler.write_text(f"#!/bin/sh\necho called >> {tmp_path}/called\nkill -9 $$\n")
    compiler.chmod(0o755)
    lines.write_text("a cat\nthe small dog sleeps\n")
    begin, written = time.monotonic(), []
    killed = {"CXX": str(compiler), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    warning = f"warning: the kernels were not compiled ({compiler}: signal 9); continuing without"
    for environment, complaint in ((killed, warning), ({"NMT_NATIVE": "off"}, "")):
        process = launcher.start(
            "translate", model_folder, "-i", lines, "--scores", environment=environment
        )
        assert process.wait() == 0, process.errors
        assert process.errors.startswith(complaint)
        assert process.errors.count("\n") == bool(complaint)
        written.append(process.output)
    assert (tmp_path / "called").exists()
    assert written[0] == written[1]
    assert not list((tmp_path / "cache" / "nmt").glob("*.so"))
    programme.record(
        22, "compiler, SIGKILL: plain paths", tries=1, worst_seconds=time.monotonic() - begin
    )
