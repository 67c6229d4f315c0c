"""What a run says about its validations: the tokenizer, collapsed output, baselines."""

from pathlib import Path

import pytest
from tiny import entries, tiny, train_tiny, write_corpus

from nmt.errors import ConfigError, UsageError


def train(folder: Path, *overrides: str) -> Path:
    return train_tiny(folder, "validation.metric=bleu", "validation.every=5", *overrides)


def write_chinese(folder: Path) -> None:
    """Write the tiny corpus with a target of Chinese characters without spaces."""
    write_corpus(folder)
    letters = str.maketrans("abcdefghij", "我有三个苹果他在家里", " ")
    for part in ("train", "valid"):
        file = folder / f"{part}.yy"
        file.write_text(file.read_text(encoding="utf-8").translate(letters), encoding="utf-8")


def test_chinese_is_scored_by_its_characters_and_the_model_card_says_so(tmp_path, caplog):
    write_chinese(tmp_path)
    run = train(tmp_path, "tokenizer.kind=char", "training.max_updates=10")
    assert {entry["tokenizer"] for entry in entries(run, "valid")} == {"zh"}
    assert "BLEU on the validation files: tokenizer zh" in caplog.text
    assert any(line.startswith("valid ") and " (zh)  chrF" in line for line in caplog.messages)
    assert "(greedy, tok:zh)" in (run / "model" / "README.md").read_text(encoding="utf-8")


def test_a_tokenizer_that_finds_no_words_is_doubted(tmp_path, caplog):
    write_chinese(tmp_path)
    chosen = ("validation.tokenize=13a", "training.max_updates=5")
    run = train(tmp_path, "tokenizer.kind=char", *chosen)
    assert "references hardly have spaces" in caplog.text
    assert {entry["tokenizer"] for entry in entries(run, "valid")} == {"13a"}


def test_collapsed_output_is_named_at_each_validation_and_explained_once(tmp_path, caplog):
    run = train(tmp_path, "training.learning_rate=1e-9")
    named = [entry["collapse"] for entry in entries(run, "valid")]
    assert len(named) == 4
    assert all(" % of the lines " in names[0] for names in named)
    assert caplog.text.count("as is common early in training") == 1
    assert caplog.text.count("last validation: ") == 1
    assert "lower training.learning_rate (now 1e-09)" in caplog.text


def test_collapsed_samples_are_named_where_only_the_loss_is_measured(tmp_path, caplog):
    run = train(tmp_path, "training.learning_rate=1e-9", "validation.metric=loss")
    assert all(entry["collapse"] for entry in entries(run, "valid"))
    assert caplog.text.count("as is common early in training") == 1
    assert "last validation: " in caplog.text


def test_the_score_of_copying_is_told_at_the_first_validation_and_if_it_is_better(tmp_path, caplog):
    train(tmp_path)  # the task is to copy
    assert caplog.text.count("copying the source: BLEU 100.0, chrF 100.0") == 1
    assert "copying the source scores more than the model: BLEU 100.0" in caplog.text
    assert "the most frequent line" not in caplog.text  # it scores nothing


def test_the_score_of_the_most_frequent_line_is_told_if_it_is_more_than_chance(tmp_path, caplog):
    write_corpus(tmp_path)
    for part in ("train", "valid"):
        source = (tmp_path / f"{part}.xx").read_text(encoding="utf-8").splitlines()
        answers = ["a b c d e" if number % 3 else line for number, line in enumerate(source)]
        (tmp_path / f"{part}.yy").write_text("\n".join(answers) + "\n", encoding="utf-8")
    train(tmp_path, "training.learning_rate=1e-9")
    said = "the most frequent line of the training text"
    assert caplog.text.count(f"{said}: BLEU ") == 1
    assert f"{said} scores more than the model: BLEU " in caplog.text


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("12a", ConfigError, 'validation.tokenize: unknown tokenizer "12a"; known: auto, 13a'),
        ("flores200", UsageError, "the tokenizer flores200 needs "),
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_refused_before_training(
    tmp_path, monkeypatch, name, kind, message
):
    monkeypatch.setattr("sacrebleu.utils.SACREBLEU_DIR", str(tmp_path))
    with pytest.raises(kind) as error:
        train(tmp_path, f"validation.tokenize={name}")
    assert message in str(error.value)


def test_the_model_of_a_tokenizer_is_found_beside_the_configuration(tmp_path):
    experiment = tiny(tmp_path, "validation.tokenize=spm:x.model")
    assert experiment.validation.tokenize == f"spm:{tmp_path / 'x.model'}"
