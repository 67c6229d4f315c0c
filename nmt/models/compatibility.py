"""Which models can be used together: those whose ids mean the same pieces."""

import math
from collections.abc import Sequence
from pathlib import Path

from nmt.errors import ModelError, UsageError
from nmt.models.folder import LoadedModel


def require_language_model(
    folder: Path | str, found: LoadedModel, other: Path | str, translation: LoadedModel
) -> None:
    """Refuse a model that cannot be fused with a translation model.

    Raises:
        UsageError: it is a translation model.
        ModelError: its pieces or normalisation differ from those of the target side.
    """
    if found.model.encoder.reads_source:
        raise UsageError(f"--lm {folder}: holds a translation model; name a language model.")
    if found.target.fingerprint != translation.target.fingerprint:
        raise ModelError(
            f"--lm {folder}: has other pieces than the target side of {other}; train it with "
            f'[tokenizer] from = "{other}".'
        )
    if found.config.normalization != translation.config.normalization:
        raise ModelError(
            f"--lm {folder}: has another normalisation than {other}; train it with the same."
        )


def require_same_pieces(folders: Sequence[Path | str], loaded: Sequence[LoadedModel]) -> None:
    """Refuse an ensemble whose members do not share one vocabulary, or do not all read a source.

    Raises:
        UsageError: some read a source, or write pieces of it, and some do not.
        ModelError: subword models or normalisation differ.
    """
    first = loaded[0]
    for folder, other in zip(folders[1:], loaded[1:], strict=True):
        if other.model.encoder.reads_source != first.model.encoder.reads_source:
            raise UsageError(
                f"{folders[0]} and {folder}: one translates and one is a language model, which "
                "cannot be an ensemble; add the language model by --lm."
            )
        if _reads_and_writes(other) != _reads_and_writes(first):
            raise UsageError(
                f"{folders[0]} and {folder}: are models of different kinds, whose lines are not "
                "the same; name models of one kind."
            )
        if other.config.model.writes_source != first.config.model.writes_source:
            raise UsageError(
                f"{folders[0]} and {folder}: one writes pieces of the source and one does not, "
                "which cannot be an ensemble; use models with the same model.output."
            )
        if other.config.model.right_to_left != first.config.model.right_to_left:
            raise UsageError(
                f"{folders[0]} and {folder}: one writes from left to right and one from right to "
                "left, which cannot be an ensemble; add one of them by --rescore."
            )
        what = ""
        if other.target.fingerprint != first.target.fingerprint:
            what = "target subword models"
        elif other.source.fingerprint != first.source.fingerprint:
            what = "source subword models"
        elif other.config.normalization != first.config.normalization:
            what = "normalizations"
        if what:
            raise ModelError(
                f"{folders[0]} and {folder} have different {what} and cannot be an ensemble; "
                "train its members on the same prepared data."
            )


def require_weights(weights: Sequence[float], folders: Sequence[Path | str]) -> None:
    """Refuse weights of an ensemble that are not above 0, or not one for each model.

    Raises:
        UsageError: with the weights.
    """
    given = ", ".join(f"{weight:g}" for weight in weights)
    if weights and len(weights) != len(folders):
        raise UsageError(
            f"weights: {given} are for {len(weights)} models, and there are {len(folders)}; give "
            "one for each, in their order."
        )
    if not all(0.0 < weight < math.inf for weight in weights):
        raise UsageError(f"weights: must be above 0, got {given}; leave such a model out.")


def _reads_and_writes(loaded: LoadedModel) -> tuple[int, str]:
    """Return the numbers at each source position, and what a target line is."""
    return loaded.model.features, loaded.model.target_lines
