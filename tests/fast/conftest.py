"""A machine without a compiler, and one that multiplies fp32 by another library."""

from collections.abc import Iterator

import pytest

from nmt.fast.compiler import SWITCH
from nmt.fast.kernels import kernels


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Turn the compiled kernels off for a test, as a user would."""
    monkeypatch.setenv(SWITCH, "off")
    kernels.cache_clear()
    assert kernels() is None
    yield
    kernels.cache_clear()


@pytest.fixture(params=[False, True], ids=["torch", "oneDNN"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiply fp32 by what torch takes, and by oneDNN, which is faster on some processors."""
    for module in ("accelerate", "linear"):
        monkeypatch.setattr(f"nmt.fast.{module}.prefers_onednn", lambda: request.param)
