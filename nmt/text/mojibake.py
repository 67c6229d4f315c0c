"""Text whose UTF-8 was once read as another encoding: "donâ€™t" for "don’t", "Ã©" for "é"."""

import re

# What Windows-1252 has at 0x80 to 0x9f; everything else there is at the place of Latin-1.
_BYTES_80_9F = {
    ord(character): byte
    for byte in range(0x80, 0xA0)
    if (character := bytes([byte]).decode("cp1252", errors="ignore"))
}
_ENCODINGS = ("cp1250", "cp1251", "cp437", "cp850", "mac_roman")
"""Others that UTF-8 is often mistaken for."""

_NON_ASCII = re.compile(r"[^\x00-\x7f]+")
_TWO_NON_ASCII = re.compile(r"[^\x00-\x7f]{2}")
# Unmistakable even in a line that is otherwise right: all that becomes of ’ “ ” – — … €, of the
# common letters with Ã (not before what may follow a capital Ã: quotes and the like), of Â before
# signs, of a byte order mark, and of text that was damaged twice.
_CERTAIN = re.compile(
    "â(?:€[\x80-\x9f™˜œšž“”¢¦¡\u00a0-\u00bf]|‚¬|„¢)"
    "|Ã[\x80-\x9f\u00a0-\u00aa\u00ac-\u00b9\u00bc-\u00bfƒ„†‡ˆ‰Š‹ŒŽœžŸš]"
    "|Â[\u00a0-\u00a9\u00ac-\u00b6\u00b8-\u00ba\u00bc-\u00bf]"
    "|ï»¿|ï¿½|锟斤拷|ðŸ"
)


def find_mojibake(text: str) -> re.Match[str] | None:
    """Return the first place where `text` is UTF-8 that was read as another encoding, or None.

    Either a sequence that no language has, or any text, all of which can be read as UTF-8 again.
    """
    if not _TWO_NON_ASCII.search(text):  # every character had at least two bytes
        return None
    return _CERTAIN.search(text) or (_NON_ASCII.search(text) if _is_reversible(text) else None)


def _is_reversible(text: str) -> bool:
    """Whether the bytes of `text` in an old encoding are UTF-8 for a plausible text."""
    for encoding in ("latin-1", *_ENCODINGS):
        single_bytes = text.translate(_BYTES_80_9F) if encoding == "latin-1" else text
        try:
            repaired = single_bytes.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        new = "".join(_NON_ASCII.findall(repaired))
        # A capital and a closing quote ("CAFÉ»") are also two bytes of UTF-8, of a rare character.
        if len(new) > 1 or (new < "\u0180" and new.isalpha()) or new >= "\u0800":
            return True
    return False
