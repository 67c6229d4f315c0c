"""The wheel: what pip installs works without the checkout, and says what it needs."""

import ast
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tiny import write_corpus

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (found,) = folder.glob("recurrent_nmt-*.whl")
    return found


@pytest.fixture(scope="module")
def environment(tmp_path_factory, wheel) -> Path:
    """Return a virtual environment with the wheel, and this one's packages instead of downloads."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python")
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder.parent)
    (packages,) = folder.glob("lib/*/site-packages")
    # A folder named in a .pth file is searched, but .pth files inside it are not read: the
    # development install of nmt, which is such a file, stays invisible.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder


def test_the_wheel_holds_types_kernels_and_pages_but_neither_tests_nor_recipes(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    kernels = {f"nmt/fast/cpp/{path.name}" for path in (ROOT / "nmt/fast/cpp").iterdir()}
    assert {"nmt/py.typed", "nmt/reporting/explain.html", *kernels} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"nmt", "recurrent_nmt"}


def test_the_wheel_works_without_the_checkout(environment, tmp_path):
    python, nmt = environment / "bin" / "python", environment / "bin" / "nmt"
    write_corpus(tmp_path)
    where = run(python, "-c", "import nmt; print(nmt.__file__)", cwd=tmp_path)
    assert where.startswith(str(environment))
    run(nmt, "train", "tiny.toml", "--run", "run", "--set", "validation.every=10", cwd=tmp_path)
    translated = run(nmt, "translate", "run", "-i", "valid.xx", "-o", "out.yy", cwd=tmp_path)
    assert "Traceback" not in translated
    lines = [(tmp_path / name).read_text().count("\n") for name in ("valid.xx", "out.yy")]
    assert lines[0] == lines[1] > 0


def test_every_package_that_is_imported_is_declared():
    allowed = {Requirement(text).name for text in PROJECT["dependencies"]}
    for extra in PROJECT["optional-dependencies"].values():
        allowed |= {Requirement(text).name for text in extra}
    imported = set()
    for path in (ROOT / "nmt").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"nmt", "pydantic_core"}  # of pydantic
    assert foreign <= allowed
    assert "torch" in foreign


def test_the_name_is_free_and_the_project_says_where_it_lives():
    assert PROJECT["name"] == "recurrent-nmt"  # `nmt` on the package index is another project
    assert PROJECT["urls"]
    assert any("Linux" in text for text in PROJECT["classifiers"])
    assert not {"dev", "fuzz", "mutation"} & PROJECT["optional-dependencies"].keys()
