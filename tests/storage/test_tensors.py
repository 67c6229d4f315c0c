import json
import os
import stat

import pytest
import torch

from nmt.errors import ModelError, ResourceError
from nmt.storage.checksums import sha256_of
from nmt.storage.tensors import load_metadata, load_tensors, save_tensors, tensor_shapes


def test_tensors_round_trip_bitwise_and_write_equal_bytes(tmp_path):
    tensors = {
        "weight": torch.randn(3, 5),
        "half": torch.randn(4).bfloat16(),
        "step": torch.tensor(7.0),
        "slice": torch.arange(10)[::2],
        "empty": torch.empty(0, 3),
    }
    metadata = {"update": 3, "kind": "adam", "a": {"b": [1]}}
    digests = set()
    for number in range(5):
        path = tmp_path / f"{number}.safetensors"
        order = {"reverse": number % 2 == 0}
        ordered = (dict(sorted(table.items(), **order)) for table in (tensors, metadata))
        save_tensors(path, *ordered)
        digests.add(sha256_of(path))

    assert len(digests) == 1
    assert load_metadata(path) == metadata
    loaded = load_tensors(path)
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_loaded_tensors_can_be_modified_and_outlive_their_file(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.ones(4)})
    loaded = load_tensors(path)["a"]
    path.write_bytes(b"")
    loaded += 1
    assert loaded.tolist() == [2, 2, 2, 2]


def test_no_metadata_reads_as_an_empty_table(tmp_path):
    save_tensors(tmp_path / "a.safetensors", {"a": torch.ones(1)})
    assert load_metadata(tmp_path / "a.safetensors") == {}


def test_damaged_weights_are_refused_by_name(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(ModelError, match=r"safetensors: is missing; restore it from a copy\."):
        load_tensors(path)
    save_tensors(path, {"a": torch.ones(100)})
    whole = path.read_bytes()
    for size in (0, 5, 60, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError, match=r"model\.safetensors: is not a readable"):
            load_tensors(path)
    path.write_bytes(json.dumps({"a": 1}).encode())
    with pytest.raises(ModelError, match=r"model\.safetensors: is not a readable"):
        load_metadata(path)


def test_tensors_too_large_for_memory_are_an_error_that_says_so(tmp_path):
    huge = torch.zeros(1).expand(2**50)
    with pytest.raises(ResourceError) as caught:
        save_tensors(tmp_path / "a.safetensors", {"a": huge})
    assert str(caught.value) == (
        f"memory is too small for writing {tmp_path}/a.safetensors, which takes 13510798 GB; "
        "end other programs, then retry."
    )
    assert list(tmp_path.iterdir()) == []


def test_metadata_that_is_not_a_table_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.ones(1)}, [1, 2])
    with pytest.raises(ModelError, match=r"a\.safetensors: its metadata are no table; restore"):
        load_metadata(path)


def test_weights_that_are_not_a_regular_file_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for load in (load_tensors, load_metadata):
        for path in (tmp_path, tmp_path / "pipe"):
            with pytest.raises(ModelError, match=": is not a regular file; copy the file itself"):
                load(path)
        with pytest.raises(ModelError, match=r"loop: cannot be read \(Too many levels of symbol"):
            load(tmp_path / "loop")


def test_shapes_are_read_without_the_tensors(tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"b": torch.ones(2, 3), "a": torch.ones(())})
    assert tensor_shapes(path) == {"a": (), "b": (2, 3)}
    path.write_bytes(b"no tensors")
    with pytest.raises(
        ModelError, match=r"is not a readable safetensors file \(.*\); restore it from a copy\."
    ):
        tensor_shapes(path)
