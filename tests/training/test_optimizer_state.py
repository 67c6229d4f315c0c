import pytest
import torch
from torch import nn

from nmt.config.training import AdamConfig, SgdConfig
from nmt.errors import ModelError
from nmt.training.optimizer import build_optimizer, optimizer_tensors, restore_optimizer

KINDS = [
    SgdConfig(momentum=0.9, weight_decay=0.01),
    SgdConfig(),
    AdamConfig(),
    AdamConfig(kind="adamw", weight_decay=0.01),
]


def tied_model():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.Linear(4, 5, bias=False))
    model[2].weight = model[0].weight
    return model


def train(model, optimizer, updates):
    for update in updates:
        generator = torch.Generator().manual_seed(update)
        tokens = torch.randint(0, 5, (8,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(tokens), tokens.roll(1)).backward()
        optimizer.step()


@pytest.mark.parametrize("config", KINDS, ids=lambda config: f"{config.kind}")
def test_ten_updates_and_ten_resumed_equal_twenty_bit_for_bit(config):
    straight = tied_model()
    optimizer = build_optimizer(config, straight.parameters(), 0.01)
    train(straight, optimizer, range(20))

    first = tied_model()
    before = build_optimizer(config, first.parameters(), 0.01)
    train(first, before, range(10))
    tensors = {name: value.clone() for name, value in optimizer_tensors(before, first).items()}
    second = tied_model()
    second.load_state_dict(first.state_dict())
    after = build_optimizer(config, second.parameters(), 0.01)
    restore_optimizer(after, second, tensors)
    train(second, after, range(10, 20))

    for name, weight in straight.named_parameters():
        assert torch.equal(weight, second.get_parameter(name)), name
    expected = optimizer_tensors(optimizer, straight)
    found = optimizer_tensors(after, second)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


def test_tensors_are_named_after_parameters():
    model = tied_model()
    optimizer = build_optimizer(AdamConfig(), model.parameters(), 0.01)
    assert optimizer_tensors(optimizer, model) == {}
    train(model, optimizer, [0])
    names = optimizer_tensors(optimizer, model)
    assert sorted(names) == [
        f"{key}/{name}"
        for key in ("exp_avg", "exp_avg_sq", "step")
        for name in ("0.weight", "1.bias", "1.weight")
    ]
    assert names["step/0.weight"].item() == 1.0


def test_restoring_an_empty_state_forgets_the_moments():
    model = tied_model()
    optimizer = build_optimizer(AdamConfig(), model.parameters(), 0.01)
    train(model, optimizer, [0])
    restore_optimizer(optimizer, model, {})
    assert optimizer_tensors(optimizer, model) == {}


@pytest.mark.parametrize(
    "tensors",
    [
        {"exp_avg/2.bias": torch.ones(5)},
        {"exp_avg/1.bias": torch.ones(5)},
        {"step/1.bias": torch.ones(4)},
    ],
    ids=["unknown", "shape", "steps"],
)
def test_a_state_of_another_model_is_refused(tensors):
    model = tied_model()
    optimizer = build_optimizer(AdamConfig(), model.parameters(), 0.01)
    name = next(iter(tensors)).partition("/")[2]
    with pytest.raises(
        ModelError,
        match=f"does not fit the model: `{name}` is unknown or has another shape; "
        "resume with the configuration the run was started with",
    ):
        restore_optimizer(optimizer, model, tensors)


@pytest.mark.parametrize(
    ("saved", "resumed"), [(KINDS[0], AdamConfig()), (AdamConfig(), KINDS[0])], ids=["sgd", "adam"]
)
def test_another_kind_of_optimizer_starts_afresh_and_says_so(saved, resumed, caplog):
    caplog.set_level("INFO")
    model = tied_model()
    optimizer = build_optimizer(saved, model.parameters(), 0.01)
    train(model, optimizer, [0])
    other = build_optimizer(resumed, model.parameters(), 0.01)
    restore_optimizer(other, model, optimizer_tensors(optimizer, model))
    assert optimizer_tensors(other, model) == {}
    assert "starts afresh: the checkpoint is of another one" in caplog.text
    train(model, other, [0])


def test_a_state_without_some_of_its_tensors_is_refused():
    model = tied_model()
    optimizer = build_optimizer(AdamConfig(), model.parameters(), 0.01)
    train(model, optimizer, [0])
    tensors = optimizer_tensors(optimizer, model)
    del tensors["exp_avg/1.bias"]
    with pytest.raises(
        ModelError,
        match=r"the saved optimizer state does not fit Adam: of `1\.bias` it has exp_avg_sq, step, "
        r"should have exp_avg, exp_avg_sq, step; go back to another checkpoint\.$",
    ):
        restore_optimizer(optimizer, model, tensors)
