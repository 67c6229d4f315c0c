import pytest

from nmt.run_folder.samples import Sample, choose_samples, keep_text, kept_text, kept_translations

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
