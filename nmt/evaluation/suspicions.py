"""Properties of texts that make their score doubtful: piece marks, entities, case, no spaces."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from nmt.evaluation.tokenizers import SPLIT_AT_SPACES, is_spaceless
from nmt.text.scripts import count_scripts

_MOST_SHOWN = 5
_SPACED_SHARE = 0.1
_ENTITY_SHARE = 0.01
_CASE_GAP = 0.25
_LETTERS_PER_SPACE = 30
_LETTERS_PER_SPACE_IN_SPACELESS = 5  # text that was cut into words has fewer
_FEWEST_LETTERS = 100
_TIMES_DENSER = 3

_SPACED_MARK = re.compile(r"\S [.,](?: |$)")
_ENTITY = re.compile(r"&(?:[a-z]{2,8}|#\d{1,7}|#x[0-9a-f]{1,6});", re.IGNORECASE)
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
_PIECE_MARKS = ("@@ ", "▁")
_LIST_ENTRY = re.compile(r"\d+(?: \|\|\| |\t)")
_COLUMNS = re.compile(r"\t| \|\|\| ")
_MOSTLY = 0.5
_CODE_GAP = 0.05


def suspicions(
    hypotheses: Sequence[str],
    references: Sequence[str],
    metrics: Sequence[str] = ("bleu",),
    *,
    more_references: Sequence[Sequence[str]] = (),
    tokenize: str = "13a",
    lowercase: bool = False,
) -> list[str]:
    """Return a sentence for each property that makes a score of these texts doubtful.

    Args:
        hypotheses: translations.
        references: one reference per line.
        metrics: the metrics they are scored by.
        more_references: other references of the same lines.
        tokenize: the tokenizer of BLEU, what `choose_tokenizer` returned.
        lowercase: whether case is ignored.
    """
    found = _empty_lines([references, *more_references])
    references = [line for each in (references, *more_references) for line in each]
    found += _columns(hypotheses, references)
    found += _piece_marks(hypotheses, references)
    found += _entities(hypotheses, references)
    found += _spaced_marks(hypotheses, references)
    found += _code_points(hypotheses, references)
    if not lowercase and set(metrics) != {"ter"}:  # which ignores case
        found += _case(hypotheses, references)
    found += _lost_spaces(hypotheses, references)
    return found + missing_spaces(references, metrics, tokenize)


def _empty_lines(texts: Sequence[Sequence[str]]) -> list[str]:
    found = []
    for number, text in enumerate(texts, 1):
        which = "" if len(texts) == 1 else f" of text {number}"
        if empty := [place for place, line in enumerate(text, 1) if not line.strip()]:
            found.append(f"{len(empty):,} references{which} are empty ({shown_lines(empty)})")
    return found


def _columns(hypotheses: Sequence[str], references: Sequence[str]) -> list[str]:
    """Compare the shares of lines with several columns."""
    ours, theirs = (_share(_COLUMNS.search, lines) for lines in (hypotheses, references))
    for name, share, other, lines in (
        ("hypotheses", ours, theirs, hypotheses),
        ("references", theirs, ours, references),
    ):
        if share > _MOSTLY > other:
            is_list = _share(_LIST_ENTRY.match, lines) > _MOSTLY
            kind = "an n-best list or numbered lines" if is_list else "several columns"
            return [f'{name} look like {kind} ("{lines[0][:20]}…"): keep the column with the text']
    return []


def _code_points(hypotheses: Sequence[str], references: Sequence[str]) -> list[str]:
    """Compare how letters with accents are written, as one character or as several."""
    shares = []
    for lines in (hypotheses, references):
        shares.append(_share(lambda line: not unicodedata.is_normalized("NFC", line), lines))
    if abs(shares[0] - shares[1]) <= _CODE_GAP:
        return []
    which = "hypotheses" if shares[0] > shares[1] else "references"
    return [
        f"{which} have accents apart from their letters, and the others have not: the score is too "
        "low; write both in Unicode NFC"
    ]


def _lost_spaces(hypotheses: Sequence[str], references: Sequence[str]) -> list[str]:
    """Compare the number of letters for each space."""
    ours, theirs = (
        count_scripts(lines).total() / max(1, sum(line.strip().count(" ") for line in lines))
        for lines in (hypotheses, references)
    )
    if ours <= max(_LETTERS_PER_SPACE, _TIMES_DENSER * theirs):
        return []
    return ["hypotheses hardly have spaces, and references do: join pieces to words before scoring"]


def _piece_marks(hypotheses: Sequence[str], references: Sequence[str]) -> list[str]:
    found = []
    for mark in _PIECE_MARKS:
        hypotheses_have, references_have = (
            any(mark in line for line in lines) for lines in (hypotheses, references)
        )
        if hypotheses_have and not references_have:
            found.append(f'hypotheses contain "{mark}": join the pieces to words before scoring')
        elif references_have and not hypotheses_have:
            found.append(f'references contain "{mark}": use the unmodified references')
    return found


def _entities(hypotheses: Sequence[str], references: Sequence[str]) -> list[str]:
    for name, lines, advice in (
        ("references", references, "use the unmodified references"),
        ("hypotheses", hypotheses, "replace them by the characters they stand for"),
    ):
        if _share(_ENTITY.search, lines) > _ENTITY_SHARE:
            entity = next(filter(None, map(_ENTITY.search, lines)))[0]
            return [f'{name} contain HTML entities such as "{entity}": {advice}']
    return []


def _spaced_marks(hypotheses: Sequence[str], references: Sequence[str]) -> list[str]:
    if _share(_SPACED_MARK.search, references) > _SPACED_SHARE:
        return [
            'references look tokenized (" ." or " ,"): the score cannot be compared with others; '
            "use the unmodified references"
        ]
    if _share(_SPACED_MARK.search, hypotheses) > _SPACED_SHARE:
        return ['hypotheses look tokenized (" ." or " ,"): detokenize them before scoring']
    return []


def _case(hypotheses: Sequence[str], references: Sequence[str]) -> list[str]:
    """Compare the shares of lines in lower case, upper case, Title Case, and that begin small."""
    lines = [[line for line in text if _has_case(line)] for text in (hypotheses, references)]
    if any(2 * len(a) < len(b) for a, b in zip(lines, (hypotheses, references), strict=True)):
        return []  # a script without case, with a few foreign names
    blamed: dict[str, str] = {}
    for what, is_so in (
        ("are all lower case", str.islower),
        ("are all upper case", str.isupper),
        ("are in Title Case", _is_title),
        ("begin with a small letter", _begins_small),
    ):
        ours, theirs = (_share(is_so, each) for each in lines)
        if _differs(ours, theirs, len(lines[0])):
            shares = f"{100 * ours:.0f} % of the lines, references in {100 * theirs:.0f} %"
            blamed.setdefault("hypotheses", f"hypotheses {what} in {shares}")
        if _differs(theirs, ours, len(lines[0])):
            shares = f"{100 * theirs:.0f} % of the lines, hypotheses in {100 * ours:.0f} %"
            blamed.setdefault("references", f"references {what} in {shares}")
    if not blamed:
        return []
    remedy = "use the unmodified references" if "references" in blamed else "write both alike"
    return [
        f"{'; '.join(blamed.values())}: the score is too low; {remedy}, or compare with --lowercase"
    ]


def _differs(share: float, other: float, lines: int) -> bool:
    """Whether a share exceeds another one by far, and by more than a single line of several."""
    gap = share - other
    return gap > _CASE_GAP and (gap == 1.0 or gap * lines > 1.5)


def missing_spaces(references: Sequence[str], metrics: Sequence[str], tokenize: str) -> list[str]:
    """Return a sentence if metrics count words between spaces that references hardly have.

    Args:
        references: the references.
        metrics: some of METRICS.
        tokenize: the tokenizer of BLEU, what `choose_tokenizer` returned.
    """
    names = {"chrf++": "chrF++", "ter": "TER", "wer": "WER"}
    if tokenize in SPLIT_AT_SPACES:
        names["bleu"] = f"BLEU with the tokenizer {tokenize}"
    concerned = [names[metric] for metric in metrics if metric in names]
    letters = count_scripts(references).total()
    spaces = sum(line.strip().count(" ") for line in references)
    if is_spaceless(references):
        hardly_any = letters > _LETTERS_PER_SPACE_IN_SPACELESS * spaces
    else:
        hardly_any = letters > max(_LETTERS_PER_SPACE * spaces, _FEWEST_LETTERS)
    if not concerned or not hardly_any:
        return []
    return [
        f"references hardly have spaces ({spaces:,} for {letters:,} letters), which separate the "
        f"words of {' and '.join(concerned)}: such scores say little; use BLEU with the tokenizer "
        "char (zh for Chinese), or chrF"
    ]


def shown_lines(numbers: Sequence[int]) -> str:
    """Return `line 7` or `lines 7, 9, 12, 20, 21, ...`."""
    head = ", ".join(f"{number:,}" for number in numbers[:_MOST_SHOWN])
    more = ", ..." if len(numbers) > _MOST_SHOWN else ""
    return f"{'line' if len(numbers) == 1 else 'lines'} {head}{more}"


def _share(has: Callable[[str], object], lines: Iterable[str]) -> float:
    """Return the fraction of `lines` that `has` is true of; 0 without lines."""
    answers = [bool(has(line)) for line in lines]
    return sum(answers) / max(1, len(answers))


def _has_case(line: str) -> bool:
    return line.lower() != line.upper()


def _is_title(line: str) -> bool:
    """Whether all of three or more words of four letters or more begin with a capital."""
    words = _LONG_WORD.findall(line)
    return len(words) >= 3 and not line.isupper() and all(word[0].isupper() for word in words)


def _begins_small(line: str) -> bool:
    """Whether the first letter that has case is a small one."""
    return next((letter.islower() for letter in line if _has_case(letter)), False)
