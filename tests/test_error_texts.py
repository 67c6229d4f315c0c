"""Of the message of every error of exit codes 2 to 6, a stretch of words stands in some test."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from nmt import errors

TESTS = Path(__file__).parent
PACKAGE = Path(errors.__file__).parent
ENOUGH = 20
"""Characters in a row that a test must have, or all of a shorter stretch."""


def fixed_words(node: ast.AST) -> list[str]:
    """Return the constant stretches of a text."""
    return [
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]


def raised() -> Iterator[tuple[str, list[str]]]:
    """Yield where an error is made, and the fixed words of its message."""
    kinds = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.NmtError)
    }
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                words = [text for value in node.args for text in fixed_words(value)]
                if node.func.id in kinds and any(len(text) >= 5 for text in words):
                    yield f"{file.relative_to(PACKAGE)}:{node.lineno}", words


@pytest.fixture(scope="module")
def expected() -> str:
    """Return all texts in the tests, without the backslashes of patterns."""
    files = (file for file in TESTS.rglob("*.py") if file != Path(__file__))
    texts = (text for file in files for text in fixed_words(ast.parse(file.read_text())))
    return "\n".join(texts).replace("\\", "")


def test_a_test_expects_the_words_of_every_error(expected):
    unexpected = [
        f"{place}: {' ... '.join(words)}"
        for place, words in raised()
        if not any(is_in(text, expected) for text in words)
    ]
    assert not unexpected, "\n".join(unexpected)


def is_in(text: str, expected: str) -> bool:
    """Tell whether enough of a stretch of words is among the expected texts."""
    length = min(ENOUGH, len(text))
    starts = range(len(text) - length + 1)
    return length >= 5 and any(text[start : start + length] in expected for start in starts)
