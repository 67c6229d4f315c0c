"""Damage that other tools leave in text: what cannot be seen, and words cut at an apostrophe."""

import re

# Joiners are right within scripts that join letters and between emoji, but not between these:
_NEVER_JOINED = "\x00-\u0590\u1e00-\u200d\u2010-\u206f\u2e80-\ud7ff\uff00-\uffef"
# Zero width spaces are right between words of these, of South-East Asia:
_HAS_WORD_BREAKS = "\u0e00-\u109f\u1780-\u17ff\u1950-\u1aaf\ua980-\uaadf"
_INVISIBLE = re.compile(
    f"(?:^|(?<=[{_NEVER_JOINED}]))[\u200c\u200d](?=[{_NEVER_JOINED}]|$)"
    f"|(?<![{_HAS_WORD_BREAKS}])\u200b"
    "|(?<=[A-Za-z\u00c0-\u052f])\ufe0f"
    "|[\xad\u2060-\u2064\ufeff\ufff9-\ufffb\u3164\uffa0]"
)
_MAY_BE_INVISIBLE = re.compile(
    "[\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\u3164\ufe0f\ufeff-\uffff]"
)
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]")
_CUT_WORD = re.compile(
    r"(?<=[^\W\d_]) ’ (?=[^\W\d_])"
    r"|(?:(?<=\b[^\W\d_])|(?<=\b[^\W\d_]{2})) ' (?=[^\W\d_])"
    r"|(?<=[^\W\d_]) ' (?=(?:s|t|re|ve|ll|m|d)\b)"
    r"|(?:(?<=^[^\W\d_])|(?<= [^\W\d_]))['’] (?=[^\W\d_])"
)
INNER_APOSTROPHE = re.compile(r"(?<=[^\W\d_])['’‘ʼ`´＇](?=[^\W\d_])")
"""What may stand for the apostrophe of a word such as "don't"."""


def find_invisible(text: str) -> re.Match[str] | None:
    """Find the first invisible character where no script needs it; a text may be nothing else."""
    if not _MAY_BE_INVISIBLE.search(text):
        return None
    found = _INVISIBLE.search(text)
    if found is None and (found := _DIRECTION.search(text)) and _RIGHT_TO_LEFT.search(text):
        return None
    return found


def delete_invisible(text: str) -> str:
    """Delete every invisible character that no script needs: zero-width spaces, soft hyphens."""
    while find_invisible(text):
        text = _INVISIBLE.sub("", text)
        if not _RIGHT_TO_LEFT.search(text):
            text = _DIRECTION.sub("", text)
    return text


def join_words(text: str) -> str:
    """Join words that a tokenizer has cut at their apostrophe: "d ’ ailleurs", "it ' s", "l' ami".

    "’" is joined between any letters, unless "‘" shows that it ends a quotation. "'" may begin
    one, so it is joined only after at most two letters, and before an English ending.
    """
    if "’ " not in text and "' " not in text:
        return text
    quotes = "‘" in text
    return _CUT_WORD.sub(lambda cut: cut[0] if quotes and "’" in cut[0] else cut[0].strip(), text)
