"""What a tune searches, and which combinations it draws."""

from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from tiny import write_corpus

from nmt.config.changes import changes
from nmt.config.data import TokenizerConfig
from nmt.config.load import load as load_config
from nmt.config.presets import PRESETS, from_preset
from nmt.errors import ConfigError, UsageError
from nmt.tuning.space import ROWS, default_settings, draw, label, overrides_of, stated_settings

RATES = "training.learning_rate=0.001, 0.002"
CELLS = "model.encoder.cell=gru,lstm"
RECIPE_FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted(RECIPE_FOLDER.glob("*/config.toml"))


@pytest.fixture
def load(tmp_path):
    path = write_corpus(tmp_path)
    return lambda overrides: load_config(path, overrides)


def test_values_are_words_or_toml(load):
    schedules = 'training.schedule="plateau", {kind = "inverse_sqrt", warmup = 7}'
    settings = stated_settings([RATES, CELLS, schedules], load)
    assert [label(choice) for choice in settings["training.learning_rate"]] == ["0.001", "0.002"]
    assert load(settings["training.schedule"][1]).training.schedule.warmup == 7
    assert settings["model.encoder.cell"] == [("model.encoder.cell=gru",)]  # LSTM as before


def test_combinations_differ_and_are_drawn_alike_from_one_seed(load):
    settings = stated_settings([RATES, CELLS, "training.batch_tokens=30,90"], load)
    drawn = draw(settings, 10, load, seed=1)
    assert len({tuple(overrides_of(each)) for each in drawn}) == 10
    assert {} not in drawn
    assert draw(settings, 10, load, seed=1) == drawn
    assert draw(settings, 10, load, seed=2) != drawn


def test_half_leave_a_setting_as_it_is_and_choices_are_equally_frequent(load):
    settings = default_settings(load)
    drawn = draw(settings, 8, load, seed=3)
    counts = Counter(each.get("rate") for each in drawn)
    assert counts[None] >= 3  # of the first 8 drawn 4; few are replaced
    assert max(counts[choice] for choice in settings["rate"]) <= 3


def test_a_space_may_have_fewer_combinations_than_wanted(load):
    settings = stated_settings([RATES, CELLS], load)
    assert len(draw(settings, 20, load, seed=1)) == 5  # 3 rates, 2 cells, less the one as it is


def test_combinations_that_are_not_valid_are_left_out(load):
    """Only checkpoints that are kept can be averaged."""

    def keeping_three(overrides):
        return load(["training.keep_best=3", *overrides])

    average, keep = ("validation.average=3",), ("training.keep_best=2",)
    settings = stated_settings([*average, *keep], keeping_three)
    drawn = draw(settings, 9, keeping_three, seed=1)
    assert sorted(map(overrides_of, drawn)) == [[*keep], [*average]]


def test_what_is_searched_by_default_is_valid_and_differs(load):
    settings = default_settings(load)
    assert {"dropout", "rate", "tokens an update", "size", "output"} <= settings.keys()
    for choices in settings.values():
        assert all(load(choice) != load(()) for choice in choices)


def test_sizes_and_rates_around_those_configured_are_searched(load):
    def configured(overrides):
        sizes = "model.encoder.hidden_size=8", "model.decoder.hidden_size=24"
        more = "training.learning_rate=0.003", "training.batch_tokens=60", "training.max_updates=9"
        return load([*sizes, *more, *overrides])

    settings = default_settings(configured)
    assert [label(choice) for choice in settings["rate"]] == ["0.0015", "0.006"]
    # the embedding, the encoder and the decoder; updates for as many passes
    assert [label(choice) for choice in settings["size"]] == ["6/4/12", "24/16/48"]
    assert [label(choice) for choice in settings["tokens an update"]] == ["30/18", "120/4"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.parent.name)
def test_sizes_can_be_searched_in_all_recipes(recipe):
    """Whatever weights are tied."""
    settings = default_settings(partial(load_config, recipe))
    assert len(settings["size"]) == len(settings["rate"]) == 2


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.decoder=label", "model.output=numbers", "validation.metric=loss"],
        ["model.output=copy"],
        ["model.output=pointer"],
    ],
    ids=["numbers", "copy", "pointer"],
)
def test_another_task_is_no_choice(load, overrides):
    """Losses of numbers, of copies and of pieces are not comparable."""
    assert "output" not in default_settings(lambda more: load([*overrides, *more]))


def test_of_numbers_without_text_no_pieces_are_searched(load):
    source = 'model.encoder={kind = "numbers", features = 2, reader = {hidden_size = 8}}'
    overrides = source, "model.decoder=label", "tokenizer.kind=bpe", "validation.metric=loss"
    settings = default_settings(lambda more: load([*overrides, *more]))
    assert not {"pieces", "word dropout", "BPE-dropout"} & settings.keys()
    small, large = settings["size"]
    assert "model.encoder.reader.hidden_size=4" in small
    assert "model.encoder.reader.hidden_size=16" in large


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_around_each_preset_all_settings_can_be_searched(load, preset):
    """Whatever weights are tied, and however words are segmented."""
    experiment = from_preset(preset, load(()).data, TokenizerConfig(kind="bpe"), tokens=10**6)
    keys = [f"{change.key}={change.new_text}" for change in changes(load(()), experiment)]
    settings = default_settings(lambda overrides: load([*keys, *overrides]))
    assert settings.keys() == {row.name for row in ROWS}
    assert all(len(settings[row.name]) == 2 for row in ROWS if row.factors)


def test_of_a_language_model_the_size_of_its_decoder_is_searched():
    recipe = RECIPE_FOLDER / "toy-lm" / "config.toml"
    keys = {
        override.partition("=")[0]
        for choice in default_settings(partial(load_config, recipe))["size"]
        for override in choice
    }
    assert keys == {"model.embedding.size", "model.decoder.hidden_size"}


def test_pieces_are_searched_only_if_they_are_learnt(load):
    """Those of the tiny corpus are words."""
    assert not {"pieces", "BPE-dropout"} & default_settings(load).keys()

    def with_bpe(overrides):
        more = "tokenizer.kind=bpe", "tokenizer.vocab_size=300", "tokenizer.byte_fallback=true"
        return load([*more, *overrides])

    assert {"pieces", "BPE-dropout"} <= default_settings(with_bpe).keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "training.learning_rate",
            "--over training.learning_rate: must be key=value,value, "
            "for example --over training.learning_rate=0.0005,0.001,0.002",
        ),
        (
            "training.learning_rate=0.01",
            "--over training.learning_rate=0.01: is what the configuration has already; "
            "name other values to try.",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(load, text, message):
    with pytest.raises(UsageError) as error:
        stated_settings([text], load)
    assert str(error.value) == message


def test_an_unknown_key_is_refused_by_the_name_of_the_option(load):
    with pytest.raises(ConfigError, match=r"^--over training.rate=1: training.rate: unknown key"):
        stated_settings(["training.rate=1,2"], load)
