"""The fixture by which tests run a command in this process."""

import io
import sys

import pytest

from nmt.cli.main import run


@pytest.fixture
def nmt(monkeypatch, capsysbinary):
    """Return a function that runs a command and gives back its exit code, lines and log."""

    def call(*arguments: object, lines: list[str] | None = None) -> tuple[int, list[str], str]:
        if lines is not None:
            data = "".join(f"{line}\n" for line in lines).encode()
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        code = run([str(argument) for argument in arguments])
        captured = capsysbinary.readouterr()
        out = captured.out.decode()
        assert out == "" or out.endswith("\n")
        return code, out.split("\n")[:-1], captured.err.decode()

    return call
