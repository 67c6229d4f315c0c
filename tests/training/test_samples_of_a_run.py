from tiny import train_tiny

from nmt.run_folder.samples import choose_samples, kept_text, kept_translations


def run(folder, *settings):
    folder.mkdir(exist_ok=True)
    run = train_tiny(folder, *settings)
    return run, (run / "train.log").read_text().splitlines()


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
