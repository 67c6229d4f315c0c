import pytest

from nmt.config.interval import Interval, parse_interval
from nmt.errors import ConfigError


def test_a_whole_number_counts_updates():
    assert parse_interval(500) == Interval(updates=500)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1.5 h", 5400), (" 3m ", 180)]
)
def test_a_number_with_a_unit_is_a_time(text, seconds):
    assert parse_interval(text) == Interval(seconds=seconds)


@pytest.mark.parametrize("value", [0, -5, "0s", "10", "m", "", "ten minutes", "-1m", "1d"])
def test_anything_else_is_refused(value):
    with pytest.raises(ConfigError, match=r'a time such as "90s", "10m", "2h", got'):
        parse_interval(value)
