"""The processes that train one model together, as started by `torchrun`.

A single process is a world of size 1, for which every function returns at once.
"""

import contextlib
import os
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from nmt.errors import ResourceError, UsageError

_T = TypeVar("_T")


@dataclass(frozen=True)
class World:
    """All processes of the run, and which of them this one is."""

    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """Number of processes."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Device of this process."""
    pulse: "Pulse | None" = field(default=None, compare=False, repr=False)
    """Heartbeats of the ranks; None for a single process."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and the log."""
        return self.rank == 0


@contextlib.contextmanager
def start_world(
    device: Literal["auto", "cpu", "cuda"] = "auto", *, timeout: float = 600.0
) -> Iterator[World]:
    """Join the other processes that torchrun started, if any, until the end of the block.

    Args:
        device: "auto" = CUDA if there is a GPU. On CUDA, each process of a host has its own
            GPU, and they communicate with NCCL; on the CPU, with gloo.
        timeout: seconds before a process gives up on a silent peer and exits; at least 10.

    Raises:
        UsageError: there is no GPU, or a host has more processes than GPUs.
        ResourceError: the other processes cannot be reached.
    """
    size = _from_environment("WORLD_SIZE", 1, least=1)
    rank = _from_environment("RANK", 0, most=size - 1)
    world = World(rank, size, _device(device, _from_environment("LOCAL_RANK", 0)))
    if world.device.type == "cuda":
        torch.cuda.set_device(world.device)  # some CUDA kernels of torch require it
    if size == 1:
        yield world
        return
    try:
        with _explain_loss(world):
            store, _, _ = next(rendezvous("env://", rank, size, timeout=timedelta(seconds=timeout)))
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"the {size} processes cannot connect: {error}; start them with torchrun, which sets "
            "what is missing, or unset WORLD_SIZE to train with one."
        ) from error
    pulse = Pulse(store, rank, size, timeout=timeout)
    world = replace(world, pulse=pulse)
    with _explain_loss(world):
        dist.init_process_group(
            "nccl" if world.device.type == "cuda" else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=pulse.patience),
            device_id=world.device if world.device.type == "cuda" else None,
        )
    try:
        yield world
    finally:
        _leave()
        pulse.end()


def _from_environment(name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
    """Return a number from an environment variable of torchrun, or the default if it is unset."""
    text = os.environ.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    if not is_number or int(text) < least or (most is not None and int(text) > most):
        raise UsageError(
            f'{name} is "{text}" in the environment; start the processes with torchrun, which sets '
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
    except RuntimeError as error:  # torch's for a dead peer, a broken connection or a timeout
        first_line = str(error).split("\n", maxsplit=1)[0]
        traceback.clear_frames(error.__traceback__)  # they hold objects that hold connections
        _leave()  # wakes up ranks that wait for this one
        lost = "the others" if world.pulse is None else world.pulse.name_lost()
        raise ResourceError(
            f"rank {world.rank} of {world.size} lost {lost} ({first_line}); "
            "find out why it ended or cannot be reached, then start the same command again to "
            "resume."
        ) from error


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


# --- collectives ---------------------------------------------------------------------------


@torch.no_grad()
def all_reduce_gradients(parameters: Iterable[Tensor], world: World) -> None:
    """Replace every gradient by its sum over all ranks.

    They are sent in one buffer, in the order of `parameters`, which must be the same on all ranks.
    A parameter without a gradient on this rank counts as zero, as it may have one elsewhere.
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


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Observations of this rank after an update; after `agree`, those common to all ranks."""

    nll: float
    """Summed negative log-likelihood in nats; the sum over all ranks."""
    stop: bool
    """Whether a signal requested to stop; on any rank, after `agree`."""
    validate: bool
    """Whether a validation is due, by the main rank's clock."""
    save: bool
    """Whether a checkpoint is due, by the main rank's clock."""
    is_out_of_time: bool
    """Whether the deadline has passed, by the main rank's clock."""


def agree(own: Agreement, world: World) -> Agreement:
    """Combine the observations of all ranks into one that is the same on every rank."""
    if world.size == 1:
        return own
    clock = (own.validate, own.save, own.is_out_of_time)
    votes = (own.stop, *(world.is_main and is_due for is_due in clock))
    nll, *sums = all_reduce_sum([own.nll, *map(float, votes)], world)
    stop, validate, save, is_out_of_time = (votes > 0 for votes in sums)
    return Agreement(
        nll=nll, stop=stop, validate=validate, save=save, is_out_of_time=is_out_of_time
    )


def broadcast_object(value: _T, world: World) -> _T:
    """Return rank 0's `value` on every rank."""
    if world.size == 1:
        return value
    values = [value]
    with _explain_loss(world):
        dist.broadcast_object_list(values, src=0, device=world.device)
    return values[0]


def gather_objects(value: _T, world: World) -> list[_T]:
    """Return the `value` of each rank, in order of rank, on every rank."""
    if world.size == 1:
        return [value]
    values = [value] * world.size
    with _explain_loss(world):
        dist.all_gather_object(values, value)
    return values


def await_main(world: World) -> None:
    """Make the other ranks wait until rank 0 gets here, however long its work takes.

    A collective would give up after the timeout.
    """
    if world.pulse is not None:
        with _explain_loss(world):
            world.pulse.await_main()
        all_reduce_sum([0.0], world)  # rank 0 stays until all ranks know


# --- heartbeats ----------------------------------------------------------------------------

_BEAT = 0.5
"""Seconds between two heartbeats."""
_MOST_GRACE = 5.0
"""Seconds without a heartbeat after which a rank counts as lost, once something has failed."""
_END = 5.0
"""Seconds a process may take to disconnect and exit, on a busy machine."""


class Pulse:
    """Heartbeats of the ranks, by which each rank can name the lost one.

    A failed collective only says that some rank is gone, and may blame the rank that noticed first.
    `torch.distributed.monitored_barrier` informs rank 0 only, and torchrun does not detect a rank
    that is frozen or behind a broken connection.

    Args:
        store: shared by all ranks; rank 0 or torchrun hosts it.
        rank: number of this process.
        size: number of processes.
        timeout: seconds that a rank may be silent while others wait for it; a library that holds
            the GIL delays heartbeats as well.
    """

    def __init__(self, store: Any, rank: int, size: int, *, timeout: float) -> None:
        self._store, self._rank, self._size, self._timeout = store, rank, size, timeout
        self._grace = min(_MOST_GRACE, timeout / 4)
        self._turns, self._heard = 0, 0.0
        self._lost = ""
        self._over = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    @property
    def patience(self) -> float:
        """Seconds to wait for a rank, so that this process exits before the timeout."""
        return max(self._timeout - self._longest_search - _END, self._timeout / 4)

    @property
    def _longest_search(self) -> float:
        """Maximum duration of `name_lost` in seconds: an unreachable store never answers."""
        return self._grace + 4 * _BEAT

    def end(self) -> None:
        """Stop the heartbeats."""
        self._over.set()

    def await_main(self) -> None:
        """Wait until rank 0 has made this call as often as this rank has.

        Raises:
            RuntimeError: rank 0 is gone, or silent for too long.
        """
        self._turns += 1
        turn = f"turns/{self._turns}"
        if self._rank == 0:
            self._store.set(turn, "")
            return
        self._heard = time.monotonic()
        waiting = threading.Thread(target=self._wait_for, args=(turn,), daemon=True)
        waiting.start()  # in a thread, since an unreachable store never answers
        while waiting.is_alive():
            waiting.join(_BEAT / 10)
            if time.monotonic() - self._heard > self.patience:
                raise RuntimeError("no heartbeat")

    def _wait_for(self, turn: str) -> None:
        """Wait until rank 0 has set `turn`, and note when it was last heard from."""
        beats = -1
        with contextlib.suppress(RuntimeError):  # the store is gone; the next collective says so
            while not self._store.check([turn]):
                found = self._store.add("beats/0", 0)
                if found != beats:
                    beats, self._heard = found, time.monotonic()
                time.sleep(_BEAT / 10)

    def name_lost(self) -> str:
        """Return a description of the lost ranks."""
        search = threading.Thread(target=self._find_lost, daemon=True)
        search.start()
        search.join(self._longest_search)
        if self._lost:
            return self._lost
        if self._rank == 0:
            return "the others"
        address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        return f"rank 0 or the connection to it, {address}"

    def _beat(self) -> None:
        with contextlib.suppress(RuntimeError):  # the store is gone
            while not self._over.wait(_BEAT):
                self._store.add(f"beats/{self._rank}", 1)
                if not self._lost and self._store.check(["lost"]):
                    self._lost = self._store.get("lost").decode()

    def _find_lost(self) -> None:
        with contextlib.suppress(RuntimeError):
            before = self._count_beats()
            time.sleep(self._grace)
            now = self._count_beats()
            silent = [r for r in range(self._size) if r != self._rank and now[r] == before[r]]
            if silent and not self._lost:
                self._lost = f"rank{'s' * (len(silent) > 1)} {', '.join(map(str, silent))}"
                self._store.set("lost", self._lost)
            time.sleep(2 * _BEAT)  # others read it before a store hosted by rank 0 ends

    def _count_beats(self) -> list[int]:
        return [self._store.add(f"beats/{rank}", 0) for rank in range(self._size)]
