"""What POSIX systems alone have is asked for where it is used, not when a module is imported."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
AS_ON_WINDOWS = """
import os, pkgutil, signal, subprocess, sys, types
import torch._dynamo, torch.distributed.run, torch.utils.data, sentencepiece, sacrebleu
locked = []
windows = types.SimpleNamespace(LK_NBLCK=2, locking=lambda *arguments: locked.append(arguments))
for name in ("fcntl", "resource", "pwd", "grp"):
    sys.modules[name] = None
sys.modules["msvcrt"] = windows
for name in ("SIGHUP", "SIGKILL"):
    delattr(signal, name)
real, sys.platform = sys.platform, "win32"
import nmt.storage.exclusive
sys.platform = real
"""
IMPORT_ALL = """
import importlib
for module in pkgutil.walk_packages(nmt.__path__, "nmt."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
USE = """
from pathlib import Path
from nmt.cli.output_file import line_writer
from nmt.storage.files import write_text
from nmt.storage.lock import lock_folder
from nmt.signals import GracefulStop, handle_signals
folder, sys.platform = Path(sys.argv[1]), "win32"
handle_signals()
with lock_folder(folder), GracefulStop() as stop:
    write_text(folder / "whole", "text")
    with line_writer(folder / "lines") as write:
        write("line")
    signal.raise_signal(signal.SIGTERM)
print(stop.exit_code, len(locked), (folder / "whole").read_text(), (folder / "lines").read_bytes())
"""


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AS_ON_WINDOWS + script, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


def test_every_module_can_be_imported_without_modules_that_only_posix_has():
    done = run(IMPORT_ALL)
    assert done.returncode == 0, done.stderr


def test_files_locks_and_signals_work_with_what_windows_has(tmp_path):
    done = run(USE, tmp_path)
    assert done.stdout == "143 2 text b'line\\n'\n", done.stderr
