"""Translations of a line's segments, joined."""

import pytest

from nmt.text.sentences import Span, find_sentences
from nmt.translation import TranslatedText, join_segments


def translated(
    text: str, *links: tuple[int, int], log_prob: float = -1.0, source_words: int = 0
) -> TranslatedText:
    return TranslatedText(
        text,
        log_prob,
        log_prob / 2,
        True,
        links,
        source_words=source_words,
        target_words=len(text.split()),
    )


def test_words_of_an_alignment_are_counted_through_the_whole_line():
    line = " The cat ate. We slept."
    spans = find_sentences(line)
    segments = [
        [translated("Il gatto ha mangiato.", (0, 0), (1, 1), (2, 3), source_words=3)],
        [translated("Dormimmo.", (1, 0), log_prob=-3.0)],
    ]
    (joined,) = join_segments(line, spans, segments)
    assert joined.text == " Il gatto ha mangiato. Dormimmo."
    assert joined.alignment == ((0, 0), (1, 1), (2, 3), (4, 4))
    assert (joined.log_prob, joined.score) == (-4.0, -1.0)


def test_pieces_of_sentences_without_spaces_are_counted_through_the_whole_line():
    line = "我来了。他走了。"
    segments = [
        [translated("I came.", (0, 0), (2, 1), source_words=3)],
        [translated("He left.", (0, 0), (1, 1), source_words=3)],
    ]
    (joined,) = join_segments(line, find_sentences(line), segments)
    assert joined.text == "I came. He left."
    assert joined.alignment == ((0, 0), (2, 1), (3, 2), (4, 3))


def test_a_word_that_goes_on_in_the_next_part_is_counted_once():
    line, spans = "one,two three", [Span(0, 4), Span(4, 13)]
    segments = [
        [translated("uno,", (0, 0), source_words=1)],
        [translated("due tre", (0, 0), (1, 1), source_words=2)],
    ]
    (joined,) = join_segments(line, spans, segments)
    assert joined.alignment == ((0, 0), (0, 1), (1, 2))


def scored(*texts: tuple[str, float]) -> list[TranslatedText]:
    return [TranslatedText(text, score, score, True, None) for text, score in texts]


def test_the_best_combinations_of_sentences_come_first():
    line = "One. Two."
    segments = [scored(("A.", -1.0), ("B.", -3.0)), scored(("C.", -1.0), ("D.", -1.5))]
    joined = join_segments(line, find_sentences(line), segments, n_best=3)
    assert [each.text for each in joined] == ["A. C.", "A. D.", "B. C."]
    assert [each.score for each in joined] == [-1.0, -1.25, -2.0]


@pytest.mark.parametrize("n_best", [1, 4, 9])
def test_as_many_combinations_as_there_are_all_differ(n_best):
    line = "One. Two. Three."
    pair = scored(("A.", -1.0), ("B.", -2.0))
    joined = join_segments(line, find_sentences(line), [pair] * 3, n_best=n_best)
    assert len({each.text for each in joined}) == len(joined) == min(n_best, 8)
    assert joined[0].text == "A. A. A."


def test_the_order_of_a_segment_is_kept_where_scores_say_otherwise():
    line = "One. Two."
    segments = [scored(("A.", -2.0), ("B.", -1.0)), scored(("C.", -1.0))]
    joined = join_segments(line, find_sentences(line), segments, n_best=2)
    assert [each.text for each in joined] == ["A. C.", "B. C."]


def test_samples_are_joined_by_rank_and_the_last_fills_up():
    line = "One. Two."
    segments = [scored(("A.", -2.0), ("B.", -1.0)), scored(("C.", -1.0))]
    joined = join_segments(line, find_sentences(line), segments, n_best=2, are_samples=True)
    assert [each.text for each in joined] == ["A. C.", "B. C."]


@pytest.mark.parametrize("flag", [True, False])
def test_a_line_is_finished_if_every_sentence_is(flag):
    line = "One. Two."
    segments = [[translated("A.")], [TranslatedText("B.", 0.0, 0.0, flag, None, repeats=not flag)]]
    (joined,) = join_segments(line, find_sentences(line), segments)
    assert (joined.finished, joined.repeats, joined.alignment) == (flag, not flag, None)
