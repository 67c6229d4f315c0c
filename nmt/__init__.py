"""Train, study and ship recurrent sequence-to-sequence translation models.

The public interface in Python; docs/python.md shows all of it at work:

    Translator, Translation, TranslatedText, ScoredPair     text in, text out
    load_config, train                                      a model from text files
    evaluate, Score                                         BLEU and other scores
    keep_memory                                             settings of the command `nmt`
    NmtError and its kinds                                  what can go wrong

A name is imported when it is first used, for torch takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nmt.errors import (
        ConfigError,
        DataError,
        DivergenceError,
        ModelError,
        NmtError,
        ResourceError,
        UsageError,
    )
    from nmt.evaluation.metrics import Score
    from nmt.evaluation.metrics import score as evaluate
    from nmt.generation import NextPiece, generate, next_pieces
    from nmt.library import load_config, train
    from nmt.machine import keep_memory
    from nmt.translation import ScoredPair, TranslatedText, Translation
    from nmt.translator import Translator

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "DataError",
    "DivergenceError",
    "ModelError",
    "NextPiece",
    "NmtError",
    "ResourceError",
    "Score",
    "ScoredPair",
    "TranslatedText",
    "Translation",
    "Translator",
    "UsageError",
    "evaluate",
    "generate",
    "keep_memory",
    "load_config",
    "next_pieces",
    "train",
]

_HOMES = {
    "NextPiece": "nmt.generation:NextPiece",
    "Score": "nmt.evaluation.metrics:Score",
    "ScoredPair": "nmt.translation:ScoredPair",
    "TranslatedText": "nmt.translation:TranslatedText",
    "Translation": "nmt.translation:Translation",
    "Translator": "nmt.translator:Translator",
    "evaluate": "nmt.evaluation.metrics:score",
    "generate": "nmt.generation:generate",
    "keep_memory": "nmt.machine:keep_memory",
    "load_config": "nmt.library:load_config",
    "next_pieces": "nmt.generation:next_pieces",
    "train": "nmt.library:train",
}
"""Module of each name, and its name there; all others are in `nmt.errors`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nmt' has no attribute {name!r}")
    module, _, attribute = _HOMES.get(name, f"nmt.errors:{name}").partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
