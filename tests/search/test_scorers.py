import itertools
import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from stub_scorers import TableScorer, batch_of, random_table, score_by_hand

from nmt.config.model import ModelConfig
from nmt.config.search import SearchConfig
from nmt.models.build import build_model
from nmt.models.shortlist import Choice, Shortlist
from nmt.search.forced import score_targets
from nmt.search.scorers import EnsembleScorer, FusionScorer, ModelScorer, Scorer
from nmt.search.search import search
from nmt.text.vocabulary import BOS, EOS, PAD, SPECIAL_PIECES


def small_model(attention: str = "general", seed: int = 1, *, input_feeding: bool = True):
    torch.manual_seed(seed)
    config = ModelConfig.model_validate(
        {
            "embedding": {"size": 12},
            "encoder": {"hidden_size": 8, "layers": 2},
            "decoder": {
                "hidden_size": 16,
                "attention": attention,
                "input_feeding": input_feeding,
            },
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
def test_a_model_translates_a_sentence_the_same_alone_and_in_a_batch(attention, beam):
    scorer = ModelScorer(small_model(attention))
    source, mask = real_batch()
    chosen = SearchConfig(beam=beam, n_best=beam)
    together = search(scorer, source, mask, chosen, keep_attention=True)
    for row in range(5):
        length = int(mask[row].sum())
        one = source[row : row + 1, :length], mask[row : row + 1, :length]
        alone = search(scorer, *one, chosen, keep_attention=True)
        assert [hyp.tokens for hyp in alone[0]] == [hyp.tokens for hyp in together[row]]
        for one, other in zip(alone[0], together[row], strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-5)
            if attention == "none":
                assert one.attention is other.attention is None
            else:
                torch.testing.assert_close(one.attention, other.attention[:, :length])


def test_log_probs_of_a_beam_equal_those_of_the_whole_sequence_path():
    model = small_model()
    source, mask = real_batch()
    found = search(ModelScorer(model), source, mask, SearchConfig(beam=3))
    for row, (hypothesis,) in enumerate(found):
        pieces = [*hypothesis.tokens, *([EOS] if hypothesis.finished else [])]
        memory = model.encode(source[row : row + 1], mask[row : row + 1])
        features = model.decode(memory, torch.tensor([[BOS, *pieces[:-1]]])).features
        log_probs = model.output.log_probs(features[0])
        total = log_probs[torch.arange(len(pieces)), torch.tensor(pieces)].sum()
        assert hypothesis.log_prob == pytest.approx(total.item(), abs=1e-4)


def test_copies_of_one_model_ensembled_equal_that_model():
    scorer = ModelScorer(small_model())
    batch = real_batch()
    chosen = SearchConfig(beam=4, n_best=4)
    one = search(scorer, *batch, chosen, keep_attention=True)
    three = search(EnsembleScorer([scorer] * 3), *batch, chosen, keep_attention=True)
    for alone, together in zip(one, three, strict=True):
        assert [hyp.tokens for hyp in alone] == [hyp.tokens for hyp in together]
        for single, triple in zip(alone, together, strict=True):
            assert single.log_prob == pytest.approx(triple.log_prob, abs=1e-5)
            torch.testing.assert_close(single.attention, triple.attention)


def test_an_ensemble_averages_probabilities():
    tables = [random_table(sentences=1, positions=2, vocab=6, seed=seed) for seed in (1, 2)]
    scorer = EnsembleScorer([TableScorer(table) for table in tables])
    step = scorer.step(torch.tensor([BOS]), scorer.start(*batch_of([0], [2]), copies=1))
    mean = sum(table[0, 0, BOS].exp() for table in tables) / 2
    torch.testing.assert_close(step.log_probs[0].exp(), mean)
    assert step.log_probs.exp().sum().item() == pytest.approx(1.0)
    assert step.log_probs.max().item() <= 0.0 < math.inf


@pytest.mark.parametrize("weights", [(), (0.7, 0.2, 0.1)])
def test_an_ensemble_of_different_architectures_averages_probabilities_by_weight(weights):
    torch.manual_seed(3)
    members = [
        {"encoder": {"cell": "lstm", "hidden_size": 8, "layers": 2}, "decoder": {"layers": 2}},
        {"encoder": {"cell": "gru", "hidden_size": 5}, "decoder": {"attention": "additive"}},
        {
            "encoder": {"kind": "convolutional", "hidden_size": 6},
            "decoder": {"cell": "rnn", "attention": "none", "bridge": "mean"},
        },
    ]
    models = [
        build_model(
            ModelConfig.model_validate({"embedding": {"size": 7 + number}, **member}),
            source_vocab=30,
            target_vocab=30,
        ).eval()
        for number, member in enumerate(members)
    ]
    source, mask = real_batch()
    target = torch.tensor([[7, 9, 4, EOS]] * 5)
    shares = torch.tensor(weights or (1.0, 1.0, 1.0))
    shares = shares / shares.sum()
    expected = torch.zeros(5, 4)
    for share, model in zip(shares, models, strict=True):
        target_in = torch.cat([torch.full((5, 1), BOS), target[:, :-1]], dim=1)
        features = model.decode(model.encode(source, mask), target_in).features
        log_probs = model.output.log_probs(features.flatten(0, 1)).view(5, 4, -1)
        expected += share * log_probs.gather(2, target.unsqueeze(2)).squeeze(2).exp()

    scorer = EnsembleScorer([ModelScorer(model) for model in models], weights)
    found = score_targets(
        scorer, source, mask, target, torch.ones_like(target, dtype=torch.bool), keep_attention=True
    )
    torch.testing.assert_close(found.log_probs.exp(), expected)
    assert found.attention is not None
    torch.testing.assert_close(found.attention.sum(dim=2), torch.ones(5, 4))
    assert all(each for each in search(scorer, source, mask, SearchConfig(beam=3)))


def test_a_member_of_nearly_no_weight_changes_nothing():
    models = [ModelScorer(small_model(seed=seed)) for seed in (1, 2)]
    batch, chosen = real_batch(), SearchConfig(beam=4, n_best=4)
    alone = search(models[0], *batch, chosen)
    together = search(EnsembleScorer(models, [1.0, 1e-12]), *batch, chosen)
    for one, other in zip(alone, together, strict=True):
        assert [hyp.tokens for hyp in one] == [hyp.tokens for hyp in other]


def test_an_ensemble_needs_a_weight_for_each_scorer():
    with pytest.raises(ValueError, match=r"^an ensemble needs one weight for each scorer$"):
        EnsembleScorer([ModelScorer(small_model())], [1.0, 2.0])


def test_an_empty_ensemble_is_refused():
    with pytest.raises(ValueError, match=r"^an ensemble needs at least one scorer$"):
        EnsembleScorer([])


def test_models_without_attention_can_be_ensembled():
    scorer = EnsembleScorer([ModelScorer(small_model("none", seed)) for seed in (1, 2)])
    found = search(scorer, *real_batch(), SearchConfig(beam=2), keep_attention=True)
    assert all(hypothesis.attention is None for (hypothesis,) in found)


@pytest.mark.parametrize("members", range(1, 12))
def test_log_probs_of_an_ensemble_never_exceed_zero(members):
    table = torch.full((1, 1, 6, 6), -torch.inf)
    table[..., 4] = torch.tensor(0.0)
    for certain in (table, torch.where(table == 0.0, -1e-7, table)):
        scorer = EnsembleScorer([TableScorer(certain)] * members)
        step = scorer.step(torch.tensor([BOS]), scorer.start(*batch_of([0], [2]), copies=1))
        assert -1e-6 < step.log_probs[0, 4].item() <= 0.0


def test_scorers_refuse_the_state_of_another_kind_of_scorer():
    model = ModelScorer(small_model())
    ensemble = EnsembleScorer([model])
    source, mask = real_batch()
    tokens = torch.full((5,), BOS)
    with pytest.raises(TypeError, match="expected the state of a model, got JointState"):
        model.step(tokens, ensemble.start(source, mask, copies=1))
    with pytest.raises(TypeError, match="expected the state of several scorers, got ModelState"):
        ensemble.step(tokens, model.start(source, mask, copies=1))


KINDS = [{"beam": 1}, {"beam": 3, "n_best": 3}, {"sample": True, "n_best": 2}]


def scorer_of(members: int, choose: Callable[[torch.Tensor], Choice] | None = None) -> Scorer:
    models = [ModelScorer(small_model(seed=seed), choose) for seed in range(members)]
    return EnsembleScorer(models) if members > 1 else models[0]


@pytest.mark.parametrize("kind", KINDS, ids=["greedy", "beam", "sample"])
@pytest.mark.parametrize("members", [1, 2])
def test_a_shortlist_of_all_pieces_changes_nothing(kind, members):
    source, mask = real_batch()

    def every(source: torch.Tensor) -> Choice:
        return Choice(torch.arange(30), torch.zeros(len(source), 30, dtype=torch.bool))

    plain = search(scorer_of(members), source, mask, SearchConfig(**kind))
    chosen = search(scorer_of(members, every), source, mask, SearchConfig(**kind))
    for alone, narrowed in zip(plain, chosen, strict=True):
        assert [hyp.tokens for hyp in alone] == [hyp.tokens for hyp in narrowed]
        for one, other in zip(alone, narrowed, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-5)


def random_choice() -> Callable[[torch.Tensor], Choice]:
    generator = torch.Generator().manual_seed(2)
    likely = torch.randint(4, 30, (30, 3), generator=generator)
    likely[: len(SPECIAL_PIECES)] = PAD
    return partial(Shortlist(torch.randperm(30, generator=generator), likely).choose, frequent=4)


@pytest.mark.parametrize("kind", [*KINDS, {"beam": 3, "no_repeat_ngram": 1}], ids=str)
@pytest.mark.parametrize("members", [1, 2])
def test_a_sentence_uses_only_its_own_shortlist_in_any_batch(kind, members):
    choose = random_choice()
    scorer = scorer_of(members, choose)
    source, mask = real_batch()
    found = search(scorer, source, mask, SearchConfig(**kind))
    for row in range(5):
        length = int(mask[row].sum())
        sentence = source[row : row + 1, :length], mask[row : row + 1, :length]
        alone = search(scorer, *sentence, SearchConfig(**kind), streams=[row])
        allowed = set(choose(sentence[0]).pieces.tolist())
        assert all(allowed.issuperset(hyp.tokens) for hyp in found[row])
        assert [hyp.tokens for hyp in alone[0]] == [hyp.tokens for hyp in found[row]]


def fused_by_hand(scorers, batch, tokens, weight: float) -> float:
    """Sum of log p + weight x log p_lm of one translation of one sentence."""
    total = 0.0
    for scorer, share in zip(scorers, (1.0, weight), strict=True):
        none = SearchConfig(length_penalty="none")
        total += share * score_by_hand(scorer, *batch, tokens, none)[0]
    return total


def test_fusion_finds_what_exhaustive_search_over_both_finds():
    words, limit, weight = range(4, 8), 4, 0.5
    translation = TableScorer(random_table(sentences=2, positions=limit, vocab=8, seed=1))
    alike = random_table(sentences=1, positions=limit, vocab=8, seed=2).expand(2, -1, -1, -1)
    language = TableScorer(alike)  # the same for each source
    fused = FusionScorer(translation, language, weight)
    chosen = SearchConfig(
        beam=len(words) ** limit,
        n_best=5,
        length_penalty="none",
        max_length_factor=0.0,
        max_length_offset=limit,
    )
    space = [each for n in range(limit) for each in itertools.product(words, repeat=n)]
    for row, found in enumerate(search(fused, *batch_of([0, 1], [3, 3]), chosen)):
        batch = batch_of([row], [3])
        scores = {
            tokens: fused_by_hand((translation, language), batch, tokens, weight)
            for tokens in space
        }
        expected = sorted(space, key=lambda tokens: -scores[tokens])[:5]
        assert [hyp.tokens for hyp in found] == expected
        assert [hyp.score for hyp in found] == pytest.approx(
            [scores[tokens] for tokens in expected], abs=1e-5
        )


def test_fusion_reads_the_pieces_of_a_shortlist_from_the_whole_language_model():
    source, mask = real_batch()
    model, language = ModelScorer(small_model(), random_choice()), ModelScorer(small_model(seed=9))
    fused = FusionScorer(model, language, 0.7)
    tokens = torch.full((5,), BOS)
    step = fused.step(tokens, fused.start(source, mask, copies=1))
    alone = model.step(tokens, model.start(source, mask, copies=1))
    whole = language.step(tokens, language.start(source, mask, copies=1)).log_probs
    torch.testing.assert_close(step.pieces, alone.pieces)
    torch.testing.assert_close(step.log_probs, alone.log_probs + 0.7 * whole[:, alone.pieces])
    torch.testing.assert_close(step.attention, alone.attention)
    found = search(fused, source, mask, SearchConfig(beam=3))
    assert {piece for (hyp,) in found for piece in hyp.tokens} <= set(alone.pieces.tolist())
