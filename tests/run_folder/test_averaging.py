import pytest
import torch

from nmt.errors import ModelError
from nmt.models.checkpoints import shipped_weights
from nmt.run_folder.averaging import average_weights
from nmt.storage.tensors import save_tensors


def write(path, tensors):
    save_tensors(path, tensors)
    return path


def test_the_average_is_the_mean_of_the_weights(tmp_path):
    files = [
        write(tmp_path / f"{value}", {"w": torch.full((2, 2), value), "n": torch.tensor(4)})
        for value in (1.0, 2.0, 6.0)
    ]
    mean = average_weights(files)
    assert mean["w"].tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert mean["n"].item() == 4
    assert mean["w"].dtype == torch.float32


def test_copies_of_one_file_average_to_it_bit_for_bit(tmp_path):
    weights = {"w": torch.randn(50, 7), "half": torch.randn(9).bfloat16()}
    mean = average_weights([write(tmp_path / "a", weights)] * 3)
    assert all(torch.equal(mean[name], weights[name]) for name in weights)


def test_files_of_different_models_are_refused_by_name(tmp_path):
    first = write(tmp_path / "a", {"w": torch.ones(2), "b": torch.ones(1)})
    second = write(tmp_path / "b", {"w": torch.ones(3), "b": torch.ones(1)})
    with pytest.raises(
        ModelError,
        match=r"b: does not fit .*a, 1 tensors differ \(`w`\); "
        r"average checkpoints of one model only\.$",
    ):
        average_weights([first, second])


def test_an_empty_list_of_files_is_refused():
    with pytest.raises(ModelError, match=r"^there are no checkpoints to average; train first\.$"):
        average_weights([])


def test_the_moving_average_is_what_a_checkpoint_ships(tmp_path):
    assert shipped_weights(tmp_path).name == "model.safetensors"
    (tmp_path / "ema.safetensors").touch()
    assert shipped_weights(tmp_path).name == "ema.safetensors"
