"""`nmt tune` behind the command line: measure, plan, train in rungs, decide; resumable.

The configuration itself is trained first; its speed decides how many runs the budget allows. Runs
train for the same time, since time is what a user has, each in a run folder of its own, where the
next rung resumes it.

They are compared by the validation loss of a target word: with fewer pieces, each is longer and
harder to predict, but the words are the same, and this loss has little noise in young models, in
contrast to scores. In the last rung, which has the best runs and the configuration itself, chrF of
the translations decides, once BLEU is more than noise. What learns fast has an advantage, the more
so the smaller the budget; and so has what trains while the machine does nothing else.
"""

import contextlib
import logging
import math
import shutil
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from nmt.config.experiment import Experiment
from nmt.config.interval import parse_interval
from nmt.config.load import load
from nmt.data.folder import PreparationRecord, valid_files
from nmt.data.prepare import prepare
from nmt.data.shape import Shape
from nmt.errors import ConfigError, DataError, DivergenceError, UsageError
from nmt.evaluation.metrics import score
from nmt.evaluation.significance import compare
from nmt.run_folder.journal import format_duration, read_metrics
from nmt.run_folder.layout import DATA, METRICS
from nmt.storage.checksums import CHECKSUMS
from nmt.storage.folders import make_folder, new_folder
from nmt.storage.lock import lock_folder
from nmt.text.lines import read_numbered_pairs
from nmt.training.run import RunOptions, run_training
from nmt.training.state import BLEU_NOISE
from nmt.translator import Translator
from nmt.tuning import space
from nmt.tuning.halving import affordable_runs, rung_sizes, seconds_each, survivors
from nmt.tuning.record import BASELINE, CONFIG, SEED, Finalist, Record, Rung, folder_of, open_record

logger = logging.getLogger("nmt.tuning")

LEAST_UPDATES, LEAST_PASSES = 1000, 2
"""What a run of the first rung does, whichever is less: updates, or passes over the corpus."""
_TRAINING = 0.95  # share of the budget; the last rung's translations take the rest
_MEASURING = 0.02, 60.0  # share of the budget, and most seconds, to measure the speed
_MARGIN = 1.2  # of the least budget that is named: when it is given, the machine may be slower
_REPEAT_FROM = 4  # runs from which one repeats the baseline with another seed


class Tuning:
    """A search for better settings; `record` has what was found.

    Args:
        read: loads the configuration with overrides; paths of data are absolute.
        folder: of all runs; created if it is missing.
        budget: time in all, such as "1h".
        over: what to search, each `key=a,b,c`; none = `space.ROWS`.

    Raises:
        UsageError: an option is wrong.
    """

    def __init__(self, read: space.Load, folder: Path, *, budget: str, over: list[str]) -> None:
        self.load, self.folder, self.budget, self.over = read, folder, budget, over
        self.seconds = _TRAINING * _parse(budget)
        self.base, self.settings = read(()), space.stated_settings(over, read)
        self.record = Record()

    def run(self) -> int:
        """Begin, or resume; return 0, or 128 + the signal that stopped it, with all saved.

        Raises:
            UsageError: the budget is too small, or the folder is that of another tune.
            NmtError: the configuration itself cannot be trained.
        """
        make_folder(self.folder)
        with lock_folder(self.folder), _quiet_runs():
            self.record = record = open_record(
                self.folder, self.base, budget=self.budget, over=self.over
            )
            if record.best is None:
                record.budget = self.budget
            else:
                logger.info(
                    "%s: has been searched, with --budget %s; for another search, choose another "
                    "--run",
                    self.folder,
                    record.budget,
                )
            self.load = partial(load, self.folder / CONFIG)  # whatever becomes of the user's file
            if not record.rungs and (code := self._plan()):
                return code
            sizes = rung_sizes(len(record.runs))
            while record.best is None:
                number, rung = len(record.rungs), record.rungs[-1]
                each = format_duration(rung.seconds)
                logger.info(f"rung {number} of {len(sizes)}: {len(rung.runs)} runs of {each} each")
                for run in rung.runs:
                    if run not in rung.losses and (code := self._train(run, rung)):
                        return code
                if sizes[number:]:
                    record.rungs.append(self._next_rung(rung, sizes[number:]))
                else:
                    self._decide(rung)
                record.save(self.folder)
        return 0

    # --- the first rung ------------------------------------------------------------------------

    def _plan(self) -> int:
        """Measure the speed, and plan the first rung; return 0, or the exit code of a signal."""
        logger.info("measuring the speed of the configuration")
        (share, most), begin = _MEASURING, time.monotonic()
        folder = folder_of(self.folder, BASELINE)
        prepare(self._experiment({}), Path.cwd(), folder / DATA)
        if code := self._run_training(BASELINE, {}, min(most, share * self.seconds)):
            return code
        spent = time.monotonic() - begin
        least = max(spent, self._least_seconds(spent))
        runs = affordable_runs(self.seconds, least)
        if not runs:
            needed = math.ceil(_MARGIN * 2 * least / _TRAINING / 60)
            raise UsageError(
                f"--budget {self.budget}: is too little for two runs, of {format_duration(least)} "
                f"each for {LEAST_PASSES} passes over the corpus or {LEAST_UPDATES:,} updates; "
                f"give at least --budget {needed}m."
            )
        settings = self.settings
        if not settings:  # the most promising, as many as there are runs to tell them apart
            found = space.default_settings(self.load)
            settings = dict(islice(found.items(), runs))
        seed = self.base.training.seed
        first: list[space.Combination] = [{}]
        if runs >= _REPEAT_FROM:
            first.append({SEED: (f"training.seed={seed + 1}",)})
        others = space.draw(settings, runs - len(first), self.load, seed=seed)
        if not others:
            raise UsageError(
                f"--over {' --over '.join(self.over)}: no combination of these values is valid; "
                "name other values."
            )
        self.record.runs = [*first, *others]
        count = len(self.record.runs)
        each = seconds_each(self.seconds, rung_sizes(count))
        rung = Rung(runs=list(range(count)), seconds=each, spent={BASELINE: spent})
        self.record.rungs = [rung]
        self.record.save(self.folder)
        logger.info("searching %s", ", ".join(settings))
        return 0

    def _least_seconds(self, spent: float) -> float:
        """Return the time of the shortest useful run, after `spent` seconds on the baseline."""
        entries = read_metrics(folder_of(self.folder, BASELINE) / METRICS)
        reports = [entry for entry in entries if entry["kind"] == "update"]
        first, last = reports[0], reports[-1]
        updates, seconds = last["update"], float(last["seconds"])
        if len(reports) > 1:  # the first update is slow
            updates, seconds = updates - first["update"], seconds - first["seconds"]
        needed = min(LEAST_UPDATES, LEAST_PASSES * last["update"] / last["epoch"])
        return float(max(0.0, spent - last["seconds"]) + needed * seconds / updates)

    # --- a rung --------------------------------------------------------------------------------

    def _train(self, run: int, rung: Rung) -> int:
        """Train a run for its time in a rung; return 0, or the exit code of a signal."""
        record, folder, begin, code = self.record, folder_of(self.folder, run), time.monotonic(), 0
        before = rung.spent.get(run, 0.0)
        try:
            code = self._run_training(run, record.runs[run], rung.seconds - before)
        except (DivergenceError, ConfigError, DataError) as error:
            if run == BASELINE:
                raise
            record.failures[run] = str(error)
        rung.spent[run] = before + time.monotonic() - begin
        if not code:
            rung.losses[run] = None if run in record.failures else lowest_loss(folder)
            if rung.losses[run] is not None:
                record.unit = unit_of(folder)
            loss = rung.losses[run]
            found = "failed" if loss is None else f"loss per {record.unit} {loss:.3f}"
            logger.info("%s  %s  %s", folder.name, found, record.name(run))
        record.save(self.folder)
        return code

    def _run_training(self, run: int, combination: space.Combination, seconds: float) -> int:
        """Train a run within a time; return 0, or the exit code of a signal."""
        experiment, folder = self._experiment(combination), folder_of(self.folder, run)
        self._share_data(experiment, folder)
        return run_training(experiment, folder, RunOptions(max_time=f"{max(0.1, seconds):.3f}s"))

    def _experiment(self, combination: space.Combination) -> Experiment:
        """Return what a run trains, without a test set unless its pairs are to be left out."""
        experiment = self.load(space.overrides_of(combination))
        data = experiment.data
        test = data.test if data.drop_held_out else None
        return experiment.model_copy(update={"data": data.model_copy(update={"test": test})})

    def _share_data(self, experiment: Experiment, folder: Path) -> None:
        """Copy the data of another run with the same text and pieces; training checks them."""
        if (folder / DATA).exists():
            return
        for run, combination in enumerate(self.record.runs):
            source = folder_of(self.folder, run) / DATA
            if not source.exists():
                continue
            other = self._experiment(combination)
            if _preparation_of(other) == _preparation_of(experiment):
                make_folder(folder)
                with new_folder(folder / DATA) as new:
                    ignore = shutil.ignore_patterns(CHECKSUMS)  # written again
                    shutil.copytree(source, new, ignore=ignore, dirs_exist_ok=True)
                return

    def _next_rung(self, rung: Rung, sizes: list[int]) -> Rung:
        """Return the rung of the better half, with its share of the time that is left.

        Args:
            rung: the one before, done.
            sizes: of this one and those after it.
        """
        losses = {run: loss for run, loss in rung.losses.items() if run != self.record.repeat}
        runs = survivors(losses, sizes[0], baseline=BASELINE)
        left = max(0.0, self.seconds - self.record.seconds())
        return Rung(runs=runs, seconds=seconds_each(left, [len(runs), *sizes[1:]]))

    # --- the end -------------------------------------------------------------------------------

    def _decide(self, rung: Rung) -> None:
        """Choose the best run of the last rung: by chrF, if there are translations worth it."""
        losses = {run: loss for run, loss in rung.losses.items() if loss is not None}
        if self.base.data.has_source and Shape.of(self.base.model).is_text:
            self.record.finalists = self._score(list(losses))
        able = [each for each in self.record.finalists if each.bleu >= BLEU_NOISE]
        if able:
            self.record.best = max(able, key=lambda each: each.chrf).run
        else:  # repetitions of frequent words may have a high chrF
            self.record.best = min(losses, key=lambda run: losses[run])

    def _score(self, runs: list[int]) -> list[Finalist]:
        """Translate the validation files by each run, as `nmt translate` does, and score them."""
        base, prepared = self.base, folder_of(self.folder, BASELINE) / DATA
        source, target = map(Path, valid_files(base.data, prepared))
        bad_lines = PreparationRecord.load(prepared).bad_lines
        pairs = [pair for _, pair in read_numbered_pairs(source, target, bad_lines=bad_lines)]
        sources, references = zip(*pairs, strict=True)
        texts: dict[int, list[str]] = {}
        for run in runs:
            logger.info("%s  translating the validation files", folder_of(self.folder, run).name)
            device, threads = base.training.device, base.training.threads
            folder = folder_of(self.folder, run)
            translator = Translator.load(folder, device=device, threads=threads)
            texts[run] = [translation.text for translation in translator.translate(sources)]
        finalists = []
        for run, lines in texts.items():
            tokenize = base.validation.tokenize
            bleu, chrf = score(lines, references, ("bleu", "chrf"), tokenize=tokenize)
            found = Finalist(run=run, bleu=bleu.value, chrf=chrf.value)
            if run != BASELINE:
                found.p_value = compare(lines, texts[BASELINE], references, ("chrf",))[0].p_value
            finalists.append(found)
        return finalists


def lowest_loss(run: Path) -> float | None:
    """Return the lowest validation loss of a run, per target word if there are words."""
    validations = [entry for entry in read_metrics(run / METRICS) if entry["kind"] == "valid"]
    each = (v["loss"] if v["loss_per_word"] is None else v["loss_per_word"] for v in validations)
    return min((loss for loss in each if loss is not None), default=None)


def unit_of(run: Path) -> str:
    """Return what the lowest loss of a run is per."""
    entries = read_metrics(run / METRICS)
    return str(next((entry["unit"] for entry in entries if "unit" in entry), "word"))


def _preparation_of(experiment: Experiment) -> tuple[object, ...]:
    """Return what prepared data depend on, besides the content of the text files."""
    tokenizer = experiment.tokenizer.model_copy(update={"sampling": 0.0})
    joint = experiment.model.embedding.shares_vocabulary
    shape = Shape.of(experiment.model)
    return experiment.data, experiment.normalization, tokenizer, joint, shape


def _parse(budget: str) -> float:
    with contextlib.suppress(ConfigError):
        if seconds := parse_interval(budget).seconds:
            return seconds
    raise UsageError(f'--budget {budget}: must be a time such as "90s", "30m" or "2h".')


@contextlib.contextmanager
def _quiet_runs() -> Iterator[None]:
    """Keep what runs log off the console, unless --verbose; it is in each run's `train.log`."""
    package = logging.getLogger("nmt")
    handlers = [] if package.isEnabledFor(logging.DEBUG) else list(package.handlers)

    def is_own(record: logging.LogRecord) -> bool:
        return record.name == logger.name

    for handler in handlers:
        handler.addFilter(is_own)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_own)
