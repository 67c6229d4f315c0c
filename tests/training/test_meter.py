from dataclasses import dataclass

import pytest

from nmt.config.training import TrainingConfig
from nmt.run_folder.journal import UpdateReport
from nmt.training import meter as module
from nmt.training import schedule
from nmt.training.meter import LEAST_SECONDS, Meter
from nmt.training.schedule import Deadline
from nmt.training.state import TrainingState
from nmt.training.step import UpdateResult


@dataclass
class StubUpdate:
    """What a meter sees of an update."""

    progress: float
    tokens: int = 100


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(schedule.time, "monotonic", lambda: now[0])
    return now


def reports(
    clock: list[float],
    *,
    updates: int,
    begin: int = 0,
    seconds: float = 2.0,
    per_epoch: int = 1000,
    norms: tuple[float, ...] = (1.0,),
    max_time: str | None = None,
    probability: float | None = None,
    **config: object,
) -> list[UpdateReport]:
    """Return the reports of some updates, which take `seconds` each."""
    state = TrainingState(update=begin)
    meter = Meter(state, TrainingConfig.model_validate(config), Deadline(max_time))
    found = []
    for number in range(updates):
        clock[0] += seconds
        state.update += 1
        result = UpdateResult(300.0, norms[number % len(norms)], 0.1, probability)
        report = meter.count(StubUpdate(state.update / per_epoch), result, nll=300.0)
        found += [report] if report is not None else []
    return found


def etas(clock, *, begin: int = 0, **options: object) -> dict[int, float | None]:
    found = reports(clock, begin=begin, log_every=1, **options)
    return {report.update: report.eta for report in found}


# --- when a report is due ------------------------------------------------------------------


def test_the_first_update_of_a_start_is_reported_then_multiples_of_the_interval(clock):
    found = reports(clock, begin=130, updates=200, seconds=0.1, log_every=100)
    assert [report.update for report in found] == [131, 200, 300]


def test_a_slow_machine_reports_every_minute(clock):
    found = reports(clock, updates=30, seconds=9.0, log_every=100)
    assert [report.update for report in found] == [1, 8, 15, 22, 29]


def test_an_interval_in_time_is_not_shortened(clock):
    found = reports(clock, updates=100, seconds=9.0, log_every="10m")
    assert [report.update for report in found] == [1, 67]


def test_a_report_can_be_asked_for_and_covers_the_updates_since_the_last_one(clock):
    state = TrainingState()
    meter = Meter(state, TrainingConfig(log_every=100), Deadline(None))
    found = []
    for nll in (100.0, 200.0, 400.0):
        state.update += 1
        result = UpdateResult(nll, 1.0, 0.1, None)
        found.append(meter.count(StubUpdate(0.1), result, nll=nll, at_once=nll == 400.0))
    assert found[1] is None
    assert [found[0].loss, found[2].loss] == [1.0, 3.0]


# --- what it says --------------------------------------------------------------------------


def test_the_share_of_clipped_updates_is_of_those_since_the_last_report(clock):
    norms = (5.0, *[0.1, 2.0, float("nan"), float("inf")])  # what is not finite is skipped
    found = reports(clock, updates=5, norms=norms, log_every=5, clip_norm=1.0)
    assert [report.clipped for report in found] == [1.0, 0.25]
    assert found[0].clip_norm == 1.0


def test_without_clipping_there_is_no_share(clock):
    (report,) = reports(clock, updates=1, norms=(1e9,), clip_norm=0.0)
    assert (report.clipped, report.clip_norm) == (None, None)
    assert report.gradient_norm == 1e9


@pytest.mark.parametrize("probability", [None, 0.75])
def test_the_probability_of_the_reference_is_reported(clock, probability):
    (report,) = reports(clock, updates=1, probability=probability)
    assert report.reference_probability == probability


# --- when it will end ----------------------------------------------------------------------


def test_the_eta_follows_from_the_updates_left(clock):
    left = etas(clock, updates=9, per_epoch=7, max_updates=50)
    assert [left[update] for update in (7, 8, 9)] == pytest.approx([86.0, 84.0, 82.0])


def test_the_eta_is_unknown_before_the_speed_is(clock):
    left = etas(clock, updates=10, max_updates=50)
    known = [update for update, eta in left.items() if eta is not None]
    assert known == list(range(1 + round(LEAST_SECONDS / 2), 11))


@pytest.mark.parametrize("begin", [0, 6])
def test_the_eta_follows_from_the_epochs_left_where_they_end_first(clock, begin):
    left = etas(clock, begin=begin, updates=21 - begin, per_epoch=7, max_updates=50, max_epochs=3)
    for update in range(begin + 6, 22):
        assert left[update] == pytest.approx(2.0 * (21 - update))


def test_the_eta_ignores_epochs_that_end_later(clock):
    left = etas(clock, updates=9, per_epoch=40, max_updates=50, max_epochs=3)
    assert left[9] == pytest.approx(82.0)


@pytest.mark.parametrize(("max_time", "left"), [("60s", 42.0), ("1h", 82.0)])
def test_the_eta_is_that_of_the_deadline_where_it_ends_first(clock, max_time, left):
    assert etas(clock, updates=9, max_updates=50, max_time=max_time)[9] == pytest.approx(left)
