"""One programme for all tests of faults, and its table at the end."""

from pathlib import Path

import pytest
from programme import Programme

README = Path(__file__).parent / "README.md"
_KEY = pytest.StashKey[Programme]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_KEY] = Programme(full=config.getoption("--full", default=False))


@pytest.fixture(scope="session")
def programme(pytestconfig: pytest.Config) -> Programme:
    """Return the programme, which says how often to try and keeps what came of it."""
    return pytestconfig.stash[_KEY]


def pytest_terminal_summary(terminalreporter, exitstatus: int, config: pytest.Config) -> None:
    programme = config.stash[_KEY]
    if not programme.full or not programme.outcomes:
        return
    terminalreporter.section("faults")
    terminalreporter.write(programme.table())
    if exitstatus == 0 and not config.getoption("keyword"):
        programme.write(README)
