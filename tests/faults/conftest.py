"""One fault programme for all tests in this folder, and its table at the end."""

from collections.abc import Iterator

import pytest
from launcher import Launcher
from programme import Programme

_KEY = pytest.StashKey[Programme]()
_OUTCOMES = "outcomes"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_KEY] = Programme(full=config.getoption("--full", default=False))


@pytest.fixture(scope="session")
def programme(pytestconfig: pytest.Config) -> Programme:
    """Return the programme, which says how often to try and records the outcomes."""
    return pytestconfig.stash[_KEY]


@pytest.fixture(scope="session")
def running_launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with Launcher(tmp_path_factory.mktemp("processes")) as launcher:
        yield launcher


@pytest.fixture
def launcher(running_launcher: Launcher) -> Iterator[Launcher]:
    """Return a launcher that quickly starts real processes of `nmt`; they end with the test."""
    yield running_launcher
    running_launcher.kill_all()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker of pytest-xdist hand over its outcomes."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput[_OUTCOMES] = config.stash[_KEY].pack()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error) -> None:
    node.config.stash[_KEY].unpack(getattr(node, "workeroutput", {}).get(_OUTCOMES, ()))


def pytest_terminal_summary(terminalreporter, exitstatus: int, config: pytest.Config) -> None:
    programme = config.stash[_KEY]
    if not programme.full or not programme.outcomes:
        return
    for report in terminalreporter.stats.get("skipped", ()):
        programme.skip(report.nodeid.removeprefix("tests/"), report.longrepr[2])
    terminalreporter.section("faults")
    terminalreporter.write(f"{programme.table()}\n{programme.circumstances()}")
    table = config.getoption("--table")
    if exitstatus == 0 and table is not None:
        programme.write(table)
