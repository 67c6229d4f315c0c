"""Normalisation of text: Unicode normal forms and white space."""

import unicodedata
from dataclasses import dataclass
from typing import Literal

UnicodeForm = Literal["off", "nfc", "nfkc"]


@dataclass(frozen=True)
class Normalizer:
    """Normalises lines; idempotent.

    Args:
        unicode: "nfc" composes characters (e + accent -> é), "nfkc" also replaces compatibility
            characters (ﬁ -> fi), "off" leaves them.
        whitespace: replace every run of white space, as Unicode defines it, by one space and
            strip both ends.
    """

    unicode: UnicodeForm = "nfc"
    whitespace: bool = True

    def normalize(self, text: str) -> str:
        """Return `text`, one line, in its normal form."""
        if self.unicode == "nfc":
            text = unicodedata.normalize("NFC", text)
        elif self.unicode == "nfkc":
            text = unicodedata.normalize("NFKC", text)
        return " ".join(text.split()) if self.whitespace else text
