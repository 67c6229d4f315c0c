"""Loading a configuration reports all mistakes together, each with its key and a remedy."""

import os
import re
from operator import attrgetter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.config.changes import changes
from nmt.config.dump import dump, toml_value
from nmt.config.load import load, resolve_paths
from nmt.config.schema import paths
from nmt.errors import ConfigError

DATA = """
[data]
source = "en"
target = "it"
train = ["train.en", "train.it"]
valid = ["dev.en", "dev.it"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, name: str = "toy.toml") -> Path:
    path = Path(name)
    path.write_text(DATA + text, encoding="utf-8")
    return path


def complaint(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(text), overrides)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_only_the_data_has_to_be_given(folder):
    experiment = load(write(""))
    assert experiment.data.train == ("train.en", "train.it")
    assert experiment.model.encoder.cell.kind == "lstm"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[model.encoder]\nhiden_size = 3",
            'toy.toml: model.encoder.hiden_size: unknown key (did you mean "hidden_size"?)',
        ),
        (
            "[training]\nlearning_rate = -1",
            "toy.toml: training.learning_rate: must be greater than 0, got -1",
        ),
        ("[trainin]", 'toy.toml: trainin: unknown key (did you mean "training"?)'),
        (
            "[model]\nlearning_rate = 1",
            'toy.toml: model.learning_rate: unknown key (did you mean "training.learning_rate"?)',
        ),
        (
            "[normalization]\nzzz = 1",
            "toy.toml: normalization.zzz: unknown key (known: unicode, whitespace, repair)",
        ),
        (
            '[model.encoder]\ncell = "lst"',
            'toy.toml: model.encoder.cell: unknown kind "lst" (did you mean "lstm"?)',
        ),
        (
            '[model.encoder.cell]\nkind = "a\\nb"',
            'toy.toml: model.encoder.cell: unknown kind "a\\nb" (known: rnn, gru, lstm, '
            "lnlstm, delays, clockwork, ssru, mingru)",
        ),
        (
            "[model.encoder.cell]\nkind = 1",
            "toy.toml: model.encoder.cell: unknown kind 1 (known: rnn, gru, lstm, "
            "lnlstm, delays, clockwork, ssru, mingru)",
        ),
        (
            '[normalization]\n"a\\nb.c" = 1',
            'toy.toml: normalization."a\\nb.c": unknown key (known: unicode, whitespace, repair)',
        ),
        (
            '[normalization]\nunicode = { "a b" = 1 }',
            'toy.toml: normalization.unicode: must be "off", "nfc" or "nfkc", got { "a b" = 1 }',
        ),
        (
            '[model.encoder.cell]\nkind = "gru"\nforget_bias = 1.0',
            "toy.toml: model.encoder.cell.forget_bias: unknown key for this kind "
            "(known: kind, reset)",
        ),
        (
            "[model.encoder.cell]\nforget_bias = 1.0",
            'toy.toml: model.encoder.cell: needs a kind, one of "rnn", "gru", "lstm", "lnlstm", '
            '"delays", "clockwork", "ssru" or "mingru"',
        ),
        (
            '[model.encoder.cell]\nkind = "delays"\ndelays = [4, 1]',
            "toy.toml: model.encoder.cell.delays: must be whole numbers of steps from 1 to 1,000, "
            "each larger than the one before, such as [1, 4], got [4, 1]",
        ),
        (
            '[model.encoder.cell]\nkind = "clockwork"\nperiods = []',
            "toy.toml: model.encoder.cell.periods: must be whole numbers of steps from 1 to 1,000, "
            "each larger than the one before, such as [1, 4], got []",
        ),
        (
            "[training]\noptimizer = 3",
            'toy.toml: training.optimizer: must be "sgd", "adam" or "adamw", or a table, got 3',
        ),
        (
            '[training.schedule]\nkind = "cosine"\nwarmup = 20000',
            "toy.toml: training.schedule.warmup: must be less than training.max_updates, "
            "got 20000 and 20000; lower it as well, to 5000 for example",
        ),
        (
            '[training]\ndevice = "cudda"',
            'toy.toml: training.device: must be "auto", "cpu" or "cuda", got "cudda" '
            '(did you mean "cuda"?)',
        ),
        (
            "[training]\nlearning_rate = inf",
            "toy.toml: training.learning_rate: must be a finite number, got inf",
        ),
        ("[training]\nseed = 1.0", "toy.toml: training.seed: must be a whole number, got 1.0"),
        (
            '[model.encoder]\nbidirectional = "yes"',
            'toy.toml: model.encoder.bidirectional: must be true or false, got "yes"',
        ),
        (
            "[training]\nsave_every = 2.5",
            "toy.toml: training.save_every: must be a number of updates above 0, or a time such as "
            '"90s", "10m", "2h", got 2.5',
        ),
        ("[model]\ndropout = 2", "toy.toml: model.dropout.embedding: must be less than 1, got 2"),
        ("[search]\nbeam = 0", "toy.toml: search.beam: must be at least 1, got 0"),
        (
            "[search]\nmax_length_factor = 1e30",
            "toy.toml: search.max_length_factor: must be at most 1000, got 1e+30",
        ),
        (
            "[search]\nmin_length_offset = 100000000",
            "toy.toml: search.min_length_offset: must be at most 100000, got 100000000",
        ),
        (
            "[search]\nmin_length_factor = inf",
            "toy.toml: search.min_length_factor: must be a finite number, got inf",
        ),
        (
            "[training]\nthreads = 100000",
            "toy.toml: training.threads: must be at most 1024, got 100000",
        ),
        (
            '[model]\ninitialization = "sparce"',
            'toy.toml: model.initialization: unknown kind "sparce" (did you mean "sparse"?)',
        ),
        (
            '[model.initialization]\nkind = "sparse"\nnonzeros = 0',
            "toy.toml: model.initialization.nonzeros: must be at least 1, got 0",
        ),
        (
            '[model.initialization]\nkind = "sparse"\nradius = 0.0',
            "toy.toml: model.initialization.radius: must be greater than 0, got 0.0",
        ),
        (
            '[model.initialization]\nkind = "sparse"\nc = 1.1',
            "toy.toml: model.initialization.c: unknown key for this kind "
            "(known: kind, nonzeros, radius)",
        ),
    ],
)
def test_a_mistake_is_named_with_its_key_its_value_and_the_fix(folder, text, message):
    assert message in complaint(text).splitlines()


def test_a_missing_table_is_reported_with_its_keys(folder):
    Path("empty.toml").touch()
    with pytest.raises(ConfigError) as caught:
        load(Path("empty.toml"))
    assert str(caught.value) == (
        "empty.toml: data: missing: write a table [data] with the keys target, train "
        "(`nmt init` writes a commented example)"
    )


@pytest.mark.parametrize("value", ['["x"]', '["x", "y", "z"]', '["x", 2]'])
def test_a_pair_of_files_must_be_a_pair_of_names(folder, value):
    said = complaint(f"test = {value}")
    assert said.startswith(
        'toy.toml: data.test: must be two file names, ["source file", "target file"], got '
    )
    assert "\n" not in said


def test_a_translation_model_needs_files_of_both_sides(folder):
    assert complaint('test = "x"') == (
        "toy.toml: data.test: must be two text files, or one .tsv of tab-separated pairs, since "
        'model.encoder.kind is "recurrent"'
    )


@pytest.mark.parametrize("name", ["dev.tsv", "a/dev.TSV", "dev.tsv.gz", "dev.en-it.tsv.zst"])
def test_a_tsv_is_both_sides_and_is_written_as_one_name(folder, name):
    for value in (f'"{name}"', f'["{name}", "{name}"]'):
        experiment = load(write(""), [f"data.test={value}"])
        assert experiment.data.test == (name, name)
        assert f'test = "{name}"' in dump(experiment)
    Path("dumped.toml").write_text(dump(experiment))
    assert load(Path("dumped.toml")) == experiment
    resolved = resolve_paths(experiment, Path("conf")).data.test
    assert resolved == (str(folder / "conf" / name),) * 2


@pytest.mark.parametrize("key", ["train", "valid", "test"])
@pytest.mark.parametrize(
    "names", ['["a.en", "a.en"]', '["a.en", "./a.en"]', '["a.gz", "b/../a.gz"]']
)
def test_one_file_cannot_be_both_sides(folder, key, names):
    said = complaint("", f"data.{key}={names}")
    assert said.startswith(f"--set data.{key}={names}: data.{key}: ")
    assert said.endswith(
        "is named for both sides; name two files that are translations of each other, or one .tsv "
        "of tab-separated pairs"
    )


@pytest.mark.parametrize("names", ['["a.tsv", "b.tsv"]', '["a.en", "a.tsv"]', '["a.tsv.gz", "b"]'])
def test_a_tsv_cannot_be_one_side(folder, names):
    assert complaint("", f"data.train={names}").endswith(
        "is called .tsv, so it holds both sides of a corpus; name it alone, or give it another "
        "ending if it holds one side"
    )


def test_lists_and_tables_are_demanded_in_plain_words(folder):
    assert complaint("", "tokenizer.symbols=3").endswith("must be a list of texts in quotes, got 3")
    assert complaint("", "training.learning_rates=3").endswith("must be a table, got 3")


def test_keys_are_named_as_they_are_written(folder):
    """`from` cannot be a name in Python."""
    assert complaint('[tokenizer]\nfron = "run"') == (
        'toy.toml: tokenizer.fron: unknown key (did you mean "from"?)'
    )


def test_all_mistakes_are_reported_together_including_those_between_sections(folder):
    said = complaint(
        "[model.encoder]\nhiden_size = 3\n[training]\nbatch_tokens = 0\nkeep_best = 2\n"
        "[validation]\naverage = 3\n",
        "training.seed=-1",
        "nonsense",
    )
    assert [line.split(": ")[1] for line in said.splitlines()] == [
        "must be key=value, for example --set training.learning_rate=0.0005",
        "model.encoder.hiden_size",
        "training.batch_tokens",
        "training.seed",
        "validation.average",
    ]


def test_a_consequence_of_another_mistake_is_not_reported(folder):
    said = complaint('[model.embedding]\ntied = "all"\nsize = -1')
    assert said.splitlines() == ["toy.toml: model.embedding.size: must be at least 1, got -1"]


def test_missing_data_files_do_not_hide_other_mistakes(folder):
    Path("toy.toml").write_text('[data]\nsource = "en"\n[training]\nlog_every = "soon"\n')
    with pytest.raises(ConfigError) as caught:
        load(Path("toy.toml"))
    where = [line.split(": ")[1] for line in str(caught.value).splitlines()]
    assert where == ["data.target", "data.train", "training.log_every"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[model.embedding]\ntied = "all"\nsize = 64\n[model.decoder]\nhidden_size = 64\n'
            "[tokenizer]\njoint = false",
            'model.embedding.tied: "all" needs one vocabulary for both languages: '
            'set tokenizer.joint to true, or tie only the "target"',
        ),
        (
            '[model.embedding]\ntied = "target"\nsize = 64',
            'model.embedding.tied: "target" needs model.decoder.hidden_size = '
            "model.embedding.size, got 512 and 64; set model.decoder.readout_size to 64",
        ),
        (
            '[model.decoder]\nattention = "dot"\nhidden_size = 256',
            'model.decoder.attention: "dot" needs states of one size, but the encoder yields '
            "512 (2 directions) and model.decoder.hidden_size is 256; make them equal or use "
            '"general"',
        ),
        (
            '[model]\ndropout = {weights = 0.1}\nencoder = {cell = "mingru"}\n'
            'decoder = {cell = "ssru"}',
            'model.dropout.weights: must be 0 since no cell has a recurrent product, "ssru" and '
            '"mingru" having none; use zoneout instead',
        ),
        (
            '[model.decoder]\nhidden_size = 250\nattention = {kind = "general", heads = 4}',
            "model.decoder.attention.heads: must divide model.decoder.hidden_size, 250, got 4",
        ),
        (
            '[model.decoder]\nattention = {kind = "additive", heads = 3}',
            "model.decoder.attention.heads: must divide the size of a source state, 512, got 3",
        ),
        (
            '[model]\ndropout = {attention = 0.1}\n[model.decoder]\nattention = "none"',
            'model.dropout.attention: must be 0 since model.decoder.attention is "none": there '
            "are no weights to drop",
        ),
        (
            '[model.decoder]\nattention = "none"\nattend = "before"',
            'model.decoder.attend: "before" needs an attention, but model.decoder.attention is '
            '"none"; choose one, or "after"',
        ),
        (
            '[model.decoder]\nlayers = 2\nattention = "none"\nattend = "between"',
            'model.decoder.attend: "between" needs an attention, but model.decoder.attention is '
            '"none"; choose one, or "after"',
        ),
        (
            '[model.decoder]\nattend = "between"',
            'model.decoder.attend: "between" needs model.decoder.layers = 2 or more, since layers '
            'above the first read what is attended to, got 1; add a layer, or use "after"',
        ),
        (
            '[model.decoder]\nattend = "before"\ninput_feeding = true',
            "model.decoder.input_feeding: feeds the attentional vector of the step before, which "
            'there is only with an attention and attend = "after"; set it to false',
        ),
        (
            '[model.decoder]\nattention = "none"\ninput_feeding = true',
            "model.decoder.input_feeding: feeds the attentional vector of the step before, which "
            'there is only with an attention and attend = "after"; set it to false',
        ),
        (
            '[model.decoder]\ninput = "none"\ninput_attention = "softmax"',
            'model.decoder.input_attention: needs an input, but model.decoder.input is "none"; set '
            'model.decoder.summary to "each_step", or leave it out',
        ),
        (
            '[model.decoder]\nhidden_size = 256\nbridge = "copy"',
            "model.decoder.hidden_size: must be that of the encoder, 512 (2 directions), since "
            'model.decoder.bridge is "copy", got 256; change it or use '
            'model.decoder.bridge = "last"',
        ),
        (
            '[model.decoder]\ncell = "gru"\nbridge = "copy"',
            'model.decoder.cell: must be that of the encoder, "lstm", since model.decoder.bridge '
            'is "copy", got "gru"; change it or use model.decoder.bridge = "last"',
        ),
        (
            '[model.decoder]\nlayers = 2\nbridge = "copy"',
            "model.decoder.layers: must be that of the encoder, 1, since model.decoder.bridge is "
            '"copy", got 2; change it or use model.decoder.bridge = "last"',
        ),
        (
            '[model]\nencoder = "bag"\ndecoder.bridge = "copy"',
            'model.decoder.bridge: "copy" needs the states of a recurrent encoder, which "bag" is '
            'not; change it or use model.decoder.bridge = "last"',
        ),
        (
            '[model.encoder]\ncell = "delays"\n[model.decoder]\ncell = "delays"\nbridge = "copy"',
            'model.decoder.bridge: "copy" needs cells with a single last state, but '
            'model.decoder.cell is "delays"; change it or use model.decoder.bridge = "last"',
        ),
        (
            '[model]\nencoder.cell = "gru"\ndecoder.cell = "rnn"\ndropout.zoneout_cell = 0.5',
            "model.dropout.zoneout_cell: needs a cell with a cell state, "
            '"lstm", "lnlstm" or "ssru", on either side; set it to 0 and use zoneout_hidden',
        ),
        (
            '[model]\nencoder.cell = "delays"\ndropout.recurrent = 0.5',
            'model.dropout.recurrent: must be 0 since model.encoder.cell is "delays": it would '
            "drop the last state alone, not those of longer delays; use zoneout_hidden instead",
        ),
        (
            '[model]\noutput = "copy"\ndecoder.attention = "local"',
            'model.output: "copy" needs attention that sums to 1, but the window of '
            'model.decoder.attention "local" takes from it; set its content to "none", or choose '
            "another",
        ),
        (
            '[model.decoder]\nhidden_size = 2\ncell = "clockwork"',
            "model.decoder.cell.periods: needs a unit for each of its 3 periods, but "
            "model.decoder.hidden_size is 2; leave periods out or add units",
        ),
        (
            '[tokenizer]\nkind = "char"\nsampling = 0.1',
            'tokenizer.sampling: needs tokenizer.kind "unigram" or "bpe", since "char" has '
            "only one segmentation; set it to 0",
        ),
        (
            '[model.decoder]\ninput = "none"\n[training]\nscheduled_sampling = "linear"',
            'training.scheduled_sampling: must be "none" when model.decoder.input is "none": '
            "such a decoder reads no previous piece that could be replaced",
        ),
        (
            "[validation]\naverage = 4",
            "validation.average: must be at most training.keep_best, got 4 and 1",
        ),
        (
            '[training.schedule]\nkind = "cosine"\nwarmup = 10\nupdates = 10',
            "training.schedule.warmup: must be less than training.schedule.updates, got 10 and 10; "
            "lower it as well, to 2 for example",
        ),
        (
            '[validation]\nevery = "10 minutes"',
            "validation.every: must be a number of updates above 0, or a time such as "
            '"90s", "10m", "2h", got "10 minutes"',
        ),
    ],
)
def test_sections_must_agree(folder, text, message):
    assert complaint(text) == f"toy.toml: {message}"


def test_source_and_target_may_be_the_same_language(folder):
    data = load(write(""), ["data.target=en"]).data
    assert (data.source, data.target) == ("en", "en")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (
            '[model.embedding]\ntied = "target"\nsize = 64\n[model.decoder]\nreadout_size = 64',
            {"model.embedding.tied": "target", "model.decoder.readout_size": 64},
        ),
        ('[model.decoder]\nattention = "dot"', {"model.decoder.attention.kind": "dot"}),
        ('[model.decoder]\nattention = "none"', {"model.decoder.attention.kind": "none"}),
        ('[tokenizer]\nkind = "word"', {"tokenizer.kind": "word"}),
    ],
)
def test_consistent_options_are_accepted_as_written(folder, text, keys):
    experiment = load(write(text))
    assert {key: attrgetter(key)(experiment) for key in keys} == keys


class TestSet:
    def test_a_value_is_toml_or_else_a_string(self, folder):
        experiment = load(
            write(""),
            [
                "training.learning_rate=5e-4",
                "model.encoder.bidirectional=false",
                "training.save_every=5m",
                "data.test=['a b.en', 'b.it']",
                'search.length_penalty="none"',
            ],
        )
        assert experiment.training.learning_rate == 5e-4
        assert experiment.model.encoder.bidirectional is False
        assert experiment.training.save_every == "5m"
        assert experiment.data.test == ("a b.en", "b.it")
        assert experiment.search.length_penalty == "none"

    def test_set_overrides_the_file_and_the_last_one_wins(self, folder):
        path = write("[training]\nseed = 1")
        assert load(path, ["training.seed=2", "training.seed=3"]).training.seed == 3

    def test_a_table_that_is_not_in_the_file_keeps_its_default_kind(self, folder):
        optimizer = load(write(""), ["training.optimizer.beta2=0.98"]).training.optimizer
        assert (optimizer.kind, optimizer.beta2) == ("adam", 0.98)

    def test_short_forms_are_expanded_first(self, folder):
        path = write('[model]\ndropout = 0.3\nencoder = { cell = "gru" }')
        model = load(path, ["model.dropout.readout=0.1", "model.encoder.cell.reset=before"]).model
        assert (model.dropout.layers, model.dropout.readout) == (0.3, 0.1)
        assert model.encoder.cell.reset == "before"

    def test_a_kind_can_be_set(self, folder):
        overrides = ["training.schedule.kind=cosine", "training.schedule.updates=9"]
        assert load(write(""), overrides).training.schedule.kind == "cosine"

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("modle.x=3", 'modle: unknown key (did you mean "model"?)'),
            (
                "model.encoder.hiden_size=3",
                'model.encoder.hiden_size: unknown key (did you mean "hidden_size"?)',
            ),
            ("training.seed=x", 'training.seed: must be a whole number, got "x"'),
        ],
    )
    def test_its_mistakes_name_the_option_instead_of_the_file(self, folder, setting, message):
        assert complaint("", setting) == f"--set {setting}: {message}"

    def test_a_value_cannot_hold_a_key(self, folder):
        said = complaint("", "training.seed=2", "training.seed.x=3")
        assert said == (
            "--set training.seed.x=3: training.seed is 2, not a table that could hold x"
        )


class TestUnreadableFiles:
    def complaint(self, path: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(Path(path))
        return str(caught.value)

    def test_a_missing_file_names_similar_ones(self, folder):
        write("", "de-en.toml")
        assert self.complaint("de-n.toml") == "de-n.toml: no such file (did you mean de-en.toml?)"

    def test_yaml_is_refused_with_the_form_to_use(self, folder):
        assert self.complaint("a.yaml").startswith(
            "a.yaml: configurations are TOML, not YAML; write it as a.toml "
            "(`nmt init` writes one to start from)"
        )

    def test_a_syntax_error_names_its_line(self, folder):
        Path("a.toml").write_text("[data]\nsource = en\n")
        assert self.complaint("a.toml") == (
            "a.toml:2, column 10: not TOML: Invalid value: source = en"
        )

    def test_an_unclosed_array_is_reported_at_the_last_line(self, folder):
        Path("a.toml").write_text("[data]\ntrain = [")
        assert self.complaint("a.toml").startswith("a.toml:2")

    def test_bad_utf8_names_its_line(self, folder):
        Path("a.toml").write_bytes(b"[data]\nsource = '\xff'\n")
        assert self.complaint("a.toml") == (
            "a.toml:2: byte 0xff is not UTF-8; save the file as UTF-8"
        )

    def test_a_file_that_cannot_be_read_is_reported_with_the_reason(self, folder):
        Path("a.toml").symlink_to("a.toml")
        assert self.complaint("a.toml") == (
            "a.toml: cannot be read: Too many levels of symbolic links; "
            "fix its mode, or take a copy of it"
        )

    def test_a_folder_is_refused(self, folder):
        assert self.complaint(".") == ".: is a folder; give the configuration file itself"
        Path("run").mkdir()
        Path("run/config.toml").touch()
        assert self.complaint("run") == (
            "run: is a folder; give the configuration file itself, run/config.toml"
        )


def test_relative_paths_start_at_the_folder_of_the_file(folder):
    experiment = load(write('test = ["../t.en", "/abs/t.it"]'))
    resolved = resolve_paths(experiment, folder / "conf").data
    assert resolved.train == (str(folder / "conf/train.en"), str(folder / "conf/train.it"))
    assert resolved.test == (str(folder / "t.en"), "/abs/t.it")
    assert experiment.data.train == ("train.en", "train.it")
    assert resolve_paths(load(write("")), folder).data.test is None


def test_a_missing_home_folder_is_named(folder):
    experiment = load(write('test = ["~nobody_of_this_name/t.en", "t.it"]'))
    expected = (
        "data.test: ~nobody_of_this_name/t.en: there is no home folder ~nobody_of_this_name; "
        "write the folder out, or ./~nobody_of_this_name if it is one of that name"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(expected)}$"):
        resolve_paths(experiment, folder)


def test_a_relative_base_becomes_absolute_too(folder):
    resolved = resolve_paths(load(write("")), Path("sub"))
    assert os.path.isabs(resolved.data.train[0])


class TestDump:
    def test_a_dumped_configuration_loads_back_equal(self, folder):
        experiment = load(
            write(
                '[model]\ndropout = 0.25\ninitialization = { kind = "sparse", nonzeros = 7 }\n'
                '[model.decoder]\nattention = "additive"\n'
                '[training]\nschedule = { kind = "cosine", updates = 7 }\nlearning_rate = 1e-9\n'
            ),
            ['data.train=["a \\"b\\" \\\\ c", "tab\\tü\\u007f"]'],
        )
        Path("again.toml").write_text(dump(experiment), encoding="utf-8")
        assert load(Path("again.toml")) == experiment

    def test_every_default_is_written_out_and_explained(self, folder):
        text = dump(load(write("")))
        experiment = load(write(""))
        for path in paths():
            key = path.split(".")[-1]
            node = experiment
            for part in path.split("."):
                node = getattr(node, part, None)
            if isinstance(node, int | float | str):
                assert f"\n{key} = {toml_value(node)}" in text
        assert "# Peak learning rate." in text
        assert max(map(len, text.splitlines())) <= 100

    def test_values_that_are_not_set_are_left_out(self, folder):
        assert "\ntest =" not in dump(load(write("")))

    def test_values_that_are_not_set_are_explained(self, folder):
        experiment = load(write(""))
        data = experiment.data.model_copy(update={"valid": None})
        text = dump(experiment.model_copy(update={"data": data}))
        assert "\n# valid is not set: Source and target file that select the best" in text
        assert "\n# test is not set: Source and target file to score" in text


def test_changes_are_dotted_keys_with_both_values(folder):
    old = load(write(""))
    assert changes(old, old) == []
    schedule = "training.schedule={kind = 'cosine', updates = 40}"
    settings = ["model.encoder.cell=gru", "data.test=['x','y']", schedule, "model.dropout=0.5"]
    new = load(write(""), settings)
    assert [str(change) for change in changes(old, new)] == [
        'data.test: none -> ["x", "y"]',
        'model.encoder.cell: "lstm" -> "gru"',
        "model.dropout.embedding: 0.0 -> 0.5",
        "model.dropout.layers: 0.0 -> 0.5",
        "model.dropout.readout: 0.0 -> 0.5",
        'training.schedule: "constant" -> { kind = "cosine", updates = 40 }',
    ]


def test_a_key_of_a_fixed_section_is_fixed_unless_it_is_marked_otherwise(folder):
    old = load(write(""))
    settings = [
        "data.max_length=9",
        "tokenizer.sampling=0.5",
        "training.seed=2",
        "tokenizer.kind=bpe",
    ]
    found = {change.key: change.fixed_by for change in changes(old, load(write(""), settings))}
    assert found == {
        "data.max_length": "the training data were prepared with it",
        "tokenizer.kind": "the training data were prepared with it",
        "tokenizer.sampling": "",
        "training.seed": "it decides the order of the data",
    }


@given(st.sampled_from(sorted(set(paths()))), st.sampled_from(["-1", "nan", "[]", "{}", "zz", ""]))
def test_any_value_of_any_key_loads_or_is_a_configuration_error(tmp_path_factory, key, value):
    path = tmp_path_factory.mktemp("fuzz") / "toy.toml"
    path.write_text(DATA)
    try:
        field = key.replace("tokenizer.from", "tokenizer.pieces_from")  # `from` is no Python name
        said = f"{key} = {attrgetter(field)(load(path, [f'{key}={value}']))}"
    except ConfigError as error:
        said = str(error)
    assert key.split(".")[0] in said
