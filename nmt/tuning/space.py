"""What is searched: settings, their values by the size of the corpus, and combinations of them."""

import random
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nmt.config.dump import toml_value
from nmt.config.experiment import Experiment
from nmt.config.presets import PRESETS
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
    """Keys that change together, and values: one for all keys, or a tuple with one for each."""

    name: str
    keys: tuple[str, ...]
    few: tuple[Any, ...]
    """For corpora of the preset "tiny"."""
    some: tuple[Any, ...]
    """Of the preset "small"."""
    many: tuple[Any, ...]
    """Of any other."""


_SQRT = {"kind": "inverse_sqrt", "warmup": 1000}

# fmt: off
ROWS = (
    # 14,000 pieces to 2,000: +4.9 BLEU, the largest gain for 100,000 words of German and English
    # in Sennrich and Zhang (2019).
    _Row("pieces", ("tokenizer.vocab_size",),
         (1_000, 2_000, 4_000), (2_000, 4_000, 8_000), (8_000, 16_000, 32_000)),
    # Without it, little text is learned by heart; with too much, training takes longer than it may.
    _Row("dropout", ("model.dropout.embedding", "model.dropout.layers", "model.dropout.readout"),
         (0.1, 0.2, 0.3, 0.4), (0.2, 0.3, 0.4), (0.1, 0.2, 0.3)),
    # What is best depends on all the rest, the size of an update above all.
    _Row("rate", ("training.learning_rate",), *[(5e-4, 1e-3, 2e-3)] * 3),
    # Little text gives few updates: 4,000 tokens to 1,000 gained 0.3 BLEU in the same paper.
    _Row("tokens an update", ("training.batch_tokens",),
         (256, 512, 1_024), (512, 1_024, 2_048), (2_048, 4_096, 8_192)),
    # As large as there is text to learn from, and time.
    _Row("size", ("model.embedding.size", "model.encoder.hidden_size", "model.decoder.hidden_size"),
         ((128, 64, 128), (256, 128, 256), (512, 256, 512)),
         ((256, 128, 256), (256, 256, 512), (512, 512, 1_024)),
         ((512, 256, 512), (512, 512, 1_024))),
    # With more dropout elsewhere, +2.9 BLEU in the same paper.
    _Row("word dropout", ("model.dropout.source_words", "model.dropout.target_words"),
         (0.0, 0.1, 0.2), (0.0, 0.1, 0.2), (0.0, 0.1)),
    # Many segmentations of a word: up to +3 BLEU with little text (Provilkov et al., 2020).
    _Row("BPE-dropout", ("tokenizer.kind", "tokenizer.sampling"), *[(("bpe", 0.1),)] * 3),
    # Falls whatever validation says, which in young models is noise.
    _Row("schedule", ("training.schedule",), *[(_SQRT,)] * 3),
)
# fmt: on
"""What is searched by default, the most promising first. Label smoothing is not: it raises the
loss by which runs are compared, though it may improve translations."""


def label(choice: Choice) -> str:
    """Return the values of a choice as they are shown: `0.3`, `256/128/256`, `bpe/0.1`."""
    values = [override.partition("=")[2] for override in choice]
    shown = values[:1] if len(set(values)) == 1 else values
    return "/".join(value.strip('"') for value in shown)


def overrides_of(combination: Combination) -> list[str]:
    """Return all overrides of a combination."""
    return [override for choice in combination.values() for override in choice]


def default_settings(pairs: int, load: Load) -> Settings:
    """Return what is worth searching for a corpus of this many pairs.

    Choices that the rest of the configuration does not allow are left out.
    """
    tokenizer = load(()).tokenizer
    has_own_pieces = tokenizer.kind in ("unigram", "bpe") and not tokenizer.pieces_from
    settings = {}
    for row in ROWS:
        if row.keys[0].startswith("tokenizer.") and not has_own_pieces:
            continue
        tiny, small = (preset.pairs or 0 for preset in PRESETS[:2])
        values = row.few if pairs < tiny else row.some if pairs < small else row.many
        choices = [_choice(row.keys, value) for value in values]
        if different := [each for each in choices if _is_valid(each, load, unlike=load(()))]:
            settings[row.name] = different
    return settings


def _choice(keys: Sequence[str], value: Any) -> Choice:
    values = value if isinstance(value, tuple) else [value] * len(keys)
    return tuple(f"{key}={toml_value(each)}" for key, each in zip(keys, values, strict=True))


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
