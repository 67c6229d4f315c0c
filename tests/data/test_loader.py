import gc
import random
import threading
import time
from itertools import islice

import numpy as np
import pytest
import torch

from nmt.data.corpus import Corpus, EncodedPair, write_corpus
from nmt.data.loader import Loader, Update, batches_once
from nmt.data.sampler import BatchSampler, Position
from nmt.errors import DataError
from nmt.text.subword import Subword
from nmt.text.vocabulary import EOS

WORDS = ["der", "die", "Hund", "Katze", "läuft", "schläft", "über", "Straße", "große", "kleine"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> tuple[Corpus, Subword]:
    folder = tmp_path_factory.mktemp("corpus")
    generator = random.Random(0)
    texts = [
        [" ".join(generator.choices(WORDS, k=generator.randint(1, 12))) for _ in range(2)]
        for _ in range(300)
    ]
    lines = [line for pair in texts for line in pair]
    subword = Subword.train(lines, folder / "m", kind="unigram", vocab_size=320)
    pairs = [EncodedPair(subword.encode(s), subword.encode(t), s, t) for s, t in texts]
    fingerprints = (subword.fingerprint,) * 2
    write_corpus(folder, "train", pairs, vocab_size=subword.vocab_size, fingerprints=fingerprints)
    return Corpus(folder, "train"), subword


def sampler_of(corpus: Corpus) -> BatchSampler:
    return BatchSampler(corpus.source_lengths, corpus.target_lengths, batch_tokens=300, seed=1)


def take(count: int, prepared, *, start: Position | None = None, **options) -> list[Update]:
    corpus, _ = prepared
    sampler = sampler_of(corpus)
    if start is not None:
        sampler.restore(start)
    with Loader(corpus, sampler, **options) as loader:
        return list(islice(loader, count))


def contents(updates: list[Update]) -> list[object]:
    """Return everything in updates, in a form that can be compared."""
    return [
        (
            [(b.indices, b.source.tolist(), b.target_out.tolist()) for b in u.micro_batches],
            (u.tokens, u.progress, u.position_after),
        )
        for u in updates
    ]


def sampled(prepared) -> dict[str, object]:
    return {"subwords": (prepared[1],) * 2, "alpha": 0.2, "seed": 4}


def test_an_epoch_holds_every_pair_once(prepared):
    corpus, _ = prepared
    updates = sampler_of(corpus).updates_in_epoch
    epoch = take(updates, prepared)
    indices = [i for update in epoch for batch in update.micro_batches for i in batch.indices]
    assert sorted(indices) == list(range(len(corpus)))
    assert sum(update.tokens for update in epoch) == corpus.target_lengths.sum()
    assert epoch[-1].position_after == Position(1, 0, batch_tokens=300)
    assert epoch[-1].progress == 1.0


def test_batches_hold_the_ids_of_the_corpus(prepared):
    corpus, _ = prepared
    [update] = take(1, prepared)
    [batch] = update.micro_batches
    for row, index in enumerate(batch.indices):
        source, target = corpus.pair(index)
        assert batch.source[row][batch.source_mask[row]].tolist() == source.tolist()
        assert batch.target_out[row][batch.target_mask[row]].tolist() == target.tolist()
    assert update.tokens == batch.tokens


@pytest.mark.parametrize("with_sampling", [False, True])
@pytest.mark.parametrize(("world_size", "accumulate"), [(1, 3), (2, 1), (3, 2)])
def test_ranks_and_micro_batches_share_the_same_updates(
    world_size, accumulate, with_sampling, prepared
):
    options = sampled(prepared) if with_sampling else {}
    alone = take(12, prepared, **options)
    ranks = [
        take(12, prepared, rank=r, world_size=world_size, accumulate=accumulate, **options)
        for r in range(world_size)
    ]
    for whole, *parts in zip(alone, *ranks, strict=True):
        batches = [batch for part in parts for batch in part.micro_batches]
        assert all(len(part.micro_batches) <= accumulate for part in parts)
        assert sorted(i for b in batches for i in b.indices) == sorted(
            whole.micro_batches[0].indices
        )
        assert sum(batch.tokens for batch in batches) == whole.tokens
        for part in parts:
            assert part.tokens == whole.tokens
            assert part.position_after == whole.position_after


@pytest.mark.parametrize("with_sampling", [False, True])
def test_loading_continues_from_a_stored_position(with_sampling, prepared):
    options = sampled(prepared) if with_sampling else {}
    whole = take(30, prepared, **options)
    first = take(17, prepared, **options)
    rest = take(13, prepared, start=first[-1].position_after, **options)
    assert contents(first + rest) == contents(whole)


def test_segmentations_differ_between_epochs_and_spell_the_same_text(prepared):
    corpus, subword = prepared
    updates = sampler_of(corpus).updates_in_epoch
    seen: dict[int, list[list[int]]] = {}
    for update in take(2 * updates, prepared, **sampled(prepared)):
        for batch in update.micro_batches:
            for row, index in enumerate(batch.indices):
                ids = batch.source[row][batch.source_mask[row]].tolist()
                assert ids[-1] == EOS
                assert subword.decode(ids) == corpus.texts(index)[0]
                seen.setdefault(index, []).append(ids)
    assert np.mean([one != other for one, other in seen.values()]) > 0.5


def test_source_and_target_of_one_text_are_segmented_independently(prepared, tmp_path):
    _, subword = prepared
    text = "der große Hund läuft über die Straße"
    ids = subword.encode(text)
    pairs = [EncodedPair(ids, ids, text, text)] * 5
    write_corpus(tmp_path, "train", pairs, vocab_size=320, fingerprints=("a", "a"))
    [update] = take(1, (Corpus(tmp_path, "train"), subword), **sampled(prepared))
    [batch] = update.micro_batches
    assert batch.source.tolist() != batch.target_out.tolist()


@pytest.mark.parametrize("side", ["source", "target"])
def test_one_side_can_be_sampled_alone(side, prepared):
    corpus, _ = prepared
    both = take(2, prepared, **sampled(prepared))
    one = take(2, prepared, sampled=side, **sampled(prepared))
    for whole, part in zip(both, one, strict=True):
        [whole_batch], [part_batch] = whole.micro_batches, part.micro_batches
        names = ["source", "target_out"] if side == "source" else ["target_out", "source"]
        assert torch.equal(getattr(part_batch, names[0]), getattr(whole_batch, names[0]))
        kept = getattr(part_batch, names[1])
        for row, index in enumerate(part_batch.indices):
            stored = corpus.pair(index)[side == "source"].tolist()
            assert kept[row][: len(stored)].tolist() == stored
        assert part.tokens == part_batch.tokens


def test_sampling_needs_the_subword_models(prepared):
    corpus, _ = prepared
    with pytest.raises(ValueError, match="needs the subword models"):
        Loader(corpus, sampler_of(corpus), alpha=0.1)


def test_a_rank_without_pairs_gets_no_batch_but_the_token_count_of_the_update(tmp_path):
    write_corpus(
        tmp_path,
        "train",
        [EncodedPair([5], [6, 7], "a", "b")],
        vocab_size=10,
        fingerprints=("a", "a"),
    )
    corpus = Corpus(tmp_path, "train")
    [update] = take(1, (corpus, None), rank=1, world_size=2)
    assert update.micro_batches == []
    assert update.tokens == 3


def loader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("nmt-loader")]


def test_the_thread_ends_with_the_block_even_after_an_error(prepared):
    corpus, _ = prepared

    def fail_midway() -> None:
        with Loader(corpus, sampler_of(corpus)) as loader:
            next(loader)
            assert loader_threads()
            raise KeyError("in training")

    with pytest.raises(KeyError, match="in training"):
        fail_midway()
    assert not loader_threads()


def test_closing_is_prompt_while_updates_are_ready(prepared):
    corpus, _ = prepared
    loader = Loader(corpus, sampler_of(corpus))
    next(loader)
    while not all(update.done() for update in loader._ahead):
        time.sleep(0.001)
    started = time.monotonic()
    loader.close()
    loader.close()
    assert time.monotonic() - started < 1.0
    assert not loader_threads()
    with pytest.raises(RuntimeError, match="after shutdown"):
        next(loader)


def test_a_garbage_collected_loader_stops_its_thread(prepared):
    corpus, _ = prepared
    loader = Loader(corpus, sampler_of(corpus))
    next(loader)
    [thread] = loader_threads()
    del loader
    gc.collect()
    thread.join(timeout=5)
    assert not thread.is_alive()


def test_an_error_in_the_background_is_raised_in_the_foreground(prepared, monkeypatch):
    corpus, _ = prepared
    calls = iter(range(1000))

    def fail_later(index: int):
        if next(calls) > 40:
            raise DataError("ids.bin: is damaged")
        return Corpus.pair(corpus, index)

    monkeypatch.setattr(corpus, "pair", fail_later)
    with Loader(corpus, sampler_of(corpus)) as loader:
        with pytest.raises(DataError, match=r"ids\.bin: is damaged"):
            list(loader)
        with pytest.raises(DataError, match=r"ids\.bin: is damaged"):
            next(loader)
    assert not loader_threads()


def test_a_slow_reader_gets_the_same_updates_as_a_fast_one(prepared):
    corpus, _ = prepared
    with Loader(corpus, sampler_of(corpus)) as loader:
        slow = []
        for update in islice(loader, 6):
            time.sleep(0.01)
            slow.append(update)
    assert contents(slow) == contents(take(6, prepared))


def test_validation_sees_every_pair_once(prepared):
    corpus, _ = prepared
    batches = list(batches_once(corpus, batch_tokens=200))
    assert sorted(i for batch in batches for i in batch.indices) == list(range(len(corpus)))
    assert torch.equal(batches[0].source, next(batches_once(corpus, batch_tokens=200)).source)
