"""What CONTRIBUTING says about the code is true."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
CALL_LISTS = [block for block in re.findall(r"(?s)```\n(.*?)```", TEXT) if " > " in block]
QUESTIONS = re.findall(r"^\| ([^|]+\?) \| `([^`]+)` \| ([^|]+) \|$", TEXT, re.MULTILINE)


@dataclass(frozen=True)
class Function:
    module: str
    name: str
    """Class and method, or the name of a function."""
    body: ast.AST


@cache
def sources() -> dict[str, str]:
    files = (ROOT / "nmt").rglob("*.py")
    return {str(file.relative_to(ROOT)): file.read_text("utf-8") for file in files}


@cache
def functions() -> list[Function]:
    found = []
    for file, text in sources().items():
        module = file.removesuffix(".py").replace("/", ".").removeprefix("nmt.")
        for node in ast.parse(text).body:
            inside = node.body if isinstance(node, ast.ClassDef) else [node]
            prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
            found += [
                Function(module, prefix + each.name, each)
                for each in inside
                if isinstance(each, ast.FunctionDef)
            ]
    return found


def find(name: str, caller: Function | None) -> Function:
    """Return the one function with a name as CONTRIBUTING writes it."""
    if "." not in name and caller is not None:
        found = [
            each
            for each in functions()
            if each.module == caller.module and name == each.name.rpartition(".")[2]
        ]
        same_class = [each for each in found if each.name.startswith(caller.name.split(".")[0])]
        found = same_class or found
    else:
        found = [each for each in functions() if name in (each.name, f"{each.module}.{each.name}")]
    assert len(found) == 1, f"{name}: {len(found)} functions have this name"
    return found[0]


def names_in(function: Function) -> set[str]:
    """Return the names that a function mentions, as they are called where they are defined."""
    imports = [
        alias
        for node in ast.walk(ast.parse(sources()[f"nmt/{function.module.replace('.', '/')}.py"]))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    defined = {alias.asname: alias.name for alias in imports if alias.asname}
    names = {"__next__"} if "next(" in ast.unparse(function.body) else set()
    for node in ast.walk(function.body):
        if isinstance(node, ast.Name):
            names.add(defined.get(node.id, node.id))
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
    return names


@pytest.mark.parametrize("calls", CALL_LISTS, ids=["translate", "train"])
def test_the_call_lists_of_contributing_name_only_calls_that_are_in_the_code(calls):
    callers: list[tuple[int, Function]] = []
    for line in calls.splitlines():
        indent = len(line) - len(line.lstrip())
        callers = [(depth, caller) for depth, caller in callers if depth < indent]
        caller = callers[-1][1] if callers else None
        for name in re.split(r"\s{2,}", line.strip())[0].split(" > "):
            callee = find(name, caller)
            last = callee.name.rpartition(".")[2]
            if caller is not None and last != "forward":  # which torch calls
                assert last in names_in(caller), f"{caller.name} does not call {name}"
            caller = callee
        assert caller is not None
        callers.append((indent, caller))


@pytest.mark.parametrize("words", [words for _, words, _ in QUESTIONS])
def test_each_search_of_contributing_has_one_answer(words):
    is_anchored = words.startswith("^")
    lines = [(file, line) for file, text in sources().items() for line in text.splitlines()]
    found = [
        file
        for file, line in lines
        if (line.startswith(words[1:]) if is_anchored else words in line)
    ]
    assert len(found) == 1, found
    answer = next(answer for _, each, answer in QUESTIONS if each == words)
    assert found[0].removeprefix("nmt/") in answer


def test_contributing_has_call_lists_and_questions():
    assert len(CALL_LISTS) == 2
    assert len(QUESTIONS) > 20
