"""One run of the benchmark: install the systems, measure them in turn, report."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.alternation import Entry, alternate
from bench.corpus import experiment_on, find_languages, prepare_corpus
from bench.environment import Environment
from bench.floor import Floors
from bench.measure import Window, count_tokens, training_speed
from bench.process import Command, finish, thread_settings, watch
from bench.report import Journal, Value, limits_table, ratio_table
from bench.systems import System, Training, Translating
from bench.systems.all import SYSTEMS
from nmt.benchmark.sizes import Size, model_of
from nmt.config.training import ValidationConfig
from nmt.storage.folders import make_folder

SEARCHES = ((5, 64), (1, 64), (5, 1))
"""Beam and batch of each translation."""
FIRST_LINE = (5, 1)
"""Beam and batch for the first line, timed from the start of the process."""
INSTALLED = "installed"
"""Stamp file of a complete environment."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """See `__main__`."""

    systems: list[str]
    configs: list[Size]
    tasks: list[str]
    precisions: list[str]
    windows: int
    warmup: int
    updates: int
    model_updates: int
    sentences: int
    sentences_alone: int
    shortlist: int
    threads: int
    cache: Path


@dataclass(frozen=True)
class Ready:
    """An installed system with its prepared corpus."""

    system: System
    environment: Environment
    prepared: Path


class Bench:
    """One run of the benchmark with the given options."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.scratch = options.cache / "scratch"
        self.journal = Journal(options.cache / "figures.jsonl", threads=options.threads)

    def run(self) -> int:
        """Measure everything; return 0, even if some systems are unavailable.

        Raises:
            NmtError: the corpus or the cache is unusable.
        """
        languages = find_languages()
        make_folder(self.options.cache)
        self.journal.tell(f"corpus {languages.name}, {self.options.threads} threads")
        self.corpus = prepare_corpus(languages, self.options.cache / "corpus" / languages.name)
        self.ready = self._install()
        if "startup" in self.options.tasks:
            self._help()
        for size in self.options.configs:
            if "train" in self.options.tasks:
                self._train(size)
            if "translate" in self.options.tasks:
                self._translate(size)
        shutil.rmtree(self.scratch, ignore_errors=True)
        figures = self.journal.figures
        print("", *ratio_table(figures), "", *limits_table(figures), sep="\n", file=sys.stderr)
        return 0

    def _install(self) -> list[Ready]:
        installed = []
        for name in self.options.systems:
            system = SYSTEMS[name]
            environment = Environment(self.options.cache / "environments" / name)
            prepared = self.options.cache / "prepared" / self.corpus.languages.name / name
            with self.journal.watching({"system": name, "task": "install"}):
                install_once(system, environment, self.journal.tell)
                shutil.rmtree(prepared, ignore_errors=True)
                prepared.mkdir(parents=True)
                for command in system.prepare(environment, self.corpus, prepared):
                    finish(command)
                installed.append(Ready(system, environment, prepared))
        return installed

    # Tasks

    def _help(self) -> None:
        entries = [
            Entry({"system": ready.system.name}, self._help_window(ready)) for ready in self.ready
        ]
        for entry in self._alternate(entries, "startup"):
            self.journal.report("help_seconds", entry.about, entry.speeds)

    def _train(self, size: Size) -> None:
        entries = [
            Entry(
                {"system": ready.system.name, "config": size, "precision": precision},
                self._training_window(ready, size, precision),
            )
            for ready in self.ready
            for precision in self.options.precisions
            if precision in ready.system.precisions and precision != "int8"
        ]
        floors = Floors(size, self.corpus.counts, self.options.precisions, self.journal)
        measured = self._alternate(entries, f"train {size}", floors.measure)
        limits = floors.report()
        for entry in measured:
            self.journal.report("train_tokens_per_second", entry.about, entry.speeds)
            for (precision, fraction), floor in limits.items():
                if precision == entry.about["precision"]:
                    parts = [speed / floor for speed in entry.speeds]
                    self.journal.report(fraction, entry.about, parts)
            tokens = [window.update_tokens for window in entry.windows]
            self.journal.report("tokens_per_update", entry.about, tokens)
            entry.report_memory("train", self.journal)

    def _translate(self, size: Size) -> None:
        models = {ready.system.name: self._model(ready, size) for ready in self.ready}
        for beam, batch in SEARCHES:
            count = self.options.sentences_alone if batch == 1 else self.options.sentences
            entries = [
                Entry(about, self._translation_window(ready, job))
                for about, ready, job in self._translations(models, size, beam, batch, count)
            ]
            for entry in self._alternate(entries, f"translate {size}, beam {beam}, batch {batch}"):
                self.journal.report("translate_tokens_per_second", entry.about, entry.speeds)
                entry.report_memory("translate", self.journal)
        entries = [
            Entry(about, self._first_line_window(ready, job))
            for about, ready, job in self._translations(models, size, *FIRST_LINE, count=1)
        ]
        for entry in self._alternate(entries, f"start {size}"):
            self.journal.report("startup_seconds", entry.about, entry.speeds)

    def _translations(
        self, models: dict[str, Training | None], size: Size, beam: int, batch: int, count: int
    ) -> Iterator[tuple[dict[str, Value], Ready, Translating]]:
        """Yield a job to translate `count` lines for each system, precision and shortlist."""
        source, plain = self._excerpt(count)
        for ready in self.ready:
            model = models[ready.system.name]
            for precision, shortlist in self._ways(ready.system):
                if model is None:
                    continue
                about: dict[str, Value] = {
                    "system": ready.system.name, "config": size,
                    "precision": precision, "beam": beam, "batch": batch,
                }  # fmt: skip
                if shortlist:
                    about["shortlist"] = shortlist
                yield about, ready, Translating(
                    model=model, precision=precision, source=source, plain=plain,
                    folder=self.scratch / "job", beam=beam, batch=batch,
                    threads=self.options.threads, shortlist=shortlist,
                )  # fmt: skip

    def _ways(self, system: System) -> Iterator[tuple[str, int]]:
        """Yield each precision and shortlist that the system supports."""
        for precision in self.options.precisions:
            if precision in system.precisions:
                yield precision, 0
                if system.has_shortlist and self.options.shortlist:
                    yield precision, self.options.shortlist

    # Windows

    def _alternate(
        self, entries: list[Entry], what: str, between: Callable[[], None] = lambda: None
    ) -> list[Entry]:
        return alternate(
            entries, what, windows=self.options.windows, journal=self.journal, between=between
        )

    def _help_window(self, ready: Ready) -> Callable[[int], Window]:
        command = Command(
            ready.system.help(ready.environment),
            self.options.cache,
            thread_settings(self.options.threads),
        )

        def measure(_: int) -> Window:
            done = finish(command)
            return Window(done.seconds, done.peak_mb)

        return measure

    def _training_window(self, ready: Ready, size: Size, precision: str) -> Callable[[int], Window]:
        updates = self.options.warmup + self.options.updates

        def measure(number: int) -> Window:
            changes = {"max_updates": updates + 1, "precision": precision, "seed": number + 1}
            job = self._training(ready, size, self._fresh("job"), changes)
            command = ready.system.train(ready.environment, job)
            watched = watch(command, ready.system.progress, updates=updates)
            speed, tokens = training_speed(watched.moments, warmup=self.options.warmup)
            return Window(speed, watched.peak_mb, tokens)

        return measure

    def _translation_window(self, ready: Ready, job: Translating) -> Callable[[int], Window]:
        def measure(_: int) -> Window:
            fresh = replace(job, folder=self._fresh("job"))
            *before, last = ready.system.translate(ready.environment, fresh)
            for command in before:
                finish(command)
            done = finish(last)
            found = ready.system.translated(fresh, done)
            return Window(count_tokens(found.lines) / found.seconds, done.peak_mb)

        return measure

    def _first_line_window(self, ready: Ready, job: Translating) -> Callable[[int], Window]:
        def measure(_: int) -> Window:
            fresh = replace(job, folder=self._fresh("job"))
            done = [finish(command) for command in ready.system.translate(ready.environment, fresh)]
            peak_mb = max(one.peak_mb for one in done)
            return Window(sum(one.seconds for one in done), peak_mb)

        return measure

    def _training(
        self, ready: Ready, size: Size, folder: Path, changes: dict[str, Value]
    ) -> Training:
        """Return a job that logs each update, with the given changes to `[training]`."""
        experiment = experiment_on(self.corpus.languages, model_of(size))
        changes = {"threads": self.options.threads, "log_every": 1, **changes}
        training = experiment.training.model_copy(update=changes)
        validation = ValidationConfig(every=training.max_updates + 1, metric="loss")
        sections = {"training": training, "validation": validation}
        return Training(
            experiment=experiment.model_copy(update=sections),
            corpus=self.corpus,
            prepared=ready.prepared,
            folder=folder,
        )

    def _model(self, ready: Ready, size: Size) -> Training | None:
        """Train a model for translation unless it exists; return None if training fails."""
        name = f"{self.corpus.languages.name}-{size}-{self.options.model_updates}"
        folder = self.options.cache / "models" / ready.system.name / name
        changes: dict[str, Value] = {
            "max_updates": self.options.model_updates, "precision": "fp32",
        }  # fmt: skip
        job = self._training(ready, size, folder, changes)
        if (folder / "done").exists():
            return job
        self.journal.tell(f"training {ready.system.name} {size} for translation")
        about: dict[str, Value] = {"system": ready.system.name, "config": size, "task": "model"}
        with self.journal.watching(about):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            finish(ready.system.train(ready.environment, job))
            (folder / "done").touch()
            return job
        return None

    def _excerpt(self, count: int) -> tuple[Path, Path]:
        """Write the first lines of `dev`, segmented and plain; return both files."""
        languages = self.corpus.languages
        sources = (self.corpus.side("dev", target=False), languages.file("dev", languages.source))
        found = []
        for source, name in zip(sources, ("cut", "plain"), strict=True):
            path = self.options.cache / "prepared" / f"lines-{count}.{name}"
            lines = source.read_text(encoding="utf-8").split("\n")[:-1][:count]
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            found.append(path)
        return found[0], found[1]

    def _fresh(self, name: str) -> Path:
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def install_once(system: System, environment: Environment, tell: Callable[[str], None]) -> None:
    """Install a system into its environment, unless it is installed already."""
    stamp = environment.folder / INSTALLED
    if system.name == "nmt" or stamp.exists():
        return
    tell(f"installing {system.name} into {environment.folder}")
    environment.create()
    system.install(environment)
    stamp.touch()
