"""One run of the benchmark: who takes part, in which order, and what is made of it."""

import contextlib
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.corpus import find_languages, prepare_corpus
from bench.environment import Environment
from bench.matrix import measure_rates
from bench.measure import UnavailableError, Window, count_tokens, training_speed
from bench.process import Command, finish, thread_settings, watch
from bench.report import Figure, Value, ratio_table, rounded, write_figure
from bench.sizes import SIZES, Sizes, forward_products, mixed_rate, training_flop
from bench.systems import System, Training, Translating
from bench.systems.all import SYSTEMS

SEARCHES = ((5, 64), (1, 64), (5, 1))
"""Beam and batch of each translation."""
INSTALLED = "installed"
"""A file in an environment that is complete."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """See `__main__`."""

    systems: list[str]
    configs: list[str]
    tasks: list[str]
    precisions: list[str]
    windows: int
    warmup: int
    updates: int
    model_updates: int
    sentences: int
    sentences_alone: int
    threads: int
    cache: Path


@dataclass(frozen=True)
class Ready:
    """A system that is installed and has read the corpus."""

    system: System
    environment: Environment
    prepared: Path


@dataclass
class Entry:
    """A system with one job, and what was measured of it."""

    ready: Ready
    about: dict[str, Value]
    measure: Callable[[int], Window]
    """Takes the number of the window."""
    windows: list[Window] = field(default_factory=list)
    is_out: bool = False


class Bench:
    """A run with these options."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.scratch = options.cache / "scratch"
        self.figures: list[Figure] = []

    def run(self) -> int:
        """Measure everything; return 0, also when peers are unavailable."""
        self.options.cache.mkdir(parents=True, exist_ok=True)
        languages = find_languages()
        self._tell(f"corpus {languages.name}, {self.options.threads} threads")
        self.corpus = prepare_corpus(languages, self.options.cache / "corpus" / languages.name)
        self.ready = self._install()
        if "startup" in self.options.tasks:
            self._start_up()
        for name in self.options.configs:
            if "train" in self.options.tasks:
                self._train(SIZES[name])
            if "translate" in self.options.tasks:
                self._translate(SIZES[name])
        shutil.rmtree(self.scratch, ignore_errors=True)
        print("", *ratio_table(self.figures), sep="\n", file=sys.stderr)
        return 0

    # Preparation

    def _install(self) -> list[Ready]:
        installed = []
        for name in self.options.systems:
            system = SYSTEMS[name]
            environment = Environment(self.options.cache / "environments" / name)
            prepared = self.options.cache / "prepared" / self.corpus.languages.name / name
            with self._reporting({"system": name, "task": "install"}):
                install_once(system, environment, self._tell)
                shutil.rmtree(prepared, ignore_errors=True)
                prepared.mkdir(parents=True)
                for command in system.prepare(environment, self.corpus, prepared):
                    finish(command)
                installed.append(Ready(system, environment, prepared))
        return installed

    # Tasks

    def _start_up(self) -> None:
        def entry(ready: Ready) -> Entry:
            command = Command(
                ready.system.help(ready.environment),
                self.options.cache,
                thread_settings(self.options.threads),
            )

            def measure(_: int) -> Window:
                done = finish(command)
                return Window(done.seconds, done.peak_mb)

            return Entry(ready, {"system": ready.system.name}, measure)

        entries = [entry(ready) for ready in self.ready]
        self._alternate(entries, "startup")
        for each in entries:
            self._report_median("startup_seconds", each, [w.speed for w in each.windows])

    def _train(self, sizes: Sizes) -> None:
        entries = [
            Entry(
                ready,
                {"system": ready.system.name, "config": sizes.name, "precision": precision},
                self._training_window(ready, sizes, precision),
            )
            for ready in self.ready
            for precision in self.options.precisions
            if precision in ready.system.precisions and precision != "int8"
        ]
        rates: dict[str, list[float]] = {}
        self._alternate(entries, f"train {sizes.name}", lambda: self._add_rates(sizes, rates))
        floors = self._report_floors(sizes, rates)
        for entry in entries:
            self._report_median("train_tokens_per_second", entry, [w.speed for w in entry.windows])
            floor = floors.get(str(entry.about["precision"]))
            if floor:
                parts = [w.speed / floor for w in entry.windows]
                self._report_median("train_fraction_of_floor", entry, parts)
            tokens = [w.update_tokens for w in entry.windows]
            self._report_median("tokens_per_update", entry, tokens)
            entry.about["task"] = "train"
            self._report_median("peak_rss_mb", entry, [w.peak_mb for w in entry.windows])

    def _translate(self, sizes: Sizes) -> None:
        models = {ready.system.name: self._model(ready, sizes) for ready in self.ready}
        for beam, batch in SEARCHES:
            count = self.options.sentences_alone if batch == 1 else self.options.sentences
            text = self._excerpt(count)
            entries = []
            for ready in self.ready:
                model = models[ready.system.name]
                for precision in self.options.precisions:
                    if model is None or precision not in ready.system.precisions:
                        continue
                    job = Translating(
                        model=model, precision=precision, source=text[0], plain=text[1],
                        folder=self.scratch / "job", beam=beam, batch=batch,
                        threads=self.options.threads,
                    )  # fmt: skip
                    about: dict[str, Value] = {
                        "system": ready.system.name, "config": sizes.name,
                        "precision": precision, "beam": beam, "batch": batch,
                    }  # fmt: skip
                    entries.append(Entry(ready, about, self._translation_window(ready, job)))
            self._alternate(entries, f"translate {sizes.name}, beam {beam}, batch {batch}")
            for entry in entries:
                speeds = [w.speed for w in entry.windows]
                self._report_median("translate_tokens_per_second", entry, speeds)
                entry.about["task"] = "translate"
                self._report_median("peak_rss_mb", entry, [w.peak_mb for w in entry.windows])

    # Windows

    def _alternate(
        self, entries: Sequence[Entry], what: str, between: Callable[[], None] | None = None
    ) -> None:
        """Measure a window of each entry, then the next of each: noise hits all alike."""
        for number in range(self.options.windows):
            if between is not None:
                between()
            for entry in entries:
                if not entry.is_out:
                    entry.is_out = not self._has_measured(entry, number, what)

    def _has_measured(self, entry: Entry, number: int, what: str) -> bool:
        """Measure a window of an entry; say whether it went well."""
        with self._reporting({**entry.about, "task": what.split()[0]}):
            entry.windows.append(entry.measure(number))
            who = " ".join(str(entry.about.get(key, "")) for key in ("system", "precision"))
            self._tell(f"{what}  window {number + 1}  {who}  {entry.windows[-1].speed:,.4g}")
            return True
        return False

    def _training_window(
        self, ready: Ready, sizes: Sizes, precision: str
    ) -> Callable[[int], Window]:
        updates = self.options.warmup + self.options.updates

        def measure(number: int) -> Window:
            job = Training(
                sizes=sizes, precision=precision, corpus=self.corpus, prepared=ready.prepared,
                folder=self._fresh("job"), updates=updates + 1, seed=number + 1,
                threads=self.options.threads,
            )  # fmt: skip
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

    def _model(self, ready: Ready, sizes: Sizes) -> Training | None:
        """Train a model to translate with, once; None if that fails."""
        name = f"{self.corpus.languages.name}-{sizes.name}-{self.options.model_updates}"
        folder = self.options.cache / "models" / ready.system.name / name
        job = Training(
            sizes=sizes, precision="fp32", corpus=self.corpus, prepared=ready.prepared,
            folder=folder, updates=self.options.model_updates, seed=1,
            threads=self.options.threads,
        )  # fmt: skip
        if (folder / "done").exists():
            return job
        self._tell(f"training {ready.system.name} {sizes.name} to translate with")
        with self._reporting({"system": ready.system.name, "config": sizes.name, "task": "model"}):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            finish(ready.system.train(ready.environment, job))
            (folder / "done").touch()
            return job
        return None

    def _excerpt(self, count: int) -> tuple[Path, Path]:
        """Write the first lines of `dev`, cut and plain; return both files."""
        languages = self.corpus.languages
        sources = (self.corpus.side("dev", target=False), languages.file("dev", languages.source))
        found = []
        for source, name in zip(sources, ("cut", "plain"), strict=True):
            path = self.options.cache / "prepared" / f"lines-{count}.{name}"
            lines = source.read_text(encoding="utf-8").split("\n")[:-1][:count]
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            found.append(path)
        return found[0], found[1]

    # The machine

    def _add_rates(self, sizes: Sizes, rates: dict[str, list[float]]) -> None:
        """Measure how fast the machine does the model's products, in each precision."""
        products = forward_products(sizes, self.corpus.counts)
        for precision in self.options.precisions:
            if precision == "int8":
                continue
            with self._reporting({"system": "machine", "precision": precision, "task": "matrix"}):
                found = measure_rates(products, precision=precision, threads=self.options.threads)
                rates.setdefault(precision, []).append(mixed_rate(products, found))

    def _report_floors(self, sizes: Sizes, rates: dict[str, list[float]]) -> dict[str, float]:
        """Report rates and floors; return tokens a second of the floor by precision."""
        flop = training_flop(forward_products(sizes, self.corpus.counts))
        floors = {}
        for precision, found in rates.items():
            about: dict[str, Value] = {
                "system": "machine", "config": sizes.name, "precision": precision,
            }  # fmt: skip
            floors[precision] = statistics.median(found) * 1e9 / flop
            self._report("matrix_gflops", about, found)
            floor = {**about, "mflop_per_token": rounded(flop / 1e6)}
            self._report("train_floor_tokens_per_second", floor, [r * 1e9 / flop for r in found])
        return floors

    # Output

    def _report_median(self, name: str, entry: Entry, values: Sequence[float]) -> None:
        """Report a figure of a system that has finished all its windows."""
        if not entry.is_out and values:
            self._report(name, entry.about, values)

    def _report(self, name: str, about: dict[str, Value], values: Sequence[float]) -> None:
        self._write({
            "figure": name,
            **about,
            "threads": self.options.threads,
            "value": rounded(statistics.median(values)),
            "windows": [rounded(value) for value in values],
        })  # fmt: skip

    def _write(self, figure: Figure) -> None:
        self.figures.append(figure)
        with (self.options.cache / "figures.jsonl").open("a", encoding="utf-8") as file:
            write_figure(figure, sys.stdout, file)

    @contextlib.contextmanager
    def _reporting(self, about: dict[str, Value]) -> Iterator[None]:
        """Report a system that is unavailable, and go on with the others."""
        try:
            yield
        except (UnavailableError, OSError) as error:
            self._write({"figure": "unavailable", **about, "reason": str(error)})

    def _tell(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def _fresh(self, name: str) -> Path:
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def install_once(system: System, environment: Environment, tell: Callable[[str], None]) -> None:
    """Install a system into its environment, unless that has been done."""
    stamp = environment.folder / INSTALLED
    if system.name == "nmt" or stamp.exists():
        return
    tell(f"installing {system.name} into {environment.folder}")
    environment.create()
    system.install(environment)
    stamp.touch()
