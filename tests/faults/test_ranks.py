"""Several processes that train one model: shares, lost ranks, cut links, a fault on one of them."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from launcher import Launcher, Process, settings
from tiny import entries, write_corpus

from nmt.storage.checksums import sha256_of

TIMEOUT = 12
"""Seconds after which all ranks that are left must have ended."""
ENDLESS = ("training.max_updates=1000000", "training.save_every=5", "training.log_every=1")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_ranks(
    launcher: Launcher,
    folder: Path,
    run: str,
    *overrides: str,
    ranks: int,
    before: dict[int, str] | None = None,
    environment: dict[str, str] | None = None,
) -> list[Process]:
    """Start the processes of a run without torchrun, so that each exit code shows."""
    if not (folder / "tiny.toml").exists():
        write_corpus(folder)
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(ranks)}
    arguments = ["train", folder / "tiny.toml", "--run", folder / run, *settings(overrides)]
    return [
        launcher.start(
            *arguments,
            environment={
                **common,
                **(environment or {}),
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
            },
            before=(before or {}).get(rank, ""),
        )
        for rank in range(ranks)
    ]


def finish(processes: list[Process]) -> None:
    for process in processes:
        assert process.wait() == 0, process.errors


def assert_names_the_lost(process: Process, rank: int, lost: int, of: int) -> None:
    assert process.wait() == 5, process.errors
    assert re.search(
        rf"error: rank {rank} of {of} lost rank {lost}\b.*; find out why it ended or cannot be "
        r"reached, then start the same command again to resume\.",
        process.errors,
    ), process.errors
    assert "Traceback" not in process.errors


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_ranks_that_lose_one_name_it_and_exit_with_5_and_the_run_resumes(
    tmp_path, launcher, programme, how
):
    """To the others a frozen process looks like one behind a cut link: silent, but not closed."""
    if how == "frozen":  # waits for timeouts
        programme.require_full()
    tries = programme.count(quick=1, full=3)
    worst = 0.0
    for lost in [1, 0, 2][:tries]:
        run = f"{how}{lost}"
        options = (*ENDLESS, f"training.rank_timeout={TIMEOUT}")
        processes = start_ranks(launcher, tmp_path, run, *options, ranks=3)
        processes[0].wait_until((tmp_path / run / "last").exists, "a checkpoint")
        begin = time.monotonic()
        processes[lost].send(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        for rank, process in enumerate(processes):
            if rank != lost:
                assert_names_the_lost(process, rank, lost, of=3)
        worst = max(worst, time.monotonic() - begin)
        processes[lost].send(signal.SIGKILL)
        processes[lost].wait()
        updates = int((tmp_path / run / "last").read_text()[-7:])
        options = (f"training.max_updates={updates + 3}", *ENDLESS[1:])
        ranks = programme.count(quick=1, full=2)
        resumed = start_ranks(launcher, tmp_path, run, *options, ranks=ranks)
        finish(resumed)
        assert f"resume: from update-{updates:06d}" in resumed[0].errors
    assert worst < TIMEOUT
    programme.record(
        21, f"one of three ranks {how}: all stop and name it", tries=tries, worst_seconds=worst
    )


IN_NAMESPACE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
descriptor = os.open("/var/run/netns/{name}", os.O_RDONLY)
if libc.setns(descriptor, 0x40000000):
    raise OSError(ctypes.get_errno(), "setns")
os.close(descriptor)
"""


@pytest.fixture
def link():
    """Two network namespaces with a link between them; yields their names and what cuts it."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and ip for namespaces; the frozen rank is the same to the others")
    names = [f"nmt{os.getpid()}{side}" for side in "ab"]

    def ip(*words: str) -> None:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no namespaces here: {done.stderr.strip()}")

    try:
        for name in names:
            ip("netns", "add", name)
        ip(
            "-n",
            names[0],
            "link",
            "add",
            "veth0",
            "type",
            "veth",
            "peer",
            "veth0",
            "netns",
            names[1],
        )
        for number, name in enumerate(names, start=1):
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "veth0")
            ip("-n", name, "link", "set", "veth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names, lambda: ip("-n", names[1], "link", "set", "veth0", "down")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def test_a_cut_link_stops_both_ranks_and_each_names_the_other(tmp_path, launcher, programme, link):
    programme.require_full()  # waits for timeouts
    names, cut = link
    processes = start_ranks(
        launcher,
        tmp_path,
        "run",
        *ENDLESS,
        f"training.rank_timeout={TIMEOUT}",
        ranks=2,
        before={rank: IN_NAMESPACE.format(name=name) for rank, name in enumerate(names)},
        environment={"MASTER_ADDR": "10.77.0.1", "GLOO_SOCKET_IFNAME": "veth0"},
    )
    processes[0].wait_until((tmp_path / "run" / "last").exists, "a checkpoint")
    begin = time.monotonic()
    cut()
    assert_names_the_lost(processes[0], 0, 1, of=2)
    assert_names_the_lost(processes[1], 1, 0, of=2)
    seconds = time.monotonic() - begin
    assert seconds < TIMEOUT
    updates = int((tmp_path / "run" / "last").read_text()[-7:])
    finish(start_ranks(launcher, tmp_path, "run", f"training.max_updates={updates + 2}", ranks=1))
    programme.record(21, "link between two hosts cut: both stop", tries=1, worst_seconds=seconds)


NOTE_PAIRS = """
import json, os
from nmt.training import loop
plain = loop.make_update
def note(run, update):
    pairs = [int(pair) for batch in update.micro_batches for pair in batch.indices]
    with open({path!r}, "a") as file:
        file.write(json.dumps(pairs) + "\\n")
    return plain(run, update)
loop.make_update = note
"""


def test_ranks_with_unequal_data_share_each_update_and_learn_what_one_learns(
    tmp_path, launcher, programme
):
    """Updates of one pair leave some ranks without any, but they still take part."""
    write_corpus(tmp_path, pairs=11)
    options = (
        *("model.dropout=0.0", "training.batch_tokens=9", "training.max_epochs=2"),
        *("training.log_every=1", "training.save_every=1000"),
    )
    losses, begin = [], time.monotonic()
    for ranks in (1, 3):
        seen = [tmp_path / f"seen-{ranks}-{rank}" for rank in range(ranks)]
        before = {rank: NOTE_PAIRS.format(path=str(path)) for rank, path in enumerate(seen)}
        run = f"ranks{ranks}"
        finish(start_ranks(launcher, tmp_path, run, *options, ranks=ranks, before=before))
        losses.append([entry["loss"] for entry in entries(tmp_path / run)])
        shares = [[json.loads(line) for line in path.read_text().splitlines()] for path in seen]
        assert len({len(share) for share in shares}) == 1  # all make every update
        pairs = [pair for share in shares for part in share for pair in part]
        assert sorted(pairs) == sorted([*range(11), *range(11)])
        assert ranks == 1 or any(not part for share in shares for part in share)
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    difference = max(abs(one - other) for one, other in zip(*losses, strict=True))
    programme.record(
        21,
        f"3 ranks with 11 pairs: no rank waits, loss as of one rank within {difference:.0e}",
        tries=1,
        worst_seconds=time.monotonic() - begin,
    )


def test_a_run_resumed_by_more_ranks_sees_each_pair_once(tmp_path, launcher, programme):
    """2 updates by one rank, the rest of the epoch by two."""
    write_corpus(tmp_path, pairs=60)
    seen = []
    for ranks, limit in ((1, "training.max_updates=2"), (2, "training.max_epochs=1")):
        paths = [tmp_path / f"seen-{ranks}-{rank}" for rank in range(ranks)]
        before = {rank: NOTE_PAIRS.format(path=str(path)) for rank, path in enumerate(paths)}
        processes = start_ranks(launcher, tmp_path, "run", limit, ranks=ranks, before=before)
        finish(processes)
        lines = [line for path in paths for line in path.read_text().splitlines()]
        seen += [pair for line in lines for pair in json.loads(line)]
    assert "resumed with 2 processes on cpu, saved with 1" in processes[0].errors
    assert sorted(seen) == list(range(60))
    programme.record(16, "resumed by more ranks: each pair once", tries=1)


def test_a_signal_to_any_rank_saves_and_stops_all(tmp_path, launcher, programme):
    processes = start_ranks(launcher, tmp_path, "run", *ENDLESS, ranks=2)
    processes[0].wait_until((tmp_path / "run" / "last").exists, "a checkpoint")
    begin = time.monotonic()
    processes[1].send(signal.SIGTERM)
    assert [process.wait() for process in processes] == [143, 143], processes[0].errors
    seconds = time.monotonic() - begin
    made = entries(tmp_path / "run")[-1]["update"]
    assert (tmp_path / "run" / "last").read_text() == f"checkpoints/update-{made:06d}\n"
    programme.record(
        15, "SIGTERM to one of two ranks: both save and end", tries=1, worst_seconds=seconds
    )


SLOW_PREPARATION = """
import time
from nmt.data.build import Preparation
plain = Preparation.run
def run(*arguments):
    time.sleep(15)
    return plain(*arguments)
Preparation.run = run
"""


def test_ranks_wait_for_a_task_of_one_rank_as_long_as_it_lives(tmp_path, launcher, programme):
    programme.require_full()  # waits for longer than the timeout
    options = ("training.rank_timeout=10", "training.max_updates=2")
    finish(start_ranks(launcher, tmp_path, "run", *options, ranks=2, before={0: SLOW_PREPARATION}))
    programme.record(21, "a preparation longer than the timeout: waited for", tries=1)


SPOIL_LOSS = """
import math
from nmt.fast.output import FastOutput
plain, calls = FastOutput.losses, []
def losses(self, *arguments, **options):
    calls.append(1)
    loss, nll = plain(self, *arguments, **options)
    return (loss, nll) if len(calls) != 3 else (loss, nll + math.inf)
FastOutput.losses = losses
"""


def test_an_infinite_loss_on_one_rank_is_skipped_by_all(tmp_path, launcher, programme):
    options = ("training.max_updates=5", "training.save_every=1", "training.keep_last=9")
    finish(start_ranks(launcher, tmp_path, "run", *options, ranks=2, before={1: SPOIL_LOSS}))
    folders = sorted((tmp_path / "run" / "checkpoints").iterdir())
    weights = [sha256_of(folder / "model.safetensors") for folder in folders]
    assert weights[1] == weights[2]
    assert len(set(weights)) == 4
    assert json.loads((folders[-1] / "state.json").read_text())["skipped"] == 1
    programme.record(11, "infinite loss on one of two ranks: skipped by both", tries=1)


NO_MEMORY = """
from nmt.fast.output import FastOutput
plain, calls = FastOutput.losses, []
def losses(self, *arguments, **options):
    calls.append(1)
    if len(calls) == 3:
        import torch
        torch.empty(1 << 60)
    return plain(self, *arguments, **options)
FastOutput.losses = losses
"""


def test_a_rank_out_of_memory_ends_the_run_for_all(tmp_path, launcher, programme):
    """No batch is silently skipped, and no rank waits for the one that is gone."""
    begin = time.monotonic()
    options = ("training.rank_timeout=20",)
    processes = start_ranks(launcher, tmp_path, "run", *options, ranks=2, before={1: NO_MEMORY})
    assert processes[1].wait() == 5
    assert re.search(
        r"error: memory is too small for [\d,]+ pairs with [\d,]+ target pieces, the longest",
        processes[1].errors,
    )
    assert_names_the_lost(processes[0], 0, 1, of=2)
    programme.record(
        12,
        "no memory on one of two ranks: both end",
        tries=1,
        worst_seconds=time.monotonic() - begin,
    )
