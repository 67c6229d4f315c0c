"""The state of a training run: everything a checkpoint holds besides tensors.

Counters and early stopping are one `TrainingState`. The states of torch's random generators are
kept per rank, since each rank draws the dropout masks of its own sentences.
"""

import hashlib
import logging
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from nmt.config.faults import wording
from nmt.data.sampler import Position
from nmt.errors import ModelError
from nmt.training.distributed import World, gather_objects
from nmt.training.schedule import Plateau

logger = logging.getLogger(__name__)

Metric = Literal["loss", "bleu", "chrf"]
"""Metric that selects the best checkpoint."""
UpdateNumber = Annotated[int, Field(ge=0, lt=2**63)]
"""Counted from 1; 0 = before the first. Values from files are validated against this."""
RandomState = dict[str, str]
"""State of one process's generators in hexadecimal, by kind of device: "cpu", "cuda"."""

BLEU_NOISE = 1.0
"""A lower BLEU is decided by a few chance matches."""
CHRF_NOISE = 20.0
"""A lower chrF is that of text with a few letters in common, as untrained models write."""
_NOISE = {"bleu": BLEU_NOISE, "chrf": CHRF_NOISE}

_BYTES = re.compile("([0-9a-f]{2})+")


# --- early stopping ------------------------------------------------------------------------


@dataclass(frozen=True)
class Best:
    """One of the best validations."""

    update: UpdateNumber
    value: float
    """Value of the selecting metric."""
    loss: float = 0.0
    """Breaks ties between equal values and chrF; lower is better."""
    chrf: float = 0.0
    """Breaks ties between equal values; 0 if it was not measured."""

    def is_noise(self, metric: Metric) -> bool:
        """Whether the value is too low to say anything."""
        return self.value < _NOISE.get(metric, -math.inf)

    def rank(self, metric: Metric) -> tuple[float, float, float]:
        """Return the sort key: the value, then chrF, then the loss; the best is the smallest.

        Values that are noise count as 0, and leave the choice to the loss.
        """
        if self.is_noise(metric):
            return 0.0, 0.0, self.loss
        return self.value if metric == "loss" else -self.value, -self.chrf, self.loss


@dataclass(frozen=True)
class Stopping:
    """The best validations so far, and the number of validations since the last improvement.

    Equal values are decided by chrF, then by the loss. As long as scores are noise, the loss alone
    decides, so that neither the learning rate nor the end of training depends on noise.
    """

    best: tuple[Best, ...] = ()
    """The best validations, best first."""
    waited: int = 0
    """Validations since the last improvement."""
    is_new_best: bool = False
    """Whether the last validation was better than all before it."""
    counted: float | None = None
    """Value of the last improvement; None before the first."""

    @property
    def has_improved(self) -> bool:
        """Whether the last validation was an improvement."""
        return bool(self.best) and self.waited == 0

    def observe(
        self, metric: Metric, found: Best, *, keep: int, least_improvement: float = 0.0
    ) -> "Stopping":
        """Return the state after a validation.

        Of two that are equal in everything, the earlier one ranks higher.

        A new best is an improvement if it is better by `least_improvement` than the last one, so
        that many small steps count as soon as they add up; if scores are noise still, always.

        Args:
            metric: a loss is better when lower, a score when higher.
            found: the validation; a value of NaN is never an improvement.
            keep: maximum length of the best list.
            least_improvement: in the unit of the value.
        """
        is_good = not math.isnan(found.value)
        is_best = is_good and (not self.best or found.rank(metric) < self.best[0].rank(metric))
        others = [best for best in self.best if best.update != found.update]
        ranked = sorted(
            [*others, *([found] if is_good else [])], key=lambda best: best.rank(metric)
        )
        is_enough = (
            self.counted is None
            or found.is_noise(metric)
            or _gain(metric, found.value, self.counted) >= least_improvement
        )
        has_improved = is_best and is_enough
        return Stopping(
            best=tuple(ranked[:keep]),
            waited=0 if has_improved else self.waited + 1,
            is_new_best=is_best,
            counted=found.value if has_improved else self.counted,
        )

    def should_stop(self, patience: int) -> bool:
        """Whether `patience` validations (0 = no limit) have passed without an improvement."""
        return 0 < patience <= self.waited


def _gain(metric: Metric, value: float, before: float) -> float:
    """Return by how much a value is better than one before."""
    return before - value if metric == "loss" else value - before


# --- counters ------------------------------------------------------------------------------


@dataclass
class TrainingState:
    """The counters of a run; the loop advances them."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    data_key: str = ""
    """Hash of the prepared data; a resumed run must find the same."""
    update: UpdateNumber = 0
    """Updates made, skipped ones included."""
    position: Position = field(default_factory=lambda: Position(epoch=0, update_in_epoch=0))
    """Position of the sampler's next update."""
    tokens: int = 0
    """Target tokens seen, over all ranks."""
    skipped: int = 0
    """Updates skipped because of a loss or gradient that is not finite."""
    skipped_in_a_row: int = 0
    """Consecutive updates skipped up to now."""
    times_back: int = 0
    """Number of times the run diverged and went back to a checkpoint."""
    is_validation_due: bool = False
    """Whether a signal interrupted a validation, which is repeated first when the run resumes."""
    is_reload_due: bool = False
    """Whether the learning rate was reduced, so that the best weights are reloaded first."""
    seconds: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    """Seconds spent training, over all starts of the run."""
    plateau: Plateau = field(default_factory=Plateau)
    """State of the plateau schedule."""
    stopping: Stopping = field(default_factory=Stopping)
    """State of early stopping, and the best list."""
    measured_by: str = ""
    """What the values of the best list measure, see `measure_of`; "" = unknown."""
    validation_seconds: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    """Duration of the last validation; 0 = none yet."""

    def to_json(self) -> dict[str, Any]:
        """Return the state as a JSON table."""
        return asdict(self)

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> "TrainingState":
        """Restore what `to_json` returned.

        Raises:
            KeyError, TypeError: the table is not in the format that `to_json` writes.
        """
        parts = {key: table[key] for key in ("position", "plateau", "stopping")}
        try:
            return _TABLE.validate_python({**table, **parts})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise TypeError(f"{where}: {wording(first)}") from error


_TABLE = TypeAdapter(TrainingState)


# --- random generators ---------------------------------------------------------------------


def gather_random_states(world: World) -> list[RandomState]:
    """Return the state of every rank, in order of rank; all ranks must call."""
    state = {"cpu": torch.get_rng_state().numpy().tobytes().hex()}
    kind = world.device.type
    if kind != "cpu":
        state[kind] = getattr(torch, kind).get_rng_state(world.device).numpy().tobytes().hex()
    return gather_objects(state, world)


def require_random_states(states: object) -> None:
    """Check that a value from a file has the format of `gather_random_states`.

    Raises:
        TypeError: it has another format.
    """
    if not isinstance(states, list) or not states:
        raise TypeError("random_states: needs a list with a table for each process")
    for table in states:
        if not isinstance(table, dict) or "cpu" not in table:
            raise TypeError("random_states: needs a table with the key cpu for each process")
        if not all(isinstance(text, str) and _BYTES.fullmatch(text) for text in table.values()):
            raise TypeError("random_states: holds other values than bytes in hexadecimal")


def restore_random_states(states: Sequence[RandomState], world: World) -> None:
    """Set this rank's generators to the state that was saved for it.

    With another number of ranks, or on another kind of device, the saved states do not apply. Each
    rank is then seeded from them: still reproducible, but not the numbers that an uninterrupted run
    would have drawn. A warning says so.

    Raises:
        ModelError: the saved value is not a generator state.
    """
    kinds = {"cpu", world.device.type}
    if len(states) == world.size and states[world.rank].keys() == kinds:
        own = states[world.rank]
        try:
            torch.set_rng_state(_tensor(own["cpu"]))
            for kind in kinds - {"cpu"}:
                getattr(torch, kind).set_rng_state(_tensor(own[kind]), world.device)
        except RuntimeError as error:  # of another size, or not a state
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
