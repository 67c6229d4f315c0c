"""A machine of another vendor."""

import pytest


@pytest.fixture(params=[False, True], ids=["torch", "oneDNN"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiply fp32 by what torch takes, and by oneDNN, which is faster on some processors."""
    for module in ("accelerate", "linear"):
        monkeypatch.setattr(f"nmt.fast.{module}.prefers_onednn", lambda: request.param)
