"""The processes that train one model together, as `torchrun` starts them.

One process alone is a world of size 1: every function then does nothing, quickly.
Objects travel as JSON, never as pickle.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from nmt.errors import ResourceError, UsageError


@dataclass(frozen=True)
class World:
    """Who takes part, and who this process is."""

    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """How many processes there are."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where this process computes."""

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
        timeout: seconds that a process waits for the others before it gives up. It must exceed
            the longest thing that rank 0 does alone, a validation.

    Raises:
        UsageError: there is no GPU, or more processes on a host than GPUs.
        ResourceError: the others cannot be reached.
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    world = World(rank, size, _device(device, int(os.environ.get("LOCAL_RANK", "0"))))
    if world.device.type == "cuda":
        torch.cuda.set_device(world.device)  # what some CUDA kernels of torch insist on
    if size == 1:
        yield world
        return
    with _explain_loss(world):
        dist.init_process_group(
            "nccl" if world.device.type == "cuda" else "gloo",
            timeout=timedelta(seconds=timeout),
            device_id=world.device if world.device.type == "cuda" else None,
        )
    try:
        yield world
    finally:
        dist.destroy_process_group()


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
        raise ResourceError(
            f"rank {world.rank} of {world.size} lost the others ({first_line}); "
            "look for the rank that failed first, then start the same command again to resume."
        ) from error


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


def barrier(world: World) -> None:
    """Wait until every rank has come here."""
    all_reduce_sum([0.0], world)
