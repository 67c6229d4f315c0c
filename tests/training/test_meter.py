from dataclasses import dataclass

import pytest

from nmt.config.training import TrainingConfig
from nmt.training import journal as module
from nmt.training.journal import Meter
from nmt.training.state import TrainingState


@dataclass
class StubUpdate:
    """What a meter sees of an update."""

    progress: float
    tokens: int = 100


def etas(monkeypatch, *, begin: int, updates: int, per_epoch: int, **limits: int) -> list[float]:
    """Return the seconds left after each of some updates, which take 2 seconds each."""
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    state = TrainingState(update=begin)
    meter = Meter(state, TrainingConfig(log_every=1, **limits))
    found = []
    for _ in range(updates):
        now += 2.0
        state.update += 1
        report = meter.count(
            StubUpdate(state.update / per_epoch), nll=300.0, gradient_norm=1.0, learning_rate=0.1
        )
        found.append(report.eta)
    return found


def test_the_eta_follows_from_the_updates_left(monkeypatch):
    left = etas(monkeypatch, begin=0, updates=3, per_epoch=7, max_updates=50)
    assert left == pytest.approx([98.0, 96.0, 94.0])


@pytest.mark.parametrize("begin", [0, 12])
def test_the_eta_follows_from_the_epochs_left_where_they_end_first(monkeypatch, begin):
    limits = {"max_updates": 50, "max_epochs": 3}
    left = etas(monkeypatch, begin=begin, updates=21 - begin, per_epoch=7, **limits)
    assert left == pytest.approx([2.0 * (21 - update) for update in range(begin + 1, 22)])


def test_the_eta_ignores_epochs_that_end_later(monkeypatch):
    left = etas(monkeypatch, begin=0, updates=3, per_epoch=40, max_updates=50, max_epochs=3)
    assert left == pytest.approx([98.0, 96.0, 94.0])
