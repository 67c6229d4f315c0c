"""Batched beam search against searches that are too slow for anything but tiny vocabularies."""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_beam import plain_beam
from stub_scorers import TableScorer, batch_of, score_by_hand

from nmt.config.search import SearchConfig, change_search
from nmt.search.search import search
from nmt.text.vocabulary import EOS, UNK


@dataclass(frozen=True)
class Task:
    """Sentences to search over, and how."""

    table: torch.Tensor
    """[sentences, positions, vocab, vocab], in quarters, so that sums are exact and ties many."""
    lengths: list[int]
    options: SearchConfig
    fixed_shape: bool

    def limits(self, sentence: int) -> tuple[int, int]:
        """Minimum and maximum number of pieces of a translation, end symbol included."""
        length, chosen = self.lengths[sentence], self.options
        longest = math.floor(chosen.max_length_factor * length + chosen.max_length_offset)
        shortest = math.floor(chosen.min_length_factor * length + chosen.min_length_offset)
        return min(shortest, longest), longest


@st.composite
def tasks(draw: st.DrawFn, *, beams: list[int], words: int, longest: int) -> Task:
    sentences = draw(st.integers(1, 4))
    vocab = 4 + draw(st.integers(1, words))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    shape = (sentences, longest, vocab, vocab)
    spread = draw(st.sampled_from([2, 12, 100]))
    table = -torch.randint(0, spread + 1, shape, generator=generator) / 4.0
    share = draw(st.sampled_from([0.0, 0.0, 0.2, 0.6]))
    table[torch.rand(shape, generator=generator) < share] = -torch.inf
    beam = draw(st.sampled_from(beams))
    factor = draw(st.sampled_from([0.0, 0.5, 1.0]))
    options = SearchConfig(
        beam=beam,
        stop=draw(st.sampled_from(["full", "full", "best"])),
        groups=draw(st.sampled_from([n for n in (1, 1, 2, 3) if beam % n == 0])),
        diversity=draw(st.sampled_from([0.0, 0.5, 2.0])),
        n_best=draw(st.integers(1, min(beam, 6))),
        length_penalty=draw(st.sampled_from(["none", "average", "gnmt"])),
        alpha=draw(st.sampled_from([0.0, 0.6, 1.5])),
        coverage_penalty=0.0,
        max_length_factor=factor,
        max_length_offset=draw(st.integers(1, longest - 3 * (factor > 0))),
        min_length_factor=draw(st.sampled_from([0.0, 0.4])),
        min_length_offset=draw(st.integers(0, 2)),
    )
    return Task(
        table,
        draw(st.lists(st.integers(2, 3), min_size=sentences, max_size=sentences)),
        options,
        draw(st.booleans()),
    )


def test_a_batch_finds_what_a_plain_search_finds_sentence_by_sentence(examples):
    @given(task=tasks(beams=[1, 2, 3, 4, 6, 7], words=9, longest=7))
    @settings(max_examples=examples(quick=150, full=3000))
    def hold(task: Task) -> None:
        scorer = TableScorer(task.table)
        numbers = list(range(len(task.lengths)))
        batch = batch_of(numbers, task.lengths)
        found = search(scorer, *batch, task.options, fixed_shape=task.fixed_shape)
        for sentence in numbers:
            shortest, longest = task.limits(sentence)
            alone = batch_of([sentence], [task.lengths[sentence]])
            expected = plain_beam(scorer, *alone, task.options, shortest=shortest, longest=longest)
            assert found[sentence] == expected

    hold()


def test_a_beam_as_wide_as_the_space_finds_the_best_hypotheses(examples):
    words, most = 3, 4

    @given(
        task=tasks(beams=[(words + 1) ** most], words=words, longest=most),
        coverage=st.sampled_from([0.0, 0.5]),
    )
    @settings(max_examples=examples(quick=25, full=600))
    def hold(task: Task, coverage: float) -> None:
        options = change_search(task.options, {"coverage_penalty": coverage, "groups": 1})
        scorer = TableScorer(task.table)
        vocabulary = range(4, task.table.shape[-1])
        numbers = list(range(len(task.lengths)))
        batch = batch_of(numbers, task.lengths)
        found = search(scorer, *batch, options, fixed_shape=task.fixed_shape)
        for sentence in numbers:
            shortest, longest = task.limits(sentence)
            alone = batch_of([sentence], [task.lengths[sentence]])
            space = [
                tokens
                for length in range(max(shortest - 1, 0), longest)
                for tokens in itertools.product(vocabulary, repeat=length)
            ]
            scores = {tokens: score_by_hand(scorer, *alone, tokens, options) for tokens in space}
            possible = [score for total, score in scores.values() if total > -math.inf]
            # <unk> is written where nothing else is open to any hypothesis.
            known = [each for each in found[sentence] if UNK not in each.tokens]
            spoken = [each for each in known if each.finished or possible]
            best = sorted(possible, reverse=True)[: len(spoken)]
            assert [each.score for each in spoken] == pytest.approx(best, abs=1e-5)
            assert len({each.tokens for each in spoken}) == len(spoken)
            left_out = min(options.n_best, len(possible)) - len(spoken)
            assert left_out <= len(found[sentence]) - len(known)
            for hypothesis in spoken:
                assert hypothesis.finished
                assert EOS not in hypothesis.tokens
                assert (hypothesis.log_prob, hypothesis.score) == pytest.approx(
                    scores[hypothesis.tokens], abs=1e-5
                )

    hold()
