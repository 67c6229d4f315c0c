"""The state of torch's random generators, as text for a checkpoint.

Every rank has generators of its own, since each draws the dropout masks of its own sentences.
"""

import hashlib
import logging
import re
from collections.abc import Sequence

import torch

from nmt.errors import ModelError
from nmt.training.distributed import World, gather_objects

logger = logging.getLogger(__name__)

RandomState = dict[str, str]
"""State of one process's generators in hexadecimal, by kind of device: "cpu", "cuda"."""

_BYTES = re.compile("([0-9a-f]{2})+")


def gather_random_states(world: World) -> list[RandomState]:
    """Return the state of every rank, in order of rank; all ranks must call."""
    state = {"cpu": torch.get_rng_state().numpy().tobytes().hex()}
    kind = world.device.type
    if kind != "cpu":
        state[kind] = getattr(torch, kind).get_rng_state(world.device).numpy().tobytes().hex()
    return gather_objects(state, world)


def require_random_states(states: object) -> None:
    """Check that something read from a file has the form of what `gather_random_states` returned.

    Raises:
        TypeError: it has not.
    """
    if not isinstance(states, list) or not states:
        raise TypeError("random_states: needs a list with a table for each process")
    for table in states:
        if not isinstance(table, dict) or "cpu" not in table:
            raise TypeError("random_states: needs a table with the key cpu for each process")
        if not all(isinstance(text, str) and _BYTES.fullmatch(text) for text in table.values()):
            raise TypeError("random_states: holds other values than bytes in hexadecimal")


def restore_random_states(states: Sequence[RandomState], world: World) -> None:
    """Set this rank's generators to what was saved for it.

    Under another number of ranks, or on another kind of device, the saved states cannot be used
    as they are: each rank is then seeded from them, which is just as random and repeatable, but
    not what the uninterrupted run would have drawn. A warning says so.

    Raises:
        ModelError: what was saved is no state of a generator.
    """
    kinds = {"cpu", world.device.type}
    if len(states) == world.size and states[world.rank].keys() == kinds:
        own = states[world.rank]
        try:
            torch.set_rng_state(_tensor(own["cpu"]))
            for kind in kinds - {"cpu"}:
                getattr(torch, kind).set_rng_state(_tensor(own[kind]), world.device)
        except RuntimeError as error:  # of another size, or none
            raise ModelError(
                f"the saved random_states of process {world.rank} are damaged ({error}); "
                "go back to another checkpoint."
            ) from error
        return
    if world.is_main:
        logger.warning(
            "resumed with %d processes on %s, saved with %d: "
            "the random numbers differ from those of an uninterrupted run",
            world.size,
            world.device.type,
            len(states),
        )
    digest = hashlib.sha256(f"{world.rank} {states[0]['cpu']}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:7], "big"))


def _tensor(state: str) -> torch.Tensor:
    return torch.frombuffer(bytearray.fromhex(state), dtype=torch.uint8)
