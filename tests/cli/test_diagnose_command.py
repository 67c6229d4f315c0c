"""`nmt diagnose`: what it prints, draws and refuses."""

import json
import re

import pytest
from tiny import CONFIG, tiny, write_corpus

from nmt.cli.diagnose import require_recurrence
from nmt.cli.main import run as nmt
from nmt.errors import UsageError
from nmt.training.run import RunOptions, run_training

LANGUAGE_MODEL = (
    'data.source=""',
    'data.train="train.yy"',
    'data.valid="valid.yy"',
    "model.encoder=none",
    "model.decoder.attention=none",
    "model.decoder.bridge=zero",
    "validation.metric=loss",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the runs "run" and "lm", both of one update."""
    folder = tmp_path_factory.mktemp("diagnose")
    write_corpus(folder)
    for name, settings in (("run", ()), ("lm", LANGUAGE_MODEL)):
        experiment = tiny(folder, "training.max_updates=1", *settings)
        assert run_training(experiment, folder / name, RunOptions()) == 0
    return folder


def printed(capsys, *arguments):
    assert nmt(["-q", "diagnose", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def refused(capsys, *arguments, code=2):
    assert nmt(["-q", "diagnose", *map(str, arguments)]) == code
    return capsys.readouterr().err


def test_gradients_of_a_run_are_tables_and_a_paragraph(folder, capsys):
    out = printed(capsys, "gradients", folder / "run", "--lines", 4)
    assert out.count("encoder 1 forward  encoder 1 backward  decoder 1") == 2
    assert "norm relative to lag 0" in out
    assert "by gate: norm of the gradient by its recurrent weights" in out
    assert "How to read it: encoder 1 forward: a gradient" in out


def test_figures_are_json_too(folder, capsys):
    for command in ("gradients", "spectrum"):
        record = json.loads(printed(capsys, command, folder / "run", "--json", "--lines", 4))
        assert (record["lines"], record["trained"]) == (4, True)
        assert [layer["name"] for layer in record["layers"]] == [
            "encoder 1 forward",
            "encoder 1 backward",
            "decoder 1",
        ]
        assert record["explanation"].startswith("How to read it:")
    record = json.loads(printed(capsys, "exposure", folder / "run", "--json"))
    assert record["sentences"] == 10
    assert len(record["positions"]) == 7


def test_a_named_text_is_read_instead_of_the_validation_files(folder, capsys):
    (folder / "other.tsv").write_text("a b\ta b\n")
    named = ("--source", folder / "valid.xx", "--target", folder / "valid.yy")
    default = printed(capsys, "gradients", folder / "run")
    assert printed(capsys, "gradients", folder / "run", *named) == default
    assert printed(capsys, "gradients", folder / "run", "--target", folder / "other.tsv") != default
    default = printed(capsys, "exposure", folder / "run")
    pair = (folder / "valid.xx", folder / "valid.yy")
    assert printed(capsys, "exposure", folder / "run", *pair) == default
    assert printed(capsys, "exposure", folder / "run", folder / "other.tsv") != default


def test_a_configuration_is_a_model_of_new_weights(folder, capsys):
    config = (folder / "tiny.toml", "--set", "model.encoder.cell=rnn", "--lines", 5)
    out = printed(capsys, "spectrum", *config)
    assert "encoder 1 forward state" in out
    record = json.loads(printed(capsys, "gradients", *config, "--json"))
    assert (record["lines"], record["trained"]) == (5, False)
    assert not (folder / "runs").exists()


def test_a_language_model_has_a_decoder_only(folder, capsys):
    record = json.loads(printed(capsys, "gradients", folder / "lm", "--json"))
    assert [layer["name"] for layer in record["layers"]] == ["decoder 1"]
    text = ("--target", folder / "valid.yy")
    assert json.loads(printed(capsys, "gradients", folder / "lm", "--json", *text)) == record
    assert (
        "is a language model, whose own text has no reference; measure it by `nmt score`, or "
        in (refused(capsys, "exposure", folder / "lm"))
    )


@pytest.mark.parametrize(
    ("settings", "layers"),
    [
        (("model.decoder=label",), ["encoder 1 forward", "encoder 1 backward"]),
        (("model.decoder=aligned",), ["encoder 1 forward", "encoder 1 backward"]),
        (
            (
                'model.encoder={kind="numbers", features=2, reader={kind="recurrent"}}',
                "model.decoder.attention=none",
            ),
            ["encoder 1 forward", "encoder 1 backward", "decoder 1"],
        ),
        (
            (
                'model.encoder={kind="numbers", features=2, reader={kind="recurrent"}}',
                "model.decoder=label",
                "model.output={kind='numbers', values=1}",
            ),
            ["encoder 1 forward", "encoder 1 backward"],
        ),
    ],
    ids=["label", "tags", "numbers to text", "regression"],
)
def test_models_of_labels_tags_and_numbers_are_examined_too(tmp_path, capsys, settings, layers):
    is_number, is_aligned = "numbers" in settings[0], "aligned" in settings[0]
    has_values = "values" in settings[-1]
    line = "0.5,1 0,2 1,1" if is_number else "a b c"
    target = "0.5" if has_values else "x y z" if is_aligned else "x"
    for part in ("train", "valid"):
        (tmp_path / f"{part}.xx").write_text(f"{line}\n" * 20)
        (tmp_path / f"{part}.yy").write_text(f"{target}\n" * 20)
    text = CONFIG.replace("encoder.hidden_size = 8\n", "") if is_number else CONFIG
    (tmp_path / "tiny.toml").write_text(text)
    given = [*settings, "validation.metric=loss"]
    options = [each for setting in given for each in ("--set", setting)]
    record = json.loads(printed(capsys, "gradients", tmp_path / "tiny.toml", "--json", *options))
    assert [layer["name"] for layer in record["layers"]] == layers
    assert record["lines"] == 20

    experiment = tiny(tmp_path, "training.max_updates=1", *given)
    assert run_training(experiment, tmp_path / "run", RunOptions()) == 0
    default = printed(capsys, "gradients", tmp_path / "run")
    named = ("--source", tmp_path / "valid.xx", "--target", tmp_path / "valid.yy")
    assert printed(capsys, "gradients", tmp_path / "run", *named) == default
    if layers[-1] != "decoder 1":
        said = refused(capsys, "exposure", tmp_path / "run")
        assert "so there is nothing to compare; measure it by `nmt evaluate`" in said


def test_lines_that_do_not_fit_the_model_are_refused(tmp_path, capsys):
    write_corpus(tmp_path)
    for part in ("train", "valid"):
        (tmp_path / f"{part}.yy").write_text(
            "x\n" * len((tmp_path / f"{part}.xx").read_text().splitlines())
        )
    settings = ("training.max_updates=1", "model.decoder=label", "validation.metric=loss")
    assert run_training(tiny(tmp_path, *settings), tmp_path / "run", RunOptions()) == 0
    (tmp_path / "two.tsv").write_text("a b\tx y\n")
    said = refused(capsys, "gradients", tmp_path / "run", "--target", tmp_path / "two.tsv", code=3)
    assert 'the target `x y`: has 2 words, but model.decoder.kind "label" needs one a line' in said


def test_an_output_that_copies_reads_ids_of_its_own(folder, capsys):
    experiment = tiny(folder, "training.max_updates=1", "model.output=copy")
    assert run_training(experiment, folder / "copy", RunOptions()) == 0
    default = printed(capsys, "exposure", folder / "copy")
    pair = (folder / "valid.xx", folder / "valid.yy")
    assert printed(capsys, "exposure", folder / "copy", *pair) == default
    config = (folder / "tiny.toml", "--set", "model.output=copy", "--lines", 3)
    assert "decoder 1: a gradient" in printed(capsys, "gradients", *config)


@pytest.mark.parametrize("command", ["gradients", "spectrum", "exposure"])
def test_a_picture_is_written(folder, tmp_path, capsys, command):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "picture.svg"
    printed(capsys, command, folder / "run", "-o", picture)
    assert "<svg" in picture.read_text()
    assert "end its name in one of .svg, .png, .pdf" in refused(
        capsys, command, folder / "run", "-o", tmp_path / "picture.txt"
    )


def test_the_surface_of_a_unit_needs_no_model(tmp_path, capsys):
    """Gradient and curvature explode together, with the figures of the lectures."""
    pytest.importorskip("matplotlib")
    out = printed(capsys, "surface", "-o", tmp_path / "cliff.svg")
    found = dict(re.findall(r"^(\w+(?: \w+)*) +([\d.e+]+)$", out, re.MULTILINE))
    assert int(found["points"]) == 41 * 73
    assert float(found["rank correlation"]) == pytest.approx(0.964, abs=5e-4)
    assert float(found["alignment"]) == pytest.approx(0.994, abs=5e-4)
    assert float(found["largest gradient"]) == pytest.approx(26, abs=0.5)
    assert float(found["median gradient"]) == pytest.approx(0.06, abs=0.005)
    assert "their ranks correlate by 0.96" in out
    assert "<svg" in (tmp_path / "cliff.svg").read_text()


def test_wrong_combinations_are_refused(folder, capsys):
    run, config = folder / "run", folder / "tiny.toml"
    source, target = ("--source", folder / "valid.xx"), ("--target", folder / "valid.yy")
    assert "needs the other side as well; add --target FILE." in refused(
        capsys, "gradients", run, *source
    )
    assert "holds a translation model; add --source FILE." in refused(
        capsys, "gradients", run, *target
    )
    assert "holds a language model; leave --source out." in refused(
        capsys, "gradients", folder / "lm", *source, *target
    )
    assert "valid.xx: is a file; name a run folder, a model folder or a configuration (.toml)." in (
        refused(capsys, "gradients", folder / "valid.xx", code=4)
    )
    assert "is for a configuration, and" in refused(
        capsys, "spectrum", run, "--set", "training.seed=2"
    )
    assert "is not a .toml file; leave --set out." in refused(
        capsys, "spectrum", run, "--set", "training.seed=2"
    )
    said = refused(capsys, "spectrum", config, "--checkpoint", "last")
    assert "--checkpoint last: is for a trained model, but" in said
    assert "is a configuration; name a run folder, or leave the option out." in said
    assert "no such folder" in refused(capsys, "gradients", folder / "absent", code=4)


@pytest.mark.parametrize("command", ["gradients", "exposure"])
def test_a_model_folder_needs_a_text(folder, capsys, command):
    said = refused(capsys, command, folder / "run" / "model")
    assert "has no prepared data to read; name the files of a text, or a run folder." in said


def test_a_model_without_recurrent_layers_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"has no recurrent layer, so nothing is carried through"):
        require_recurrence(tmp_path, [])
    with pytest.raises(UsageError, match=r"carried through time; name a model with one\."):
        require_recurrence(tmp_path, [])


def test_data_of_other_pieces_are_refused(folder, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    (other / "model").symlink_to(folder / "run" / "model")
    (other / "data").symlink_to(folder / "lm" / "data")
    assert (
        "was prepared with other pieces than those of the model; name the files of a text."
        in refused(capsys, "gradients", other)
    )


def test_a_text_of_empty_or_endless_lines_is_refused(folder, tmp_path, capsys):
    text = tmp_path / "text.tsv"
    text.write_text(f"\t\n{'a ' * 500}\t{'a ' * 500}\n")
    said = refused(capsys, "gradients", folder / "run", "--target", text, code=3)
    assert "no line can be examined; name a text with lines of 1 to 399 pieces." in said
