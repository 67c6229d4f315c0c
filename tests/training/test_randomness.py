import logging

import pytest
import torch

from nmt.errors import ModelError
from nmt.training.distributed import World
from nmt.training.state import gather_random_states, restore_random_states


@pytest.fixture(autouse=True)
def keep_generator():
    before = torch.get_rng_state()
    yield
    torch.set_rng_state(before)


def test_restored_generators_draw_the_same_numbers_again():
    states = gather_random_states(World())
    first = torch.rand(5)
    torch.rand(3)
    restore_random_states(states, World())
    assert torch.equal(torch.rand(5), first)


def test_another_number_of_ranks_is_seeded_reproducibly_and_reported(caplog):
    states = gather_random_states(World())
    drawn = []
    for rank in (0, 1, 0):
        with caplog.at_level(logging.WARNING):
            restore_random_states(states, World(rank=rank, size=2))
        drawn.append(torch.rand(5).tolist())
    assert drawn[0] == drawn[2] != drawn[1]
    assert len(caplog.messages) == 2  # only rank 0 logs
    assert "resumed with 2 processes on cpu, saved with 1" in caplog.text


@pytest.mark.parametrize("state", ["00", "ab" * 5056])
def test_an_invalid_generator_state_is_refused(state):
    with pytest.raises(
        ModelError,
        match=r"^the saved random_states of process 0 are damaged \(.*\); "
        r"go back to another checkpoint\.$",
    ):
        restore_random_states([{"cpu": state}], World())


def test_the_generator_of_another_device_is_saved_and_restored(monkeypatch):
    class Device:
        """What torch offers for a kind of device."""

        state = torch.tensor([1, 2, 3], dtype=torch.uint8)

        def get_rng_state(self, device: torch.device) -> torch.Tensor:
            return self.state

        def set_rng_state(self, state: torch.Tensor, device: torch.device) -> None:
            self.state = state

    monkeypatch.setattr(torch, "meta", Device(), raising=False)
    world = World(device=torch.device("meta"))
    states = gather_random_states(world)
    assert states[0]["meta"] == "010203"
    torch.meta.state = torch.zeros(3, dtype=torch.uint8)
    restore_random_states(states, world)
    assert torch.meta.state.tolist() == [1, 2, 3]
