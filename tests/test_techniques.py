"""The ledger of techniques names only what exists; run as a program, it prints itself."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from nmt.config.schema import paths

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PAGE = ROOT / "docs" / "techniques.md"
ROWS = tomllib.loads((TESTS / "techniques.toml").read_text(encoding="utf-8"))
FIELDS = {"title", "keys", "commands", "lecture", "tests", "figure", "open"}


@cache
def functions_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_of_a_technique_exist(row):
    assert ROWS[row]["tests"], "no technique is done by assertion alone"
    for name in ROWS[row]["tests"]:
        file, _, test = name.partition("::")
        assert (TESTS / file).is_file(), name
        assert not test or test in functions_in(TESTS / file), name


@pytest.mark.parametrize("row", ROWS)
def test_keys_commands_and_lectures_of_a_technique_exist(row):
    entry = ROWS[row]
    assert set(entry) <= FIELDS
    assert set(entry.get("keys", [])) <= set(paths())
    source = (ROOT / "nmt" / "cli" / "main.py").read_text(encoding="utf-8")
    for command in entry.get("commands", []):
        assert re.search(rf"^\s*({command}:|app.add_typer\({command}\b)", source, re.MULTILINE), (
            command
        )
    if lecture := entry.get("lecture"):
        assert (ROOT / "recipes" / "lectures" / f"{lecture.replace('-', '_')}.py").is_file()


def test_every_technique_has_its_equations_on_the_page():
    described = re.findall(r"^\| ([A-Z]\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert described == list(ROWS)


def show() -> None:
    for row, entry in ROWS.items():
        print(f"{row:4} {'open' if 'open' in entry else 'done'}  {entry['title']}")
        if "keys" in entry:
            print(f"     keys     {', '.join(entry['keys'])}")
        if "commands" in entry:
            print(f"     commands {', '.join(f'nmt {name}' for name in entry['commands'])}")
        if "lecture" in entry:
            print(f"     lecture  make lecture NAME={entry['lecture']}")
        for name in entry["tests"]:
            print(f"     test     tests/{name}")
        for field in ("figure", "open"):
            if field in entry:
                print(f"     {field:8} {entry[field]}")
    done = sum("open" not in entry for entry in ROWS.values())
    print(f"{done} of {len(ROWS)} done")


if __name__ == "__main__":
    show()
