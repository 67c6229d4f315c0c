"""Language tags (BCP 47), and two of them in one text: "de-en", "pt-BR-en", "zh-Hans:en"."""

import re

from nmt.errors import UsageError

# language, extended language, script, region, variants: "zh-yue", "sr-Latn-RS", "ca-valencia"
_TAG = (
    "{language}(-{extended})?(-{script})?(-({region}|[0-9]{{3}}))?"
    "(-([A-Za-z0-9]{{5,8}}|[0-9][A-Za-z0-9]{{3}}))*"
)
_WELL_WRITTEN = re.compile(
    _TAG.format(
        language="[a-z]{2,3}", extended="[a-z]{3}", script="[A-Z][a-z]{3}", region="[A-Z]{2}"
    )
)
_ANY_CASE = re.compile(_WELL_WRITTEN.pattern, re.IGNORECASE)
_CODE = re.compile(r"\w([\w.-]*\w)?")


def split_languages(text: str) -> tuple[str, str]:
    """Return the source and target language of a text such as "de-en" or "pt-BR:en".

    A colon always separates the two. A hyphen does where no other hyphen can: if it is the only
    one, or if it leaves a tag on either side, written in the usual case ("pt-BR-en") or any other.

    Raises:
        UsageError: there are not two codes, or there are several ways to read them.
    """
    if ":" in text:
        source, _, target = text.partition(":")
        readings = [(source, target)]
    else:
        parts = text.split("-")
        readings = [("-".join(parts[:at]), "-".join(parts[at:])) for at in range(1, len(parts))]
        if len(readings) > 1:
            readings = _pairs_of_tags(readings)
        elif len(parts) == 2 and _WELL_WRITTEN.fullmatch(text) and not parts[1].islower():
            raise UsageError(
                f'--languages {text}: looks like one language, "{text}"; write '
                f"{parts[0]}:{parts[1]} if these are two, or name both, such as {text}:en"
            )
    codes = [reading for reading in readings if all(map(_CODE.fullmatch, reading))]
    if len(codes) == 1:
        return codes[0]
    if codes:
        choices = " or ".join(f"{source}:{target}" for source, target in codes)
        raise UsageError(f"--languages {text}: can be read in several ways; write {choices}")
    raise UsageError(
        f"--languages {text!r}: must be two language codes, source first, such as de-en or, with "
        "regions or scripts, pt-BR:zh-Hans; letters, digits and _ . - only"
    )


def language_of(code: str) -> str:
    """Return the language of a tag without script, region and variants, in lower case."""
    return re.split("[-_]", code)[0].lower()


def _pairs_of_tags(readings: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the readings as two tags in the usual case; if there are none, in any case."""
    for form in (_WELL_WRITTEN, _ANY_CASE):
        if found := [reading for reading in readings if all(map(form.fullmatch, reading))]:
            return found
    return []
