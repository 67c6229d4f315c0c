"""Row 13: whenever a process is killed, the run resumes from its last checkpoint."""

import random
import signal
import time
from pathlib import Path

from calls import calls_of, provoke
from processes import Ended
from trial_runs import AHEAD, INTERVAL, Run, resumed_from

from nmt.storage.checksums import verify_checksums


class KilledRun:
    """A run whose processes are killed one after another; each resumes what the last one left."""

    def __init__(self, folder: Path) -> None:
        self.run = Run(folder)
        self.chance = random.Random(1)
        self.kills = self.bytes_lost = 0
        for self.saved in (AHEAD, 2 * AHEAD):  # the first process of all is slower
            begun = time.monotonic()
            assert self.run.train(self.saved).code == 0
        self.usual_seconds = time.monotonic() - begun
        self.stored = self.run.stored(self.saved)

    def kill_at_calls(self, count: int | None) -> None:
        """Kill at each call that changes the disk, or at `count` of them."""
        faults = calls_of(self.run.log, self.run.command(self.saved + AHEAD))
        self.remember(self.run.survivor())
        assert len(faults) > 100 or count is not None
        if count is not None:
            faults = self.chance.sample(faults, count)
        for fault in faults:
            ended = provoke(self.run.log, self.run.command(self.saved + AHEAD), fault)
            assert ended.code == (0 if ended.at is None else -signal.SIGKILL), ended.errors
            self.examine(ended)

    def kill_at_random_moments(self, kills: int) -> None:
        """Kill at random moments until there have been `kills` in total."""
        while self.kills < kills:
            process = self.run.begin(self.saved + AHEAD)
            time.sleep(self.chance.uniform(0, self.usual_seconds))
            process.kill()
            self.examine(process.end())

    def examine(self, ended: Ended) -> None:
        """Compare what the process left with what there was before."""
        assert resumed_from(ended.errors) in (self.saved, None), ended.errors
        survivor = self.run.survivor()
        self.bytes_lost += self.run.bytes_lost(self.stored, self.saved, survivor)
        made = self.run.updates_made()
        assert made == list(range(1, len(made) + 1))
        assert len(made) - survivor <= INTERVAL
        self.remember(survivor)
        if ended.code == 0:
            assert self.run.strays() == []
        else:
            assert ended.code == -signal.SIGKILL, ended.errors
            self.kills += 1

    def remember(self, survivor: int) -> None:
        """Note what the next fault must leave."""
        self.saved, self.stored = survivor, self.run.stored(survivor)


def test_a_run_killed_at_any_call_or_moment_resumes_as_if_uninterrupted(tmp_path, programme):
    killed = KilledRun(tmp_path)
    killed.kill_at_calls(programme.count(quick=8, full=0) or None)
    at_calls = killed.kills
    killed.kill_at_random_moments(programme.count(quick=6, full=500))
    assert killed.bytes_lost == 0

    begun = time.monotonic()
    update = killed.saved + AHEAD
    ended = killed.run.train(update)
    assert ended.code == 0, ended.errors
    assert resumed_from(ended.errors) == killed.saved
    seconds = time.monotonic() - begun
    assert killed.run.strays() == []
    verify_checksums(killed.run.folder / "model")

    whole = Run(tmp_path / "whole", "training.save_every=100000", "validation.every=100000")
    assert whole.train(update).code == 0
    assert killed.run.weights(update) == whole.weights(update)
    programme.record(
        13,
        f"`kill -9` of training: at each call of a save that changes the disk ({at_calls}), "
        "then at random moments; no checkpoint lost, one interval repeated at most, "
        "the same weights in the end",
        tries=killed.kills,
        bytes_lost=killed.bytes_lost,
        worst_seconds=seconds,
    )
