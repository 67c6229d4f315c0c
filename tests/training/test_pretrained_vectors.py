"""Pretrained embeddings: read, covered, frozen, and not needed again."""

import gzip

import pytest
import torch
from tiny import tiny, write_corpus

from nmt.config.model import ModelConfig
from nmt.config.training import TrainingConfig
from nmt.errors import ConfigError, DataError
from nmt.layers.embedding import Embedding
from nmt.models.build import build_model
from nmt.models.checkpoints import list_checkpoints
from nmt.models.pretrained import embedding_of
from nmt.models.vectors import FrozenRows, read_vectors, write_vectors
from nmt.storage.tensors import load_tensors
from nmt.text.subword import Subword
from nmt.training.optimizer import build_optimizer
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

PIECES = ("<pad>", "<unk>", "<s>", "</s>", "▁the", "▁cat", "s", "▁")


def test_an_embedding_returns_the_vectors_of_the_file(tmp_path):
    """The word of a piece counts, with or without a head; special pieces have no vector."""
    table = torch.randn(4, 3)
    write_vectors(tmp_path / "head.vec", ["cat", "</s>", "s", "the"], table)
    text = (tmp_path / "head.vec").read_text()
    (tmp_path / "bare.txt").write_text(text.split("\n", 1)[1])
    (tmp_path / "packed.gz").write_bytes(gzip.compress(text.encode()))

    for name in ("head.vec", "bare.txt", "packed.gz"):
        embedding = Embedding(len(PIECES), 3)
        embedding.reset_parameters()
        before = embedding.weight.detach().clone()
        vectors = read_vectors(tmp_path / name, PIECES, 3)
        vectors.copy_into(embedding)

        assert vectors.coverage == "2 of 4 pieces (50.0 %)"
        torch.testing.assert_close(embedding(torch.tensor([[4, 5]]))[0], table[[3, 0]])
        others = [0, 1, 2, 3, 6, 7]
        assert torch.equal(embedding.weight[others], before[others])


def test_a_file_may_name_pieces_as_sentencepiece_does(tmp_path):
    write_vectors(tmp_path / "v", ["▁the", "cat", "s"], torch.randn(3, 2))

    assert read_vectors(tmp_path / "v", PIECES, 2).rows.tolist() == [4, 6]


def test_words_with_spaces_are_read_as_glove_writes_them(tmp_path):
    (tmp_path / "v").write_text(". . 1 2\ncat 3 4 \n")

    vectors = read_vectors(tmp_path / "v", PIECES, 2)
    assert vectors.values.tolist() == [[3, 4]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            text,
            f": has vectors of {found} numbers, but model.embedding.size is 2; set "
            f"model.embedding.size = {found}, or name another file.",
        )
        for text, found in (("cat 1 2 3\n", 3), ("2 5\ncat 1 2 3 4 5\n", 5), ("the 1\n", 1))
    ]
    + [
        ("a 1 2\n\n", ":2: is not a word and 2 numbers; repair the file."),
        ("a 1 2\ncat 1 x\n", ":2: could not convert string to float: 'x'; repair the file."),
        ("a 1 2\ncat 1 nan\n", ":2: has a number that is not finite; repair the file."),
        (
            "der 1 2\n",
            ": has a vector for none of 4 pieces; is it of this language, and written in the same "
            "case? Else leave it out.",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, text, message):
    (tmp_path / "v").write_text(text)

    with pytest.raises(DataError) as error:
        read_vectors(tmp_path / "v", PIECES, 2)
    assert str(error.value) == f"{tmp_path / 'v'}{message}"


def test_a_model_without_embeddings_can_have_no_vectors():
    model = build_model(
        ModelConfig.model_validate(
            {
                "encoder": {"kind": "none"},
                "decoder": {"attention": "none", "bridge": "zero", "hidden_size": 4},
                "embedding": {"size": 3},
            }
        ),
        source_vocab=9,
        target_vocab=9,
    )

    assert embedding_of(model, "target") is model.decoder.embedding
    with pytest.raises(ConfigError) as error:
        embedding_of(model, "source")
    assert str(error.value) == (
        "model.embedding.source_vectors: the model embeds no source pieces; leave it out."
    )


@pytest.mark.parametrize(
    "optimizer",
    [
        {"kind": "adamw", "weight_decay": 0.1},
        {"kind": "adam", "weight_decay": 0.1},
        {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.1},
    ],
    ids=lambda options: options["kind"],
)
def test_frozen_rows_stay_bit_for_bit_and_the_others_learn(optimizer):
    config = TrainingConfig.model_validate({"optimizer": optimizer}).optimizer
    embedding = Embedding(6, 4)
    embedding.reset_parameters()
    stepper = build_optimizer(config, embedding.parameters(), 0.1)
    FrozenRows(embedding.weight, torch.tensor([1, 4]), stepper)
    before = embedding.weight.detach().clone()
    for _ in range(3):
        stepper.zero_grad()
        embedding(torch.arange(6).unsqueeze(0)).square().sum().backward()
        assert embedding.weight.grad[[1, 4]].count_nonzero() == 0
        stepper.step()

    same = (embedding.weight == before).all(dim=1)
    assert same.tolist() == [False, True, False, False, True, False]


def vectors_of(folder, subword: Subword, size: int = 12) -> torch.Tensor:
    """Write vectors of all letters but the last, and return the ids that have one."""
    pieces = subword.pieces(range(4, subword.vocab_size))
    words = [piece.removeprefix("▁") for piece in pieces]
    write_vectors(folder / "letters.vec", words[:-1], torch.randn(len(words) - 1, size))
    return torch.arange(4, subword.vocab_size - 1)


@pytest.mark.parametrize("tied", ["none", "target"])
def test_a_run_keeps_frozen_vectors_and_resumes_without_their_file(tmp_path, tied, caplog):
    write_corpus(tmp_path)
    plain = tiny(tmp_path, "training.max_updates=1")
    run_training(plain, tmp_path / "first", RunOptions())
    frozen = vectors_of(tmp_path, Translator.load(tmp_path / "first").target)
    options = (
        "model.embedding.target_vectors={file = 'letters.vec', freeze = true}",
        f"model.embedding.tied={tied}",
        "model.decoder.readout_size=12",
        "training.optimizer={kind = 'adamw', weight_decay = 0.1}",
        "training.ema=0.5",
        "training.l2=0.01",
    )

    def train(name: str, updates: int) -> dict[str, torch.Tensor]:
        caplog.clear()
        run = tmp_path / name
        experiment = tiny(tmp_path, *options, f"training.max_updates={updates}")
        assert run_training(experiment, run, RunOptions()) == 0
        return load_tensors(list_checkpoints(run)[-1] / "model.safetensors")

    whole = train("whole", 6)
    message = f"target vectors: 9 of 10 pieces (90.0 %) are in {tmp_path / 'letters.vec'}"
    assert any(line == f"{message}, and stay as they are" for line in caplog.messages)
    started = train("pieces", 3)
    (tmp_path / "letters.vec").unlink()
    resumed = train("pieces", 6)

    name = "decoder.embedding.weight"
    assert torch.equal(resumed[name][frozen], started[name][frozen])
    learning = [3, *range(int(frozen[-1]) + 1, len(resumed[name]))]
    assert not torch.equal(resumed[name][learning], started[name][learning])
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    averaged = load_tensors(list_checkpoints(tmp_path / "pieces")[-1] / "ema.safetensors")
    assert torch.equal(averaged[name][frozen], started[name][frozen])
    config = Translator.load(tmp_path / "pieces")  # needs no file either
    assert config.has_source
    assert "letters.vec" not in (tmp_path / "pieces/model/config.json").read_text()


def test_a_missing_file_is_refused_before_anything_is_prepared(tmp_path):
    experiment = tiny(tmp_path, "model.embedding.source_vectors=none.vec")

    with pytest.raises(DataError, match=r"none\.vec: no such file"):
        run_training(experiment, tmp_path / "run", RunOptions())
    assert not (tmp_path / "run" / "data").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("model.embedding.target_vectors.freeze=true",),
            "model.embedding.target_vectors.freeze: there is nothing to keep",
        ),
        (
            (
                "model.embedding.tied=all",
                "model.decoder.readout_size=12",
                "model.embedding.source_vectors=a.vec",
                "model.embedding.target_vectors=b.vec",
            ),
            "model.embedding.source_vectors: both sides share one matrix with model.embedding.tied",
        ),
    ],
)
def test_contradictions_about_vectors_are_refused(tmp_path, options, message):
    with pytest.raises(ConfigError) as error:
        tiny(tmp_path, *options)
    assert message in str(error.value)
