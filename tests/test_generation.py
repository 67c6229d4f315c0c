"""A language model writes lines, and says what may come next."""

import json
import math
from collections import Counter

import pytest
import torch
from test_language_model import language_model
from tiny import write_corpus

from nmt import DataError, Translator, UsageError, generate, next_pieces
from nmt.cli.main import run as nmt
from nmt.training.run import RunOptions, run_training

DRAWS = 100_000


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generation")
    write_corpus(folder)
    run_training(language_model(folder), folder / "run", RunOptions())
    return folder / "run"


@pytest.fixture(scope="module")
def model(run):
    return Translator.load(run)


def texts(model, count, **options):
    return [each.text for each in generate(model, count, **options)]


def test_next_pieces_are_a_distribution_in_falling_order(model):
    found = next_pieces(model, count=10_000)
    assert sum(math.exp(piece.log_prob) for piece in found) == pytest.approx(1.0)
    log_probs = [piece.log_prob for piece in found]
    assert log_probs == sorted(log_probs, reverse=True)
    assert {piece.text for piece in found} == set(model.engine.pieces)


def test_next_pieces_follow_the_text(model):
    """The log-probability of a line is the sum over its pieces, each given those before."""
    [line] = texts(model, 1, search={"temperature": 0.5, "seed": 3})
    ids = [*model.target.encode(line), model.engine.pieces.index("</s>")]
    total = 0.0
    for place, piece in enumerate(ids):
        before = model.target.decode(ids[:place])
        chances = {each.text: each.log_prob for each in next_pieces(model, before, count=10_000)}
        total += chances[model.engine.pieces[piece]]
    [scored] = model.score([("", line)])
    assert total == pytest.approx(scored.log_prob, abs=1e-4)


def test_first_pieces_are_drawn_as_often_as_their_probabilities_say(model):
    """Chi-squared over the pieces expected at least five times; 4.5 deviations are one in 10^5."""
    from nmt.search.sampling import draw_pieces

    expected = next_pieces(model, count=10_000)
    weights = torch.tensor([[math.exp(piece.log_prob) for piece in expected]], dtype=torch.float64)
    points = torch.rand(DRAWS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    drawn = Counter(draw_pieces(weights.expand(DRAWS, -1), points).tolist())
    wanted = DRAWS * weights[0] / weights.sum()
    often = [place for place in range(len(expected)) if wanted[place] >= 5]
    statistic = sum((drawn[place] - wanted[place]) ** 2 / wanted[place] for place in often)
    freedom = len(often) - 1
    assert abs(statistic - freedom) < 4.5 * math.sqrt(2 * freedom)


def test_a_sample_depends_on_the_seed_and_its_number_alone(model):
    assert texts(model, 70)[:3] == texts(model, 3)
    assert texts(model, 5) == texts(model, 5, search={"seed": 1})
    assert texts(model, 20) != texts(model, 20, search={"seed": 2})


def test_at_a_low_temperature_the_samples_are_the_greedy_line(model):
    [greedy] = texts(model, 1, search={"sample": False, "beam": 1})
    assert texts(model, 3, search={"temperature": 1e-4}) == [greedy] * 3


def test_the_lines_of_a_beam_are_different_and_the_best_first(model):
    found = list(generate(model, 4, search={"sample": False, "beam": 8}))
    assert len({each.text for each in found}) == 4
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


def test_lines_begin_with_the_prefix_and_end_at_the_longest_length(model):
    [line] = texts(model, 1)
    begun = line[: len(line) // 2].strip() or line
    assert all(text.startswith(begun) for text in texts(model, 5, prefix=begun))
    short = list(generate(model, 20, most_pieces=2))
    assert all(len(model.target.encode(each.text)) <= 2 for each in short)
    assert any(not each.finished for each in short)


def test_what_a_language_model_cannot_do_is_refused(model, model_folder):
    with pytest.raises(
        UsageError, match=r"^count: a beam of 5 cannot find 6 lines; widen the beam\.$"
    ):
        texts(model, 6, search={"sample": False})
    with pytest.raises(DataError, match="prefix 1: `猫` cannot be written"):
        texts(model, 1, prefix="猫")
    with pytest.raises(UsageError) as caught:
        texts(Translator.load(model_folder), 1)
    assert str(caught.value) == (
        f"{model_folder}: is a translation model, which writes nothing without a source; use "
        '`nmt translate`, or train a language model with model.encoder = "none".'
    )


def test_the_command_writes_samples_as_text_and_json(run, model, tmp_path, capsysbinary):
    assert nmt(["sample", str(run), "-n", "3", "--seed", "7"]) == 0
    lines = capsysbinary.readouterr().out.decode().splitlines()
    assert lines == texts(model, 3, search={"seed": 7})
    out = tmp_path / "out.jsonl"
    command = ["sample", str(run), "-n", "2", "--beam", "4", "--format", "jsonl", "-o", str(out)]
    assert nmt(command) == 0
    found = [json.loads(line)["text"] for line in out.read_text().splitlines()]
    assert found == texts(model, 2, search={"sample": False, "beam": 4})


@pytest.mark.parametrize("option", ["-n", "--beam", "--max-length", "--temperature", "--seed"])
def test_options_of_lines_are_refused_where_none_are_written(run, capsys, option):
    assert nmt(["sample", str(run), "--next", "3", option, "2"]) == 2
    assert (
        f"error: {option}: is for lines, and --next prints none; leave one out.\n"
        == capsys.readouterr().err
    )


def test_the_command_prints_the_next_pieces_with_their_probabilities(run, model, capsysbinary):
    assert nmt(["sample", str(run), "--next", "2"]) == 0
    lines = capsysbinary.readouterr().out.decode().splitlines()
    assert lines == [
        f"{math.exp(piece.log_prob):.4f}\t{piece.text}" for piece in next_pieces(model, count=2)
    ]


def test_the_command_refuses_what_only_samples_have(run, capsys):
    assert nmt(["sample", str(run), "--beam", "2", "--top-k", "3"]) == 2
    assert "--top-k: is for samples, and --beam draws none; leave one out." in (
        capsys.readouterr().err
    )
