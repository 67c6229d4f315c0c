"""Normalisation of text: Unicode normal forms and white space."""

import unicodedata
from dataclasses import dataclass
from typing import Literal

from nmt.text.repair import delete_invisible, join_words

UnicodeForm = Literal["off", "nfc", "nfkc"]


@dataclass(frozen=True)
class Normalizer:
    """Normalises lines; idempotent.

    Args:
        unicode: "nfc" composes characters (e + accent -> é), "nfkc" also replaces compatibility
            characters (ﬁ -> fi), "off" leaves them.
        whitespace: replace every run of white space, as Unicode defines it, by one space and
            strip both ends.
        repair: delete invisible characters that no script needs, and join words that are cut at
            their apostrophe, see `nmt.text.repair`.
    """

    unicode: UnicodeForm = "nfc"
    whitespace: bool = True
    repair: bool = False

    def normalize(self, text: str) -> str:
        """Return `text`, one line, in its normal form."""
        if self.repair:
            text = delete_invisible(text)
        if self.unicode == "nfc":
            text = unicodedata.normalize("NFC", text)
        elif self.unicode == "nfkc":
            text = unicodedata.normalize("NFKC", text)
        if self.whitespace:
            text = " ".join(text.split())
        return join_words(text) if self.repair else text
