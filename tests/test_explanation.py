"""How a model comes to a translation: the recorded beam, alternatives, gates."""

import json
import math

import pytest
import torch

from nmt.config.search import SearchConfig, change_search
from nmt.diagnostics.beam_tree import record_search
from nmt.diagnostics.gates import gates_of, traces_of, watch_cells
from nmt.errors import UsageError
from nmt.layers.cells import GruCell, LayerNormLstmCell, LstmCell, RnnCell
from nmt.reporting.page import as_record
from nmt.search.search import search
from nmt.text.vocabulary import EOS
from nmt.translator import Translator

LINES = ["a cat eats a mouse.", "the small dog sleeps", "two birds sing, one bird sleeps"]


@pytest.fixture(scope="module")
def translator(model_folder) -> Translator:
    return Translator.load(model_folder, fast=False)


@pytest.fixture(scope="module")
def eager(model_folder) -> Translator:
    """Hypotheses end before the limit of length."""
    translator = Translator.load(model_folder, fast=False)
    with torch.no_grad():
        translator.models[0].output.project.bias[EOS] += 3.0
    return translator


@pytest.mark.parametrize(
    "changes", [{"beam": 1}, {"beam": 4}, {"beam": 3, "coverage_penalty": 0.3}]
)
@pytest.mark.parametrize("line", LINES)
def test_the_recorded_search_finds_what_translation_finds(eager, line, changes):
    (expected,) = eager.translate([line], search=changes)
    found = eager.explain(line, search=changes)
    assert found.text == found.found[0].text == expected.text
    assert found.log_prob == pytest.approx(expected.log_prob, abs=1e-4)
    assert found.found[0].score == pytest.approx(expected.score, abs=1e-5)
    (greedy,) = eager.translate([line], search={**changes, "beam": 1})
    assert found.greedy.text == greedy.text
    assert found.greedy.log_prob == pytest.approx(greedy.log_prob, abs=1e-5)


def test_the_tree_holds_each_hypothesis_and_its_beginnings_once(eager):
    found = eager.explain(LINES[0], search={"beam": 4})
    nodes = found.tree

    def path(index: int) -> tuple[str, ...]:
        node = nodes[index]
        return () if node.parent < 0 else (*path(node.parent), node.piece)

    paths = [path(index) for index in range(len(nodes))]
    assert len(set(paths)) == len(paths)
    assert nodes[0].parent == -1
    for index, node in enumerate(nodes[1:], start=1):
        assert node.parent < index
        assert node.step == nodes[node.parent].step + 1 == len(paths[index])
        assert node.log_prob <= nodes[node.parent].log_prob
    ends = {paths[index]: node for index, node in enumerate(nodes) if node.score is not None}
    assert set(ends) == {(*each.pieces, "</s>") for each in found.found}
    for each in found.found:
        assert ends[(*each.pieces, "</s>")].log_prob == pytest.approx(each.log_prob)
    best = {paths[index] for index, node in enumerate(nodes) if node.fate == "best"}
    way = (*found.found[0].pieces, "</s>")
    assert best == {way[:length] for length in range(len(way) + 1)}


def test_at_most_a_beam_of_hypotheses_lives_after_each_step_and_dead_ones_have_no_heirs(eager):
    nodes = eager.explain(LINES[2], search={"beam": 3}).tree
    for step in range(1, max(node.step for node in nodes) + 1):
        assert sum(node.step == step and node.score is None for node in nodes) <= 3
    for node in nodes[1:]:
        if nodes[node.parent].fate == "dropped":
            assert node.fate == "dropped"
    assert any(node.fate == "dropped" for node in nodes)


def test_the_greedy_path_is_marked_as_far_as_the_beam_has_it(eager):
    found = eager.explain(LINES[0], search={"beam": 1})
    assert all(node.is_greedy and node.fate == "best" for node in found.tree)
    assert [node.piece for node in found.tree[1:]] == [*found.greedy.pieces, "</s>"]


def test_an_unfinished_search_is_recorded_to_its_limit(translator):
    options = {"max_length_factor": 0.0, "max_length_offset": 2, "min_length_factor": 9.0}
    config = change_search(translator.options, options)
    ids = torch.tensor([[*translator.source.encode(LINES[0]), EOS]])
    engine = translator.engine
    recorded = record_search(engine.scorer, ids, config, pieces=engine.pieces)
    ((expected,),) = search(
        translator.engine.scorer, ids, ids > 0, config, pieces=translator.engine.pieces
    )
    assert recorded.hypotheses == (expected,)
    assert not expected.finished
    end = [node for node in recorded.nodes if node.fate == "best"][-1]
    assert (end.step, end.score) == (len(expected.tokens), pytest.approx(expected.score))


def test_choices_have_the_probabilities_of_forced_scoring(translator):
    target = "un gatto mangia"
    found = translator.explain(LINES[0], target=target, top=5)
    (pair,) = translator.score([(LINES[0], target)], attention=True)
    assert found.is_given
    assert found.text == target
    assert tuple(choice.piece for choice in found.choices) == pair.pieces
    assert [c.log_prob for c in found.choices] == pytest.approx(pair.log_probs, abs=1e-5)
    assert found.log_prob == pytest.approx(pair.log_prob, abs=1e-4)
    for choice, row in zip(found.choices, pair.attention.pieces.weights, strict=False):
        assert choice.attention == pytest.approx(row, abs=1e-5)
        assert sum(choice.attention) == pytest.approx(1.0, abs=1e-5)
        values = [each.probability for each in choice.alternatives]
        assert values == sorted(values, reverse=True)
        assert len(values) == 5
        named = [each.piece for each in choice.alternatives]
        assert (choice.piece in named) == (choice.rank <= 5)
        if choice.rank <= 5:
            assert named[choice.rank - 1] == choice.piece
            assert values[choice.rank - 1] == pytest.approx(math.exp(choice.log_prob))
    assert found.source_pieces == pair.attention.pieces.source


@pytest.mark.parametrize("kind", [LstmCell, GruCell, LayerNormLstmCell])
def test_gates_explain_the_step_of_a_cell(kind):
    torch.manual_seed(1)
    cell = kind(3, 4).double()
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter)
    if kind is not GruCell:  # tanh(g) = 1, so that c' = f * c + i
        biased = cell.normalize_input if kind is LayerNormLstmCell else cell.input
        biased.bias.data[8:12] = 50.0
    projected = cell.project(torch.randn(2, 3).double())
    state = tuple(torch.randn(2, 4).double() for _ in range(cell.states))
    gates, after = gates_of(cell, projected, state), cell(projected, state)
    if kind is GruCell:
        n = torch.tanh(
            projected[:, 8:] + gates["reset gate"] * (state[0] @ cell.recurrent.weight[8:].t())
        )
        z = gates["update gate (keeps)"]
        torch.testing.assert_close((1 - z) * n + z * state[0], after[0])
        return
    memory = after[1]
    read = cell.normalize_memory(memory) if kind is LayerNormLstmCell else memory
    torch.testing.assert_close(gates["output gate"] * read.tanh(), after[0])
    torch.testing.assert_close(gates["forget gate"] * state[1] + gates["input gate"], memory)


def test_an_lstm_without_a_forget_gate_has_two_gates():
    cell = LstmCell(3, 4, forget_gate=False)
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter)
    state = torch.zeros(2, 4), torch.randn(2, 4)
    projected = cell.project(torch.randn(2, 3))
    gates, (hidden, memory) = gates_of(cell, projected, state), cell(projected, state)
    assert set(gates) == {"input gate", "output gate"}
    torch.testing.assert_close(gates["output gate"] * memory.tanh(), hidden)


def test_a_cell_without_gates_has_none():
    cell = RnnCell(3, 4)
    assert gates_of(cell, torch.zeros(1, 4), (torch.zeros(1, 4),)) == {}


def test_cells_are_traced_in_the_order_of_the_text(translator):
    found = translator.explain(LINES[0])
    names = [trace.name for trace in found.cells]
    assert names == ["encoder, layer 1", "encoder, layer 1, right to left", "decoder, layer 1"]
    forward, backward, decoder = found.cells
    assert len(forward.norms["norm of h"]) == len(found.source_pieces)
    assert len(decoder.gates["forget gate"]) == len(found.choices)
    assert set(forward.norms) == {"norm of h", "norm of c"}
    model, ids = translator.models[0], [*translator.source.encode(LINES[0]), EOS]
    states = model.encode(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.bool)).states
    size = states.shape[-1] // 2
    norms = states[0, :, :size].norm(dim=-1), states[0, :, size:].norm(dim=-1)
    assert forward.norms["norm of h"] == pytest.approx(norms[0].tolist(), abs=1e-5)
    assert backward.norms["norm of h"] == pytest.approx(norms[1].tolist(), abs=1e-5)


def test_watching_leaves_no_hook_behind(translator):
    model = translator.models[0]
    with pytest.raises(ZeroDivisionError), watch_cells(model):
        raise ZeroDivisionError
    assert not any(module._forward_hooks for module in model.modules())


def test_cells_that_were_not_called_have_no_trace(model_folder):
    model = Translator.load(model_folder).models[0]
    with watch_cells(model) as seen:
        pass
    assert traces_of(seen, source=3, target=4) == ()


@pytest.mark.parametrize(
    "model",
    [
        {"encoder": {"cell": "gru", "layers": 2}, "decoder": {"cell": "gru", "layers": 2}},
        {"encoder": {"cell": "rnn"}, "decoder": {"cell": "rnn", "attention": "none"}},
        {"decoder": {"attention": "additive", "attend": "before"}},
        {"encoder": {"input_attention": "softmax"}, "decoder": {"cell": "clockwork"}},
    ],
    ids=["gru", "rnn", "before", "gated input"],
)
def test_models_of_every_shape_are_explained(model, make_model_folder):
    other = Translator.load(make_model_folder(model=model), fast=False)
    found = other.explain(LINES[1])
    (expected,) = other.translate([LINES[1]])
    assert found.text == expected.text
    attends = model["decoder"].get("attention") != "none"
    assert all((choice.attention is not None) == attends for choice in found.choices)
    expected = 6 if "layers" in model["decoder"] else 3
    assert len(found.cells) == expected


@pytest.mark.parametrize("line", ["", "  ", "42 ---"])
def test_a_line_without_anything_to_translate_is_refused(translator, line):
    with pytest.raises(UsageError, match=r"has nothing to translate, it is copied as it is; give"):
        translator.explain(line)


def test_ensembles_and_endless_lines_are_refused(translator, model_folder):
    both = Translator.load([model_folder, model_folder])
    with pytest.raises(UsageError, match=r"only a single model can be explained; name one\."):
        both.explain(LINES[0])
    with pytest.raises(
        UsageError,
        match=r"the sentence has \d+ pieces, and at most 200 can be explained; "
        r"give a shorter one\.",
    ):
        translator.explain("a cat " * 150)


def test_sampling_and_several_translations_of_a_run_do_not_matter(make_model_folder):
    folder = make_model_folder(search={"sample": True, "n_best": 2, "temperature": 0.5})
    found = Translator.load(folder, fast=False).explain(LINES[0])
    (plain,) = Translator.load(folder).translate(
        LINES[:1], options=SearchConfig(beam=3, max_length_factor=1.0, max_length_offset=6)
    )
    assert found.text == plain.text


@pytest.mark.parametrize("output", ["copy", "pointer"])
def test_a_copied_word_that_the_vocabulary_lacks_is_named(output, make_model_folder):
    model = {"output": output, "decoder": {"attention": "additive"}}
    folder = make_model_folder(model=model, kind="word", joint=False)
    copying, line = Translator.load(folder, fast=False), "a qzx eats a mouse."
    (expected,) = copying.translate([line])
    found = copying.explain(line, search={"beam": 4})
    assert found.found[0].text == found.text
    assert copying.explain(line).text == expected.text
    given = copying.explain(line, target="qzx un-heard-of")
    (pair,) = copying.score([(line, "qzx un-heard-of")])
    assert [choice.log_prob for choice in given.choices] == pytest.approx(pair.log_probs, abs=1e-5)
    assert given.choices[0].piece == "▁qzx"
    assert given.choices[0].log_prob > -math.inf
    (translated,) = copying.translate([line], attention=True)
    (scored,) = copying.score([(line, "qzx un-heard-of")], attention=True)
    for read in (
        given.source_pieces,
        translated.hypotheses[0].attention.pieces.source,
        scored.attention.pieces.source,
    ):
        assert read[:2] == ("▁a", "▁qzx")
    names = [alternative.piece for choice in given.choices for alternative in choice.alternatives]
    assert "▁qzx" in names
    assert json.loads(json.dumps(as_record("run", given), allow_nan=False))["text"] == given.text
