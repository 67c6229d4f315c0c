"""A run folder to measure, made once for all tests of the benchmark. Tests must not modify it."""

from pathlib import Path

import pytest
from tiny_sizes import set_up_tiny


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    set_up_tiny(folder)
    return folder
