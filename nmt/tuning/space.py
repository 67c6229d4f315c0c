"""What is searched: settings, values around those configured, and combinations of them."""

import contextlib
import operator
import random
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nmt.config.dump import toml_value
from nmt.config.experiment import Experiment
from nmt.errors import ConfigError, UsageError

_ROUNDS = 50  # of drawing, after which a space counts as exhausted

Load = Callable[[Sequence[str]], Experiment]
"""Loads the configuration to be tuned with overrides such as "training.learning_rate=0.002"."""
Choice = tuple[str, ...]
"""A value of a setting: the overrides that set it."""
Settings = Mapping[str, Sequence[Choice]]
"""The choices of each setting that differ from the configuration to be tuned, by its name."""
Combination = dict[str, Choice]
"""A choice for each setting that differs; empty for the configuration itself."""


@dataclass(frozen=True)
class _Row:
    """Keys that change together."""

    name: str
    keys: tuple[str, ...]
    factors: tuple[float, ...] = ()
    """Multiples of the configured values to try, of all keys at once."""
    inverse: tuple[str, ...] = ()
    """Keys that are divided by the same factor."""
    values: tuple[Any, ...] = ()
    """Values to try: one for all keys, or a tuple with one for each."""
    is_for: Callable[[Experiment], bool] = lambda experiment: True
    """Whether it can make a difference."""


def _learns_pieces(experiment: Experiment) -> bool:
    tokenizer, model = experiment.tokenizer, experiment.model
    has_text = "text" in (model.source_lines, model.target_lines)
    return has_text and tokenizer.kind in ("unigram", "bpe") and not tokenizer.pieces_from


def _has_embeddings(experiment: Experiment) -> bool:
    return experiment.model.has_embeddings


def _may_be_lexical(experiment: Experiment) -> bool:
    return experiment.model.output.kind in ("softmax", "lexical")


_HALF_OR_DOUBLE = 0.5, 2.0

# fmt: off
ROWS = (
    # 14,000 pieces to 2,000: +4.9 BLEU, the largest gain for 100,000 words of German and English
    # in Sennrich and Zhang (2019).
    _Row("pieces", ("tokenizer.vocab_size",), factors=_HALF_OR_DOUBLE, is_for=_learns_pieces),
    # Without it, little text is learned by heart; with too much, training takes longer than it may.
    _Row("dropout", ("model.dropout.embedding", "model.dropout.layers", "model.dropout.readout"),
         values=(0.1, 0.2, 0.3, 0.4, 0.5)),
    # What is best depends on all the rest, the size of an update above all.
    _Row("rate", ("training.learning_rate",), factors=_HALF_OR_DOUBLE),
    # Little text gives few updates: 4,000 tokens to 1,000 gained 0.3 BLEU in the same paper. There
    # are as many passes over the corpus as before.
    _Row("tokens an update", ("training.batch_tokens",),
         factors=_HALF_OR_DOUBLE, inverse=("training.max_updates",)),
    # As large as there is text to learn from, and time. Tied weights stay of one size.
    _Row("size", ("model.embedding.size", "model.encoder.hidden_size",
                  "model.encoder.reader.hidden_size", "model.decoder.hidden_size",
                  "model.decoder.readout_size"), factors=_HALF_OR_DOUBLE),
    # A lexical model: from 8,000 pairs, English to Irish, perplexity 46 instead of 60.
    _Row("output", ("model.output",),
         values=("softmax", *({"kind": "lexical", "dictionary": has} for has in (False, True))),
         is_for=_may_be_lexical),
    # With more dropout elsewhere, +2.9 BLEU in the same paper.
    _Row("word dropout", ("model.dropout.source_words", "model.dropout.target_words"),
         values=(0.0, 0.1, 0.2), is_for=_has_embeddings),
    # Many segmentations of a word: up to +3 BLEU with little text (Provilkov et al., 2020).
    _Row("BPE-dropout", ("tokenizer.kind", "tokenizer.sampling"),
         values=(("bpe", 0.0), ("bpe", 0.1)), is_for=_learns_pieces),
    # Links that are learned in preparation show the attention early where to look.
    _Row("guided attention", ("training.guided_alignment.weight",), values=(0.0, 0.3)),
)
# fmt: on
"""What is searched by default, around what is configured, the most promising first.

Left out are what raises the loss by which runs are compared, as label smoothing does, though it
may improve translations; what takes longer than a short run to pay off, as R-Drop does; and the
schedule, since a rate that has fallen looks better in a short run.
"""


def label(choice: Choice) -> str:
    """Return the values of a choice as they are shown: `0.3`, `256/128/256`, `bpe/0.1`."""
    values = [override.partition("=")[2] for override in choice]
    shown = values[:1] if len(set(values)) == 1 else values
    return "/".join(value.strip('"') for value in shown)


def overrides_of(combination: Combination) -> list[str]:
    """Return all overrides of a combination."""
    return [override for choice in combination.values() for override in choice]


def default_settings(load: Load) -> Settings:
    """Return what is worth searching around a configuration.

    Choices that the rest of the configuration does not allow are left out.
    """
    base, settings = load(()), {}
    for row in ROWS:
        if not row.is_for(base):
            continue
        choices = dict.fromkeys(_choices(row, base))
        if different := [each for each in choices if _is_valid(each, load, unlike=base)]:
            settings[row.name] = different
    return settings


def _choices(row: _Row, base: Experiment) -> Iterator[Choice]:
    for value in row.values:
        yield _choice(row.keys, value if isinstance(value, tuple) else [value] * len(row.keys))
    for factor in row.factors:
        scaled = _scaled(row.keys, base, factor) | _scaled(row.inverse, base, 1.0 / factor)
        yield _choice([*scaled], [*scaled.values()])


def _scaled(keys: Sequence[str], base: Experiment, factor: float) -> dict[str, int | float]:
    """Return multiples of what is configured, but for 0, and for what this kind of model lacks."""
    found = {}
    for key in keys:
        with contextlib.suppress(AttributeError):
            found[key] = operator.attrgetter(key)(base)
    return {key: type(value)(factor * value) for key, value in found.items() if value}


def _choice(keys: Sequence[str], values: Sequence[Any]) -> Choice:
    return tuple(f"{key}={toml_value(value)}" for key, value in zip(keys, values, strict=True))


def _is_valid(overrides: Sequence[str], load: Load, *, unlike: Experiment | None = None) -> bool:
    try:
        return load(overrides) != unlike
    except ConfigError:
        return False


def stated_settings(texts: Sequence[str], load: Load) -> Settings:
    """Return what a user wants to search, each text being `key=a,b,c` with TOML or bare words.

    Raises:
        UsageError: one is malformed, or has no value that differs from the configuration's.
        ConfigError: a key is unknown, or a value is not allowed.
    """
    base, settings = load(()), {}
    for text in texts:
        key, _, listed = (part.strip() for part in text.partition("="))
        if not key or not listed:
            raise UsageError(
                f"--over {text}: must be key=value,value, "
                "for example --over training.learning_rate=0.0005,0.001,0.002"
            )
        choices = [(f"{key}={value}",) for value in _values(listed)]
        try:
            settings[key] = [choice for choice in choices if load(choice) != base]
        except ConfigError as error:
            raise ConfigError(str(error).replace("--set ", "--over ")) from None
        if not settings[key]:
            raise UsageError(
                f"--over {text}: is what the configuration has already; name other values to try."
            )
    return settings


def _values(listed: str) -> list[str]:
    try:
        return [toml_value(value) for value in tomllib.loads(f"x = [{listed}]")["x"]]
    except tomllib.TOMLDecodeError:
        return [word.strip() for word in listed.split(",")]


def draw(settings: Settings, count: int, load: Load, *, seed: int) -> list[Combination]:
    """Draw up to `count` different combinations, fewer if there are no more (Bergstra and Bengio,
    2012: random search).

    A setting stays as it is in half of them and has each choice equally often in the others, so
    that runs with a choice can be compared with runs without. Invalid combinations are left out.
    """
    found: list[Combination] = []
    for combination in _drawn(settings, count, random.Random(seed)):
        if len(found) == count:
            break
        if combination and combination not in found and _is_valid(overrides_of(combination), load):
            found.append(combination)
    return found


def _drawn(settings: Settings, count: int, chance: random.Random) -> Iterator[Combination]:
    for _ in range(_ROUNDS):
        columns = []
        for choices in settings.values():
            first = chance.randrange(len(choices))
            column = [choices[(first + n) % len(choices)] for n in range(count - count // 2)]
            columns.append([*column, *[None] * (count // 2)])
            chance.shuffle(columns[-1])
        for row in zip(*columns, strict=True):
            yield {name: choice for name, choice in zip(settings, row, strict=True) if choice}
