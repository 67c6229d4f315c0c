import json
import shutil

import pytest
import torch

from nmt.config.search import SearchConfig
from nmt.errors import ModelError
from nmt.models import folder as module
from nmt.models.description import FORMAT_VERSION, find_model_folder
from nmt.models.folder import load_model_folder
from nmt.storage.checksums import write_checksums
from nmt.storage.files import write_json
from nmt.text.training_text import TrainingTextSurvey


@pytest.fixture
def copied(model_folder, tmp_path):
    """Return a copy that may be changed."""
    return shutil.copytree(model_folder, tmp_path / "model")


def edit_config(folder, change) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    write_json(folder / "config.json", config)
    write_checksums(folder)


def test_a_saved_model_is_loaded_back(model_folder):
    loaded = load_model_folder(model_folder)
    again = load_model_folder(model_folder)
    assert loaded.config.source_language == "en"
    assert loaded.config.target_language == "it"
    assert loaded.config.search == SearchConfig(beam=3, max_length_factor=1.0, max_length_offset=6)
    assert loaded.source is loaded.target
    assert loaded.source.vocab_size == loaded.config.source_vocab
    assert not loaded.model.training
    source = torch.tensor([[5, 9, 3]])
    first, second = (
        side.model.encode(source, torch.ones_like(source, dtype=torch.bool)).states
        for side in (loaded, again)
    )
    assert torch.equal(first, second)


def test_a_folder_says_what_its_training_text_looked_like_and_older_ones_do_not(copied):
    survey = TrainingTextSurvey("en")
    survey.add("One. Two “three”.", "Uno. Due 三.", pieces=(7, 6))
    figures = survey.result()
    edit_config(copied, lambda config: config.update(training_text=figures.model_dump()))
    assert load_model_folder(copied).config.training_text == figures
    edit_config(copied, lambda config: config.pop("training_text"))
    assert load_model_folder(copied).config.training_text is None


def test_the_folder_holds_the_documented_files(model_folder):
    names = {path.name for path in model_folder.iterdir()}
    assert names == {
        "README.md",
        "SHA256SUMS",
        "config.json",
        "model.safetensors",
        "subword.model",
    }
    card = (model_folder / "README.md").read_text(encoding="utf-8")
    assert "en → it" in card
    assert "29,000" in card
    assert "BLEU (valid): 38.20" in card
    assert "nmt translate MODEL -i text.en -o text.it" in card
    assert 'Translator.load("MODEL")' in card  # not from inside the folder, which may contain code


@pytest.mark.parametrize("reader", ["describe_model_folder", "load_tensors"])
def test_a_folder_that_is_replaced_while_it_is_read_is_read_again(
    make_model_folder, copied, monkeypatch, reader
):
    """A run ships new weights meanwhile: checksums then seem wrong, or files are of two models."""
    other = make_model_folder(joint=False)
    expected = load_model_folder(other)
    read, calls = getattr(module, reader), []

    def read_late(path):
        calls.append(path)
        if len(calls) == 1:
            copied.rename(copied.with_name("previous"))
            other.rename(copied)
            if reader == "describe_model_folder":
                raise ModelError("model.safetensors: is damaged or was changed")
        return read(path)

    monkeypatch.setattr(module, reader, read_late)
    found = load_model_folder(copied)
    assert len(calls) == 2
    assert found.target.fingerprint == expected.target.fingerprint
    for weight, wanted in zip(found.model.parameters(), expected.model.parameters(), strict=True):
        assert torch.equal(weight, wanted)


def test_separate_subword_models_are_two_files(make_model_folder):
    folder = make_model_folder(joint=False)
    assert (folder / "source.model").is_file()
    assert (folder / "target.model").is_file()
    loaded = load_model_folder(folder)
    assert loaded.source.fingerprint != loaded.target.fingerprint


def test_tied_weights_are_stored_once_and_stay_tied(make_model_folder, model_folder):
    folder = make_model_folder(
        model={"embedding": {"size": 8, "tied": "all"}, "decoder": {"readout_size": 8}}
    )
    model = load_model_folder(folder).model
    assert model.encoder.embedding.weight is model.decoder.embedding.weight
    assert model.output.project.weight is model.decoder.embedding.weight
    stored = (folder / "model.safetensors").stat().st_size
    assert stored < 4 * sum(weight.numel() for weight in model.parameters()) + 10_000


def test_a_run_folder_is_accepted_in_place_of_its_model_folder(model_folder):
    assert find_model_folder(model_folder.parent) == model_folder
    assert load_model_folder(model_folder.parent).config == load_model_folder(model_folder).config


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(
        ModelError, match=r"nowhere: no such folder; name a run folder or a model folder\."
    ):
        load_model_folder(tmp_path / "nowhere")
    with pytest.raises(
        ModelError,
        match=r": is neither a run nor a model folder: .*; name one that `nmt train` or "
        r"`nmt average` wrote\.",
    ):
        load_model_folder(tmp_path)
    (tmp_path / "config.toml").touch()
    with pytest.raises(ModelError, match="holds no model yet; a run has one after its first valid"):
        load_model_folder(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "subword.model"])
def test_damage_is_found_and_named(copied, name):
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name}: is damaged or was changed"):
        load_model_folder(copied)


@pytest.mark.parametrize("name", ["model.safetensors", "subword.model", "SHA256SUMS"])
def test_a_missing_file_is_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        load_model_folder(copied)


@pytest.mark.parametrize("name", ["model.safetensors", "subword.model", "config.json"])
def test_a_file_without_a_checksum_is_refused(copied, name):
    sums = (copied / "SHA256SUMS").read_text().splitlines(keepends=True)
    (copied / "SHA256SUMS").write_text("".join(line for line in sums if name not in line))
    with pytest.raises(ModelError, match=rf"{name}: is missing from SHA256SUMS; restore that list"):
        load_model_folder(copied)


@pytest.mark.parametrize("version", [FORMAT_VERSION - 1, FORMAT_VERSION + 1])
def test_another_format_is_refused_with_the_version_that_reads_it(copied, version):
    edit_config(copied, lambda config: config.update(format_version=version, nmt_version="0.9.0"))
    text = rf"format version {version}, .*reads version {FORMAT_VERSION}; .*\(0\.9\.0\)"
    with pytest.raises(ModelError, match=text):
        load_model_folder(copied)


def test_a_wrong_key_of_the_configuration_is_named(copied):
    edit_config(copied, lambda config: config["model"]["encoder"].update(hiden_size=4))
    with pytest.raises(ModelError, match=r"config\.json: model\.encoder\.hiden_size"):
        load_model_folder(copied)


def test_a_configuration_that_contradicts_itself_is_refused(copied):
    edit_config(copied, lambda config: config["model"]["embedding"].update(tied="target"))
    with pytest.raises(ModelError, match=r"config\.json: model\.embedding\.tied: \"target\" needs"):
        load_model_folder(copied)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff"])
def test_a_configuration_that_is_not_json_is_refused(copied, text):
    (copied / "config.json").write_text(text, encoding="latin-1")
    write_checksums(copied)
    with pytest.raises(ModelError, match=r"config\.json: is damaged, not JSON"):
        load_model_folder(copied)


def test_sizes_that_the_weights_cannot_have_are_refused_before_memory_is_taken(copied):
    edit_config(copied, lambda config: config["model"]["encoder"].update(hidden_size=10**6))
    with pytest.raises(ModelError, match=r"model\.encoder\.hidden_size is 1,000,000"):
        load_model_folder(copied)


def test_weights_of_another_configuration_are_refused(copied):
    edit_config(copied, lambda config: config["model"]["decoder"].update(hidden_size=11))
    with pytest.raises(
        ModelError,
        match=r"does not fit the configured model: weight `decoder\..*two models are mixed",
    ):
        load_model_folder(copied)


def test_pieces_of_another_model_are_refused(copied):
    edit_config(copied, lambda config: config.update(target_vocab=299))
    with pytest.raises(ModelError, match=r"target subword model has .* says 299"):
        load_model_folder(copied)
