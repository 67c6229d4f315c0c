import pytest
import torch
from stub_scorers import TableScorer, batch_of, changed, random_table

from nmt.config.search import SearchConfig
from nmt.errors import ModelError
from nmt.search.forced import score_targets
from nmt.search.search import search
from nmt.text.vocabulary import EOS


def test_scoring_a_found_hypothesis_gives_its_log_prob():
    scorer = TableScorer(random_table(sentences=8, positions=9, vocab=15))
    source, mask = batch_of(list(range(8)), [4] * 8)
    found = search(scorer, source, mask, SearchConfig(max_length_factor=0, max_length_offset=9))
    best = [hypotheses[0] for hypotheses in found]
    pieces = [[*hyp.tokens, *([EOS] if hyp.finished else [])] for hyp in best]
    lengths = torch.tensor([len(ids) for ids in pieces])
    target = torch.zeros(8, int(lengths.max()), dtype=torch.long)
    for row, ids in enumerate(pieces):
        target[row, : len(ids)] = torch.tensor(ids)
    target_mask = torch.arange(target.shape[1]) < lengths[:, None]

    log_probs = score_targets(scorer, source, mask, target, target_mask).log_probs

    assert log_probs.sum(dim=1).tolist() == pytest.approx([hyp.log_prob for hyp in best])
    assert (log_probs[~target_mask] == 0).all()


def test_nan_is_an_error_that_says_so():
    def break_model(table: torch.Tensor) -> None:
        table[...] = torch.nan

    table = changed(random_table(sentences=1, positions=1, vocab=8), break_model)
    target = torch.tensor([[5, EOS]])
    with pytest.raises(
        ModelError,
        match="its weights are damaged or overflow; use an earlier checkpoint, or try --pre",
    ):
        score_targets(
            TableScorer(table), *batch_of([0], [2]), target, torch.ones_like(target, dtype=bool)
        )
