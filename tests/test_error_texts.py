"""The text of every error of exit codes 2 to 6, including its advice, occurs in some test."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from nmt import errors
from nmt.storage import os_errors

TESTS = Path(__file__).parent
PACKAGE = Path(errors.__file__).parent
SHORT, ENOUGH = 12, 20
"""Of a stretch of words that is not short, a test must have so many characters in a row, or all."""


def fixed_words(node: ast.AST) -> list[str]:
    """Return the constant parts of a text."""
    return [
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]


def raised() -> Iterator[tuple[str, str, bool]]:
    """Yield the place of an error, each constant part of its text, and whether it is the last."""
    kinds = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.NmtError)
    }
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                words = [text for value in node.args for text in fixed_words(value)]
                long = [text for text in words if len(text.strip()) >= SHORT]
                for text in long if node.func.id in kinds else ():
                    is_advice = text is words[-1]
                    yield f"{file.relative_to(PACKAGE)}:{node.lineno}", text, is_advice


@pytest.fixture(scope="module")
def expected() -> str:
    """Return all texts in the tests, without the backslashes of patterns."""
    files = (file for file in TESTS.rglob("*.py") if file != Path(__file__))
    texts = (text for file in files for text in fixed_words(ast.parse(file.read_text())))
    return "\n".join(texts).replace("\\", "")


def test_every_error_text_and_its_advice_is_expected_by_some_test(expected):
    found = list(raised())
    assert len(found) > 200
    unexpected = [
        f"{place}: {text}"
        for place, text, is_advice in found
        if not is_in(text, expected) or (is_advice and text.rstrip(".")[-ENOUGH:] not in expected)
    ]
    assert not unexpected, "\n".join(unexpected)


def test_the_advice_for_every_operating_system_error_is_expected_by_some_test(expected):
    advice = [*os_errors.MACHINE.values(), *os_errors.REQUEST.values()]
    assert [text for text in advice if text[-ENOUGH:] not in expected] == []


def is_in(text: str, expected: str) -> bool:
    """Whether enough of a part of a text is among the expected texts."""
    length = min(ENOUGH, len(text))
    starts = range(len(text) - length + 1)
    return any(text[start : start + length] in expected for start in starts)
