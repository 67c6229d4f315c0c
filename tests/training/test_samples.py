import pytest
from tiny import tiny

from nmt.training.run import RunOptions, run_training
from nmt.training.samples import Sample, choose_samples, keep_text, kept_text, kept_translations

LENGTHS = [(f"{'x' * n}", f"reference {n}") for n in (9, 1, 5, 3, 7, 2, 8, 4, 6)]


def test_samples_are_spread_over_the_lengths_of_the_text():
    assert [len(sample.source) for sample in choose_samples(LENGTHS, 3)] == [2, 5, 8]
    assert [len(sample.source) for sample in choose_samples(LENGTHS, 1)] == [5]


def test_a_sample_knows_its_line():
    assert choose_samples(LENGTHS, 1) == [Sample(3, "xxxxx", "reference 5")]


@pytest.mark.parametrize("count", [9, 20])
def test_a_short_text_is_shown_whole(count):
    assert len(choose_samples(LENGTHS, count)) == 9


@pytest.mark.parametrize("count", range(1, 12))
def test_no_sentence_is_shown_twice(count):
    sources = [sample.source for sample in choose_samples(LENGTHS * 2 + [("x", "else")], count)]
    assert len(set(sources)) == len(sources) == min(count, 9)


def test_there_may_be_no_samples_at_all():
    assert choose_samples(LENGTHS, 0) == choose_samples([], 3) == []
    assert choose_samples([("", "a"), ("b", " \u200b"), ("\u200e", "c")], 3) == []


def test_lines_in_the_log_are_cut_to_its_width_and_steer_no_terminal():
    sample = Sample(1, "word " * 40, "\u732b" * 80)
    source, reference, translation = sample.lines("a\tb\x1b[2Jc")
    assert source.startswith("  source       word word")
    assert len(source) <= 100
    assert source.endswith("…")
    assert reference.count("\u732b") == (100 - 15 - 1) // 2
    assert translation == "  translation  a b [2Jc"


def test_the_text_is_kept_as_it_is(tmp_path):
    pairs = [("a\u2028b", "c\rd"), ("", "e")]
    keep_text(tmp_path, pairs)
    assert kept_text(tmp_path) == pairs
    assert kept_text(tmp_path / "elsewhere") == []
    assert kept_translations(tmp_path, 7) == []


# --- in a run ------------------------------------------------------------------------------


def run(folder, *settings):
    folder.mkdir(exist_ok=True)
    assert run_training(tiny(folder, *settings), folder / "run", RunOptions()) == 0
    return folder / "run", (folder / "run" / "train.log").read_text().splitlines()


def shown(log, name):
    return [line.split(f"  {name}  ")[1].strip() for line in log if f"  {name}  " in line]


def test_each_validation_shows_the_same_sentences(tmp_path):
    folder, log = run(tmp_path, "validation.every=10", "validation.samples=2")
    sources = shown(log, "source     ")
    assert len(sources) == 4
    assert sources[:2] == sources[2:]
    samples = choose_samples(kept_text(folder), 2)
    assert [sample.source for sample in samples] == sources[:2]
    last = kept_translations(folder, 20)
    assert shown(log, "translation")[2:] == [last[sample.line - 1] for sample in samples]


def test_a_run_that_is_resumed_shows_the_sentences_it_showed_before(tmp_path):
    for updates in (10, 20):
        _, log = run(tmp_path, "validation.every=10", f"training.max_updates={updates}")
    sources = shown(log, "source     ")
    assert len(sources) == 6
    assert sources[:3] == sources[3:]


def test_samples_can_be_switched_off(tmp_path):
    folder, log = run(tmp_path, "validation.samples=0")
    assert shown(log, "source     ") == []
    assert len(kept_text(folder)) == 10


def test_where_nothing_is_scored_only_the_samples_are_translated(tmp_path):
    folder, log = run(tmp_path, "validation.metric=loss", "validation.samples=2")
    assert len(kept_translations(folder, 20)) == len(kept_text(folder)) == 2
    assert shown(log, "source     ") == [source for source, _ in kept_text(folder)]
    assert "BLEU" not in "".join(log)


def test_translations_of_an_average_do_not_replace_those_of_the_last_update(tmp_path):
    folder, log = run(
        tmp_path,
        *("training.keep_best=2", "validation.average=2", "training.learning_rate=0.5"),
        *("validation.every=10", "validation.samples=9"),
    )
    assert any("average of 2 checkpoints" in line for line in log)
    samples = choose_samples(kept_text(folder), 9)
    last = kept_translations(folder, 20)
    expected = [last[sample.line - 1] for sample in samples]
    assert shown(log, "translation")[-len(samples) :] == expected
