"""`nmt tune`: the same command goes on, and ends with a table and a configuration."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import tiny, write_corpus
from typer.testing import CliRunner

from nmt.cli.main import app
from nmt.config.load import load, resolve_paths
from nmt.errors import DivergenceError, ModelError, UsageError
from nmt.training.run import RunOptions, run_training
from nmt.tuning import tune
from nmt.tuning.record import Finalist, Record, Rung
from nmt.tuning.report import remarks, table, tuned
from nmt.tuning.tune import Tuning

RATES = "training.learning_rate=0.02,0.03,0.04,0.05,0.06,0.07"


class FakeTraining:
    """Stands in for `run_training`: a second is an update, and the loss is near the rate."""

    def __init__(self, stop_at: int = 0) -> None:
        self.clock, self.stop_at = 0.0, stop_at
        self.calls: list[tuple[str, float, float]] = []
        """Run, seconds allowed, and updates made before."""

    def __call__(self, experiment, run: Path, options: RunOptions) -> int:
        seconds, metrics = float(options.max_time.removesuffix("s")), run / "metrics.jsonl"
        before = json.loads(metrics.read_text().splitlines()[-1])["update"] if run.exists() else 0
        self.calls.append((run.name, seconds, before))
        if experiment.training.learning_rate == 0.07:
            raise DivergenceError("The loss is NaN", "Lower the rate.", update=3)
        is_stopped = len(self.calls) == self.stop_at
        passed = seconds / 2 if is_stopped else seconds
        self.clock, update = self.clock + passed, before + passed
        loss = 9 - experiment.training.learning_rate * 100 + 0.1 * experiment.training.seed
        run.mkdir(parents=True, exist_ok=True)
        entries = [{"kind": "update", "seconds": update, "epoch": update / 10}]
        if not is_stopped:
            entries.append({"kind": "valid", "loss": 1.0, "loss_per_word": loss})
        lines = [json.dumps({**entry, "update": update}) + "\n" for entry in entries]
        metrics.write_text("".join(lines))
        return 130 if is_stopped else 0


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Return a function that makes a tune with a stand-in for training, whose clock it shares."""
    write_corpus(tmp_path)

    def finalists(self, runs):
        return [Finalist(run=run, bleu=run, chrf=run, p_value=run / 100 or None) for run in runs]

    def make(training, *, budget="1000s", over=(RATES,), sets=()):
        monkeypatch.setattr(tune, "prepare", lambda *_: SimpleNamespace(kept=60))
        monkeypatch.setattr(tune, "run_training", training)
        monkeypatch.setattr(tune, "time", SimpleNamespace(monotonic=lambda: training.clock))
        monkeypatch.setattr(Tuning, "_score", finalists)
        return Tuning(
            lambda overrides: tiny(tmp_path, *sets, *overrides),
            tmp_path / "tune",
            budget=budget,
            over=list(over),
        )

    return make


def test_the_budget_is_divided_among_the_rungs_and_the_best_go_on(search):
    training = FakeTraining()
    made = search(training)
    assert made.run() == 0
    first, second, third = made.record.rungs
    # 7 rates, of which one is that of the baseline and its repetition.
    assert len(first.runs) == 8
    assert len(second.runs) == 4 + 1  # and the baseline, whose rate is the lowest
    assert len(third.runs) == 2 + 1
    assert training.clock == pytest.approx(950)
    assert first.seconds == pytest.approx(950 / 3 / 8)
    best = made.record.runs[second.runs[0]]
    assert best == {"training.learning_rate": ("training.learning_rate=0.06",)}
    assert 0 in third.runs
    assert made.record.repeat not in second.runs


def test_runs_resume_in_the_next_rung(search):
    training = FakeTraining()
    made = search(training)
    made.run()
    before = {}
    for run, seconds, update in training.calls:
        assert update == pytest.approx(before.get(run, 0))
        before[run] = before.get(run, 0) + seconds


def test_a_run_that_diverges_is_out(search, tmp_path):
    made = search(FakeTraining())
    made.run()
    [(run, reason)] = made.record.failures.items()
    assert reason == "The loss is NaN. Lower the rate."
    assert made.record.rungs[0].losses[run] is None
    assert run not in made.record.rungs[1].runs
    assert reason in table(made.record, tmp_path / "tune").splitlines()[-1]


@pytest.mark.parametrize("stop_at", [1, 2, 11])
def test_an_interrupted_tune_goes_on_where_it_was(search, stop_at):
    whole = search(FakeTraining())
    whole.run()
    folder = whole.folder
    folder.rename(folder.with_name("whole"))
    training = FakeTraining(stop_at)
    assert search(training).run() == 130
    again = search(training)
    assert again.run() == 0
    assert again.record.best == whole.record.best
    assert [rung.runs for rung in again.record.rungs] == [r.runs for r in whole.record.rungs]
    if stop_at > 1:  # else the measurement is repeated
        assert training.clock == pytest.approx(950)
        assert len(training.calls) == 1 + 8 + 5 + 3 + 1
    calls = len(training.calls)
    assert search(training).run() == 0  # it is done, and says so again
    assert len(training.calls) == calls


def test_the_number_of_runs_follows_from_the_speed(search):
    """Two passes take 20 seconds: a minute is enough for two runs, one being the baseline."""
    made = search(FakeTraining(), budget="60s")
    made.run()
    assert len(made.record.rungs[0].runs) == 2
    assert made.record.repeat is None


def test_few_runs_search_only_the_most_promising_settings(search):
    made = search(FakeTraining(), budget="60s", over=())
    made.run()
    [_, other] = made.record.runs
    assert other.keys() == {"dropout", "rate"}


def test_a_budget_for_less_than_two_runs_is_refused(search):
    with pytest.raises(UsageError) as error:
        search(FakeTraining(), budget="30s").run()
    assert str(error.value) == (
        "--budget 30s: is too little for two runs, of 00:20 each for 2 passes over the corpus or "
        "1,000 updates; give at least --budget 1m."
    )
    assert search(FakeTraining(), budget="60s").run() == 0


def test_a_tune_that_was_never_planned_does_not_keep_its_folder(search):
    with pytest.raises(UsageError, match="is too little for two runs"):
        search(FakeTraining(), budget="30s").run()
    training = FakeTraining()
    made = search(training, budget="60s", over=["training.learning_rate=0.003"])
    assert made.run() == 0
    assert training.calls[0][2] == 0  # the speed is measured anew
    assert made.record.over == ["training.learning_rate=0.003"]


def test_a_tune_that_is_done_says_that_a_larger_budget_changes_nothing(search, tmp_path, caplog):
    search(FakeTraining(), budget="60s").run()
    caplog.set_level("INFO")
    assert search(FakeTraining(), budget="2h").run() == 0
    assert caplog.messages == [
        f"{tmp_path}/tune: has been searched, with --budget 60s; for another search, choose "
        "another --run"
    ]


@pytest.mark.parametrize("budget", ["10", "fast", "-3m"])
def test_a_budget_that_is_no_time_is_refused(search, budget):
    with pytest.raises(UsageError) as error:
        search(FakeTraining(), budget=budget)
    assert str(error.value) == f'--budget {budget}: must be a time such as "90s", "30m" or "2h".'


def test_the_folder_of_another_tune_is_refused(search, tmp_path):
    search(FakeTraining(), budget="60s").run()
    with pytest.raises(UsageError) as error:
        search(FakeTraining(), sets=("training.clip_norm=2.0",), over=[RATES, RATES]).run()
    assert str(error.value) == (
        f"{tmp_path}/tune: belongs to another tune, with other values of\n"
        "  training.clip_norm: 1.0 -> 2.0\n"
        f"  --over: {RATES} -> {RATES} {RATES}\n"
        "Choose another --run, or resume it as it was."
    )


def test_a_folder_with_other_files_is_refused(search, tmp_path):
    (tmp_path / "tune").mkdir()
    (tmp_path / "tune" / "thesis.tex").touch()
    with pytest.raises(UsageError) as error:
        search(FakeTraining()).run()
    assert str(error.value) == (
        f"{tmp_path}/tune: holds thesis.tex, and is no folder of `nmt tune`; choose another --run, "
        "such as a new folder below runs/."
    )


def test_a_damaged_record_is_refused(search, tmp_path):
    search(FakeTraining(), budget="60s").run()
    (tmp_path / "tune" / "tune.json").write_text('{"runs": 3}')
    with pytest.raises(ModelError, match=r"is damaged; delete its folder to start again\.$"):
        search(FakeTraining()).run()


def test_values_of_which_no_combination_is_valid_are_refused(search):
    """Each is valid by itself, but only checkpoints that are kept can be averaged."""
    over, sets = ["validation.average=3", "training.keep_best=2"], ["training.keep_best=3"]
    with pytest.raises(UsageError) as error:
        search(FakeTraining(), budget="60s", over=over, sets=sets).run()
    assert str(error.value) == (
        "--over validation.average=3 --over training.keep_best=2: no combination of these values "
        "is valid; name other values."
    )


def test_the_loss_decides_between_models_that_cannot_translate_yet(search, monkeypatch):
    """Words that are repeated without end may have a higher chrF than a better model."""
    made = search(FakeTraining(), budget="60s", over=["training.learning_rate=0.003"])
    young = [Finalist(run=0, bleu=0.1, chrf=4), Finalist(run=1, bleu=0.0, chrf=17, p_value=0.001)]
    monkeypatch.setattr(Tuning, "_score", lambda *_: young)
    made.run()
    assert made.record.best == 0  # its rate, 0.01, has the lower loss
    assert next(remarks(made.record)) == (
        "BLEU is below 1, so the loss decided: these models are too young to translate; "
        "give a larger --budget"
    )


# --- what is written ---------------------------------------------------------------------------


def record(best: int, p_value: float) -> Record:
    rate = ("training.learning_rate=0.03",)
    return Record(
        runs=[{}, {"seed": ("training.seed=2",)}, {"rate": rate}, {"rate": rate}],
        rungs=[
            Rung(
                runs=[0, 1, 2, 3],
                seconds=60,
                spent={0: 60, 1: 60, 2: 60, 3: 60},
                losses={0: 5.0, 1: 5.25, 2: 4.5, 3: 4.0},
            )
        ],
        finalists=[
            Finalist(run=0, bleu=9, chrf=30),
            Finalist(run=3, bleu=10, chrf=32, p_value=p_value),
        ],
        best=best,
    )


def test_the_configuration_says_what_changed_and_what_it_gained(tmp_path):
    write_corpus(tmp_path)
    rate = "training.learning_rate=0.03"
    text = tuned(record(3, 0.001), lambda more: tiny(tmp_path, *more), tiny(tmp_path, rate))
    assert text.partition("\n\n")[0].splitlines() == [
        "# By `nmt tune` in 04:00: the best of 4 configurations, run-03, rate 0.03",
        "# - chrF 32.0, BLEU 10.0; as configured, after the same time: chrF 30.0, BLEU 9.0 "
        "(paired bootstrap: p = 0.001)",
        "# - with another seed alone, the loss per word of the first rung was 5.250 instead of "
        "5.000: differences of this size may be chance",
        "# rate: in the runs of the first rung, loss per word 4.250 in 2 with it, 5.000 in 1 "
        "without",
        "# - training.learning_rate: 0.01 -> 0.03",
    ]
    (tmp_path / "tuned.toml").write_text(text)
    assert load(tmp_path / "tuned.toml").training.learning_rate == 0.03


def test_a_difference_that_may_be_chance_is_called_so():
    assert "this difference may be chance; a larger --budget would tell" in remarks(record(3, 0.2))
    assert next(remarks(record(0, 0.2))) == "no run was better than the configuration itself"


# --- for real ----------------------------------------------------------------------------------


def test_a_tune_from_the_command_line_writes_a_configuration_that_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tune, "affordable_runs", lambda seconds, least: 3)
    config = write_corpus(tmp_path)
    text = config.read_text().replace("[tokenizer]", 'test = ["no.xx", "no.yy"]\n\n[tokenizer]')
    config.write_text(text.replace("max_updates = 20", "max_updates = 100000"))
    arguments = ["tune", "tiny.toml", "--budget", "1s", "--over", "training.batch_tokens=30,40"]

    called = CliRunner().invoke(app, [*arguments, "-o", "tuned.toml"], catch_exceptions=False)
    assert called.exit_code == 0
    header, *lines = called.stdout.splitlines()
    assert header.split()[3:] == ["time", "loss/word", "BLEU", "chrF", "settings"]
    assert {line.split()[0] for line in lines} == {"run-00", "run-01", "run-02"}
    assert sum(" as configured" in line for line in lines) == 1

    best = Path("runs/tiny-tune") / lines[0].split()[0]
    experiment = resolve_paths(load(Path("tuned.toml")), tmp_path)
    assert experiment.data.test is not None
    data = experiment.data.model_copy(update={"test": None})  # its files are not there
    experiment = experiment.model_copy(update={"data": data})
    before = json.loads((best / "metrics.jsonl").read_text().splitlines()[-1])["update"]
    assert run_training(experiment, best, RunOptions(resume="must", max_time="0.01s")) == 0
    entries = (best / "metrics.jsonl").read_text().splitlines()
    assert before < json.loads(entries[-1])["update"]

    called = CliRunner().invoke(app, [*arguments, "-o", "tuned.toml", "--json"])
    assert [row["run"] for row in json.loads(called.stdout)] == [line.split()[0] for line in lines]


def test_prepared_data_are_shared_by_runs_with_the_same_pieces(tmp_path):
    config = write_corpus(tmp_path)
    over = ["training.batch_tokens=40", "tokenizer.vocab_size=20"]
    made = Tuning(lambda more: tiny(tmp_path, *more), tmp_path / "tune", budget="2s", over=over)
    made.record.runs = [{}, {"a": (over[0],)}, {"b": (over[1],)}]
    assert config.exists()
    for run, combination in enumerate(made.record.runs):
        assert made._run_training(run, combination, 0.1) == 0
    logs = [(tmp_path / f"tune/run-0{run}/train.log").read_text() for run in range(3)]
    assert ["up to date" in log for log in logs] == [False, True, False]


def test_an_existing_configuration_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    Path("tiny-tuned.toml").write_text("mine")
    called = CliRunner().invoke(app, ["tune", "tiny.toml"])
    assert isinstance(called.exception, UsageError)
    assert str(called.exception) == (
        "tiny-tuned.toml: already exists; choose another -o, or move it away."
    )
    assert Path("tiny-tuned.toml").read_text() == "mine"
