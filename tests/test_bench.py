"""The benchmark, as far as it can be tested without installing the other systems."""

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "recipes"), str(ROOT / "tests" / "benchmark")]

from bench.commits import WORK, ratios, started  # noqa: E402
from bench.corpus import (  # noqa: E402
    TOKENIZER,
    Corpus,
    Languages,
    TextCounts,
    experiment_on,
    prepare_corpus,
)
from bench.environment import Environment  # noqa: E402
from bench.fast_paths import gains  # noqa: E402
from bench.floor import Floors  # noqa: E402
from bench.measure import (  # noqa: E402
    Moment,
    Progress,
    UnavailableError,
    count_tokens,
    last_error,
    training_speed,
)
from bench.process import Command, Finished, finish, thread_settings, watch  # noqa: E402
from bench.report import Figure, Journal, limits_table, ratio_table, write_figure  # noqa: E402
from bench.run import Bench, Options  # noqa: E402
from bench.systems import Training, Translating  # noqa: E402
from bench.systems import nmt as nmt_system  # noqa: E402
from bench.systems.all import SYSTEMS  # noqa: E402
from bench.systems.fairseq import allow_defaults  # noqa: E402
from bench.systems.joeynmt import training_config  # noqa: E402
from tiny_sizes import set_up_tiny  # noqa: E402

from nmt.benchmark.sizes import model_of  # noqa: E402
from nmt.config.load import load  # noqa: E402
from nmt.data.corpus import Corpus as Prepared  # noqa: E402
from nmt.errors import DataError  # noqa: E402
from nmt.text.subword import load_subwords  # noqa: E402

MULTI30K = TextCounts(
    vocabulary=8000,
    sentences=29000,
    source_tokens=443_039,
    target_tokens=457_443,
    longer_side_tokens=484_117,
)


@pytest.fixture
def job(tmp_path: Path) -> Training:
    languages = Languages("multi30k", tmp_path, "en", "de")
    experiment = experiment_on(languages, model_of("big"))
    changes = {"precision": "bf16", "max_updates": 10, "threads": 2}
    training = experiment.training.model_copy(update=changes)
    return Training(
        experiment=experiment.model_copy(update={"training": training}),
        corpus=Corpus(languages, tmp_path, MULTI30K, ("▁ein", "e")),
        prepared=tmp_path,
        folder=tmp_path,
    )


# The corpus


def test_all_systems_train_on_the_same_pieces_as_nmt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = TOKENIZER.model_copy(update={"vocab_size": 400})
    monkeypatch.setattr("bench.corpus.TOKENIZER", few)
    for language in ("en", "it"):
        for part in ("train", "dev"):
            lines = (ROOT / f"data/toy/{part}.{language}").read_text(encoding="utf-8").split("\n")
            (tmp_path / f"{part}.{language}").write_text("\n".join(lines[:300]) + "\n")
    corpus = prepare_corpus(Languages("tiny", tmp_path, "en", "it"), tmp_path / "corpus")
    own = tmp_path / "own"
    own.mkdir()
    for command in nmt_system.Nmt().prepare(Environment(tmp_path), corpus, own):
        finish(command)

    source, target = load_subwords(own / "data")
    assert max(source.vocab_size, target.vocab_size) < corpus.counts.vocabulary == 400
    learned = Prepared(own / "data", "train")
    pairs = [learned.pair(number) for number in range(len(learned))]
    for side, subword in enumerate((source, target)):
        ours = [" ".join(subword.pieces(pair[side][:-1])) for pair in pairs]
        theirs = corpus.side("train", target=subword is target).read_text(encoding="utf-8")
        assert ours == theirs.split("\n")[:-1]


def test_batches_by_the_longer_side_hold_as_many_target_tokens() -> None:
    assert MULTI30K.longer_side_of_update == round(4096 * 484_117 / 457_443)
    assert MULTI30K.sample.sentences == 260


# Fast paths


@pytest.mark.usefixtures("fast_modules")
def test_each_fast_path_is_measured_with_and_without(tmp_path: Path) -> None:
    """This fails if a name that the script replaces no longer exists."""
    found = list(gains(set_up_tiny(tmp_path), tmp_path, windows=1))
    assert len({(work, path) for work, path, _ in found}) == len(found) == 7 + 3 * 6
    assert all(gain.fastest > 0 and gain.middle > 0 for _, _, gain in found)


# The floor


RATES = {
    "matrix_gflops": 51.2,
    "train_floor_tokens_per_second": 1000.0,
    "train_floor_with_optimizer_tokens_per_second": 800.0,
}


# Two commits


def test_two_trees_work_in_turns(tmp_path: Path) -> None:
    set_up_tiny(tmp_path)
    with (
        started(ROOT, tmp_path, ("small", "fp32", *WORK["train"])) as old,
        started(ROOT, tmp_path, ("small", "fp32", *WORK["greedy, line by line"])) as new,
    ):
        assert old.turn(0.01) > 0
        found = list(ratios((old, new), turns=2, seconds=0.01))
    assert len(found) == 2
    assert min(found) > 0


def test_floors_are_measured_per_precision_and_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Command] = []

    def measured(command: Command) -> Finished:
        asked.append(command)
        rates = {name: len(asked) * rate for name, rate in RATES.items()}
        return Finished(json.dumps(rates), seconds=1.0, peak_mb=1.0)

    monkeypatch.setattr("bench.floor.finish", measured)
    journal = Journal(tmp_path / "figures.jsonl", threads=2)
    floors = Floors("small", MULTI30K, ["fp32", "int8"], journal)
    for _ in range(3):
        floors.measure()
    assert floors.report() == {
        ("fp32", "train_fraction_of_floor"): 2000.0,
        ("fp32", "train_fraction_of_floor_with_optimizer"): 1600.0,
    }
    assert json.loads(asked[0].arguments[-1])["vocabulary"] == 8000
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["figure"] for line in lines] == list(RATES)
    assert {line["mflop_per_token"] for line in lines} == {51.16}
    assert lines[1]["windows"] == [1000, 2000, 3000]


@pytest.mark.slow
def test_the_floor_is_measured_in_a_fresh_process(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "figures.jsonl", threads=1)
    floors = Floors("small", MULTI30K, ["fp32"], journal)
    floors.measure()
    assert [*floors.rounds["fp32"][0]] == [*RATES]


# Logs, as the systems wrote them

LINES = {
    "nmt": (
        "update     3  epoch 0.0  loss 8.011  ppl 3014.1  1,544 tok/s  eta 00:03",
        Progress(3, rate=1544.0),
    ),
    "fairseq": (
        '2026-11-21 08:08:21 | INFO | train_inner | {"epoch": 1, "update": 0.015, "loss": "12.629",'
        ' "nll_loss": "12.584", "ppl": "6139.6", "wps": "584", "ups": "0.14", "wpb": "4055", "bsz":'
        ' "272", "num_updates": "2", "lr": "0.001", "gnorm": "1.238", "clip": "100", "train_wall":'
        ' "7", "wall": "16"}',
        Progress(2, tokens=4055.0),
    ),
    "opennmt": (
        "[2026-11-21 08:03:34,991 INFO] Step  2/    3; acc: 6.9; ppl: 6107.5; xent: 8.7; lr:"
        " 0.00100; sents:     240; bsz: 3360/3840/240; 994/1136 tok/s;    165 sec;",
        Progress(2, tokens=3840.0),
    ),
    "joeynmt": (
        "2026-11-21 07:59:25,371 - INFO - joeynmt.training - Epoch   1, Step:        3, Batch Loss:"
        "     7.524379, Batch Acc: 0.075356, Tokens per Sec:      108, Lr: 0.001000",
        Progress(3, rate=108.0),
    ),
    "marian": (
        "[2026-11-21 08:09:31] Ep. 1 : Up. 2 : Sen. 655 : Cost 8.95209503 * 4,384 @ 4,384 after"
        " 8,463 : Time 9.82s : 446.25 words/s : gNorm 0.2738",
        Progress(2, tokens=4384.0),
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_a_report_is_read(name: str) -> None:
    line, progress = LINES[name]
    assert SYSTEMS[name].progress(line + "\n") == progress


@pytest.mark.parametrize("name", SYSTEMS)
def test_other_lines_are_not_reports(name: str) -> None:
    others = [line for system, (line, _) in LINES.items() if system != name]
    others += [
        "run runs/x  params 13.2 M  device cpu (1 threads, bf16)  seed 1  resume: no checkpoint",
        '2026-11-21 08:08:26 | INFO | train | {"epoch": 1, "train_wps": "621.8", '
        '"train_num_updates": "3"}',
        "[2026-11-21 08:00:51,798 INFO] Weighted corpora loaded so far:",
        "2026-11-21 07:59:25,372 - INFO - joeynmt.training - Training ended since maximum num.",
        "[2026-11-21 08:09:31] Training finished",
    ]
    assert [line for line in others if SYSTEMS[name].progress(line) is not None] == []


TIMES = {
    "nmt": ("translated in 2.5000 s\n", "output", 2.5),
    "opennmt": ("[2026-11-21 08:04:20,480 INFO] Total translation time (s): 2.5\n", "output", 2.5),
    "joeynmt": ("joeynmt.prediction - Generation took 2.5000[sec].\n", "output.test", 2.5),
    "marian": ("[2026-11-21 08:04:26] Total time: 2.50000s wall\n", "output", 2.5),
    "fairseq": (
        "S-1\t▁A\nH-1\t-0.52\t▁ein ▁Hund\nD-1\t-0.52\t▁ein ▁Hund\nH-0\t-0.31\t\n"
        "Translated 2 sentences (4 tokens) in 2.5s (0.80 sentences/s, 1.60 tokens/s)\n",
        "",
        2.5,
    ),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_translations_are_counted_with_their_end_symbols(name: str, job: Training) -> None:
    output, file, seconds = TIMES[name]
    if file:
        (job.folder / file).write_text("▁ein ▁Hund\n\n", encoding="utf-8")
    translating = Translating(
        model=job, precision="fp32", source=job.folder, plain=job.folder, folder=job.folder,
        beam=5, batch=64, threads=2,
    )  # fmt: skip
    done = finish(python(f"print({output!r})", job.folder))
    found = SYSTEMS[name].translated(translating, done)
    assert (count_tokens(found.lines), found.seconds) == (4, seconds)
    silent = finish(python("", job.folder))
    with pytest.raises(UnavailableError, match="did not report its time"):
        SYSTEMS[name].translated(translating, silent)


# Speed


def test_speed_is_taken_between_the_lines_after_the_warm_up() -> None:
    moments = [
        Moment(at, Progress(update, tokens=tokens))
        for at, update, tokens in [
            (0.0, 1, 9e9),
            (50.0, 2, 9e9),
            (51.0, 3, 4000.0),
            (53.0, 4, 5000.0),
        ]
    ]
    assert training_speed(moments, warmup=2) == (3000.0, 4500.0)


def test_a_rate_is_weighted_by_its_duration() -> None:
    moments = [
        Moment(at, Progress(update, rate=rate))
        for at, update, rate in [(0.0, 1, 1.0), (1.0, 2, 1000.0), (4.0, 3, 2000.0)]
    ]
    assert training_speed(moments, warmup=1) == (1750.0, 3500.0)


def test_one_line_gives_no_speed() -> None:
    with pytest.raises(UnavailableError, match="1 updates were reported"):
        training_speed([Moment(0.0, Progress(1, tokens=1.0))], warmup=1)


# Processes


def python(program: str, folder: Path) -> Command:
    return Command([sys.executable, "-c", program], folder, thread_settings(3))


def test_the_benchmark_does_not_import_torch() -> None:
    program = "import bench.run, sys; print('torch' in sys.modules)"
    done = finish(Command([sys.executable, "-c", program], ROOT / "recipes", {}))
    assert done.output == "False\n"


def test_a_command_gets_its_threads_and_is_measured(tmp_path: Path) -> None:
    program = "import os; x = bytes(50_000_000); print(os.environ['OMP_NUM_THREADS'])"
    done = finish(python(program, tmp_path))
    assert done.output == "3\n"
    assert done.peak_mb > 50  # this process may have had more, which counts on Linux
    assert 0 < done.seconds < 60


def test_a_failure_gives_its_last_error(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"^ValueError: no such mode$"):
        finish(python("raise ValueError('no such mode')", tmp_path))


def test_training_is_stopped_after_its_updates(tmp_path: Path) -> None:
    endless = "import time\nfor i in range(10**9): print('step', i, flush=True); time.sleep(0.001)"

    def parse(line: str) -> Progress:
        return Progress(int(line.split()[1]), tokens=1.0)

    watched = watch(python(endless, tmp_path), parse, updates=5)
    assert [moment.progress.update for moment in watched.moments] == [0, 1, 2, 3, 4, 5]
    assert watched.peak_mb > 1


def test_training_that_ends_early_is_reported_as_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="RuntimeError: out of luck"):
        watch(python("raise RuntimeError('out of luck')", tmp_path), lambda line: None, updates=5)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", "it failed without any output"),
        ("one\ntwo\n\n", "two"),
        ("  ERROR: Failed building wheel\nnote: This error is not a problem with pip.\nhint: see\n",
         "ERROR: Failed building wheel"),
    ],
)  # fmt: skip
def test_the_reason_is_one_line(output: str, reason: str) -> None:
    assert last_error(output) == reason


# Configurations


def test_nmt_accepts_its_configuration(job: Training) -> None:
    (job.folder / "data").mkdir()
    nmt_system.Nmt().train(Environment(job.folder / "environment"), job)
    assert load(job.folder / "config.toml") == job.experiment


@pytest.mark.parametrize("name", SYSTEMS)
def test_all_systems_get_the_same_hyperparameters(name: str, job: Training) -> None:
    (job.folder / "data").mkdir()
    command = SYSTEMS[name].train(Environment(job.folder / "environment"), job)
    configs = [path.read_text() for path in job.folder.glob("config.*")]
    told = re.findall(r"[\w.-]+", " ".join([*command.arguments, *configs]))
    model, training = job.experiment.model, job.experiment.training
    sizes = (model.embedding.size, model.decoder.hidden_size, model.decoder.layers)
    rates = (model.dropout.layers, training.label_smoothing, training.learning_rate)
    assert {str(value) for value in (*sizes, *rates, training.clip_norm)} <= {*told}
    workers = 1 if name == "marian" else 2
    assert command.environment["OMP_NUM_THREADS"] == str(workers)


def test_joeynmt_gets_as_many_target_tokens_per_update_as_the_others(job: Training) -> None:
    training = training_config(job)["training"]
    assert (training["batch_type"], training["batch_size"]) == ("sentence", 260)


def test_dataclasses_become_hashable(tmp_path: Path) -> None:
    text = "@dataclass\nclass A:\n    x: int = 0\n\n\n@dataclass()\nclass B:\n    a: A = A()\n"
    (tmp_path / "config.py").write_text("from dataclasses import dataclass\n\n\n" + text)
    allow_defaults(tmp_path)
    done = finish(python("import config; print(config.B().a.x)", tmp_path))
    assert done.output == "0\n"


# Reports

TRAINED = "train_tokens_per_second"


def figure(system: str, value: float, precision: str = "fp32", name: str = TRAINED) -> Figure:
    return {"figure": name, "system": system, "config": "small", "precision": precision,
            "threads": 2, "value": value}  # fmt: skip


def test_a_figure_is_one_json_line() -> None:
    file = io.StringIO()
    write_figure({"figure": "unavailable", "system": "marian", "reason": "größer\n"}, file)
    assert file.getvalue().count("\n") == 1
    assert json.loads(file.getvalue())["reason"] == "größer\n"


def test_ratios_are_ours_over_theirs_in_our_precision_or_their_only_one() -> None:
    figures = [
        figure("nmt", 3000), figure("nmt", 6000, "bf16"),
        figure("fairseq", 2000), figure("joeynmt", 1000), figure("joeynmt", 4000, "bf16"),
        figure("machine", 300, name="matrix_gflops"), figure("opennmt", 2, name="help_seconds"),
    ]  # fmt: skip
    assert [line.split() for line in ratio_table(figures)] == [
        ["figure", "work", "nmt", "/", "fairseq", "/", "joeynmt", "/", "opennmt"],
        [TRAINED, "small,", "fp32", "3,000", "1.50", "3.00", "-"],
        [TRAINED, "small,", "bf16", "6,000", "3.00", "1.50", "-"],
    ]


def test_limits_show_the_machine_and_how_near_each_system_comes() -> None:
    near = "train_fraction_of_floor"
    figures = [
        figure("machine", 318.4, name="matrix_gflops"), figure("nmt", 3000),
        figure("nmt", 0.91, name=near), figure("nmt", 0.5, "bf16", near),
        figure("opennmt", 0.52, name=near),
    ]  # fmt: skip
    assert [line.split() for line in limits_table(figures)] == [
        ["limit", "work", "machine", "nmt", "opennmt"],
        ["matrix_gflops", "small,", "fp32", "318.4", "-", "-"],
        [near, "small,", "fp32", "-", "0.91", "0.52"],
        [near, "small,", "bf16", "-", "0.5", "-"],
    ]


class Broken(nmt_system.Nmt):
    """Cannot be installed."""

    name = "broken"

    def install(self, environment: object) -> None:
        raise UnavailableError("ERROR: No matching distribution found for broken")


def options(cache: Path) -> Options:
    return Options(
        systems=["broken"], configs=["small"], tasks=["startup", "train", "translate"],
        precisions=[], windows=1, warmup=1, updates=1, model_updates=1, sentences=1,
        sentences_alone=1, shortlist=0, threads=1, cache=cache,
    )  # fmt: skip


def test_each_system_translates_in_every_way_it_supports(tmp_path: Path) -> None:
    wanted = {"precisions": ["fp32", "int8"], "shortlist": 9}
    bench = Bench(replace(options(tmp_path), **wanted))
    assert list(bench._ways(SYSTEMS["nmt"])) == [("fp32", 0), ("fp32", 9), ("int8", 0), ("int8", 9)]
    assert list(bench._ways(SYSTEMS["fairseq"])) == [("fp32", 0)]


def test_a_peer_that_cannot_be_installed_is_reported_and_never_guessed(
    tmp_path: Path,
    job: Training,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(SYSTEMS, "broken", Broken())
    monkeypatch.setattr("bench.run.prepare_corpus", lambda languages, folder: job.corpus)
    monkeypatch.setattr("bench.environment.Environment.create", lambda self: None)
    monkeypatch.setattr(Bench, "_excerpt", lambda self, lines: (tmp_path, tmp_path))
    assert Bench(options(tmp_path / "cache")).run() == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {
            "figure": "unavailable",
            "system": "broken",
            "task": "install",
            "reason": "ERROR: No matching distribution found for broken",
        }
    ]


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("windows", 0, "0 is too small; at least 1"),
        ("sentences", 0, "0 is too small; at least 1"),
        ("sentences-alone", -3, "-3 is too small; at least 1"),
        ("model-updates", 0, "0 is too small; at least 1"),
        ("shortlist", -5, "-5 is too small; at least 0"),
        ("threads", 100000, "100000 is too large; at most 1,024"),
        ("systems", "nmt2", "invalid choice: 'nmt2' (choose from "),
        ("configs", "", "invalid choice: '' (choose from "),
        ("precisions", "int8", "no system trains in int8; add fp32, or omit train in --tasks"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_installed(
    option: str, value: object, complaint: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", f"--{option}={value}", f"--cache={tmp_path / 'cache'}"],
        cwd=ROOT / "recipes", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"--{option}: {complaint}" in done.stderr
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("missing", ["multi30k", "multi30k/dev.de"])
def test_a_requested_corpus_is_never_replaced_by_another(missing: str, tmp_path: Path) -> None:
    folder = tmp_path / "multi30k"
    if missing != "multi30k":
        folder.mkdir()
        for name in ("train.en", "train.de", "dev.en"):
            (folder / name).touch()
    done = subprocess.run(
        [sys.executable, "-m", "bench", f"--cache={tmp_path / 'cache'}"],
        cwd=ROOT / "recipes", capture_output=True, text=True, check=False,
        env={**os.environ, "NMT_DATA": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2
    first = folder / ("train.en" if missing == "multi30k" else "dev.de")
    assert f'NMT_DATA is "{tmp_path}", but {first} does not exist' in done.stderr
    assert not (tmp_path / "cache").exists()


def test_files_that_cannot_be_prepared_end_the_run_with_the_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for part in ("train", "dev"):
        for language in ("en", "de"):
            (tmp_path / f"{part}.{language}").write_text("")
    languages = Languages("multi30k", tmp_path, "en", "de")
    with pytest.raises(DataError, match=r"the files are invalid; see the errors above\.$"):
        prepare_corpus(languages, tmp_path / "cache")
    assert "dev.en" in capfd.readouterr().err


def test_a_system_with_an_unreadable_log_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(tmp_path / "figures.jsonl", threads=2)
    with journal.watching({"system": "odd"}):
        float("1,000 tok/s")
    assert json.loads(capsys.readouterr().out) == {
        "figure": "unavailable",
        "system": "odd",
        "reason": "ValueError: could not convert string to float: '1,000 tok/s'",
    }


def make_bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-n", "--no-print-directory", "-f", "recipes/bench/Makefile", "PYTHON=python",
         *words],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "THREADS": "7", "NMT_DATA": "over there", "MAKEFLAGS": ""},
    )  # fmt: skip


def test_make_passes_its_variables_on_but_none_of_the_environment() -> None:
    done = make_bench(
        "SYSTEMS=nmt joeynmt", "WINDOWS=7", "MODEL_UPDATES=3", "CACHE=mine", "CONFIGS="
    )
    assert done.stdout.split() == [
        "cd", "recipes", "&&", *f'NMT_DATA="{ROOT / "over there"}"'.split(), "python", "-m",
        "bench", "--systems", "nmt", "joeynmt", "--windows", "7", "--model-updates", "3",
        "--cache", f'"{ROOT / "mine"}"',
    ]  # fmt: skip


def test_make_refuses_unknown_variables() -> None:
    done = make_bench("CONFIG=small")
    assert done.returncode == 2
    assert "unknown option CONFIG; known: SYSTEMS CONFIGS" in done.stderr
