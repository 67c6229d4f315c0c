"""A dictionary in the output: it comes from preparation, stays as it is, and is saved."""

import pytest
import torch
from tiny import entries, tiny, train_tiny, weights_after, write_corpus

from nmt.errors import DataError
from nmt.layers.lexical import LexicalOutput
from nmt.models.folder import load_model_folder
from nmt.models.shortlist import load_dictionary
from nmt.storage.tensors import load_tensors, save_tensors
from nmt.training.run import RunOptions, run_training

WITH = (
    'model.output={kind = "lexical", dictionary = true}',
    "training.ema=0.9",
    "validation.every=4",
    "training.save_every=4",
)


def test_the_dictionary_of_the_model_is_that_of_the_prepared_data(tmp_path):
    run = train_tiny(tmp_path, *WITH, "training.max_updates=8")
    likely, probability = load_dictionary(run / "data", used_by="this test")
    assert (probability[4:].amax(dim=1) > 0.5).all()  # the task is to copy
    found = load_model_folder(run / "model").model.output
    assert isinstance(found, LexicalOutput)
    assert found.dictionary is not None
    assert torch.equal(found.dictionary.likely, likely)
    assert torch.equal(found.dictionary.probability, probability)


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    write_corpus(tmp_path)
    whole = train_tiny(tmp_path, *WITH, "training.max_updates=8", run="whole")
    for updates in (3, 8):
        parts = tiny(tmp_path, *WITH, f"training.max_updates={updates}")
        run_training(parts, tmp_path / "parts", RunOptions())
    expected, found = (weights_after(run, 8) for run in (whole, tmp_path / "parts"))
    assert {"output.dictionary.likely", "output.dictionary.probability"} <= expected.keys()
    assert expected.keys() == found.keys()
    assert all(torch.equal(weight, found[name]) for name, weight in expected.items())


def test_a_dictionary_is_of_use_before_anything_is_learned(tmp_path):
    nothing_learned = ("training.learning_rate=1e-9", "training.max_updates=1")
    kinds = ('{kind = "lexical"}', '{kind = "lexical", dictionary = true}')
    plain, helped = (
        train_tiny(tmp_path, *nothing_learned, f"model.output={kind}", run=f"run{number}")
        for number, kind in enumerate(kinds)
    )
    losses = [entries(run, "valid")[-1]["loss"] for run in (plain, helped)]
    assert losses[1] < losses[0] - 0.2


def test_data_prepared_before_there_were_probabilities_are_refused(tmp_path):
    run = train_tiny(tmp_path, "training.max_updates=1")
    file = run / "data" / "shortlist.safetensors"
    tensors = load_tensors(file)
    del tensors["probability"]
    save_tensors(file, tensors)
    with pytest.raises(DataError) as error:
        load_dictionary(run / "data", used_by="model.output.dictionary")
    assert str(error.value) == (
        f"{file}: has no probabilities, which model.output.dictionary needs; "
        f"delete {run / 'data'} to prepare the data again."
    )
