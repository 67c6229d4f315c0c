"""nmt itself, as installed in the environment of this program."""

import re
import shutil
import sys
from pathlib import Path

from bench.corpus import Corpus, experiment_on
from bench.environment import Environment
from bench.measure import Progress, UnavailableError
from bench.process import RECIPES, Command, Finished, thread_settings
from bench.systems import MAX_LENGTH, Training, Translated, Translating, flatten
from nmt.config.dump import dump
from nmt.config.model import ModelConfig

_REPORT = re.compile(r"^update +(\d+) .* ([\d,]+) tok/s")
_TIME = re.compile(r"^translated in ([\d.]+) s", re.MULTILINE)


class Nmt:
    """See `System`. The measured time includes segmenting and joining text."""

    name = "nmt"
    precisions = ("fp32", "bf16", "int8")
    has_shortlist = True

    def install(self, environment: Environment) -> None:
        """Do nothing: nmt is already installed."""

    def help(self, environment: Environment) -> list[str]:
        return [sys.executable, "-m", "nmt.cli", "train", "--help"]

    def prepare(self, environment: Environment, corpus: Corpus, folder: Path) -> list[Command]:
        # nmt prunes its vocabularies: each side keeps the joint pieces that it uses.
        config = folder / "experiment.toml"  # the run writes its own config.toml there
        config.write_text(dump(experiment_on(corpus.languages, ModelConfig())), encoding="utf-8")
        arguments = [sys.executable, "-m", "nmt.cli", "prepare", str(config), "--run", str(folder)]
        return [Command(arguments, folder, thread_settings(1))]

    def train(self, environment: Environment, job: Training) -> Command:
        run = job.folder / "run"
        shutil.copytree(job.prepared / "data", run / "data", dirs_exist_ok=True)
        config = job.folder / "config.toml"
        config.write_text(dump(job.experiment), encoding="utf-8")
        arguments = [sys.executable, "-m", "nmt.cli", "train", str(config), "--run", str(run)]
        return Command(arguments, job.folder, thread_settings(job.experiment.training.threads))

    def progress(self, line: str) -> Progress | None:
        # The rate counts target tokens with end symbols, without padding.
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
            "--shortlist": job.shortlist,
        }
        program = (sys.executable, "-m", "bench.systems.nmt_translate")
        arguments = [*program, str(run), str(job.plain), str(output), *flatten(options)]
        return [Command(arguments, RECIPES, thread_settings(job.threads))]

    def translated(self, job: Translating, finished: Finished) -> Translated:
        if (time := _TIME.search(finished.output)) is None:
            raise UnavailableError("nmt did not report its time")
        lines = (job.folder / "output").read_text(encoding="utf-8").split("\n")
        return Translated(lines[:-1], float(time[1]))
