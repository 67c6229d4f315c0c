import threading
from collections.abc import Iterator

import pytest

from nmt.text.windows import FIRST_WINDOW, MOST_CHARACTERS, full_windows, prompt_windows


def test_full_windows_hold_all_lines_in_order():
    lines = [str(number) for number in range(10)]
    assert list(full_windows(lines, 4)) == [lines[:4], lines[4:8], lines[8:]]
    assert list(full_windows([], 4)) == []


@pytest.mark.parametrize("windows_of", [full_windows, prompt_windows])
def test_a_window_holds_fewer_long_lines(windows_of):
    lines = ["a" * (MOST_CHARACTERS // 2)] * 5
    windows = list(windows_of(lines, 100))
    assert [line for window in windows for line in window] == lines
    assert max(map(len, windows)) <= 2


def test_both_sides_of_a_pair_count():
    pairs = [("a" * (MOST_CHARACTERS // 2),) * 2] * 2
    assert list(full_windows(pairs, 100)) == [[pairs[0]], [pairs[1]]]


def test_a_fast_pipe_is_not_read_far_ahead():
    drawn = []

    def lines() -> Iterator[str]:
        for number in range(100):
            drawn.append(number)
            yield "a" * (MOST_CHARACTERS // 4)

    windows = prompt_windows(lines(), 100)
    count = len(next(windows))
    assert len(drawn) <= count + 5 + 1  # what the queue takes, and the one that waits
    assert sum(map(len, windows)) == 100 - count


def test_a_line_is_passed_on_before_the_next_one_arrives():
    answered = threading.Event()

    def typed() -> Iterator[str]:
        yield "first"
        assert answered.wait(10), "nothing was passed on while waiting for the second line"
        yield "second"

    windows = prompt_windows(typed(), 100)
    assert next(windows) == ["first"]
    answered.set()
    assert list(windows) == [["second"]]


def test_a_fast_pipe_is_read_in_growing_windows_in_order():
    lines = [str(number) for number in range(5000)]
    windows = list(prompt_windows(lines, 1000))
    assert [line for window in windows for line in window] == lines
    assert len(windows[0]) <= FIRST_WINDOW
    assert max(map(len, windows)) <= 1000


def test_an_error_comes_after_the_lines_before_it():
    def broken() -> Iterator[str]:
        yield "good"
        raise ValueError("line 2 is bad")

    windows = prompt_windows(broken(), 10)
    assert next(windows) == ["good"]
    with pytest.raises(ValueError, match="line 2 is bad"):
        next(windows)
