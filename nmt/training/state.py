"""Where a training run stands: everything a checkpoint holds besides tensors."""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from nmt.data.sampler import Position
from nmt.training.schedule import Plateau
from nmt.training.stopping import Stopping, UpdateNumber


@dataclass
class TrainingState:
    """The counters of a run; the loop moves them on."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    data_key: str = ""
    """Hash of what was prepared and how; a resumed run must find the same."""
    update: UpdateNumber = 0
    """Updates made, skipped ones included."""
    position: Position = field(default_factory=lambda: Position(epoch=0, update_in_epoch=0))
    """What the sampler gives next."""
    tokens: int = 0
    """Target tokens seen, over all ranks."""
    skipped: int = 0
    """Updates skipped for a non-finite loss or gradient."""
    skipped_in_a_row: int = 0
    """Those at the very end."""
    times_back: int = 0
    """How often the run diverged and went back to a checkpoint."""
    is_validation_due: bool = False
    """A signal cut a validation short: it comes first when the run goes on."""
    is_reload_due: bool = False
    """The rate has fallen: the best weights come back before the next update."""
    seconds: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    """Time spent training, over all pieces of the run."""
    plateau: Plateau = field(default_factory=Plateau)
    """Of the plateau schedule."""
    stopping: Stopping = field(default_factory=Stopping)
    """Of early stopping and the best list."""

    def to_json(self) -> dict[str, Any]:
        """Return the state as a JSON table."""
        return asdict(self)

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> "TrainingState":
        """Restore what `to_json` returned.

        Raises:
            KeyError, TypeError: the table is not one of ours.
        """
        parts = {key: table[key] for key in ("position", "plateau", "stopping")}
        try:
            return _TABLE.validate_python({**table, **parts})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise TypeError(f"{where}: {first['msg']}") from error


_TABLE = TypeAdapter(TrainingState)
