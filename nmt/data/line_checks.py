"""What `nmt check` looks for in each line: one entry per kind, in the order of the report.

To add a kind, add an entry with a pattern, or a function that returns a match; nothing else is
needed. Patterns begin with a fixed character where possible, which makes them fast.
"""

import html.entities
import re
from collections.abc import Callable
from dataclasses import dataclass

from nmt.data.report import Check
from nmt.text.mojibake import find_mojibake
from nmt.text.repair import find_invisible
from nmt.text.scripts import has_visible

LONG_LINE = 4192
"""Bytes; far longer than a sentence."""

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|([A-Za-z][A-Za-z0-9]{1,30})) ?;")
_TAG = re.compile(
    r"<(?:/[A-Za-z][\w:-]*|[A-Za-z][\w:-]*\s[^<>=]*=[^<>]*|[A-Za-z][\w:-]*\s*/"
    r"|a|b|br|center|code|div|em|font|h[1-6]|hr|i|img|li|ol|p|pre|seg|span|strong|sub|sup|table"
    r"|t[dhr]|title|u|ul)>"
    r"|<!--|<!DOCTYPE|<\?xml"
    r"|\[/(?:b|i|u|url|quote|color|size|img)\]|\[url=|\[\[[^\[\]]+\]\]|\{\\[a-z]+\d*[^{}]*\}"
)
_TOKENIZED = re.compile(
    r""" (?<=[\w)%"”»] )(?:\.(?! \.)|[,。、，]|n['’]t|['’] (?:s|t|re|ve|ll|m|d))(?= |$)"""
    r"| @[-,.]@ |\( (?=\w)"
)
_PENN = re.compile(r"-(?:LRB|RRB|LSB|RSB|LCB|RCB)-|``(?= )(?<![^ ]``)|(?<= )''(?= |$)")
_BARE_ENTITY = re.compile(r"&(?:nbsp|amp|quot|apos|lt|gt|#\d{2,6})(?![\w;=]| ;)")
_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\[nrt](?:(?<=[\w.!?,;]..)|(?![A-Za-z]))")
_ENCODED = re.compile(r"\w%20\w|%[C-F][0-9A-F]%[89AB][0-9A-F]|=[C-F][0-9A-F]=[89AB][0-9A-F]")
_ADDRESS = re.compile(r"://|www\.")
_PATH = re.compile(r"\b[A-Za-z]:\\|\\\\\w")  # C:\name, \\server
_NO_VALUE = re.compile(r"(?:NULL|null|NaN|nan|None|<NA>|#N/A|#VALUE!|#REF!|#NAME\?)$")
_EMPHASIS = re.compile(r"\*\*(?=[^\s*])[^*]*(?<=[^\s*])\*\*(?!\w)")
_QUOTED_FIELD = re.compile(r'"(?:[^"]|"")*"$')
_NUMBERED = re.compile(r"\d{1,6}[.)] +(?=[^\W\d_])")
_PIECE_MARK = re.compile(
    r"@@(?<=\S@@)(?= |$)|##(?<= ##)(?=\w)|▁|￭|</w>|<s>|</s>|<unk>|<pad>"
    # Ġ of byte-level BPE is a letter of Maltese.
    r"|Ġ(?:(?<=[a-z.,!?]Ġ)(?=\w)|(?=[A-Z][a-z])|(?=[^\W_]{1,30} Ġ[^\W_]))"
)
_END_OF_SENTENCE = re.compile(
    r"""[.!?…。！？｡।॥؟۔።។](?:"""
    r"""(?<=[^\W\d_]{3}[.!?…])[.!?…]*["'”’»)\]]* ["'“‘„«(\[¿¡]*([^\W\d_])"""
    r"""|(?<=[。！？｡])[」』”）]*(?=[^\W_])|(?<=[।॥؟۔።។])(?= *\w))"""
)
_LATIN, _CYRILLIC, _GREEK = "A-Za-z", "\u0400-\u0481\u048a-\u052f", "\u0391-\u03c9"
_NOT_LATIN, _LATIN_LETTER = re.compile(f"[{_CYRILLIC}{_GREEK}]"), re.compile(f"[{_LATIN}]")
_LOOKS_LATIN = "АВЕКМНОРСТХЅІЈаеорсухѕіј"
_MIXED = re.compile(
    f"[{_LATIN}][{_CYRILLIC}{_GREEK}](?=[{_LATIN}])|[{_CYRILLIC}{_GREEK}][{_LATIN}](?=[{_CYRILLIC}])"
    rf"|\b[{_LOOKS_LATIN}](?=[{_LATIN}]{{2}})|(?<=[{_LATIN}]{{2}})[{_LOOKS_LATIN}]\b"
)
_SOLITARY_URL = re.compile(r"(?:(?:https?|ftp)://|www\.)\S+$|[\w.+-]+@[\w-]+(?:\.[\w-]+)+$")


@dataclass(frozen=True, kw_only=True)
class LineCheck(Check):
    """A kind of finding about single lines."""

    find: Callable[[str], re.Match[str] | None]
    """Returns the offending place of a line without spaces at its ends, or None."""
    in_ascii: bool = True
    """Whether ASCII text can have it; if not, no time is spent on such lines."""


def _find_entity(text: str) -> re.Match[str] | None:
    """Find an entity of HTML, also one cut into tokens ("&apos ;"), but no "AT&T;"."""
    for match in _ENTITY.finditer(text):
        if match[1] is None or f"{match[1]};" in html.entities.html5:
            return match
    return None


def _find_escape(text: str) -> re.Match[str] | None:
    """Find an escape where no path or address is; damaged bytes, shown as "\\xff", are none."""
    if (match := _ENCODED.search(text)) and not _ADDRESS.search(text):
        return match
    return None if _PATH.search(text) else _ESCAPE.search(text)


def _find_nothing_visible(text: str) -> re.Match[str] | None:
    return None if not text or has_visible(text) else re.match(".+", text)


def _find_mixed_word(text: str) -> re.Match[str] | None:
    may_have = _NOT_LATIN.search(text) and _LATIN_LETTER.search(text)
    return _MIXED.search(text) if may_have else None


def _find_second_sentence(text: str) -> re.Match[str] | None:
    for match in _END_OF_SENTENCE.finditer(text):
        if match[1] is None or not match[1].islower():
            return match
    return None


LINE_CHECKS = (
    LineCheck(
        name="nul",
        level="fault",
        message="with a NUL byte",
        remedy="repair or delete these",
        find=re.compile("\0").search,
    ),
    LineCheck(
        name="replacement",
        level="warning",
        message="with U+FFFD, left by a faulty conversion",
        remedy="convert the original again, or delete these",
        find=re.compile("\ufffd").search,
        in_ascii=False,
    ),
    LineCheck(
        name="mojibake",
        level="warning",
        message="with UTF-8 that was read as another encoding",
        remedy="convert the original again, or repair these, for example with ftfy",
        lists_places=True,
        find=find_mojibake,
        in_ascii=False,
    ),
    LineCheck(
        name="entity",
        level="warning",
        message="with HTML entities",
        remedy="replace them by their characters, for example with html.unescape of Python",
        lists_places=True,
        find=_find_entity,
    ),
    LineCheck(
        name="tag",
        level="warning",
        message="with tags or markup",
        remedy="remove the markup and keep its text, or delete these pairs",
        find=_TAG.search,
    ),
    LineCheck(
        name="piece-mark",
        level="warning",
        message="with marks of a subword tokenizer",
        remedy='take the text before it was cut, or join it again (BPE: sed -E "s/@@( |$)//g"; '
        'WordPiece: sed "s/ ##//g"; sentencepiece: remove the spaces, then turn each ▁ into one; '
        "byte-level BPE: the same with Ġ); nmt learns its own pieces",
        lists_places=True,
        find=_PIECE_MARK.search,
    ),
    LineCheck(
        name="tokenized",
        level="warning",
        message="with punctuation apart from its word, as tokenized text has it",
        remedy="take the text before it was tokenized, or detokenize it, for example with "
        "sacremoses; else translations are spaced alike, and scores cannot be compared",
        often=0.1,
        lists_places=True,
        find=_TOKENIZED.search,
    ),
    LineCheck(
        name="penn",
        level="warning",
        message="with brackets or quotation marks as in the Penn Treebank (-LRB-, ``)",
        remedy='take the text before it was tokenized, or replace them by ( ) [ ] { } and "',
        lists_places=True,
        find=_PENN.search,
    ),
    LineCheck(
        name="bare-entity",
        level="warning",
        message="with HTML entities that lack their semicolon",
        remedy="replace them by their characters, for example with html.unescape of Python",
        lists_places=True,
        find=_BARE_ENTITY.search,
    ),
    LineCheck(
        name="escape",
        level="warning",
        message=r"with escapes such as \n, \u00e8, %20 or =C3=A8 in place of characters",
        remedy="replace them by their characters, for example by reading the original as JSON, or "
        "with urllib.parse.unquote or quopri of Python",
        lists_places=True,
        find=_find_escape,
    ),
    LineCheck(
        name="no-value",
        level="warning",
        message="that are nothing but the word of a table for no value",
        remedy="delete these pairs; there is nothing to translate",
        lists_places=True,
        find=_NO_VALUE.match,
    ),
    LineCheck(
        name="emphasis",
        level="warning",
        message="with emphasis of Markdown (**bold**)",
        remedy="delete the marks and keep the text",
        find=_EMPHASIS.search,
    ),
    LineCheck(
        name="quoted",
        level="warning",
        message="in quotation marks as a whole, as fields of a .csv are",
        remedy="export the table as tab-separated text without quotation marks, or remove them",
        least=0.5,
        find=_QUOTED_FIELD.match,
    ),
    LineCheck(
        name="numbered",
        level="warning",
        message="that begin with a number of their own, as in a list",
        remedy='remove them on both sides, for example with sed -E "s/^[0-9]+[.)] +//"',
        least=0.5,
        find=_NUMBERED.match,
    ),
    LineCheck(
        name="separator",
        level="warning",
        message='with " ||| ", which separates the two sides, or the columns of a list',
        remedy="keep one column, for example with awk -F ' \\|\\|\\| ' '{ print $1 }'",
        find=re.compile(r"(?<!\S)\|\|\|(?!\S)").search,
    ),
    LineCheck(
        name="tab",
        level="warning",
        message="with a tab; perhaps columns of a table",
        remedy="keep the column with the text, the second with cut -f2, or replace tabs by spaces",
        find=re.compile("\t").search,
    ),
    LineCheck(
        name="nothing-visible",
        level="warning",
        message="with invisible characters alone",
        remedy="delete these pairs",
        find=_find_nothing_visible,
        in_ascii=False,
    ),
    LineCheck(
        name="invisible",
        level="warning",
        message="with invisible characters that the script does not need",
        remedy="normalization.repair = true deletes them; otherwise models learn to write them",
        lists_places=True,
        find=find_invisible,
        in_ascii=False,
    ),
    LineCheck(
        name="private-use",
        level="warning",
        message="with characters without a meaning of their own (private use)",
        remedy="replace or delete these characters; they depend on a font",
        lists_places=True,
        find=re.compile("[\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff\U000f0000-\U0010ffff]").search,
        in_ascii=False,
    ),
    LineCheck(
        name="control",
        level="warning",
        message="with control characters or Unicode line ends",
        remedy="delete those characters; but U+0080 to U+009F are Windows-1252 that was read as "
        "Latin-1: convert the original again",
        lists_places=True,
        find=re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]").search,
    ),
    LineCheck(
        name="lone-cr",
        level="warning",
        message="with a carriage return inside; some tools see two lines there",
        remedy="replace it by a space, or by a line feed on both sides",
        find=re.compile("\r").search,
    ),
    LineCheck(
        name="full-width",
        level="warning",
        message="with full-width letters or digits, which to a model are not the usual ones",
        remedy='normalization.unicode = "nfkc" converts them',
        often=0.01,
        find=re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]+").search,
        in_ascii=False,
    ),
    LineCheck(
        name="mixed-script",
        level="warning",
        message="with a word in two scripts, such as a Cyrillic а in a Latin word",
        remedy="spell these words in one script; pieces see two different letters",
        often=0.01,
        find=_find_mixed_word,
        in_ascii=False,
    ),
    LineCheck(
        name="url",
        level="warning",
        message="that are nothing but a URL or an address",
        remedy="delete these pairs; there is nothing to translate",
        often=0.01,
        find=_SOLITARY_URL.match,
    ),
    LineCheck(
        name="punctuation",
        level="warning",
        message="without letters and digits",
        remedy="delete these pairs; there is nothing to translate",
        often=0.01,
        least=0.001,
        find=re.compile(r"[!-/:-@\[-`{-~\s–—•·…*]+$").match,
    ),
    LineCheck(
        name="sentences",
        level="note",
        message="with several sentences; if both sides have as many, one a line trains better",
        least=0.05,
        find=_find_second_sentence,
    ),
)
