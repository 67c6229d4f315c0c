import pytest

from nmt.errors import UsageError
from nmt.training import schedule as timing
from nmt.training.schedule import Deadline, Every


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])
    return now


def test_an_interval_in_updates_is_due_at_multiples():
    every = Every(3)
    assert [update for update in range(1, 10) if every.is_due(update)] == [3, 6, 9]


def test_an_interval_in_time_is_due_that_long_after_the_last_time(clock):
    every = Every("90s")
    due = []
    for second in (1000, 1089, 1090, 1100, 1179, 1180):
        clock[0] = second
        due.append(every.is_due(1))
    assert due == [False, False, True, False, False, True]


def test_a_deadline_passes(clock):
    deadline = Deadline("55m")
    assert not deadline.is_over()
    clock[0] += 55 * 60
    assert deadline.is_over()
    assert not Deadline(None).is_over(reserve=1e9)


@pytest.mark.parametrize(
    ("passed", "reserve", "is_over"),
    [(8, 1, False), (9, 1, True), (9, 0, False), (10, 0, True), (4, 60, False), (5, 60, True)],
)
def test_a_deadline_reserves_at_most_half_of_its_time(clock, passed, reserve, is_over):
    deadline = Deadline("10s")
    clock[0] += passed
    assert deadline.is_over(reserve=reserve) == is_over


@pytest.mark.parametrize("limit", ["55", "soon", "-3m", "0s"])
def test_a_limit_that_is_not_a_time_is_refused(limit):
    with pytest.raises(UsageError, match=f'--max-time must be a time .*, got "{limit}"'):
        Deadline(limit)
