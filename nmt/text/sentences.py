"""Where sentences begin and end in a line, by rules that would rather not split than split wrongly.

A sentence ends at a full stop, question mark or exclamation mark of any script, with the quotes and
brackets that close after it. Marks such as "。" and "।" end a sentence by themselves. "." "!" "?"
need a space or an invisible character after them, and no small letter next; a "." must not belong
to an abbreviation, an initial, an ordinal or the number of an item. In a line without any capital,
a small letter may begin a sentence; after "!" and "?" also in a line that begins with one. In any
other, "Stop! he said", "Ah ! quel homme" and "Yahoo! is" cannot be told from two sentences. Where
the space was forgotten ("slept.Anna"), a word must stand on both sides.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from nmt.text.scripts import SPACELESS, script_of


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a line, from `start` up to `end`."""

    start: int
    end: int


_ALONE = "。！？｡।॥۔؟։።፧፨။។៕᠃᠉꓿‼⁇⁈⁉"
_ENDS = re.compile(
    # Marks that need no space after them; “ would open the next sentence.
    rf"""(?P<alone>[{_ALONE}][{_ALONE}.!?…]*)[”’"'»」』）》〉】)\]}}]*\s*"""
    # Marks that do; “ and « close a German sentence, and French puts a space before ».
    r"""|(?P<mark>[.!?…]+|(?<=[\u0370-\u03ff]);)"""
    r"""(?:["'”’“‘»«›‹」』）)\]}*_]|\s?[»›](?=[\s,.;]|$))*(?:\[\d{1,3}\])*(?P<space>[\s\u200b\u2060\ufeff]*)"""
)
# What stands around a mark after which the space was forgotten: words, not parts of an address.
_WORD_BEFORE = re.compile(r"[^\W\d_]{2,}|\d{4}")
_WORD_AFTER = re.compile(r"[\"'“„«¿¡(]*(?P<word>[^\W\d_]{2,}|[AI](?=\s))(?![\w/@]|[.:]\w)")
_QUOTED = re.compile("「[^「」]*」|『[^『』]*』")
_GOES_ON = "とっ、，,」』"  # after a quotation, Japanese goes on with a particle
_OPENERS = " \t\"'“”„‚‘’«»‹›([{¿¡-–—*_「『（《"
_WORD = re.compile(r"[^\W_]")
_ITEM = re.compile(r"\(?[a-z]\)\s")
_LETTER = re.compile(r"[^\W\d_]")
_LONGEST_WORD = 24  # characters before a full stop that an abbreviation may have


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ABBREVIATIONS = _words(
    # before names
    "mr mrs messrs dr drs prof sr sra srta dra dña ud uds mme mmes mlle mgr sig sigg dott avv egr "
    "exmo exma hr hrn frl dipl dhr mevr mw doc mudr judr phdr rndr inż str ul вул ул гр проф акад "
    "г-н г-жа κα δρ "
    # within a sentence
    "vs cf viz approx ca bzw evtl ggf vgl inkl exkl sog vermutl etw jmd bijv tzn tzw dz godz np "
    "např popř напр dvs feks pág págs"
)
_CAPITALIZED = _words(
    "St Ste Jr Rev Hon Gen Col Capt Cpt Lt Sgt Maj Gov Sen Rep Pres Supt Ms Mx Fr Ing Ir Mag Arch "
    "Ave Blvd Mt Ft Dn"
)
"""Abbreviations whose small letters are another word in some language."""
_BEFORE_NUMBERS = _words(
    "no nos nr nrs núm num nº n° fig figs vol vols ch chap sec art arts par abs abb bd bde kap pp "
    "p s str ed eq tab app av ap lib pt pts č čp čís poz ust № рис стр гл тел tel ext jan feb mar "
    "apr jun jul aug sept sep oct okt nov dec dez"
)
_NUMBERED_BY_STOPS = _words(
    "bs cs da de et eu fi fo hr hu is lb lt lv nb nds nn no pl se sk sl sr tr"
)
"""Languages that write ordinals with a full stop: "am 3. Oktober"."""
_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")
_HALF_DAY = frozenset(("a.m", "p.m"))
_ROMAN = re.compile("[IVXLC]+")


def find_sentences(text: str, language: str = "") -> list[Span]:
    """Return the sentences of a line in order, without the white space around them.

    Args:
        text: one line.
        language: its code, such as "de" or "pt-BR", for what differs between languages.
    """
    begin, last = len(text) - len(text.lstrip()), len(text.rstrip())
    has_capitals = any(map(str.isupper, text))
    begins_small = (letter := _LETTER.search(text)) is not None and letter[0].islower()
    quotation = {
        place: match.start() for match in _QUOTED.finditer(text) for place in range(*match.span())
    }
    spans = []
    for match in _ENDS.finditer(text):
        following = _WORD.search(text, match.end())
        if following is None:
            break
        end = match.start() + len(match[0].rstrip())
        around = quotation.get(match.start())
        goes_on = around is not None and around == quotation.get(end)
        if goes_on or not _WORD.search(text, begin, end):
            continue
        if match["alone"]:
            is_end = text[end - 1] not in "」』" or text[match.end()] not in _GOES_ON
        else:
            is_bare = match[0].rstrip()[-1] in "!?"  # no quote closes after it
            needs_capital = has_capitals and not (begins_small and is_bare)
            is_end = _is_end(text, begin, match, following[0], language, needs_capital)
        if is_end:
            spans.append(Span(begin, end))
            begin = match.end()
    return [*spans, Span(begin, last)] if begin < last else spans


def _is_end(
    text: str, begin: int, match: re.Match[str], first: str, language: str, needs_capital: bool
) -> bool:
    """Whether a sentence ends at "." "!" "?" or an ellipsis.

    Args:
        text: the line.
        begin: where the sentence begins.
        match: the mark, with what closes after it.
        first: the letter or digit that comes next.
        language: code of the language.
        needs_capital: whether no small letter can begin a sentence here.
    """
    mark, place = match["mark"], match.start("mark")
    before = text[max(begin, place - _LONGEST_WORD) : place].rsplit(None, 1)[-1:]
    word = before[0].lstrip(_OPENERS) if before and not text[place - 1].isspace() else ""
    if not match["space"]:
        after = text[match.end() : match.end() + _LONGEST_WORD]
        return "…" not in mark and _is_space_forgotten(word, after, mark, language)
    if mark == "…" or (len(mark) > 1 and set(mark) <= {".", "…"}):
        return first.isupper()
    if first.islower() and needs_capital and not _ITEM.match(text, match.end()):
        return False
    if word.isdecimal() and not text[begin : place - len(word)].strip(_OPENERS):
        return False  # the number of an item
    return mark != "." or not _is_abbreviation(word, first, language)


def _is_space_forgotten(word: str, after: str, mark: str, language: str) -> bool:
    """Whether a sentence ends at a mark that stands between `word` and the text after it."""
    first = _WORD.search(after)
    if first is None or {script_of(word[-1:] or " "), script_of(first[0])} <= SPACELESS:
        return first is not None
    next_word = _WORD_AFTER.match(after)
    if next_word is None or not _WORD_BEFORE.fullmatch(word):
        return False
    begins = next_word["word"]
    has_cases = begins[0].upper() != begins[0].lower()
    if has_cases and not (begins.istitle() and (word.isdecimal() or word[1:].islower())):
        return False
    return mark != "." or not _is_abbreviation(word, begins[0], language)


def _is_abbreviation(word: str, first: str, language: str) -> bool:
    """Whether the full stop after `word` belongs to it, where `first` is what comes next."""
    if not word:
        return False
    small, code = word.lower(), language.partition("-")[0].lower()
    if len(word) == 1 and word.isalpha():
        return not (word == "I" and code in ("", "en")) and script_of(word) not in SPACELESS
    if small in _ABBREVIATIONS or (word[0].isupper() and word.capitalize() in _CAPITALIZED):
        return True
    if _DOTTED.fullmatch(word) and small not in _HALF_DAY:
        return True
    if first.isdecimal() and small in _BEFORE_NUMBERS:
        return True
    is_number = _ROMAN.fullmatch(word) or (word.isdecimal() and len(word) < 3)
    if is_number and code in _NUMBERED_BY_STOPS:
        return True
    return script_of(word[-1]) in ("THAI", "LAO") and len(word) < 5


_CLAUSE = re.compile(r"[,;:)\]–—][\"'”’»]*\s+|\s+(?=[(\[–—])|[、，；：،؛፣፤၊]\s*")
_SPACE = re.compile(r"\s+")


def cut_at_clauses(text: str, within: Span, *, size: Callable[[str], int], most: int) -> list[Span]:
    """Cut a sentence into few parts of at most `most` each: at clause marks, else at spaces.

    Args:
        text: the line.
        within: the sentence.
        size: of a text, such as its number of pieces; at most the sum of the sizes of its parts.
        most: the size allowed; a part without a space may exceed it.
    """
    parts: list[Span] = []
    total = 0
    for clause in _pieces_between(_CLAUSE, text, within):
        fits = size(text[clause.start : clause.end]) <= most
        for part in [clause] if fits else _pieces_between(_SPACE, text, clause):
            # Sizes are added up: measuring the joined text again would take quadratic time.
            added = size(text[parts[-1].end if parts else part.start : part.end])
            if parts and total + added <= most:
                parts[-1] = Span(parts[-1].start, part.end)
                total += added
            else:
                parts.append(part)
                total = size(text[part.start : part.end])
    return parts


def _pieces_between(separator: re.Pattern[str], text: str, within: Span) -> list[Span]:
    """Return the parts of a span between separators, whose marks stay with the part before."""
    spans, begin = [], within.start
    for match in separator.finditer(text, within.start, within.end):
        end = match.start() + len(match[0].rstrip())
        if begin < end < within.end:
            spans.append(Span(begin, end))
            begin = match.end()
    return [*spans, Span(begin, within.end)] if begin < within.end else spans
