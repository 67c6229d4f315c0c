import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nmt import __version__
from nmt.cli.main import run
from nmt.storage.checksums import write_checksums
from nmt.storage.files import write_json
from nmt.text.subword import Subword, load_subwords

LINES = ["der große Hund", "die Katze  läuft", "", "ein Hund 😀"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "subword.model"
    Subword.train(LINES * 9, path, kind="unigram", vocab_size=320)
    return path


@pytest.fixture
def tokenize(monkeypatch, capsysbinary):
    def call(model: Path, *options: str, lines: list[str]) -> list[str]:
        data = "".join(f"{line}\n" for line in lines).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert run(["tokenize", str(model), *options]) == 0
        return capsysbinary.readouterr().out.decode().split("\n")[:-1]

    return call


def test_a_checkpoint_stands_for_its_run(model, tokenize, tmp_path):
    checkpoint = tmp_path / "checkpoints" / "update-000050"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").touch()
    write_prepared(tmp_path / "data", {"subword": model})
    assert tokenize(checkpoint, lines=LINES) == tokenize(tmp_path, lines=LINES)


def test_text_is_split_into_pieces(model, tokenize):
    subword = Subword.load(model)
    pieces = tokenize(model, lines=LINES)
    assert pieces == [" ".join(subword.pieces(subword.encode(line))) for line in LINES]


@pytest.mark.parametrize("options", [[], ["--ids"], ["--sample", "0.2"]])
def test_pieces_are_decoded_to_the_same_text(options, model, tokenize):
    pieces = tokenize(model, *options, lines=LINES)
    back = [option for option in options if option == "--ids"]
    assert tokenize(model, "--decode", *back, lines=pieces) == LINES


def test_ids_are_numbers(model, tokenize):
    ids = tokenize(model, "--ids", lines=LINES)
    assert [list(map(int, line.split())) for line in ids] == [
        Subword.load(model).encode(line) for line in LINES
    ]


def test_a_seed_makes_random_segmentations_reproducible(model, tokenize):
    sample = ["--sample", "0.2", "--ids"]
    first = tokenize(model, *sample, "--seed", "1", lines=LINES)
    assert tokenize(model, *sample, "--seed", "1", lines=LINES) == first
    assert tokenize(model, *sample, "--seed", "2", lines=LINES) != first


@pytest.fixture
def copied(model_folder, tmp_path) -> Path:
    """Return a run folder with a copy of a model folder, which may be changed."""
    shutil.copytree(model_folder, tmp_path / "model")
    return tmp_path


SUMMARY = {
    **dict.fromkeys(("pairs", "kept", "valid_pairs", "valid_kept"), 1),
    "dropped": {},
    "joint": True,
    "source_vocab": 9,
    "target_vocab": 9,
    "unknown_percent": 0.0,
}


def write_prepared(folder: Path, models: dict[str, Path], **changes: object) -> None:
    """Write what `nmt tokenize` reads from a prepared folder; `models` by side, or joint."""
    folder.mkdir(exist_ok=True)
    for name, path in models.items():
        (folder / f"{name}.model").write_bytes(path.read_bytes())
    record = {
        "format": 3,
        "nmt": __version__,
        "sentencepiece": "0",
        "key": "",
        "bad_lines": "error",
        "inputs": {},
        "summary": SUMMARY,
        "normalization": {"unicode": "nfc", "whitespace": True},
        "subword": [subword.fingerprint for subword in load_subwords(folder)],
    }
    write_json(folder / "preparation.json", record | changes)


@pytest.mark.parametrize("place", ["run", "run/model"])
def test_a_model_folder_normalises_text_as_configured(place, copied, tokenize):
    folder = copied if place == "run" else copied / "model"
    messy, clean = [" a   cat\tsings "], ["a cat sings"]
    assert tokenize(folder, lines=messy) == tokenize(copied / "model/subword.model", lines=clean)


@pytest.mark.parametrize("place", ["data", "."])
def test_prepared_data_normalise_text_as_configured(place, model, tmp_path, tokenize):
    write_prepared(tmp_path / place, {"subword": model})
    messy, clean = [" der   große\tHund "], ["der große Hund"]
    assert tokenize(tmp_path, lines=messy) == tokenize(model, lines=clean)


def test_the_side_option_selects_one_of_two_models(tmp_path, tokenize):
    models = {side: tmp_path / f"{side}-pieces" for side in ("source", "target")}
    for side, line in (("source", "Hund"), ("target", "dog")):
        Subword.train([line] * 5, models[side], kind="word", vocab_size=20)
    write_prepared(tmp_path / "data", models)
    assert tokenize(tmp_path, lines=["Hund dog"]) == ["▁Hund <unk>"]
    assert tokenize(tmp_path, "--side", "target", lines=["Hund dog"]) == ["<unk> ▁dog"]


@pytest.mark.parametrize("name", ["config.json", "subword.model", "model.safetensors"])
def test_a_damaged_model_folder_is_refused(name, copied, capsys):
    content = bytearray((copied / "model" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / "model" / name).write_bytes(content)
    assert run(["tokenize", str(copied)]) == 4
    assert f"{name}: is damaged or was changed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda config: [],
            f"has format version None, and nmt {__version__} reads version 2; install the nmt that "
            "wrote it (unknown).",
        ),
        (lambda config: {"format_version": 2}, "nmt_version: is missing"),
        (lambda config: config | {"whitespace": True}, "whitespace: is an unknown key"),
        (
            lambda config: config | {"normalization": {"unicode": "zzz"}},
            "normalization.unicode: must be 'off', 'nfc' or 'nfkc'",
        ),
        (
            lambda config: config | {"model": {"embedding": {"size": 8, "tied": "target"}}},
            'model.embedding.tied: "target" needs model.decoder.hidden_size = model.embedding.s',
        ),
        (lambda config: config | {"source_vocab": 7}, "source subword model has 320 pieces"),
    ],
)
def test_an_edited_configuration_is_refused_as_in_translate(change, message, copied, capsys):
    config = copied / "model" / "config.json"
    write_json(config, change(json.loads(config.read_text())))
    write_checksums(copied / "model")
    said = set()
    for command in ("tokenize", "translate"):
        assert run([command, str(copied)]) == 4
        said.add(capsys.readouterr().err)
    (error,) = said
    assert message in error


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalization": {"unicode": "zzz"}}, "preparation.json: is damaged; rewrite it with"),
        ({"normalization": None}, "preparation.json: is damaged; rewrite it with `nmt prepare`."),
        (
            {"subword": ["0" * 64] * 2},
            "are not those that preparation.json names; rewrite them with `nmt prepare`.",
        ),
    ],
)
def test_damaged_prepared_data_are_refused(changes, message, model, tmp_path, capsys):
    write_prepared(tmp_path / "data", {"subword": model}, **changes)
    assert run(["tokenize", str(tmp_path)]) == 4
    assert message in capsys.readouterr().err


def test_finding_the_subword_model_does_not_import_torch():
    code = "import sys, nmt.models.description; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "line", "message"),
    [
        (
            [],
            "▁ nonsense",
            "stdin:1: `nonsense` is not a piece of this model; the text was probably made with "
            "another model, use that one.",
        ),
        (["--ids"], "5 x", "stdin:1: `x` is not an id from 0 to "),
        (["--ids"], "99999", "stdin:1: `99999` is not an id from 0 to "),
        (["--ids"], "9" * 5000, "999` is not an id from 0 to "),
    ],
    ids=["no piece", "no number", "too large", "beyond Python's limit"],
)
def test_input_that_cannot_be_decoded_is_named(options, line, message, model, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line.encode())))
    assert run(["tokenize", str(model), "--decode", *options]) == 3
    assert message in capsys.readouterr().err


def test_a_file_that_is_no_model_is_refused(tmp_path, capsys):
    (tmp_path / "README.md").write_text("# text\n")
    assert run(["tokenize", str(tmp_path / "README.md")]) == 4
    assert (
        "README.md: is not a subword model; name a run folder, a model folder or a .model file."
        in capsys.readouterr().err
    )


def test_pieces_of_the_other_side_and_ids_are_named_as_such(tmp_path, monkeypatch, capsys):
    models = {side: tmp_path / f"{side}-pieces" for side in ("source", "target")}
    for side, line in (("source", "Hund"), ("target", "dog")):
        Subword.train([line] * 5, models[side], kind="word", vocab_size=20)
    write_prepared(tmp_path / "data", models)

    def refused(line: str, *options: str) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{line}\n".encode())))
        assert run(["tokenize", str(tmp_path), "--decode", *options]) == 3
        return capsys.readouterr().err

    other = "is not a piece of this model; it is one of the other side, use --side"
    assert f"stdin:1: `▁dog` {other} target." in refused("▁dog")
    assert f"stdin:1: `▁Hund` {other} source." in refused("▁Hund", "--side", "target")
    assert "`12` is not a piece of this model; to decode ids, add --ids." in refused("12")


def test_sampling_while_decoding_is_refused(model, capsys):
    assert run(["tokenize", str(model), "--decode", "--sample", "0.1"]) == 2
    wrong = "--sample makes pieces and --decode reads them; omit one."
    assert wrong in capsys.readouterr().err


def test_a_folder_without_a_model_exits_with_4(tmp_path, capsys):
    assert run(["tokenize", str(tmp_path)]) == 4
    assert capsys.readouterr().err == (
        f"error: {tmp_path}: holds no subword.model or source.model; "
        "name a run folder, a model folder or a .model file.\n"
    )
