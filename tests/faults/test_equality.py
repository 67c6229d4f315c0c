"""The same run, repeated or resumed, gives the same bytes: for the cells of the recipes."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launcher import Launcher, settings
from tiny import write_corpus

from nmt.fast.kernels import kernels
from nmt.storage.checksums import sha256_of

RECIPES = {
    # The options of recipes/dates and recipes/g2p-eng that decide what is computed, in small sizes.
    "gru": (
        *("model.encoder.cell=gru", "model.decoder.cell=gru", "model.encoder.bidirectional=true"),
        *("model.decoder.attention=additive", "model.decoder.input_feeding=false"),
        *("model.dropout=0.1", "training.schedule={kind = 'cosine', warmup = 3, updates = 40}"),
    ),
    "lstm": (
        *("model.encoder.cell=lstm", "model.decoder.cell=lstm", "model.encoder.layers=2"),
        *("model.decoder.attention=general", "model.decoder.input_feeding=false"),
        *("model.dropout={embedding = 0.3, layers = 0.3, readout = 0.3}", "training.ema=0.9"),
        *("training.label_smoothing=0.1", "model.decoder.readout=deep", "validation.every=6"),
    ),
}
SIZES = ("model.encoder.hidden_size=16", "model.decoder.hidden_size=32")  # multiples of 16: kernels
UPDATES = 20
EPOCH = 5
"""Updates in one pass: see the test that says so."""
NATIVE = [
    pytest.param("on", marks=pytest.mark.skipif(kernels() is None, reason="no C++ compiler")),
    "off",
]


def leave_to_full(programme, recipe: str, native: str) -> None:
    """Let the quick programme do each recipe once: one with kernels, one without."""
    if (recipe == "lstm") != (native == "on"):
        programme.require_full()


def start(launcher: Launcher, folder: Path, run: str, *overrides: str, native: str):
    if not (folder / "tiny.toml").exists():
        write_corpus(folder)
    return launcher.start(
        *("train", folder / "tiny.toml", "--run", folder / run, *settings((*SIZES, *overrides))),
        environment={"NMT_NATIVE": native, "OMP_NUM_THREADS": "1"},
    )


def train(launcher: Launcher, folder: Path, run: str, *overrides: str, native: str) -> str:
    process = start(launcher, folder, run, *overrides, native=native)
    assert process.wait() == 0, process.errors
    return process.errors


def fingerprint(run: Path, update: int) -> dict[str, object]:
    """Return what a checkpoint holds: hashes of tensors, and all counters but the time."""
    folder = run / "checkpoints" / f"update-{update:06d}"
    state = json.loads((folder / "state.json").read_text())
    del state["seconds"], state["validation_seconds"]
    return {file.name: sha256_of(file) for file in folder.glob("*.safetensors")} | state


@pytest.mark.parametrize("native", NATIVE)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_resumed_run_equals_an_uninterrupted_run_bit_for_bit(
    tmp_path, launcher, programme, recipe, native
):
    """Interrupted in the middle of an epoch, at its end, and after each single update."""
    leave_to_full(programme, recipe, native)
    begin, options = time.monotonic(), RECIPES[recipe]
    log = train(launcher, tmp_path, "whole", *options, native=native)
    assert ("compiled kernels" in log) == (native == "on")
    expected = fingerprint(tmp_path / "whole", UPDATES)
    cuts = [(4, EPOCH), (1, 2 * EPOCH + 1), (EPOCH - 1, 2 * EPOCH), range(1, UPDATES)]
    for number, cut in enumerate(cuts[: programme.count(quick=1, full=4)]):
        for limit in (*cut, UPDATES):
            log = train(
                *(launcher, tmp_path, f"pieces{number}", *options),
                f"training.max_updates={limit}",
                native=native,
            )
        assert f"resume: from update-{max(cut):06d}" in log
        # A validation at each end is one more than an uninterrupted run makes.
        ignored = {"stopping", "plateau"}
        found = fingerprint(tmp_path / f"pieces{number}", UPDATES)
        assert {k: v for k, v in found.items() if k not in ignored} == {
            k: v for k, v in expected.items() if k not in ignored
        }
    assert {"model.safetensors", "optimizer.safetensors"} <= set(expected)
    tries = programme.count(quick=2, full=2 + 2 + 2 + UPDATES - 1)
    programme.record(
        16,
        f"resumed, {recipe}, kernels {native}: equal by hash",
        tries=tries,
        worst_seconds=time.monotonic() - begin,
    )


@pytest.fixture(params=["toy", "dates"], ids=["toy, lstm", "dates, gru"])
def recipe_itself(request, tmp_path: Path) -> tuple[str, Path]:
    """Return a recipe as it is: its name, and its configuration where its corpus is."""
    config = Path(__file__).parents[2] / "recipes" / request.param / "config.toml"
    if request.param == "toy":
        return request.param, config
    corpus = Path(os.environ.get("NMT_DATA", "nowhere")) / "dates-en-iso"
    if not corpus.is_dir():
        pytest.skip("NMT_DATA names no folder that holds dates-en-iso/")
    (tmp_path / "data").symlink_to(corpus)
    return request.param, Path(shutil.copy(config, tmp_path))


def test_an_unchanged_recipe_repeats_and_resumes_bit_for_bit(
    tmp_path, launcher, programme, recipe_itself
):
    """Twelve updates at once, repeated, and resumed half-way; all within the first epoch."""
    programme.require_full()
    begin, found, (name, config) = time.monotonic(), [], recipe_itself
    for run, limits in (("whole", [12]), ("again", [12]), ("pieces", [5, 12])):
        for limit in limits:
            process = launcher.start(
                *("train", config, "--run", tmp_path / run),
                *settings((f"training.max_updates={limit}", "validation.max_lines=20")),
            )
            assert process.wait() == 0, process.errors
        found.append(fingerprint(tmp_path / run, 12))
    whole, again, pieces = found
    assert again == whole
    position = pieces["position"]
    assert (position["epoch"], position["update_in_epoch"]) == (0, 12)
    ignored = {"stopping", "plateau"}  # the first part ends with a validation of its own
    assert {k: v for k, v in pieces.items() if k not in ignored} == {
        k: v for k, v in whole.items() if k not in ignored
    }
    programme.record(
        16,
        f"the recipe {name} as it is: repeated and resumed, equal by hash",
        tries=2,
        worst_seconds=time.monotonic() - begin,
    )


def test_the_constant_epoch_is_the_number_of_updates_in_an_epoch(tmp_path, launcher):
    train(launcher, tmp_path, "run", f"training.max_updates={EPOCH}", native="off")
    position = fingerprint(tmp_path / "run", EPOCH)["position"]
    assert (position["epoch"], position["update_in_epoch"]) == (1, 0)


@pytest.mark.parametrize("native", NATIVE)
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_seed_gives_the_same_bytes_in_another_process(
    tmp_path, launcher, programme, recipe, native
):
    """Starting from the raw text, with another hash seed each time."""
    if (recipe, native) != ("lstm", "on"):
        programme.require_full()
    begin, seeds = (
        time.monotonic(),
        ["0", "1", "4242", "random"][: programme.count(quick=1, full=4)],
    )
    options = RECIPES[recipe]
    train(launcher, tmp_path, "first", *options, native=native)
    expected = fingerprint(tmp_path / "first", UPDATES)
    for seed in seeds:  # needs a new interpreter, which the launcher does not start
        arguments = ["train", str(tmp_path / "tiny.toml"), "--run", str(tmp_path / f"run{seed}")]
        done = subprocess.run(
            [sys.executable, "-m", "nmt.cli", *arguments, *settings((*SIZES, *options))],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "NMT_NATIVE": native,
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert fingerprint(tmp_path / f"run{seed}", UPDATES) == expected
        shipped = [
            {file.name: sha256_of(file) for file in (tmp_path / run / "model").glob("*[!d]")}
            for run in ("first", f"run{seed}")
        ]
        assert shipped[0] == shipped[1]
    programme.record(
        17,
        f"same seed, {recipe}, kernels {native}: same bytes",
        tries=len(seeds),
        worst_seconds=time.monotonic() - begin,
    )
