"""The house stands: modules import from lower floors only, and light ones stay light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "nmt"
FLOORS = (
    {"errors"},
    {"machine", "paths"},
    {"config", "text", "storage", "native"},
    {"layers"},
    {"data", "models", "evaluation"},
    {"search", "diagnostics"},
    {"translator"},
    {"training"},
    {"benchmark", "reporting"},
    {"cli"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
WITHOUT_CONFIG = {"layers", "text"}
LIGHT = ("config", "text", "evaluation", "storage", "machine", "paths", "cli")
"""Rooms whose modules never import torch when they are imported."""


def modules() -> list[str]:
    """Return the dotted name of every module of the package."""
    files = [path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")]
    return sorted(".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files)


def source_of(module: str) -> ast.Module:
    path = PACKAGE.parent.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(module: str) -> Iterator[str]:
    """Yield what a module imports anywhere, inside functions too."""
    for node in ast.walk(source_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import; write the whole name"
            name = node.module or ""
            yield from (f"nmt.{alias.name}" for alias in node.names) if name == "nmt" else (name,)


def room(module: str) -> str:
    """Return the part of the house a module is in: `nmt.config.load` -> `config`."""
    return module.split(".")[1]


ROOMED = [module for module in modules() if module not in ("nmt", "nmt.__main__")]


def test_there_are_modules():
    assert {"nmt.errors", "nmt.config.load", "nmt.storage.files"} <= set(ROOMED)


@pytest.mark.parametrize("module", ROOMED)
def test_a_module_imports_from_lower_floors_or_its_own_room(module):
    assert room(module) in FLOOR, f"{module}: give its room a floor in this test"
    for imported in imports(module):
        if imported.startswith("nmt.") and imported != "nmt.__version__":
            same_room = room(imported) == room(module)
            lower = FLOOR[room(imported)] < FLOOR[room(module)]
            assert same_room or lower, f"{module} must not import {imported}"


@pytest.mark.parametrize("module", [name for name in ROOMED if room(name) in WITHOUT_CONFIG])
def test_layers_and_text_get_plain_arguments_not_configuration(module):
    assert not [name for name in imports(module) if name.startswith("nmt.config")]


def test_light_modules_do_not_import_torch():
    light = [module for module in ROOMED if room(module) in LIGHT]
    program = (
        "import importlib, sys\n"
        f"for name in {light!r}:\n"
        "    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules: sys.exit(f'{name} imports torch')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_commands_do_not_import_slow_libraries():
    commands = [module for module in ROOMED if room(module) == "cli"]
    slow = ["torch", "numpy", "sacrebleu", "sentencepiece", "pydantic"]
    program = (
        f"import importlib, sys\nfor name in {commands!r}: importlib.import_module(name)\n"
        f"sys.exit(', '.join(name for name in {slow!r} if name in sys.modules) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, f"imported by nmt.cli: {done.stderr}"


def test_translating_does_not_import_the_compiler_of_torch(model_folder):
    """It is large, and nothing of it is used."""
    program = (
        "import sys\nfrom nmt.translator import Translator\n"
        f"next(Translator.load({str(model_folder)!r}, precision='auto').translate(['a cat']))\n"
        "sys.exit('torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
