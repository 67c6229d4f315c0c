import json
import time
from dataclasses import asdict
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from nmt.data.sampler import BatchSampler, Position, plan_epoch, plan_once, split_update
from nmt.errors import ModelError


def realistic_lengths(pairs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return lengths like those of image captions: log-normal, with correlated sides."""
    generator = np.random.default_rng(seed)
    target = np.clip(generator.lognormal(2.7, 0.35, pairs), 3, 128)
    source = np.clip(target * generator.lognormal(0.0, 0.22, pairs), 3, 128)
    return source.astype(np.int32), target.astype(np.int32)


def plan(lengths, *, batch_tokens=4096, seed=1, epoch=0):
    return plan_epoch(*lengths, batch_tokens=batch_tokens, seed=seed, epoch=epoch)


def waste(updates, *sides) -> float:
    """Return the share of padding if each update were one batch."""
    real = sum(int(lengths.sum()) for lengths in sides)
    padded = sum(int(lengths[u].max()) * len(u) for u in updates for lengths in sides)
    return 1 - real / padded


LENGTHS = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=80)


@given(lengths=LENGTHS, batch_tokens=st.integers(1, 200), seed=st.integers(0, 2**40))
def test_every_pair_is_in_exactly_one_update(lengths, batch_tokens, seed):
    source, target = np.array(lengths, dtype=np.int32).T
    for updates in (
        plan((source, target), batch_tokens=batch_tokens, seed=seed),
        plan_once(source, target, batch_tokens=batch_tokens),
    ):
        assert all(len(update) for update in updates)
        assert sorted(np.concatenate(updates)) == list(range(len(target)))
        for update in updates:
            tokens = target[update].sum()
            longest = target[update].max()
            assert tokens <= 1.5 * batch_tokens + 2 * longest


def test_all_updates_have_about_the_requested_tokens():
    lengths = _, target = realistic_lengths(29_000)
    tokens = [int(target[update].sum()) for update in plan(lengths)]
    assert len(tokens) == round(target.sum() / 4096)
    assert all(abs(count - 4096) < 150 for count in tokens)


@pytest.mark.parametrize("batch_tokens", [2048, 4096])
def test_padding_is_a_small_fraction(batch_tokens):
    source, target = lengths = realistic_lengths(29_000)
    updates = plan(lengths, batch_tokens=batch_tokens)
    assert waste(updates, target) < 0.05
    assert waste(updates, source, target) < 0.12


def test_epochs_differ_in_order_and_in_batches():
    lengths = realistic_lengths(29_000)
    first, second = plan(lengths, epoch=0), plan(lengths, epoch=1)
    update_of = np.empty(29_000, dtype=np.int64)
    for number, update in enumerate(second):
        update_of[update] = number
    # Most pairs that share an update in one epoch are apart in the next.
    together = np.mean([np.bincount(update_of[u]).max() / len(u) for u in first])
    assert together < 0.6
    assert not np.array_equal(first[0], second[0])


def test_short_and_long_updates_alternate_at_random():
    lengths = _, target = realistic_lengths(29_000)
    means = np.array([target[update].mean() for update in plan(lengths)])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


def test_the_plan_depends_only_on_lengths_seed_and_epoch():
    lengths = realistic_lengths(1000)
    same = zip(plan(lengths), plan(lengths), strict=True)
    assert all(np.array_equal(one, other) for one, other in same)
    assert not np.array_equal(plan(lengths)[0], plan(lengths, seed=2)[0])


def test_a_million_pairs_are_planned_in_seconds():
    lengths = realistic_lengths(1_000_000)
    started = time.process_time()
    plan(lengths)
    assert time.process_time() - started < 3


def test_a_pair_larger_than_the_budget_is_an_update():
    source = target = np.array([3, 500, 4], dtype=np.int32)
    updates = plan((source, target), batch_tokens=10)
    assert [1] in [update.tolist() for update in updates]
    assert sorted(np.concatenate(updates)) == [0, 1, 2]


def test_a_single_pair_is_repeated_in_every_update():
    one = np.array([5], dtype=np.int32)
    sampler = BatchSampler(one, one, batch_tokens=4096, seed=1)
    assert [update.tolist() for update in islice(sampler, 3)] == [[0]] * 3
    assert sampler.position == Position(3, 0, batch_tokens=4096)


def test_a_corpus_smaller_than_an_update_is_one_update():
    few = np.array([5, 6, 7], dtype=np.int32)
    assert [sorted(update.tolist()) for update in plan((few, few))] == [[0, 1, 2]]


def test_an_empty_corpus_is_refused():
    none = np.array([], dtype=np.int32)
    assert plan((none, none)) == []
    with pytest.raises(ValueError, match=r"^there are no pairs to sample from$"):
        BatchSampler(none, none, batch_tokens=10, seed=1)


def new_sampler() -> BatchSampler:
    return BatchSampler(*realistic_lengths(500), batch_tokens=1000, seed=3)


def test_the_position_is_that_of_the_next_update():
    sampler = new_sampler()
    assert sampler.position == Position(0, 0, batch_tokens=1000)
    updates = sampler.updates_in_epoch
    next(sampler)
    assert sampler.position == Position(0, 1, batch_tokens=1000)
    for _ in range(updates - 1):
        next(sampler)
    assert sampler.position == Position(1, 0, batch_tokens=1000)


@pytest.mark.parametrize("done", [0, 1, 5, 9, 10, 23])
def test_a_restored_sampler_continues_with_the_same_updates(done):
    whole = new_sampler()
    for _ in range(done):
        next(whole)
    stored = json.loads(json.dumps(asdict(whole.position)))

    resumed = new_sampler()
    resumed.restore(TypeAdapter(Position).validate_python(stored))
    for one, other in islice(zip(whole, resumed, strict=True), 25):
        assert np.array_equal(one, other)
    assert whole.position == resumed.position


@pytest.mark.parametrize("update", [-1, 8, 10_000])
def test_a_position_that_does_not_fit_the_data_is_refused(update):
    sampler = new_sampler()
    sampler.restore(Position(2, 7))
    with pytest.raises(ModelError) as caught:
        sampler.restore(Position(2, update))
    assert str(caught.value) == (
        f"the checkpoint is at update {update} of epoch 2, but that has 8 updates: it was "
        "made with other data; restore those, or start a new run."
    )
    assert sampler.position == Position(2, 7, batch_tokens=1000)


def test_a_position_without_a_size_of_updates_is_one_of_the_present_size():
    """As in the checkpoints of earlier versions."""
    sampler = new_sampler()
    sampler.restore(Position(2, 7))
    assert sampler.position == Position(2, 7, batch_tokens=1000)


@given(
    sizes=st.lists(st.integers(1, 3000), min_size=2, max_size=5), made=st.lists(st.integers(0, 9))
)
def test_an_epoch_holds_every_pair_once_however_often_the_size_of_updates_changes(sizes, made):
    lengths = realistic_lengths(200)
    seen, position = [], Position(3, 0, batch_tokens=sizes[0])
    for number, size in enumerate(sizes):
        sampler = BatchSampler(*lengths, batch_tokens=size, seed=3)
        sampler.restore(position)
        assert 3.0 <= sampler.progress < 4.0
        is_last = number == len(sizes) - 1
        for _ in range(10**9 if is_last else ([*made, 1, 1, 1, 1])[number]):
            if sampler.position.epoch == 4:
                break
            seen.extend(next(sampler).tolist())
        position = sampler.position
        if position.epoch == 4:
            break
    assert sorted(seen) == list(range(200))
    assert (position.epoch, position.earlier, sampler.progress) == (4, (), 4.0)


def test_a_resumed_epoch_of_two_sizes_continues_with_the_same_updates():
    first = new_sampler()
    for _ in range(3):
        next(first)
    whole = BatchSampler(*realistic_lengths(500), batch_tokens=300, seed=3)
    whole.restore(first.position)
    for _ in range(4):
        next(whole)
    resumed = BatchSampler(*realistic_lengths(500), batch_tokens=300, seed=3)
    resumed.restore(whole.position)
    for one, other in islice(zip(whole, resumed, strict=True), 40):
        assert np.array_equal(one, other)


def test_an_epoch_is_planned_once(monkeypatch):
    planned, sampler = [], new_sampler()

    def note(*lengths, epoch, **options):
        planned.append(epoch)
        return plan_epoch(*lengths, epoch=epoch, **options)

    monkeypatch.setattr("nmt.data.sampler.plan_epoch", note)
    for _ in range(2 * sampler.updates_in_epoch):
        next(sampler)
    assert planned == [0, 1]


def test_an_update_is_divided_evenly():
    indices = np.arange(10, 21)
    parts = split_update(indices, 4)
    assert parts[0].tolist() == [10, 14, 18]
    assert {len(part) for part in parts} == {2, 3}
    assert sorted(np.concatenate(parts)) == indices.tolist()


def test_an_update_of_few_pairs_leaves_parts_empty():
    assert [part.tolist() for part in split_update(np.array([7]), 3)] == [[7], [], []]


def test_all_parts_of_an_update_have_about_equally_many_tokens():
    lengths = _, target = realistic_lengths(5000)
    for update in plan(lengths):
        tokens = [int(target[part].sum()) for part in split_update(update, 4)]
        assert max(tokens) - min(tokens) < 0.12 * sum(tokens) / 4
