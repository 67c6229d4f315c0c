"""The ledger of techniques names only what exists; run as a program, it prints itself."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from nmt.config.experiment import Experiment
from nmt.config.schema import kinds, paths, table
from nmt.config.section import Section, key_of

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PAGE = ROOT / "docs" / "techniques.md"
ROWS = tomllib.loads((TESTS / "techniques.toml").read_text(encoding="utf-8"))
FIELDS = {"title", "keys", "commands", "lecture", "tests", "figure", "open"}


@cache
def functions_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def choices(section: type[Section] = Experiment, prefix: str = "") -> Iterator[str]:
    """Yield every choice of the configuration, such as 'model.encoder.cell = "gru"'."""
    for name, field in section.model_fields.items():
        key, plain = prefix + key_of(name, field), table(field)
        for choice in kinds(field) or filter(None, get_args(field.annotation)):
            yield f'{key} = "{choice}"'
        for child in [plain] if plain else kinds(field).values():
            yield from choices(child, f"{key}.")


def exists(command: str) -> bool:
    """Whether there is a command such as "train", or "diagnose gradients" of a group."""
    name, _, part = command.partition(" ")
    cli = ROOT / "nmt" / "cli"
    main = (cli / "main.py").read_text(encoding="utf-8")
    if not re.search(rf"^\s*({name}:|app.add_typer\({name}\b)", main, re.MULTILINE):
        return False
    return not part or part in functions_in(cli / f"{name}.py")


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
    assert set(entry.get("keys", [])) <= {*paths(), *choices()}
    for command in entry.get("commands", []):
        assert exists(command), command
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
