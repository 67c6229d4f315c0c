"""Attention weights with names: of pieces and words, through the segments of a line."""

import json

import pytest
import torch

from nmt.cli.lines_out import as_json
from nmt.cli.main import run
from nmt.diagnostics.attention import AttentionMatrix, block_diagonal, identity, soft_attention
from nmt.errors import UsageError
from nmt.search.forced import score_targets
from nmt.text.spans import PieceText
from nmt.text.vocabulary import EOS
from nmt.translation import copy_of
from nmt.translator import Translator


def assert_rows_sum_to_one(matrix: AttentionMatrix) -> None:
    assert all(len(row) == len(matrix.source) for row in matrix.weights)
    assert len(matrix.weights) == len(matrix.target)
    assert [sum(row) for row in matrix.weights] == pytest.approx([1.0] * len(matrix.target))


def test_words_add_the_columns_and_average_the_rows_of_their_pieces():
    # source: a, space, bc (two pieces), end; target: xy (two pieces), space, z
    weights = torch.tensor(
        [
            [0.4, 0.1, 0.2, 0.2, 0.1, 0.0],  # the last column is padding
            [0.2, 0.1, 0.2, 0.4, 0.1, 0.0],
            [0.1, 0.1, 0.1, 0.1, 0.6, 0.0],
            [0.3, 0.1, 0.1, 0.1, 0.4, 0.0],
        ]
    )
    source = PieceText("a bc", [(0, 1), (1, 2), (2, 3), (3, 4)])
    target = PieceText("xy z", [(0, 1), (1, 2), (2, 3), (3, 4)])
    found = soft_attention(
        weights, source, target, source_pieces=["▁a", "▁", "b", "c"], target_pieces=list("xy▁z")
    )
    assert found.pieces.source == ("▁a", "▁", "b", "c", "</s>")
    assert found.pieces.target == ("x", "y", "▁", "z")
    assert found.pieces.weights == tuple(tuple(row) for row in weights[:, :5].double().tolist())
    assert found.words.source == ("a", "bc", "</s>")
    assert found.words.target == ("xy", "z")
    assert found.words.weights[0] == pytest.approx((0.3, 0.6, 0.1))
    assert found.words.weights[1] == pytest.approx((0.2, 0.3, 0.5))


def test_a_truncated_source_has_the_columns_that_the_model_read():
    source = PieceText("a b c", [(0, 1), (1, 3), (3, 5)])
    found = soft_attention(
        torch.tensor([[0.5, 0.5, 0.0]]),
        source,
        PieceText("x", [(0, 1)]),
        source_pieces=["▁a"],
        target_pieces=["▁x"],
    )
    assert found.pieces.source == ("▁a", "</s>")
    assert found.words == AttentionMatrix(("a", "</s>"), ("x",), ((0.5, 0.5),))


def test_parts_of_a_line_attend_to_themselves_alone():
    joined = block_diagonal([identity(["a", "b"]), identity(["c"])])
    assert joined.pieces == identity(["a", "b", "c"]).pieces
    assert block_diagonal([identity(())]) == identity(())


def test_copied_text_attends_to_itself():
    assert copy_of("42  -").attention == identity(["42", "-"])


@pytest.mark.parametrize("beam", [1, 3])
def test_attention_of_a_translation_is_that_of_forced_decoding(translator, beam):
    line = "a cat eats a mouse."
    search = {"beam": beam, "n_best": beam}
    (found,) = translator.translate([line], search=search, attention=True)
    for hypothesis in found.hypotheses:
        pieces = hypothesis.attention.pieces
        source = [*translator.source.encode(line), EOS]
        target = [translator.target.id_of(piece) for piece in pieces.target]
        assert pieces.source == tuple(translator.source.pieces(source))
        ids, given = torch.tensor([source]), torch.tensor([target])
        scored = score_targets(
            translator.engine.scorer, ids, ids >= 0, given, given >= 0, keep_attention=True
        )
        weights = torch.tensor(pieces.weights, dtype=torch.float32)
        torch.testing.assert_close(weights, scored.attention[0], atol=1e-6, rtol=1e-4)
        assert_rows_sum_to_one(pieces)
        assert_rows_sum_to_one(hypothesis.attention.words)


def test_a_line_of_several_parts_is_block_diagonal(translator):
    line = "a cat.\t42\ttwo birds sing."
    (found,) = translator.translate([line], attention=True)
    assert found.sentences == 3
    matrix = found.hypotheses[0].attention.pieces
    assert_rows_sum_to_one(matrix)
    assert_rows_sum_to_one(found.hypotheses[0].attention.words)
    assert matrix.source.count("</s>") == 2  # the number is copied
    ends = [place + 1 for place, name in enumerate(matrix.source) if name in ("</s>", "42")]
    parts = [sum(end <= place for end in ends) for place in range(len(matrix.source))]
    seen = [{parts[place] for place, w in enumerate(row) if w > 0} for row in matrix.weights]
    assert [sorted(part) for part in seen] == sorted(sorted(part) for part in seen)
    assert set.union(*seen) == {0, 1, 2}
    assert all(len(part) == 1 for part in seen)


def test_a_truncated_sentence_names_the_end_symbol_last(translator):
    for exact in (False, True):
        (found,) = translator.translate(
            ["two birds sing, one bird sleeps"],
            max_source=5,
            split="never",
            attention=True,
            exact=exact,
        )
        matrix = found.hypotheses[0].attention.pieces
        assert matrix.source[-1] == "</s>"
        assert len(matrix.source) == 5
        assert_rows_sum_to_one(matrix)


def test_attention_of_given_pairs_equals_that_of_the_translation(translator):
    line = "the small dog sleeps"
    (found,) = translator.translate([line], search={"beam": 1}, attention=True)
    (pair, blank) = translator.score([(line, found.text), ("", "")], attention=True)
    assert pair.attention.words.source == found.hypotheses[0].attention.words.source
    assert_rows_sum_to_one(pair.attention.pieces)
    assert blank.attention == identity(())


def test_attention_is_there_only_when_requested(translator, model_folder, capsys, tmp_path):
    (found,) = translator.translate(["a cat"], align=True)
    assert found.hypotheses[0].attention is None
    assert "attention" not in json.loads(as_json(0, found))
    text = tmp_path / "a.en"
    text.write_text("a cat\n\n")
    translate = ["translate", str(model_folder), "-i", str(text), "--precision", "fp32"]
    assert run([*translate, "--format", "jsonl", "--attention"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (found,) = translator.translate(["a cat"], attention=True)
    assert lines[0]["attention"]["pieces"]["source"][-1] == "</s>"
    weights = lines[0]["nbest"][0]["attention"]["words"]["weights"]
    assert weights[0] == pytest.approx(found.hypotheses[0].attention.words.weights[0], abs=1e-5)
    assert lines[1]["attention"]["pieces"] == {"source": [], "target": [], "weights": []}
    (tmp_path / "b.it").write_text("a cat\n\n")
    score = ["score", str(model_folder), "--source", str(text), "--target", str(tmp_path / "b.it")]
    assert run([*score, "--json", "--attention"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["attention"]["words"]["target"] == ["a", "cat"]


def test_attention_without_a_place_to_go_or_come_from_is_refused(
    model_folder, make_model_folder, capsys
):
    assert run(["translate", str(model_folder), "--attention"]) == 2
    assert (
        "--attention: has an effect only with --format jsonl; add that, or draw it: "
        "nmt attention RUN -o FILE.svg."
    ) in capsys.readouterr().err
    assert run(["score", str(model_folder), "--target", "a", "--attention"]) == 2
    assert (
        "--attention: has an effect only with --json; add that, or draw it: "
        "nmt attention RUN -i SOURCE --target TARGET -o FILE.svg."
    ) in capsys.readouterr().err
    blind = Translator.load(make_model_folder(model={"decoder": {"attention": "none"}}))
    for refused in (blind.translate, lambda lines, **extra: blind.score([("a", "b")], **extra)):
        with pytest.raises(UsageError, match="has no attention"):
            refused(["a cat"], attention=True)
