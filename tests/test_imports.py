"""Packages import from lower levels only, light modules stay light, and fast code stays apart."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "nmt"
LEVELS = (
    {"errors"},
    {"arguments", "machine", "paths", "signals"},
    {"config", "text", "storage"},
    {"layers"},
    {"data", "models", "evaluation"},
    {"fast", "run_folder"},
    {"search"},
    {"diagnostics", "objectives"},
    {"translation"},
    {"writing"},
    {"inference"},
    {"translator"},
    {"generation"},
    {"training"},
    {"library"},
    {"laboratory", "tuning"},
    {"benchmark", "reporting"},
    {"cli"},
)
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}
WITHOUT_CONFIG = {"layers", "text"}
LIGHT = (
    "arguments", "config", "text", "evaluation", "storage", "machine", "paths", "signals", "cli"
)  # fmt: skip
"""Packages whose modules never import torch when they are imported."""


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


def package(module: str) -> str:
    """Return the package a module is in: `nmt.config.load` -> `config`."""
    return module.split(".")[1]


PLACED = [module for module in modules() if module not in ("nmt", "nmt.__main__")]


def test_modules_are_found():
    assert {"nmt.errors", "nmt.config.load", "nmt.storage.files"} <= set(PLACED)


@pytest.mark.parametrize("module", PLACED)
def test_a_module_imports_from_lower_levels_or_its_own_package(module):
    assert package(module) in LEVEL, f"{module}: give its package a level in this test"
    for imported in imports(module):
        if imported.startswith("nmt.") and imported != "nmt.__version__":
            same_package = package(imported) == package(module)
            lower = LEVEL[package(imported)] < LEVEL[package(module)]
            assert same_package or lower, f"{module} must not import {imported}"


@pytest.mark.parametrize("module", [name for name in PLACED if package(name) in WITHOUT_CONFIG])
def test_layers_and_text_get_plain_arguments_not_configuration(module):
    assert not [name for name in imports(module) if name.startswith("nmt.config")]


def test_only_commands_and_recipes_import_the_laboratory():
    others = [module for module in PLACED if package(module) not in ("laboratory", "cli")]
    for module in others:
        assert not [name for name in imports(module) if name.startswith("nmt.laboratory")], module


def test_light_modules_do_not_import_torch():
    light = [module for module in PLACED if package(module) in LIGHT]
    program = (
        "import importlib, sys\n"
        f"for name in {light!r}:\n"
        "    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules: sys.exit(f'{name} imports torch')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_commands_do_not_import_slow_libraries():
    commands = [module for module in PLACED if package(module) == "cli"]
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


# --- equations apart from fast code ------------------------------------------------------------

ENTRY_POINT = "nmt.fast.accelerate"
EXCEPTIONS = {
    "nmt.benchmark.floor": {"nmt.fast.kernels"},  # measures kernels by themselves
    "nmt.benchmark.matrix": {"nmt.fast.linear"},
}
MACHINE = {"environ", "getenv", "is_cpu", "is_cuda", "is_meta", "cuda", "mkldnn", "backends"}
"""Names by which code asks for a device, a library or the environment."""


@pytest.mark.parametrize("module", [name for name in PLACED if package(name) != "fast"])
def test_fast_modules_are_imported_through_one_entry_point(module):
    imported = {name for name in imports(module) if name.startswith("nmt.fast")}
    assert imported - {ENTRY_POINT} == EXCEPTIONS.get(module, set())


def asks_the_machine(node: ast.AST) -> bool:
    """Whether a node queries a device, a precision, autocast or the environment."""
    if isinstance(node, ast.Compare):
        parts = [part for side in (node.left, *node.comparators) for part in ast.walk(side)]
        return any(isinstance(p, ast.Attribute) and p.attr in ("dtype", "device") for p in parts)
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in MACHINE or "autocast" in name


@pytest.mark.parametrize("module", [name for name in PLACED if package(name) == "layers"])
def test_layers_compute_the_same_on_every_machine(module):
    """They import no fast modules, and query no device, precision or environment."""
    assert not [name for name in imports(module) if name == "os" or name.startswith("nmt.fast")]
    asking = [ast.unparse(node) for node in ast.walk(source_of(module)) if asks_the_machine(node)]
    assert not asking


@pytest.mark.parametrize(
    "code",
    [
        "if x.dtype == torch.bfloat16: pass",
        "x.device.type != 'cpu'",
        "x.is_cuda",
        "x.is_meta",
        "torch.is_autocast_enabled('cpu')",
        "torch.cuda.is_available()",
        "os.environ.get('NMT_NATIVE')",
    ],
)
def test_queries_of_the_machine_are_detected(code):
    assert any(asks_the_machine(node) for node in ast.walk(ast.parse(code)))


TRANSLATE_PLAINLY = """
from nmt.translator import Translator
next(Translator.load(sys.argv[1], fast=False).translate(["a cat"]))
"""
TRAIN_PLAINLY = """
from pathlib import Path
from tiny import tiny
from nmt.training.run import RunOptions, run_training
experiment = tiny(Path(sys.argv[1]), "training.fast=false", "training.max_updates=2")
assert run_training(experiment, Path(sys.argv[1], "run"), RunOptions()) == 0
"""
LIST_FAST = "print(*(name for name in sys.modules if name.startswith('nmt.fast')))"


@pytest.mark.parametrize("program", [TRANSLATE_PLAINLY, TRAIN_PLAINLY], ids=["translate", "train"])
def test_with_the_switch_off_no_fast_module_is_imported(program, model_folder, tmp_path):
    """The code in `nmt.layers` and `nmt.models` is then the code that runs."""
    folder = model_folder if program is TRANSLATE_PLAINLY else tmp_path
    paths = (str(PACKAGE.parent), str(PACKAGE.parent / "tests" / "training"))
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}{LIST_FAST}", str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
