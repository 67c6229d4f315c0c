"""Both libraries that can compute fp32 matrix products."""

import pytest


@pytest.fixture(params=[False, True], ids=["torch", "oneDNN"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute fp32 products by torch's default, and by oneDNN, which some processors prefer."""
    for module in ("accelerate", "linear"):
        monkeypatch.setattr(f"nmt.fast.{module}.prefers_onednn", lambda: request.param)
