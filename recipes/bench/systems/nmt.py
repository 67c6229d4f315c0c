"""nmt itself, as the environment has it that this program runs in."""

import re
import shutil
import sys
from pathlib import Path

from bench.corpus import RUN, Corpus, config_head
from bench.environment import Environment
from bench.measure import Progress, UnavailableError
from bench.process import RECIPES, Command, Finished, thread_settings
from bench.sizes import BATCH_TOKENS, Sizes
from bench.systems import MAX_LENGTH, Training, Translated, Translating, flatten

_REPORT = re.compile(r"^update +(\d+) .* ([\d,]+) tok/s")
_TIME = re.compile(r"^translated in ([\d.]+) s", re.MULTILINE)


class Nmt:
    """See `System`. It cuts text itself, and puts it together again, in the time measured."""

    name = "nmt"
    precisions = ("fp32", "bf16", "int8")

    def install(self, environment: Environment) -> None:
        """Do nothing: it is here."""

    def help(self, environment: Environment) -> list[str]:
        return [sys.executable, "-m", "nmt.cli", "train", "--help"]

    def prepare(self, environment: Environment, corpus: Corpus, folder: Path) -> list[Command]:
        shutil.copytree(corpus.folder / RUN / "data", folder / "data", dirs_exist_ok=True)
        return []

    def train(self, environment: Environment, job: Training) -> Command:
        run = job.folder / "run"
        shutil.copytree(job.prepared / "data", run / "data", dirs_exist_ok=True)
        config = job.folder / "config.toml"
        config.write_text(
            config_head(job.corpus.languages) + model_config(job.sizes) + training_config(job),
            encoding="utf-8",
        )
        arguments = [sys.executable, "-m", "nmt.cli", "train", str(config), "--run", str(run)]
        return Command(arguments, job.folder, thread_settings(job.threads))

    def progress(self, line: str) -> Progress | None:
        # Its batches hold target tokens with end symbols, and it counts just those.
        if (found := _REPORT.search(line)) is None:
            return None
        return Progress(int(found[1]), rate=float(found[2].replace(",", "")))

    def translate(self, environment: Environment, job: Translating) -> list[Command]:
        run, output = job.model.folder / "run", job.folder / "output"
        options = {
            "--beam": job.beam,
            "--batch": job.batch,
            "--precision": job.precision,
            "--threads": job.threads,
            "--max-length": MAX_LENGTH,
        }
        program = (sys.executable, "-m", "bench.systems.nmt_translate")
        arguments = [*program, str(run), str(job.plain), str(output), *flatten(options)]
        return [Command(arguments, RECIPES, thread_settings(job.threads))]

    def translated(self, job: Translating, finished: Finished) -> Translated:
        if (time := _TIME.search(finished.output)) is None:
            raise UnavailableError("nmt did not report its time")
        lines = (job.folder / "output").read_text(encoding="utf-8").split("\n")
        return Translated(lines[:-1], float(time[1]))


def model_config(sizes: Sizes) -> str:
    """Return what a configuration says of the model."""
    return f"""
[model.embedding]
size = {sizes.embedding}

[model.encoder]
cell = "lstm"
hidden_size = {sizes.encoder}
layers = {sizes.layers}
bidirectional = true

[model.decoder]
cell = "lstm"
hidden_size = {sizes.decoder}
layers = {sizes.layers}
attention = "general"
attend = "after"
input_feeding = true

[model.dropout]
embedding = {sizes.dropout}
layers = {sizes.dropout}
readout = {sizes.dropout}
"""


def training_config(job: Training) -> str:
    """Return what a configuration says of training and validation."""
    sizes = job.sizes
    return f"""
[training]
batch_tokens = {BATCH_TOKENS}
max_updates = {job.updates}
optimizer = "adam"
learning_rate = {sizes.learning_rate}
clip_norm = {sizes.clip_norm}
label_smoothing = {sizes.label_smoothing}
precision = "{job.precision}"
device = "cpu"
threads = {job.threads}
seed = {job.seed}
log_every = 1

[validation]
every = {job.updates + 1}
metric = "loss"
"""
