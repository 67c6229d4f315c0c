"""IBM model 1 learns a language in which every piece has one translation."""

import random

import numpy as np
import pytest
from safetensors.numpy import load_file

from nmt.data import lexicon
from nmt.data.corpus import Corpus, EncodedPair, write_corpus
from nmt.data.lexicon import LIKELY, learn_lexicon
from nmt.text.subword import SHORTLIST_FILE
from nmt.text.vocabulary import PAD

FIRST, WORDS = 4, 30
SOURCE_VOCAB = TARGET_VOCAB = FIRST + WORDS


def translation(piece: int) -> int:
    return FIRST + (piece * 7 + 3) % WORDS


@pytest.fixture
def corpus(tmp_path) -> Corpus:
    """Pairs of distinct words, shuffled on the target side; low piece numbers are more frequent."""
    chance = random.Random(1)
    words = range(FIRST, FIRST + WORDS - 1)  # the last one never occurs
    pairs = []
    for _ in range(400):
        source = list({min(chance.choices(words, k=2)) for _ in range(chance.randint(2, 8))})
        target = [translation(piece) for piece in source]
        chance.shuffle(target)
        pairs.append(EncodedPair(source, target, "", ""))
    write_corpus(tmp_path, "train", pairs, vocab_size=TARGET_VOCAB, fingerprints=("a", "b"))
    return Corpus(tmp_path, "train")


def learn(corpus: Corpus):
    return learn_lexicon(corpus, source_vocab=SOURCE_VOCAB, target_vocab=TARGET_VOCAB)


def test_the_translation_of_each_piece_is_the_likeliest(corpus):
    likely = learn(corpus).likely
    assert likely.shape == (SOURCE_VOCAB, LIKELY)
    for piece in range(FIRST, FIRST + WORDS - 1):
        assert likely[piece, 0] == translation(piece)
    assert (likely[SOURCE_VOCAB - 1] == PAD).all()
    assert (likely[:FIRST] == PAD).all()


def test_the_probabilities_are_those_of_the_likely_pieces(corpus):
    lexicon = learn(corpus)
    assert lexicon.probability.shape == lexicon.likely.shape
    assert (lexicon.probability[lexicon.likely == PAD] == 0).all()
    assert (lexicon.probability.sum(axis=1) <= 1 + 1e-6).all()
    assert (np.diff(lexicon.probability, axis=1) <= 0).all()
    assert (lexicon.probability[FIRST : FIRST + WORDS - 1, 0] > 0.5).all()


def test_pieces_are_ordered_by_how_often_they_occur(corpus):
    frequent = learn(corpus).frequent
    count = np.zeros(TARGET_VOCAB, int)
    for index in range(len(corpus)):
        np.add.at(count, corpus.pair(index)[1][:-1], 1)
    assert sorted(frequent) == list(range(TARGET_VOCAB))
    assert (np.diff(count[frequent]) <= 0).all()


def test_a_sample_of_a_large_corpus_suffices(corpus, monkeypatch):
    monkeypatch.setattr(lexicon, "_ENTRIES", 3000)
    likely = learn(corpus).likely
    hits = [likely[piece, 0] == translation(piece) for piece in range(FIRST, FIRST + 20)]
    assert np.mean(hits) > 0.9


def test_the_shortlist_is_saved_with_the_same_bytes_each_time(corpus, tmp_path):
    contents = []
    for _ in range(2):
        learn(corpus).save(tmp_path)
        contents.append((tmp_path / SHORTLIST_FILE).read_bytes())
    assert contents[0] == contents[1]
    kept = load_file(tmp_path / SHORTLIST_FILE)
    np.testing.assert_array_equal(kept["likely"], learn(corpus).likely)
    np.testing.assert_array_equal(kept["frequent"], learn(corpus).frequent)
    np.testing.assert_array_equal(kept["probability"], learn(corpus).probability)
