"""Kernels that oneDNN compiles are counted from its log, excluding those of the first updates."""

import os
from pathlib import Path

from nmt.benchmark import kernels
from nmt.benchmark.part import Task
from nmt.benchmark.run import run_tasks

MISS = b"onednn_verbose,v1,primitive,create:cache_miss,cpu,inner_product\n"
HIT = b"onednn_verbose,v1,primitive,create:cache_hit,cpu,inner_product\n"


def test_compilations_are_counted_after_the_warm_up():
    made = []

    def update() -> None:
        made.append(1)
        os.write(1, MISS if len(made) <= kernels.WARM_UP else MISS * (len(made) % 2) + HIT)

    assert kernels.count_compilations(update) == 0.5
    assert len(made) == kernels.WARM_UP + kernels.COUNTED


def test_standard_output_is_restored_afterwards(capfd):
    kernels.count_compilations(lambda: os.write(1, MISS))
    os.write(1, b"a figure\n")
    assert capfd.readouterr().out == "a figure\n"


def test_updates_of_both_sizes_are_counted(tiny_folder: Path):
    task = Task(part="kernels", folder=str(tiny_folder), config="tiny", precision="bf16")
    figures = list(run_tasks([task]))
    assert [figure.figure for figure in figures] == ["kernels_compiled_per_update"] * 2
    assert [figure.update_tokens for figure in figures] == [None, 512]
    assert all(figure.value >= 0 for figure in figures)
