import math

import pytest
import torch
from stub_scorers import TableScorer, batch_of, random_table

from nmt.config.model import ModelConfig
from nmt.models.build import build_model
from nmt.models.shortlist import Choice, Shortlist
from nmt.search.options import SearchOptions
from nmt.search.scorer import EnsembleScorer, ModelScorer
from nmt.search.search import search
from nmt.text.vocabulary import BOS, EOS, PAD, SPECIAL_PIECES


def small_model(attention: str = "general", seed: int = 1):
    torch.manual_seed(seed)
    config = ModelConfig.model_validate(
        {
            "embedding": {"size": 12},
            "encoder": {"hidden_size": 8, "layers": 2},
            "decoder": {"hidden_size": 16, "attention": attention},
            "initialization": {"kind": "uniform", "scale": 0.5},
        }
    )
    return build_model(config, source_vocab=30, target_vocab=30).eval()


def real_batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    lengths = torch.tensor([7, 3, 5, 2, 6])
    source = torch.randint(4, 30, (5, 7), generator=generator)
    mask = torch.arange(7) < lengths[:, None]
    source[torch.arange(5), lengths - 1] = EOS
    return source * mask, mask


@pytest.mark.parametrize("attention", ["general", "additive", "dot", "none"])
@pytest.mark.parametrize("beam", [1, 4])
def test_a_model_translates_a_sentence_alike_alone_and_in_a_batch(attention, beam):
    scorer = ModelScorer(small_model(attention))
    source, mask = real_batch()
    chosen = SearchOptions(beam=beam, n_best=beam, keep_attention=True)
    together = search(scorer, source, mask, chosen)
    for row in range(5):
        length = int(mask[row].sum())
        alone = search(scorer, source[row : row + 1, :length], mask[row : row + 1, :length], chosen)
        assert [hyp.tokens for hyp in alone[0]] == [hyp.tokens for hyp in together[row]]
        for one, other in zip(alone[0], together[row], strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-5)
            if attention == "none":
                assert one.attention is other.attention is None
            else:
                torch.testing.assert_close(one.attention, other.attention[:, :length])


def test_the_beams_sums_are_those_of_the_whole_sequence_path():
    model = small_model()
    source, mask = real_batch()
    found = search(ModelScorer(model), source, mask, SearchOptions(beam=3))
    for row, (hypothesis,) in enumerate(found):
        pieces = [*hypothesis.tokens, *([EOS] if hypothesis.finished else [])]
        memory = model.encode(source[row : row + 1], mask[row : row + 1])
        features = model.decode(memory, torch.tensor([[BOS, *pieces[:-1]]]))
        log_probs = model.output.log_probs(features[0])
        total = log_probs[torch.arange(len(pieces)), torch.tensor(pieces)].sum()
        assert hypothesis.log_prob == pytest.approx(total.item(), abs=1e-4)


def test_copies_of_one_model_ensembled_equal_that_model():
    scorer = ModelScorer(small_model())
    batch = real_batch()
    chosen = SearchOptions(beam=4, n_best=4, keep_attention=True)
    one = search(scorer, *batch, chosen)
    three = search(EnsembleScorer([scorer] * 3), *batch, chosen)
    for alone, together in zip(one, three, strict=True):
        assert [hyp.tokens for hyp in alone] == [hyp.tokens for hyp in together]
        for single, triple in zip(alone, together, strict=True):
            assert single.log_prob == pytest.approx(triple.log_prob, abs=1e-5)
            torch.testing.assert_close(single.attention, triple.attention)


def test_an_ensemble_takes_the_mean_of_probabilities():
    tables = [random_table(sentences=1, positions=2, vocab=6, seed=seed) for seed in (1, 2)]
    scorer = EnsembleScorer([TableScorer(table) for table in tables])
    step = scorer.step(torch.tensor([BOS]), scorer.start(*batch_of([0], [2]), copies=1))
    mean = sum(table[0, 0, BOS].exp() for table in tables) / 2
    torch.testing.assert_close(step.log_probs[0].exp(), mean)
    assert step.log_probs.exp().sum().item() == pytest.approx(1.0)
    assert step.log_probs.max().item() <= 0.0 < math.inf


def test_an_empty_ensemble_is_refused():
    with pytest.raises(ValueError, match=r"^an ensemble needs at least one scorer$"):
        EnsembleScorer([])


def test_models_without_attention_can_be_ensembled():
    scorer = EnsembleScorer([ModelScorer(small_model("none", seed)) for seed in (1, 2)])
    found = search(scorer, *real_batch(), SearchOptions(beam=2, keep_attention=True))
    assert all(hypothesis.attention is None for (hypothesis,) in found)


@pytest.mark.parametrize("members", range(1, 12))
def test_a_certain_piece_is_never_more_than_certain(members):
    table = torch.full((1, 1, 6, 6), -torch.inf)
    table[..., 4] = torch.tensor(0.0)
    for certain in (table, torch.where(table == 0.0, -1e-7, table)):
        scorer = EnsembleScorer([TableScorer(certain)] * members)
        step = scorer.step(torch.tensor([BOS]), scorer.start(*batch_of([0], [2]), copies=1))
        assert -1e-6 < step.log_probs[0, 4].item() <= 0.0


def test_scorers_refuse_the_state_of_another_kind():
    model = ModelScorer(small_model())
    ensemble = EnsembleScorer([model])
    source, mask = real_batch()
    tokens = torch.full((5,), BOS)
    with pytest.raises(TypeError, match="expected the state of a model, got EnsembleState"):
        model.step(tokens, ensemble.start(source, mask, copies=1))
    with pytest.raises(TypeError, match="expected the state of an ensemble, got ModelState"):
        ensemble.step(tokens, model.start(source, mask, copies=1))


KINDS = [{"beam": 1}, {"beam": 3, "n_best": 3}, {"sample": True, "n_best": 2}]


@pytest.mark.parametrize("kind", KINDS, ids=["greedy", "beam", "sample"])
@pytest.mark.parametrize("members", [1, 2])
def test_a_choice_of_all_pieces_changes_nothing(kind, members):
    models = [ModelScorer(small_model(seed=seed)) for seed in range(members)]
    scorer = EnsembleScorer(models) if members > 1 else models[0]
    source, mask = real_batch()
    every = Choice(torch.arange(30), torch.zeros(5, 30, dtype=torch.bool))
    plain = search(scorer, source, mask, SearchOptions(**kind))
    chosen = search(scorer, source, mask, SearchOptions(**kind), choice=every)
    for alone, narrowed in zip(plain, chosen, strict=True):
        assert [hyp.tokens for hyp in alone] == [hyp.tokens for hyp in narrowed]
        for one, other in zip(alone, narrowed, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=["greedy", "beam", "sample"])
@pytest.mark.parametrize("members", [1, 2])
def test_a_sentence_is_written_with_the_pieces_chosen_for_it_whatever_its_batch(kind, members):
    generator = torch.Generator().manual_seed(2)
    likely = torch.randint(4, 30, (30, 3), generator=generator)
    likely[: len(SPECIAL_PIECES)] = PAD
    shortlist = Shortlist(torch.randperm(30, generator=generator), likely)
    models = [ModelScorer(small_model(seed=seed)) for seed in range(members)]
    scorer = EnsembleScorer(models) if members > 1 else models[0]
    source, mask = real_batch()
    together = shortlist.choose(source, frequent=4)
    found = search(scorer, source, mask, SearchOptions(**kind), choice=together)
    for row in range(5):
        length = int(mask[row].sum())
        sentence = source[row : row + 1, :length], mask[row : row + 1, :length]
        choice = shortlist.choose(sentence[0], frequent=4)
        alone = search(scorer, *sentence, SearchOptions(**kind), numbers=[row], choice=choice)
        allowed = set(choice.pieces.tolist())
        assert all(allowed.issuperset(hyp.tokens) for hyp in found[row])
        assert [hyp.tokens for hyp in alone[0]] == [hyp.tokens for hyp in found[row]]
