"""With a shortlist a model has its usual probabilities, renormalised over the shortlist."""

import pytest
import torch
from safetensors.torch import save_file

from nmt.errors import ModelError
from nmt.fast.accelerate import accelerate
from nmt.layers.linear import Linear
from nmt.layers.output import OutputLayer
from nmt.machine import has_int8
from nmt.models.shortlist import Shortlist

LIKELY = [[0, 0], [0, 0], [0, 0], [0, 0], [9, 11], [8, 0], [5, 9]]
SHORTLIST = Shortlist(torch.tensor([7, 5, 4, 6, 8, 9, 10, 11, 0, 1, 2, 3]), torch.tensor(LIKELY))
SOURCE = torch.tensor([[4, 5, 3], [6, 3, 0]])


def test_a_sentence_can_use_frequent_and_likely_pieces():
    choice = SHORTLIST.choose(SOURCE, frequent=1)
    assert choice.pieces.tolist() == [0, 1, 2, 3, 5, 7, 8, 9, 11]
    open_pieces = [choice.pieces[~closed].tolist() for closed in choice.closed]
    assert open_pieces == [[0, 1, 2, 3, 7, 8, 9, 11], [0, 1, 2, 3, 5, 7, 9]]


def test_the_shortlist_of_a_sentence_does_not_depend_on_its_batch():
    together = SHORTLIST.choose(SOURCE, frequent=2)
    for row in range(2):
        alone = SHORTLIST.choose(SOURCE[row : row + 1], frequent=2)
        assert not alone.closed.any()
        assert alone.pieces.tolist() == together.pieces[~together.closed[row]].tolist()


@pytest.mark.parametrize(
    "how",
    [
        "plain",
        "fast",
        pytest.param("int8", marks=pytest.mark.skipif(not has_int8(), reason="no int8 here")),
    ],
)
def test_probabilities_are_those_of_the_whole_layer_renormalised_over_the_shortlist(how):
    torch.manual_seed(0)
    model = torch.nn.Sequential(OutputLayer(Linear(16, 12)))
    torch.nn.init.normal_(model[0].project.weight)
    torch.nn.init.normal_(model[0].project.bias)
    if how != "plain":
        accelerate(model, "search", int8=how == "int8")
    layer = model[0]
    choice = SHORTLIST.choose(SOURCE, frequent=1)
    features = torch.rand(6, 16) * 2 - 1  # three rows of each sentence
    with torch.inference_mode():
        whole = layer.log_probs(features)[:, choice.pieces]
        narrow = layer.narrow(choice.pieces)
        scores = narrow.scores(features) + choice.barred().repeat_interleave(3, dim=0)
        found = scores - narrow.log_mass(scores).unsqueeze(1)
    closed = choice.closed.repeat_interleave(3, dim=0)
    expected = whole.masked_fill(closed, -torch.inf).log_softmax(dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.isneginf(found[closed]).all()


@pytest.mark.parametrize(
    "tensors",
    [
        {"frequent": SHORTLIST.frequent},
        {"frequent": SHORTLIST.frequent[:-1], "likely": SHORTLIST.likely},
        {"frequent": SHORTLIST.frequent, "likely": SHORTLIST.likely[:-1]},
        {"frequent": SHORTLIST.frequent, "likely": SHORTLIST.likely + 4},
        {"frequent": SHORTLIST.frequent, "likely": SHORTLIST.likely - 1},
    ],
    ids=["part of it", "fewer pieces", "fewer source pieces", "too high", "too low"],
)
def test_a_shortlist_of_another_model_is_refused(tensors, tmp_path):
    path = tmp_path / "shortlist.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    refusal = r"(: is not for 7 source and 12 .*, |: has no `likely`; )copy the folder again\.$"
    with pytest.raises(ModelError, match=rf"shortlist\.safetensors{refusal}"):
        Shortlist.load(path, source_vocab=7, target_vocab=12)
