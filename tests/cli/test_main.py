"""The command line as a user meets it: exit codes, one clear message, clean streams."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nmt.cli.main import app

CONFIG = """
[data]
source = "en"
target = "it"
train = ["train.en", "train.it"]
valid = ["train.en", "train.it"]
[tokenizer]
vocab_size = 300
[model]
embedding.size = 8
encoder.hidden_size = 4
decoder.hidden_size = 8
[training]
max_updates = 1
device = "cpu"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.en").write_text("a cat\nthe dog\n" * 20)
    (tmp_path / "train.it").write_text("un gatto\nil cane\n" * 20)
    (tmp_path / "demo.toml").write_text(CONFIG)
    return tmp_path


def nmt(folder: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "nmt.cli", *arguments]
    return subprocess.run(command, cwd=folder, input=stdin, capture_output=True, check=False)


def refused(folder: Path, *arguments: str, code: int) -> str:
    """Run a command that must fail with `code`, without a traceback and without data on stdout."""
    done = nmt(folder, *arguments)
    message = done.stderr.decode()
    assert done.returncode == code, message
    assert done.stdout == b""
    assert "Traceback" not in message
    return message


def test_help_names_every_command_and_does_not_load_torch(folder):
    script = (
        "import sys; from nmt.cli.main import run; code = run(['--help']);"
        "print(code, 'torch' in sys.modules, 'numpy' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert done.stderr == b"0 False False\n"
    commands = [command.callback.__name__ for command in app.registered_commands]
    assert len(commands) >= 10
    assert all(f"\n  {command} " in done.stdout.decode() for command in commands)


def test_misspelt_key_names_the_key_and_the_likely_one(folder):
    (folder / "demo.toml").write_text(CONFIG.replace("encoder.hidden", "encoder.hiden"))
    message = refused(folder, "train", "demo.toml", code=2)

    expected = 'demo.toml: model.encoder.hiden_size: unknown key (did you mean "hidden_size"?)'
    assert message == f"error: {expected}\n"


def test_every_mistake_is_reported_at_once(folder):
    message = refused(
        folder, "train", "demo.toml", "--set", "training.seed=x", "--set", "model.dropout=2", code=2
    )
    assert message.count("error: ") >= 2
    assert "training.seed" in message
    assert "model.dropout" in message


def test_missing_config_and_missing_text_are_named(folder):
    assert "dmo.toml: no such file (did you mean demo.toml?)" in refused(
        folder, "train", "dmo.toml", code=2
    )
    (folder / "train.it").unlink()
    assert "train.it: no such file" in refused(folder, "train", "demo.toml", code=3)


def test_unequal_line_counts_are_refused_with_both_counts(folder):
    (folder / "train.it").write_text("un gatto\n" * 39)
    message = refused(folder, "train", "demo.toml", code=3)

    assert "train.en has 40 lines" in message
    assert "train.it" in message
    assert " 39" in message
    assert not (folder / "runs" / "demo" / "data").exists()


def test_bad_utf8_is_named_by_file_line_and_byte(folder):
    (folder / "train.it").write_bytes(b"un gatto\n" * 16 + b"il \xff cane\n" + b"x\n" * 23)
    message = refused(folder, "train", "demo.toml", code=3)

    assert "train.it:17: byte 4 is 0xff, not UTF-8" in message


def test_wrong_usage_is_code_2_and_a_missing_model_code_4(folder):
    assert "No such command" in refused(folder, "trian", code=2)
    assert "--bem" in refused(folder, "translate", "run", "--bem", "3", code=2)
    assert "no such folder" in refused(folder, "translate", "run", code=4)


def test_dry_run_prints_a_configuration_that_loads_and_writes_nothing(folder):
    done = nmt(folder, "train", "demo.toml", "--dry-run", "--set", "training.seed=7")
    assert done.returncode == 0
    assert b"seed = 7" in done.stdout
    assert not (folder / "runs").exists()
    (folder / "resolved.toml").write_bytes(done.stdout)
    assert nmt(folder, "train", "resolved.toml", "--dry-run").stdout == done.stdout


def test_train_then_translate_keeps_data_on_stdout_and_the_log_on_stderr(folder):
    trained = nmt(folder, "train", "demo.toml")
    assert trained.returncode == 0, trained.stderr.decode()
    assert trained.stdout == b""
    assert b"resume: no checkpoint, starting" in trained.stderr

    done = nmt(folder, "translate", "runs/demo", stdin=b"a cat\n\nthe dog\n")
    assert done.stdout.count(b"\n") == 3
    assert done.stdout.split(b"\n")[1] == b""
    assert nmt(folder, "-q", "train", "demo.toml").stderr == b""


def test_a_reader_that_goes_away_ends_translation_quietly(model_folder):
    command = [sys.executable, "-m", "nmt.cli", "translate", str(model_folder), "--beam", "1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"a cat\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b"a cat\n" * 20)
        process.stdin.flush()
        errors = process.stderr.read()  # until it ends

    assert process.returncode == 141
    assert errors == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout_is_code_5(model_folder):
    command = [sys.executable, "-m", "nmt.cli", "translate", str(model_folder)]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, input=b"a cat\n", stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 5
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_model_too_large_for_the_memory_is_no_bug(folder):
    done = nmt(folder, "train", "demo.toml", "--set", "model.decoder.hidden_size=1000000")
    assert done.returncode == 5, done.stderr
    assert done.stderr.decode().split("\n")[-2:] == [
        "error: memory is too small for this; make the model or the batches smaller.",
        "",
    ]
    assert b"Traceback" not in done.stderr
