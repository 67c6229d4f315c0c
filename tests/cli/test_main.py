"""The command line as a user meets it: exit codes, one clear message, clean streams."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nmt.cli import main
from nmt.cli.command import name_options
from nmt.cli.main import COMMANDS, app, run

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


def test_wrong_usage_exits_with_2_and_a_missing_model_with_4(folder):
    misspelt = refused(folder, "trian", code=2)
    assert misspelt == "error: no such command 'trian'; did you mean 'train'? See nmt --help.\n"
    assert "--bem" in refused(folder, "translate", "run", "--bem", "3", code=2)
    assert refused(folder, "translate", "run", "-q", code=2) == (
        "error: no such option: -q here; give it before the command: nmt -q ...\n"
    )
    assert "no such folder" in refused(folder, "translate", "run", code=4)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["translate", "absent"],
            4,
            "absent: no such folder; name a run folder or a model folder.",
        ),
        (["translate", "run", "--bem", "3"], 2, "no such option: --bem"),
    ],
)
def test_errors_are_json_where_the_log_is(arguments, code, message, capsys):
    assert run(["--log-format", "json", *arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert record["level"] == "error"
    assert record["message"].startswith(message)
    assert run(arguments) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["translate", "run", "--beam", "x"], "--beam: must be a whole number; see nmt translate"),
        (["translate", "run", "--beam", "0"], "--beam: must be at least 1; see nmt translate"),
        (["translate", "run", "--alpha", "x"], "--alpha: must be a number; see nmt translate"),
        (["translate", "run", "--split", "x"], "--split: 'x' is not one of 'auto', 'never'"),
        (["sample", "run", "-n", "0"], "-n/--count: must be at least 1; see nmt sample --help."),
        (["train"], "missing argument 'CONFIG'; see nmt train --help."),
        (
            ["evaluate", "low", "--reference", "ref"],
            "unexpected: low; name it by an option, such as --hypothesis low; see nmt evaluate",
        ),
        (
            ["evaluate", ".", "--reference", "ref"],
            "unexpected: .; name it by an option, such as --run .; see nmt evaluate --help.",
        ),
        (["check", "a", "b", "c"], "unexpected: c; see nmt check --help."),
    ],
)
def test_a_wrong_command_line_is_explained_like_any_other_error(arguments, message, capsys):
    assert run(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {message}")


def test_an_error_names_the_option_that_was_given_instead_of_the_key():
    message = "n_best: 10 is more\nbeam: must be at least 1."
    assert name_options(message, ["translate", "run", "--n-best=10"]) == (
        "--n-best: 10 is more\nbeam: must be at least 1."
    )
    missing = "lm: no such folder"
    assert name_options(missing, ["translate", "./lm", "--lm", "other"]) == missing


def test_no_help_names_types_of_python(capsys):
    commands = [[command.__name__] for command in COMMANDS]
    commands += [["diagnose", name] for name in ("gradients", "spectrum", "exposure", "surface")]
    for command in commands:
        assert run([*command, "--help"]) == 0
        text = capsys.readouterr().out
        assert not re.search(r"<(str|int|float|path|Path|list|tuple)\b|pydantic", text), command


def test_dry_run_prints_a_configuration_that_loads_and_writes_nothing(folder):
    done = nmt(folder, "train", "demo.toml", "--dry-run", "--set", "training.seed=7")
    assert done.returncode == 0
    assert b"seed = 7" in done.stdout
    assert not (folder / "runs").exists()
    (folder / "resolved.toml").write_bytes(done.stdout)
    assert nmt(folder, "train", "resolved.toml", "--dry-run").stdout == done.stdout


def test_dry_run_names_every_missing_file(folder):
    (folder / "train.it").unlink()
    (folder / "train.en").unlink()
    done = nmt(folder, "train", "demo.toml", "--dry-run")
    assert done.returncode == 3
    assert b"max_updates" in done.stdout
    assert b"train.it: no such file" in done.stderr
    assert b"train.en: no such file" in done.stderr


def test_a_run_that_cannot_begin_leaves_no_folder(folder):
    (folder / "train.it").unlink()
    refused(folder, "train", "demo.toml", code=3)
    assert not (folder / "runs" / "demo").exists()
    (folder / "mine").mkdir()
    refused(folder, "train", "demo.toml", "--run", "mine", code=3)
    assert (folder / "mine").is_dir()


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
def test_a_full_disk_behind_stdout_exits_with_5(model_folder):
    command = [sys.executable, "-m", "nmt.cli", "translate", str(model_folder)]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, input=b"a cat\n", stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 5
    assert done.stderr.decode() == (
        "error: the disk is full; free some space or choose a folder on another disk.\n"
    )
    assert b"Traceback" not in done.stderr


def test_a_model_too_large_for_memory_is_an_error_without_traceback(folder):
    done = nmt(folder, "train", "demo.toml", "--set", "model.decoder.hidden_size=1000000")
    assert done.returncode == 5, done.stderr
    assert done.stderr.decode().split("\n")[-2:] == [
        "error: memory is too small for this; end other programs, or use a smaller file, batch or "
        "model.",
        "",
    ]
    assert b"Traceback" not in done.stderr


def shell(folder: Path, command: str, *parts: object) -> subprocess.CompletedProcess[bytes]:
    """Run `nmt` with redirections that only a shell can make."""
    line = f'exec "$0" -m nmt.cli {command}'
    arguments = [sys.executable, *map(str, parts)]
    return subprocess.run(
        ["sh", "-c", line, *arguments], cwd=folder, capture_output=True, check=False
    )


@pytest.mark.parametrize("command", ["translate", "tokenize"])
def test_a_closed_standard_input_is_named(folder, model_folder, command):
    done = shell(folder, f'{command} "$1" <&-', model_folder)
    assert done.returncode == 3
    message = done.stderr.decode()
    assert message.startswith("error: stdin: cannot be read: Bad file descriptor; name a file, or")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["translate", "tokenize"])
def test_a_closed_standard_output_is_named(folder, model_folder, command):
    done = shell(folder, f'{command} "$1" <train.en >&-', model_folder)
    assert done.returncode == 5
    assert done.stderr.startswith(b"error: standard output is closed; redirect it to a file")
    assert b"Traceback" not in done.stderr


def test_training_needs_no_open_stream(folder):
    assert shell(folder, "train demo.toml --run run <&- >&- 2>&-").returncode == 0
    assert (folder / "run" / "model" / "model.safetensors").is_file()
    assert "done at update 1" in (folder / "run" / "train.log").read_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x" * 300, ": the name is too long; choose a shorter one."),
        ("train.en/run", ": cannot be a folder, a file is in the way; move it."),
    ],
)
def test_a_path_that_the_system_refuses_is_explained(folder, name, said):
    assert said in refused(folder, "train", "demo.toml", "--run", name, code=2)


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (
            errno.EMFILE,
            5,
            "too many files are open at once; raise the limit by `ulimit -n`, then retry",
        ),
        (errno.EROFS, 5, "the file system is read-only; choose a folder that can be written"),
        (
            errno.EACCES,
            2,
            "f: permission denied; change the owner or mode, or choose another place",
        ),
        (
            errno.ENOENT,
            2,
            "f: does not exist; check the name, and whether the current folder still exists",
        ),
        (errno.ELOOP, 2, "f: is a link that leads in a circle; name the file itself"),
        (errno.EISDIR, 2, "f: is a folder; name a file"),
        (errno.EBADF, 5, "standard output is closed; redirect it to a file or to /dev/null"),
        (errno.ENOMEM, 5, "no memory is left; end other programs, then retry"),
        (errno.ENFILE, 5, "too many files are open at once; end other programs, then retry"),
        (errno.ENOTDIR, 2, "f: a file is where a folder should be; check the name"),
        (errno.ENAMETOOLONG, 2, "f: the name is too long; choose a shorter one"),
        (errno.EXDEV, 2, "f: Invalid cross-device link; check whether the command accepts it"),
    ],
)
def test_each_operating_system_error_has_advice_and_an_exit_code(
    number, code, said, monkeypatch, capsys
):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "f")

    monkeypatch.setattr(main, "app", refuse)
    monkeypatch.setattr(main, "discard_output", lambda: None)  # pytest still needs it
    assert main.run([]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"WORLD_SIZE": ""},
            'WORLD_SIZE is "" in the environment; start the processes with torchrun',
        ),
        ({"WORLD_SIZE": "0"}, 'WORLD_SIZE is "0" in the environment'),
        ({"RANK": "abc"}, 'RANK is "abc" in the environment'),
        (
            {"RANK": "1"},
            'RANK is "1" in the environment; start the processes with torchrun, which sets it, or '
            "unset RANK to train with one.",
        ),
        ({"LOCAL_RANK": "-1"}, 'LOCAL_RANK is "-1" in the environment'),
        ({"WORLD_SIZE": "2"}, "the 2 processes cannot connect: "),
        (
            {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "abc"},
            "; start them with torchrun, which sets what is missing, "
            "or unset WORLD_SIZE to train with one.",
        ),
        (
            {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "abc"},
            "the 2 processes cannot connect: ",
        ),
    ],
    ids=str,
)
def test_environment_variables_not_set_by_torchrun_are_refused(folder, monkeypatch, changes, said):
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    assert said in refused(folder, "train", "demo.toml", code=2)
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            'data.train=["a\\u0000b", "c"]',
            "data.train: holds a name that is empty or has a NUL in it",
        ),
        ("data.train=a.en", "data.train: must be two text files, or one .tsv of tab-separated"),
        ('data.train=["a", ""]', "data.train: holds a name that is empty or has a NUL in it"),
        (
            'data.train=["", "c"]',
            "data.train: must be two text files, or one .tsv of tab-separated",
        ),
        ("training.rank_timeout=99999999999999", "training.rank_timeout"),
    ],
)
def test_values_that_the_system_cannot_take_are_configuration_errors(folder, setting, said):
    assert said in refused(folder, "train", "demo.toml", "--set", setting, code=2)
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_that_a_library_turns_into_an_error_ends_quietly(number, code):
    """For example, a signal during an import can surface as an ImportError."""
    script = (
        "import os, signal, time\n"
        "from nmt.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def app(*_, **__):\n"
        "    try:\n"
        f"        os.kill(os.getpid(), signal.{number})\n"
        "        time.sleep(60)\n"
        "    except BaseException as error:\n"
        "        raise ImportError('initialization failed') from error\n"
        "main.app = app\n"
        "main.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == code, done.stderr
    assert done.stderr == b""
