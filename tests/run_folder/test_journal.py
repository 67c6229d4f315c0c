import json
import logging
import math
import os
import re
from dataclasses import replace

import pytest

from nmt.errors import ResourceError, UsageError
from nmt.run_folder import journal as module
from nmt.run_folder.journal import (
    Journal,
    UpdateReport,
    ValidationReport,
    format_duration,
    format_eta,
    format_perplexity,
    format_rate,
    read_metrics,
    truncate_metrics,
)


def update_report(update=2000, *, loss=3.412, **changes):
    report = UpdateReport(
        update=update,
        epoch=2.2,
        loss=loss,
        tokens_per_second=8140.2,
        learning_rate=1e-3,
        gradient_norm=0.7,
        clip_norm=1.0,
        clipped=0.124,
        reference_probability=None,
        skipped=0,
        seconds=60.0,
        eta=41.0,
    )
    return replace(report, **changes)


def validation_report(
    update=2000, *, bleu=18.3, chrf=44.1, is_best=True, tokenizer="", collapse=(), unit="word"
):
    return ValidationReport(
        update,
        loss=math.log(24.8),
        bleu=bleu,
        chrf=chrf,
        loss_per_word=math.log(101.2),
        is_best=is_best,
        seconds=2.0,
        tokenizer=tokenizer,
        collapse=collapse,
        unit=unit,
    )


def test_report_lines_are_human_readable():
    assert update_report().line() == (
        "update  2000  epoch 2.2  ppl 30.3  rate 0.001  norm 0.70 clip 12%  8,140 tok/s  eta 00:41"
    )
    assert update_report(skipped=3, eta=None).line().endswith("8,140 tok/s  skipped 3")
    assert "norm 0.70  8,140 tok/s" in update_report(clipped=None, clip_norm=None).line()
    assert validation_report().line() == (
        "valid   2000  ppl 24.8  BLEU 18.3  chrF 44.1  best so far -> saved"
    )
    assert validation_report(bleu=None, chrf=None, is_best=False).line() == (
        "valid   2000  ppl 24.8  per word 101.2"
    )
    in_characters = validation_report(bleu=None, chrf=None, is_best=False, unit="character")
    assert in_characters.line() == "valid   2000  ppl 24.8  per character 101.2"
    assert validation_report(tokenizer="13a").line() == validation_report().line()
    assert validation_report(
        is_best=False, tokenizer="zh", collapse=("37 % of the lines are empty", "other")
    ).line() == ("valid   2000  ppl 24.8  BLEU 18.3 (zh)  chrF 44.1  37 % of the lines are empty")


def test_the_line_of_an_update_fits_into_100_columns():
    """With a long schedule, scheduled sampling and hours to go."""
    line = update_report(
        20000, epoch=9.2, learning_rate=5.123e-5, clipped=1.0, reference_probability=0.953, eta=7541
    ).line()
    assert "rate 5.1e-5  norm 0.70 clip 100%  eps 0.95  8,140 tok/s  eta 2h06" in line
    assert len(line) <= 100


@pytest.mark.parametrize(
    ("rate", "text"), [(1e-3, "0.001"), (0.0, "0"), (50.0, "50"), (2.06e-4, "0.00021")]
)
def test_learning_rates_are_formatted(rate, text):
    assert format_rate(rate) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(41.4, "00:41"), (3599.4, "59:59"), (3599.6, "1h00"), (7541, "2h06"), (math.nan, "?")],
)
def test_the_time_left_is_rough_from_an_hour_on(seconds, text):
    assert format_eta(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00"), (41.4, "00:41"), (599.6, "10:00"), (7500, "2:05:00"), (math.nan, "?")],
)
def test_durations_are_formatted(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("loss", "text"),
    [(math.log(30.3), "30.3"), (16.2, "1.1e+07"), (1000.0, "inf"), (math.nan, "nan")],
)
def test_perplexities_are_formatted(loss, text):
    assert format_perplexity(loss) == text


def test_reports_reach_the_log_and_the_metrics(tmp_path):
    with Journal(tmp_path) as journal:
        journal.report(update_report(loss=math.nan))
        journal.report(validation_report())
        logging.getLogger("nmt.text").warning("careful")

    logged = (tmp_path / "train.log").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in logged)
    assert [line[21:] for line in logged[1:]] == [validation_report().line(), "careful"]
    first, second = read_metrics(tmp_path / "metrics.jsonl")
    assert (first["kind"], first["update"], first["loss"]) == ("update", 2000, None)
    assert (second["kind"], second["bleu"], second["is_best"]) == ("valid", 18.3, True)
    assert second["loss_per_word"] == pytest.approx(math.log(101.2))


def test_the_journal_restores_logging(tmp_path):
    logger = logging.getLogger("nmt")
    before = (logger.level, list(logger.handlers))
    with Journal(tmp_path):
        assert logger.isEnabledFor(logging.INFO)
    assert (logger.level, list(logger.handlers)) == before


def test_resuming_removes_later_updates_and_an_incomplete_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    kept = b'{"kind": "update",   "update": 100}\n{"kind": "valid", "update": 200}\n'
    path.write_bytes(kept + b'{"kind": "update", "update": 300}\n{"kind": "upda')
    with Journal(tmp_path, resumed_at=200) as journal:
        assert path.read_bytes() == kept
        journal.report(update_report(300))
    assert [entry["update"] for entry in read_metrics(path)] == [100, 200, 300]


def test_a_new_run_starts_with_empty_metrics(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []
    (tmp_path / "metrics.jsonl").write_text('{"kind": "update", "update": 100}\n')
    truncate_metrics(tmp_path / "metrics.jsonl", 0)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


def test_incomplete_and_invalid_lines_are_not_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    huge = b'\n{"update": ' + b"9" * 400 + b"}"
    path.write_bytes(json.dumps({"update": 1}).encode() + huge + b'\n{"update": 2, "lo')
    assert read_metrics(path) == [{"update": 1}]


@pytest.mark.parametrize("name", ["metrics.jsonl", "train.log"])
def test_a_full_disk_ends_the_run_with_the_reason(tmp_path, monkeypatch, name):
    monkeypatch.setattr(module, "truncate_metrics", lambda path, update: None)
    (tmp_path / name).symlink_to("/dev/full")
    with Journal(tmp_path) as journal, pytest.raises(ResourceError, match="the disk is full"):
        journal.report(update_report())
    assert os.path.realpath(tmp_path / name) == "/dev/full"


@pytest.mark.parametrize("name", ["metrics.jsonl", "train.log"])
def test_a_pipe_in_place_of_a_file_is_refused(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match=rf"{name}: is not a plain file; move it away"):
        Journal(tmp_path)


def test_damaged_entries_do_not_prevent_resuming(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"update": 1}\n' + b"[" * 50_000 + b'\n{"update": 9}\n')
    truncate_metrics(path, 5)
    assert path.read_bytes() == b'{"update": 1}\n'
