"""Let a configuration take over the model, the pieces and the normalisation of a trained model."""

from collections.abc import Iterator
from pathlib import Path

from nmt.config.changes import Change
from nmt.config.checks import disagreements
from nmt.config.data import NormalizationConfig, TokenizerConfig
from nmt.config.experiment import Experiment
from nmt.config.model import ModelConfig
from nmt.config.section import MAY_CHANGE, Section, key_of
from nmt.errors import ConfigError, UsageError


def take_over(
    experiment: Experiment,
    model: ModelConfig,
    normalization: NormalizationConfig,
    tokenizer: TokenizerConfig,
    *,
    start: Path,
) -> Experiment:
    """Return `experiment` with the given sections.

    Keys that a resumed run could change as well, such as dropout rates, are those of `experiment`
    where it names them.

    Args:
        experiment: what it names of these sections must agree with them.
        model: section of the trained model.
        normalization: section of the trained model.
        tokenizer: section of the trained model; its `from` names where the pieces are.
        start: folder of the trained model, for the error message.

    Raises:
        UsageError: a key has another value in `experiment`; all of them are named.
        ConfigError: another section does not suit the model.
    """
    sections: dict[str, Section] = {
        "model": model,
        "normalization": normalization,
        "tokenizer": tokenizer,
    }
    taken: dict[str, Section] = {}
    conflicts: list[Change] = []
    for name, section in sections.items():
        taken[name] = section
        if name in experiment.model_fields_set:
            own: Section = getattr(experiment, name)
            conflicts += _conflicts(own, section, f"{name}.")
            taken[name] = _merged(own, section)
    if conflicts:
        lines = "".join(f"\n  {conflict}" for conflict in conflicts)
        raise UsageError(
            f"{start}: its model has other values than the configuration "
            f"(model -> configuration):{lines}\n"
            "Remove these keys, or all of [model], [normalization] and [tokenizer]: "
            "they come with the model."
        )
    pieces = {"pieces_from": tokenizer.pieces_from}
    taken["tokenizer"] = taken["tokenizer"].model_copy(update=pieces)
    result = experiment.model_copy(update=taken)
    if faults := [f"{start}: {one.where}: {one.message}" for one in disagreements(result)]:
        raise ConfigError("\n".join(faults))
    return result


def _conflicts(own: Section, other: Section, path: str) -> Iterator[Change]:
    """Yield the keys that `own` names and `other` has with another value."""
    for name, field in type(own).model_fields.items():
        if name not in own.model_fields_set or MAY_CHANGE in field.metadata:
            continue
        mine, theirs = getattr(own, name), getattr(other, name)
        key = path + key_of(name, field)
        if type(mine) is type(theirs) and isinstance(mine, Section):
            yield from _conflicts(mine, theirs, f"{key}.")
        elif mine != theirs:
            yield Change(key, theirs, mine, "the weights were trained with it")


def _merged(own: Section, other: Section) -> Section:
    """Return `other` with the values that `own` names, as far as they may change."""
    changes: dict[str, object] = {}
    for name, field in type(own).model_fields.items():
        if name in own.model_fields_set and MAY_CHANGE in field.metadata:
            changes[name] = getattr(own, name)
    return other.model_copy(update=changes)
