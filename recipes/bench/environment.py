"""A separate environment for each system, so that their requirements cannot conflict."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.measure import UnavailableError, last_error

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> str:
        """The path of the Python interpreter."""
        return self.program("python")

    def program(self, name: str) -> str:
        """Return the path of an installed command."""
        return str(self.folder / "bin" / name)

    def package(self, name: str) -> Path:
        """Return the folder of an installed package."""
        return next(self.folder.glob(f"lib/python*/site-packages/{name}"))

    def create(self) -> None:
        """Create the environment, replacing an existing one."""
        self._run(sys.executable, "-m", "venv", "--clear", str(self.folder))

    def install(self, *arguments: str) -> None:
        """Install with pip; torch is the version that nmt is tested with.

        Raises:
            UnavailableError: pip failed.
        """
        quiet = ("--quiet", "--disable-pip-version-check")
        self._run(self.python, "-m", "pip", "install", *quiet, "-c", str(CONSTRAINTS), *arguments)

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UnavailableError(last_error(done.stdout + done.stderr))
