"""Any translation can be read back from every output format."""

import json

from hypothesis import given
from hypothesis import strategies as st

from nmt.cli.lines_out import as_json, as_n_best, as_text, json_line, one_line
from nmt.diagnostics.alignment import SpanLink, parse_pharaoh
from nmt.translation import WordScore
from nmt.translator import TranslatedText, Translation

TEXTS = st.text(
    st.one_of(st.sampled_from("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\0||| &#124;"), st.characters())
)
LOG_PROBS = st.floats(min_value=-1e6, max_value=0.0)
LINKS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=5).map(tuple)
SPANS = st.tuples(st.integers(0, 500), st.integers(0, 500))
HYPOTHESES = st.builds(
    TranslatedText,
    TEXTS,
    LOG_PROBS,
    LOG_PROBS,
    st.booleans(),
    LINKS,
    piece_alignment=st.lists(st.builds(SpanLink, SPANS, SPANS), max_size=3).map(tuple),
    word_scores=st.lists(st.builds(WordScore, TEXTS, LOG_PROBS), max_size=3).map(tuple),
)
TRANSLATIONS = st.builds(
    Translation, TEXTS, st.lists(HYPOTHESES, min_size=1, max_size=3).map(tuple)
)


def as_written(line: str) -> str:
    """The line as a program reads it back from a file, which must contain exactly one line."""
    text = line.encode("utf-8", "replace").decode()
    assert len(text.splitlines()) <= 1
    return text


@given(number=st.integers(0, 10**9), translation=TRANSLATIONS)
def test_an_n_best_list_is_read_back(number, translation):
    lines = as_n_best(number, translation, align=True).split("\n")
    assert len(lines) == len(translation.hypotheses)
    for line, hypothesis in zip(lines, translation.hypotheses, strict=True):
        found, text, log_prob, score, links = as_written(line).split(" ||| ")
        escaped = one_line(hypothesis.text).replace("|||", "&#124;" * 3)
        assert text == escaped.encode("utf-8", "replace").decode()
        assert int(found) == number
        assert abs(float(log_prob.removeprefix("logprob=")) - hypothesis.log_prob) <= 5.1e-5
        assert abs(float(score) - hypothesis.score) <= 5.1e-5
        assert parse_pharaoh(links) == set(hypothesis.alignment)


@given(number=st.integers(0, 10**9), translation=TRANSLATIONS)
def test_a_json_line_is_read_back_bit_for_bit(number, translation):
    found = json.loads(as_written(as_json(number, translation)))
    assert found["id"] == number
    assert found["source"] == translation.source.encode("utf-8", "replace").decode()
    assert len(found["nbest"]) == len(translation.hypotheses)
    assert {name: found[name] for name in found["nbest"][0]} == found["nbest"][0]
    assert (found["sentences"], found["unseen"], found["unknown_pieces"]) == (1, [], 0)
    for record, hypothesis in zip(found["nbest"], translation.hypotheses, strict=True):
        assert record == {
            "text": hypothesis.text.encode("utf-8", "replace").decode(),
            "score": hypothesis.score,
            "logprob": hypothesis.log_prob,
            "finished": hypothesis.finished,
            "repeats": hypothesis.repeats,
            "alignment": [list(link) for link in hypothesis.alignment],
            "words": [
                {"text": each.text.encode("utf-8", "replace").decode(), "logprob": each.log_prob}
                for each in hypothesis.word_scores
            ],
            "piece_alignment": [
                {"source": list(each.source), "target": list(each.target)}
                for each in hypothesis.piece_alignment
            ],
        }


@given(translation=TRANSLATIONS, scores=st.booleans(), align=st.booleans())
def test_a_line_has_exactly_the_requested_fields(translation, scores, align):
    line = as_written(as_text(translation, scores=scores, align=align))
    if scores or align:
        assert line.count(" ||| ") == 2 * scores + align
    else:
        assert line == one_line(translation.text).encode("utf-8", "replace").decode()


@given(record=st.dictionaries(TEXTS, st.one_of(TEXTS, LOG_PROBS, st.none(), st.integers())))
def test_any_json_is_one_line(record):
    found = json.loads(as_written(json_line(record)))
    assert {k: v for k, v in found.items() if isinstance(v, float | int | None)} == {
        key.encode("utf-8", "replace").decode(): value
        for key, value in record.items()
        if isinstance(value, float | int | None)
    }
