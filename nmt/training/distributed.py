"""The processes that train one model together, as `torchrun` starts them.

One process alone is a world of size 1: every function then does nothing, quickly.
Objects travel as JSON, never as pickle.
"""

import contextlib
import json
import os
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from nmt.errors import ResourceError, UsageError
from nmt.training.pulse import Pulse


@dataclass(frozen=True)
class World:
    """Who takes part, and who this process is."""

    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """How many processes there are."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where this process computes."""
    pulse: Pulse | None = field(default=None, compare=False, repr=False)
    """By which the ranks know of each other beside their collectives; None = alone."""

    @property
    def is_main(self) -> bool:
        """This process writes the files and the log."""
        return self.rank == 0


@contextlib.contextmanager
def start_world(
    device: Literal["auto", "cpu", "cuda"] = "auto", *, timeout: float = 600.0
) -> Iterator[World]:
    """Join the other processes that torchrun started, if any, until the end of the block.

    Args:
        device: "auto" = CUDA if there is a GPU. On CUDA, each process of a host has a GPU of its
            own and they talk over NCCL; on the CPU, over gloo.
        timeout: seconds after which a process that waits for another has given up, named who is
            lost, and ended; 10 or more.

    Raises:
        UsageError: there is no GPU, or more processes on a host than GPUs.
        ResourceError: the others cannot be reached.
    """
    size = _from_environment("WORLD_SIZE", 1, least=1)
    rank = _from_environment("RANK", 0, most=size - 1)
    world = World(rank, size, _device(device, _from_environment("LOCAL_RANK", 0)))
    patience = timedelta(seconds=timeout)
    if world.device.type == "cuda":
        torch.cuda.set_device(world.device)  # what some CUDA kernels of torch insist on
    if size == 1:
        yield world
        return
    try:
        with _explain_loss(world):
            store, _, _ = next(rendezvous("env://", rank, size, timeout=patience))
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"the {size} processes cannot meet: {error}; start them by torchrun, which sets what "
            "is missing, or unset WORLD_SIZE to train with one."
        ) from error
    pulse = Pulse(store, rank, size, timeout=timeout)
    world = replace(world, pulse=pulse)
    patience = timedelta(seconds=pulse.patience)
    with _explain_loss(world):
        dist.init_process_group(
            "nccl" if world.device.type == "cuda" else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=patience,
            device_id=world.device if world.device.type == "cuda" else None,
        )
    try:
        yield world
    finally:
        _leave()
        pulse.end()


def _from_environment(name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
    """Return a number that torchrun sets; the default without it."""
    text = os.environ.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    if not is_number or int(text) < least or (most is not None and int(text) > most):
        raise UsageError(
            f'{name} is "{text}" in the environment; start the processes by torchrun, which sets '
            f"it, or unset {name} to train with one."
        )
    return int(text)


def _device(wanted: Literal["auto", "cpu", "cuda"], local_rank: int) -> torch.device:
    gpus = torch.cuda.device_count()
    if wanted == "cpu" or (wanted == "auto" and gpus == 0):
        return torch.device("cpu")
    if gpus == 0:
        raise UsageError('training.device is "cuda", but torch finds no GPU; set it to "cpu".')
    if local_rank >= gpus:
        raise UsageError(
            f"there are more processes than GPUs on this host (local rank {local_rank}, "
            f'{gpus} GPUs); lower --nproc-per-node, or set training.device to "cpu".'
        )
    return torch.device("cuda", local_rank)


@contextlib.contextmanager
def _explain_loss(world: World) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # what torch raises for a dead peer, a cut link, a timeout
        first_line = str(error).split("\n", maxsplit=1)[0]
        traceback.clear_frames(error.__traceback__)  # they hold what holds connections
        _leave()  # ranks that wait for this one wake up
        lost = "the others" if world.pulse is None else world.pulse.name_lost()
        raise ResourceError(
            f"rank {world.rank} of {world.size} lost {lost} ({first_line}); "
            "look why that ended or cannot be reached, then start the same command again to resume."
        ) from error


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


@torch.no_grad()
def all_reduce_gradients(parameters: Iterable[Tensor], world: World) -> None:
    """Replace every gradient by its sum over all ranks.

    They travel in one buffer, in the order of `parameters`, which must be the same on all ranks.
    A parameter that has no gradient on this rank counts as zero, for it may have one elsewhere.
    """
    if world.size == 1:
        return
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in learned:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in learned if parameter.grad is not None]
    if not gradients:
        return
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    with _explain_loss(world):
        dist.all_reduce(flat)
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, part in zip(gradients, torch.split(flat, sizes), strict=True):
        gradient.copy_(part.view_as(gradient))


def all_reduce_sum(values: Sequence[float], world: World) -> list[float]:
    """Return the sums of `values` over all ranks, in double precision."""
    if world.size == 1:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64, device=world.device)
    with _explain_loss(world):
        dist.all_reduce(total)
    return [float(value) for value in total.tolist()]


def agree(of_any: Sequence[float], of_main: Sequence[bool], world: World) -> list[float]:
    """Return the same on every rank: sums over all ranks, then what the main rank alone decides."""
    decided = [float(world.is_main and wish) for wish in of_main]
    return all_reduce_sum([*of_any, *decided], world)


def broadcast_object(value: Any, world: World) -> Any:
    """Return rank 0's `value` on every rank; it must be plain JSON (tuples become lists)."""
    if world.size == 1:
        return value
    data = _to_bytes(value if world.is_main else None, world)
    size = torch.tensor([data.numel()], device=world.device)
    with _explain_loss(world):
        dist.broadcast(size, src=0)
        if not world.is_main:
            data = torch.empty(int(size), dtype=torch.uint8, device=world.device)
        dist.broadcast(data, src=0)
    return _from_bytes(data)


def gather_objects(value: Any, world: World) -> list[Any]:
    """Return the `value` of each rank, in order of rank, on every rank; plain JSON."""
    if world.size == 1:
        return [value]
    data = _to_bytes(value, world)
    sizes = [torch.zeros(1, dtype=torch.int64, device=world.device) for _ in range(world.size)]
    with _explain_loss(world):
        dist.all_gather(sizes, torch.tensor([data.numel()], device=world.device))
        longest = max(int(size) for size in sizes)
        padded = torch.zeros(longest, dtype=torch.uint8, device=world.device)
        padded[: data.numel()] = data
        parts = [torch.empty_like(padded) for _ in range(world.size)]
        dist.all_gather(parts, padded)
    return [_from_bytes(part[: int(size)]) for part, size in zip(parts, sizes, strict=True)]


def _to_bytes(value: Any, world: World) -> Tensor:
    return torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8, device=world.device)


def _from_bytes(data: Tensor) -> Any:
    return json.loads(bytes(data.cpu().numpy()))


def await_main(world: World) -> None:
    """Let the other ranks wait for what rank 0 does alone; it may take as long as it lives.

    A collective would give up after the timeout.
    """
    if world.pulse is not None:
        with _explain_loss(world):
            world.pulse.await_main()
        all_reduce_sum([0.0], world)  # rank 0 stays until all have heard of it
