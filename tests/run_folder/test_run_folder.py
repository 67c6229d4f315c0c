import os

import pytest
from filled_folder import contents

from nmt.errors import UsageError
from nmt.run_folder.layout import open_run_folder
from nmt.storage.folders import new_folder


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("data/train.en", r"data: holds train\.en, which nmt did not write"),
        ("model/thesis.txt", r"model: holds thesis\.txt, which nmt did not write"),
        ("data", "data: is a file, where nmt writes a folder; move it away"),
        (
            "config.toml",
            r"is not a run folder, and a run would overwrite config\.toml in it; "
            r"choose another --run, such as a new folder below runs/\.$",
        ),
        ("metrics.jsonl", r"would overwrite metrics\.jsonl in it"),
        ("manifest.json", r"would overwrite manifest\.json in it"),
        ("train.log", r"would overwrite train\.log in it"),
    ],
)
def test_files_that_no_run_wrote_are_left_alone(tmp_path, name, said):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("years of work")
    before = contents(tmp_path)
    for _ in range(2):
        with pytest.raises(UsageError, match=said), open_run_folder(tmp_path):
            pytest.fail("it was opened")
    assert contents(tmp_path) == before


def test_all_files_that_would_be_overwritten_are_named(tmp_path):
    for name in ("train.log", "config.toml"):
        (tmp_path / name).touch()
    with (
        pytest.raises(UsageError, match=r"overwrite config\.toml and train\.log in it"),
        open_run_folder(tmp_path),
    ):
        pytest.fail("it was opened")


def test_a_folder_with_other_things_may_become_a_run(tmp_path):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "corpus").mkdir()
    with open_run_folder(tmp_path):
        assert sorted(os.listdir(tmp_path)) == [".lock", "corpus", "notes.txt"]


@pytest.mark.parametrize("sign", [".lock", "checkpoints", "data", "model"])
def test_a_run_is_opened_again(tmp_path, sign):
    if sign in ("data", "model"):
        with new_folder(tmp_path / sign) as folder:
            (folder / "file").touch()
    elif sign == "checkpoints":
        (tmp_path / sign).mkdir()
    else:
        (tmp_path / sign).touch()
    (tmp_path / "config.toml").write_text("of the run")
    with open_run_folder(tmp_path):
        assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")
    assert (tmp_path / "config.toml").read_text() == "of the run"
    assert (tmp_path / sign).exists()
