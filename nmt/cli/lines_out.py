"""Translations as lines of output: one format per function."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the translator imports torch
    from nmt.diagnostics.alignment import Link, SpanLink
    from nmt.diagnostics.attention import SoftAttention
    from nmt.translation import TranslatedText, Translation, WordScore

Format = Literal["text", "nbest", "jsonl"]

SEPARATOR = " ||| "
_BAR = "|||"
_ESCAPED_BAR = "&#124;" * 3
# Characters that some programs treat as the end of a line, and NUL.
_LINE_ENDS = dict.fromkeys(map(ord, "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\0"), " ")
_JSON_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}


def one_line(text: str) -> str:
    """Replace everything that could end a line by a space."""
    return text.translate(_LINE_ENDS)


def as_line(
    number: int, translation: "Translation", *, format: Format, scores: bool, align: bool
) -> str:
    """Return a translation in a format, on one line, or on one for each of its texts."""
    if format == "jsonl":
        return as_json(number, translation)
    if format == "nbest":
        return as_n_best(number, translation, align=align)
    return as_text(translation, scores=scores, align=align)


def as_text(translation: "Translation", *, scores: bool, align: bool) -> str:
    """Return the best translation, followed by the requested fields.

    `text`, or `text ||| logprob=-1.9130 ||| -0.3188 ||| 0-0 1-1`; a bar in the text is escaped
    only if there are fields.
    """
    if not scores and not align:
        return one_line(translation.text)
    return SEPARATOR.join(_fields(translation.hypotheses[0], scores=scores, align=align))


def as_n_best(number: int, translation: "Translation", *, align: bool) -> str:
    """Return one line per translation: `0 ||| text ||| logprob=-1.9130 ||| -0.3188`."""
    return "\n".join(
        SEPARATOR.join([str(number), *_fields(hypothesis, scores=True, align=align)])
        for hypothesis in translation.hypotheses
    )


def as_json(number: int, translation: "Translation") -> str:
    """Return a JSON object on one line, with all fields."""
    best = translation.hypotheses[0]
    record = {
        "id": number,
        "source": translation.source,
        **_record(best),
        "sentences": translation.sentences,
        "too_long": translation.too_long,
        "too_short": translation.too_short,
        "unseen": translation.unseen,
        "unknown_pieces": translation.unknown_pieces,
        "lost": translation.lost,
        "nbest": [_record(hypothesis) for hypothesis in translation.hypotheses],
    }
    return json_line(record)


def json_line(record: object) -> str:
    """Return `record` as JSON that every program reads as one line.

    Infinity, which JSON does not support, becomes null: the log-probability of what cannot be.
    """
    try:
        written = json.dumps(record, ensure_ascii=False, allow_nan=False)
    except ValueError:
        written = json.dumps(_finite(record), ensure_ascii=False)
    return written.translate(_JSON_LINE_ENDS)


def _finite(value: object) -> object:
    """Return a value with None in place of numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _record(hypothesis: "TranslatedText") -> dict[str, object]:
    details = details_of(hypothesis.piece_alignment, hypothesis.word_scores, hypothesis.attention)
    return {
        "text": hypothesis.text,
        "score": hypothesis.score,
        "logprob": hypothesis.log_prob,
        "finished": hypothesis.finished,
        "repeats": hypothesis.repeats,
        "alignment": hypothesis.alignment,
        **details,
    }


def details_of(
    pieces: "Sequence[SpanLink] | None",
    words: "Sequence[WordScore] | None",
    attention: "SoftAttention | None",
) -> dict[str, object]:
    """Return alignment of pieces, scores of words and attention, as far as they were requested."""
    record: dict[str, object] = {}
    if pieces is not None:
        record["piece_alignment"] = [
            {"source": each.source, "target": each.target} for each in pieces
        ]
    if words is not None:
        record["words"] = [{"text": word.text, "logprob": word.log_prob} for word in words]
    if attention is not None:
        record["attention"] = asdict(attention)
    return record


def _fields(hypothesis: "TranslatedText", *, scores: bool, align: bool) -> Iterator[str]:
    yield one_line(hypothesis.text).replace(_BAR, _ESCAPED_BAR)
    if scores:
        yield f"logprob={hypothesis.log_prob:.4f}"
        yield f"{hypothesis.score:.4f}"
    if align:
        yield as_links(hypothesis.alignment)


def as_links(alignment: "Sequence[Link] | None") -> str:
    """Return links as `0-0 1-2`."""
    return " ".join(f"{source}-{target}" for source, target in alignment or ())
