"""Where the pieces, words and units of a text are, as `[start, end)` in code points.

A word ends at a space. Where a script has no spaces between words, each piece is a word.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

from nmt.text.scripts import SPACELESS, is_invisible, script_of

Span = tuple[int, int]
"""Start and end."""

_LONGEST_CHARACTER = 4  # bytes of UTF-8


def spans_of_pieces(parts: Iterable[str | int]) -> tuple[str, list[Span]]:
    """Return the text that pieces spell and the span of each.

    Bytes that spell a character together have one span; a byte that belongs to no character
    becomes U+FFFD.

    Args:
        parts: text of each piece, or its byte.
    """
    text, spans, pending = "", list[Span](), b""
    for part in parts:
        if isinstance(part, int):
            pending += bytes([part])
            continue
        for character, size in _characters(pending):
            spans += [(len(text), len(text) + 1)] * size
            text += character
        spans.append((len(text), len(text) + len(part)))
        text, pending = text + part, b""
    for character, size in _characters(pending):
        spans += [(len(text), len(text) + 1)] * size
        text += character
    return text, spans


def _characters(data: bytes) -> Iterable[tuple[str, int]]:
    """Yield each character of UTF-8 and its number of bytes."""
    place = 0
    while place < len(data):
        for size in range(1, _LONGEST_CHARACTER + 1):
            try:
                yield data[place : place + size].decode(), size
            except UnicodeDecodeError:
                continue
            place += size
            break
        else:
            yield "\N{REPLACEMENT CHARACTER}", 1
            place += 1


def strip_span(text: str, span: Span) -> Span | None:
    """Return a span without the white space around its text; None if there is no other text."""
    start, end = span
    part = text[start:end]
    if not part.strip():
        return None
    return start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


@dataclass(frozen=True)
class PieceText:
    """A text and where its pieces are."""

    text: str
    """The text."""
    spans: Sequence[Span]
    """Span of each piece, ascending."""

    @classmethod
    def of(cls, text: str, read: str, spans: Sequence[Span]) -> "PieceText":
        """Return `text` with the pieces of `read`, another form of it; see `origins`."""
        if text == read:
            return cls(text, spans)
        sources, moved, reached = origins(text, read), list[Span](), 0
        for span in spans:
            inner = strip_span(read, span)
            if inner is not None:
                reached = sources[inner[1] - 1][1]
            moved.append((reached, reached) if inner is None else (sources[inner[0]][0], reached))
        return cls(text, moved)

    @cached_property
    def words(self) -> list[Span]:
        """Span of each word."""
        starts, words, previous = {start for start, _ in self.spans}, list[Span](), " "
        for place, character in enumerate(self.text):
            if character.isspace():
                previous = character
                continue
            begins = previous.isspace()
            if place in starts and not begins and not _continues(character):
                begins = is_spaceless(previous) or is_spaceless(character)
            words.append((place if begins else words.pop()[0], place + 1))
            if not _continues(character):
                previous = character
        return words

    @cached_property
    def word_of_each(self) -> list[int | None]:
        """The word that each piece belongs to; None for white space.

        A piece that spans several words belongs to its first.
        """
        starts = [start for start, _ in self.words]
        inner = (strip_span(self.text, span) for span in self.spans)
        return [None if span is None else bisect_right(starts, span[0]) - 1 for span in inner]

    @cached_property
    def units(self) -> list[Span]:
        """Span of each piece but white space, which has none; pieces that share a character are
        one."""
        units: list[Span] = []
        for span in (strip_span(self.text, span) for span in self.spans):
            if span is not None and (not units or span[0] >= units[-1][1]):
                units.append(span)
        return units

    @cached_property
    def unit_of_each(self) -> list[int | None]:
        """The unit that each piece belongs to; None for white space."""
        starts = [start for start, _ in self.units]
        inner = (strip_span(self.text, span) for span in self.spans)
        return [None if span is None else bisect_right(starts, span[0]) - 1 for span in inner]


def _continues(character: str) -> bool:
    """Whether a character belongs to the one before: combining marks and joiners."""
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")


def is_spaceless(character: str) -> bool:
    """Whether words are not separated by spaces beside this character."""
    if (script := script_of(character)) is not None:
        return script in SPACELESS
    is_wide = unicodedata.east_asian_width(character) in "WF"
    return is_wide and unicodedata.category(character)[0] in "PS"


def origins(given: str, read: str) -> list[Span]:
    """Return the span of `given` that each character of `read` comes from.

    Where one character became several or several became one, the span is that of all of them.

    Args:
        given: a text.
        read: the same in another form: normalised, with other white space, in small letters, or
            with some characters removed or replaced.
    """
    if given == read:
        return [(place, place + 1) for place in range(len(read))]
    ours, theirs = _atoms(given), _atoms(read)
    our_keys, their_keys = _keys(given, ours), _keys(read, theirs)
    sources: list[list[int]] = [[] for _ in theirs]
    for (ours_first, ours_last), (begin, end) in _matches(our_keys, their_keys):
        for offset in range(end - begin):
            is_alike = ours_last - ours_first == end - begin
            chosen = our_keys[ours_first:ours_last][offset : offset + 1 if is_alike else None]
            sources[their_keys[begin + offset][1]] += [atom for _, atom in chosen]
    found: list[Span] = []
    reached = 0
    for (left, right), atoms in zip(theirs, sources, strict=True):
        start, stop = (ours[min(atoms)][0], ours[max(atoms)][1]) if atoms else (reached, reached)
        if atoms and stop - start == right - left:
            found += [(place, place + 1) for place in range(start, stop)]
        else:
            found += [(start, stop)] * (right - left)
        reached = stop
    return found


def _atoms(text: str) -> list[Span]:
    """Return the parts of `text` that are normalised one by one, with what belongs to each."""
    atoms: list[Span] = []
    for place, character in enumerate(text):
        if atoms and _joins(text[atoms[-1][0] : place], character):
            atoms[-1] = (atoms[-1][0], place + 1)
        else:
            atoms.append((place, place + 1))
    return atoms


def _joins(before: str, character: str) -> bool:
    """Whether a character is invisible, or composed with or ordered among those before it."""
    if character.isascii() or character.isspace() or before.isspace():
        return False
    first = unicodedata.normalize("NFKD", character)[:1]
    if is_invisible(character) or unicodedata.combining(first):
        return True
    alone = len(unicodedata.normalize("NFC", before)) + len(unicodedata.normalize("NFC", character))
    return len(unicodedata.normalize("NFC", before + character)) < alone


_Key = tuple[str, int]  # a character that all forms of an atom have in common, and the atom


def _keys(text: str, atoms: Sequence[Span]) -> list[_Key]:
    return [
        (character, number)
        for number, (start, end) in enumerate(atoms)
        for character in unicodedata.normalize("NFKD", text[start:end]).casefold()
        if not is_invisible(character) and not character.isspace()
    ]


def _matches(ours: Sequence[_Key], theirs: Sequence[_Key]) -> list[tuple[Span, Span]]:
    """Return the parts of both that correspond: runs of equal characters, or what replaces them."""
    one, two = ("".join(character for character, _ in keys) for keys in (ours, theirs))
    if one == two:
        return [((0, len(one)), (0, len(two)))]
    matcher = SequenceMatcher(None, one, two, autojunk=False)
    return [((a, b), (c, d)) for _, a, b, c, d in matcher.get_opcodes()]
