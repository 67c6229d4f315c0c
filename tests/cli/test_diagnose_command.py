"""`nmt diagnose`: what it prints, draws and refuses."""

import json
import re

import pytest
from tiny import tiny, write_corpus

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
    assert "is a language model, whose own text has no reference; name a translation model." in (
        refused(capsys, "exposure", folder / "lm")
    )


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
