import bz2
import gzip
import json
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nmt.config.experiment import Experiment
from nmt.data import prepare as module
from nmt.data.check import check
from nmt.data.corpus import Corpus
from nmt.data.folder import PreparationRecord, PreparedSummary
from nmt.data.prepare import prepare
from nmt.errors import ConfigError, DataError, UsageError
from nmt.storage.checksums import verify_checksums, write_checksums
from nmt.text.subword import load_subwords

NOUNS = {"Hund": "dog", "Katze": "cat", "Mann": "man", "Frau": "woman", "Kind": "child"}
VERBS = {"läuft": "runs", "schläft": "sleeps", "singt": "sings", "liest": "reads"}
PAIRS = [
    (f"{number} {noun} {verb}", f"{number} {NOUNS[noun]} {VERBS[verb]}")
    for number in range(20)
    for noun in NOUNS
    for verb in VERBS
]


class Corpora:
    """Text files in a folder, and experiments on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "run" / "data"

    def write(self, name: str, pairs: list[tuple[str, str]]) -> None:
        for side, suffix in enumerate(("de", "en")):
            text = "".join(f"{pair[side]}\n" for pair in pairs)
            (self.folder / f"{name}.{suffix}").write_text(text, encoding="utf-8")

    def experiment(
        self, *, with_test: bool = False, tokenizer=None, tied="none", **data
    ) -> Experiment:
        files = {name: [f"{name}.de", f"{name}.en"] for name in ("train", "valid")}
        if with_test:
            files["test"] = ["test.de", "test.en"]
        return Experiment.model_validate(
            {
                "data": {"source": "de", "target": "en", **files, **data},
                "tokenizer": {"vocab_size": 300, **(tokenizer or {})},
                "model": {
                    "embedding": {"size": 64, "tied": tied},
                    "decoder": {"hidden_size": 64},
                },
            }
        )

    def prepare(self, *, bad_lines="error", **options) -> PreparedSummary:
        return prepare(self.experiment(**options), self.folder, self.out, bad_lines=bad_lines)

    def open(self, name: str = "train") -> Corpus:
        return Corpus(self.out, name)


@pytest.fixture
def corpora(tmp_path) -> Corpora:
    made = Corpora(tmp_path)
    made.write("train", PAIRS[20:])
    made.write("valid", PAIRS[:10])
    made.write("test", PAIRS[10:20])
    return made


def texts(corpus: Corpus) -> list[tuple[str, str]]:
    return [corpus.texts(index) for index in range(len(corpus))]


def dropped(out: Path) -> list[list[str]]:
    lines = (out / "dropped.tsv").read_text(encoding="utf-8").split("\n")
    assert lines[0].split("\t") == ["line", "reason", "source", "target"]
    assert lines[-1] == ""
    return [line.split("\t") for line in lines[1:-1]]


def test_corpora_hold_the_texts_and_their_pieces(corpora):
    summary = corpora.prepare()
    train, valid = corpora.open("train"), corpora.open("valid")
    source, target = load_subwords(corpora.out)

    assert texts(train) == PAIRS[20:]
    assert texts(valid) == PAIRS[:10]
    assert train.pair(0)[0].tolist()[:-1] == source.encode(PAIRS[20][0])
    assert train.pair(0)[1].tolist()[:-1] == target.encode(PAIRS[20][1])
    assert train.fingerprints == (source.fingerprint, target.fingerprint)
    assert (summary.pairs, summary.kept, summary.valid_kept) == (380, 380, 10)
    assert (summary.source_vocab, summary.target_vocab) == (source.vocab_size, target.vocab_size)
    assert summary.unknown_percent == 0.0
    assert not summary.up_to_date
    verify_checksums(corpora.out)
    assert sorted(path.name for path in corpora.out.iterdir()) == [
        "SHA256SUMS", "dropped.tsv", "preparation.json", "shortlist.safetensors", "source.model",
        "target.model", "train", "valid",
    ]  # fmt: skip


def test_each_side_keeps_only_the_joint_pieces_it_uses(corpora):
    tokenizer = {"kind": "bpe", "vocab_size": 380}
    summary = corpora.prepare(tokenizer=tokenizer)
    source, target = load_subwords(corpora.out)
    shared = corpora.prepare(tokenizer=tokenizer, tied="all")
    joint, same = load_subwords(corpora.out)

    assert joint is same
    assert shared.joint
    assert not summary.joint
    assert source.id_of("▁Hund") is not None
    assert source.id_of("▁dog") is None
    assert target.id_of("▁dog") is not None
    assert target.id_of("▁Hund") is None
    for model, texts_of_side in zip((source, target), zip(*PAIRS[20:], strict=True), strict=True):
        assert model.vocab_size < joint.vocab_size
        for text in texts_of_side:
            assert model.pieces(model.encode(text)) == joint.pieces(joint.encode(text))


def test_each_language_can_have_a_vocabulary_of_its_own(corpora):
    summary = corpora.prepare(tokenizer={"joint": False, "kind": "word", "vocab_size": 25})
    source, target = load_subwords(corpora.out)
    assert source.fingerprint != target.fingerprint
    assert source.id_of("▁Hund") is not None
    assert source.id_of("▁dog") is None
    assert summary.unknown_percent > 0
    assert "vocab  source 25, target 25    unknown " in summary.describe()[2]


def test_pairs_are_dropped_for_one_reason_each_and_listed_in_order(corpora):
    long = "1 Hund läuft " * 20
    odd = [
        ("", "1 dog runs"),
        (long, "1 dog runs"),
        ("Berlin", "Berlin"),
        ("\t1 Hund  läuft", "a\tdog"),
        ("1 Hund läuft", "a dog"),
        ("1", "1 dog runs 1 dog runs 1 dog runs 1"),
    ]
    corpora.write("train", odd + PAIRS[20:])
    summary = corpora.prepare(max_length=40, max_ratio=5.0, drop_duplicates=True, drop_copies=True)
    assert dropped(corpora.out) == [
        ["1", "empty", "", "1 dog runs"],
        ["2", "too long", long.strip(), "1 dog runs"],
        ["3", "copy", "Berlin", "Berlin"],
        ["5", "duplicate", "1 Hund läuft", "a dog"],
        ["6", "ratio", "1", "1 dog runs 1 dog runs 1 dog runs 1"],
    ]
    assert summary.dropped == {
        "empty": 1, "too long": 1, "copy": 1, "duplicate": 1, "ratio": 1
    }  # fmt: skip
    assert (summary.pairs, summary.kept) == (386, 381)
    assert texts(corpora.open())[0] == ("1 Hund läuft", "a dog")


def test_the_record_says_what_the_kept_training_text_looked_like(corpora):
    pairs = [
        *PAIRS,
        ("Er kam. Sie ging. Ja. Er sah.", "Es kam. Si ging."),
        ("EIN MANN SCHLÄFT", "A MAN"),
        ("", "y"),
    ]
    corpora.write("train", pairs)
    corpora.write("valid", PAIRS[:3])
    corpora.prepare(tokenizer={"vocab_size": 340})
    found = PreparationRecord.load(corpora.out).training_text
    assert found is not None
    assert found.lines == len(PAIRS) + 2
    assert found.usual_sentences == 1
    assert found.capitals == pytest.approx(1 / found.lines, abs=1e-6)
    assert {*"EINAMSCHLÄFT0189HundKatze"} <= set(found.source_characters)
    assert set("ä") & set(found.target_characters) == set()
    assert found.longest >= found.usual_longest > 3


def test_the_summary_describes_pairs_and_vocabulary(corpora):
    corpora.write("train", [("", "a"), ("b", ""), *PAIRS[20:]])
    corpora.write("valid", [("", "a"), *PAIRS[:10]])
    summary = corpora.prepare()
    train, valid, vocab = summary.describe()
    assert train == (
        f"train  382 pairs   380 kept  (2 empty)   details: {corpora.out / 'dropped.tsv'}"
    )
    assert valid == "valid  11 pairs   1 with an empty or overlong side skipped"
    assert vocab.startswith(
        f"vocab  source {summary.source_vocab}, target {summary.target_vocab}"
        "    unknown 0.00 %    written to "
    )
    assert corpora.prepare(tied="all").describe()[2].startswith("vocab  joint 300    unknown")
    assert vocab.endswith(f"{corpora.out} in {summary.seconds:.1f} s")


def test_a_summary_without_dropped_pairs_is_short(corpora):
    train, valid, _ = corpora.prepare().describe()
    assert train == "train  380 pairs   380 kept"
    assert valid == "valid  10 pairs"


def test_a_language_code_that_disagrees_with_the_text_is_warned_of(corpora, caplog):
    corpora.prepare(source="German", target="ru")
    assert [each.message[:40] for each in caplog.records if each.levelname == "WARNING"] == [
        'data.source: "German" is the name of a l',
        'data.target: "ru" is written in Cyrillic',
    ]


def test_validation_files_with_exchanged_sides_are_warned_of(corpora, caplog):
    corpora.write("valid", PAIRS[:20])
    corpora.prepare()
    assert "exchanged" not in caplog.text
    corpora.prepare(valid=["valid.en", "valid.de"])
    assert "data.valid: source and target seem to be exchanged" in caplog.text


def test_a_second_call_does_nothing(corpora, monkeypatch):
    first = corpora.prepare()
    stamps = {path: path.stat().st_mtime_ns for path in corpora.out.rglob("*")}
    monkeypatch.setattr(module, "Preparation", lambda *_: pytest.fail("prepared again"))

    second = corpora.prepare()

    assert second.up_to_date
    assert stamps == {path: path.stat().st_mtime_ns for path in corpora.out.rglob("*")}
    assert (second.kept, second.dropped) == (first.kept, first.dropped)
    assert second.describe()[2].endswith(f"up to date in {corpora.out}")


def test_a_file_that_was_only_touched_or_moved_changes_nothing(corpora):
    corpora.prepare()
    os.utime(corpora.folder / "train.de", ns=(1, 1))
    assert corpora.prepare().up_to_date
    (corpora.folder / "train.de").rename(corpora.folder / "t.de")
    assert corpora.prepare(train=["t.de", "train.en"]).up_to_date


@pytest.mark.parametrize(
    "change",
    [
        {"max_length": 100},
        {"drop_copies": True},
        {"drop_held_out": True},
        {"with_test": True},
        {"tokenizer": {"vocab_size": 299}},
        {"tokenizer": {"kind": "bpe"}},
    ],
)
def test_other_options_prepare_again(change, corpora):
    corpora.prepare()
    assert not corpora.prepare(**change).up_to_date


def test_changed_sampling_does_not_prepare_again(corpora):
    corpora.prepare()
    assert corpora.prepare(tokenizer={"sampling": 0.1}).up_to_date


def test_changed_text_of_equal_size_and_time_prepares_again(corpora):
    """Only the content shows that it changed."""
    corpora.prepare()
    path = corpora.folder / "train.de"
    status, text = path.stat(), path.read_bytes()
    path.write_bytes(text[:-2] + b"x\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert not corpora.prepare().up_to_date


def test_text_that_is_still_being_written_is_refused(corpora, monkeypatch):
    plain = module.Preparation.run

    def run(preparation):
        path = corpora.folder / "train.de"
        path.write_bytes(path.read_bytes()[:-2] + b"x\n")
        return plain(preparation)

    monkeypatch.setattr(module.Preparation, "run", run)
    refusal = r"train\.de: changed while it was read; start again when it is complete\.$"
    with pytest.raises(DataError, match=refusal):
        corpora.prepare()
    assert not corpora.out.exists()


@pytest.mark.parametrize("name", ["train/ids.bin", "source.model", "preparation.json"])
def test_prepared_data_with_a_manifest_cut_short_are_prepared_again(name, corpora, caplog):
    corpora.prepare()
    sums = corpora.out / "SHA256SUMS"
    lines = sums.read_text().splitlines(keepends=True)
    sums.write_text("".join(line for line in lines if not line.endswith(f"  {name}\n")))
    assert not corpora.prepare().up_to_date
    assert f"{name}: is missing from SHA256SUMS" in caplog.text


def test_changed_text_prepares_again(corpora):
    corpora.prepare()
    corpora.write("train", PAIRS[21:])
    summary = corpora.prepare()
    assert not summary.up_to_date
    assert len(corpora.open()) == 379


@pytest.mark.parametrize("name", ["train/ids.bin", "target.model", "valid/index.safetensors"])
def test_a_damaged_folder_is_prepared_again(name, corpora, caplog):
    corpora.prepare()
    os.truncate(corpora.out / name, 5)
    assert not corpora.prepare().up_to_date
    assert "prepared again" in caplog.text
    verify_checksums(corpora.out)


def test_mixed_up_models_are_prepared_again(corpora, caplog):
    corpora.prepare()
    model = (corpora.out / "target.model").read_bytes()
    corpora.prepare(tokenizer={"kind": "bpe"})
    (corpora.out / "target.model").write_bytes(model)
    write_checksums(corpora.out)
    assert not corpora.prepare(tokenizer={"kind": "bpe"}).up_to_date
    assert "the subword models did not encode these corpora; prepared again" in caplog.text


def test_equal_files_and_options_give_equal_bytes(corpora, tmp_path):
    corpora.prepare()
    experiment = corpora.experiment()
    prepare(experiment, corpora.folder, tmp_path / "other")
    for path in corpora.out.rglob("*"):
        if path.is_file() and path.parent != corpora.out:
            assert (
                path.read_bytes()
                == (tmp_path / "other" / path.relative_to(corpora.out)).read_bytes()
            )
    model = "target.model"
    assert (corpora.out / model).read_bytes() == (tmp_path / "other" / model).read_bytes()


def test_gzip_files_are_read(corpora):
    corpora.prepare()
    for suffix in ("de", "en"):
        plain = (corpora.folder / f"train.{suffix}").read_bytes()
        (corpora.folder / f"train.{suffix}.gz").write_bytes(gzip.compress(plain))
    summary = corpora.prepare(train=["train.de.gz", "train.en.gz"])
    assert summary.kept == 380


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_tab_separated_pairs_give_the_same_data_as_two_files(corpora, pack, caplog):
    corpora.prepare()
    expected = texts(corpora.open()), texts(corpora.open("valid"))
    for name, pairs in (("train", PAIRS[20:]), ("valid", PAIRS[:10])):
        lines = "".join(f"{source}\t{target}\tCC-BY\n" for source, target in pairs)
        (corpora.folder / f"{name}.tsv").write_bytes(pack(lines.encode()))
    summary = corpora.prepare(train="train.tsv", valid=["valid.tsv", "valid.tsv"])
    assert (summary.kept, summary.valid_kept) == (380, 10)
    assert (texts(corpora.open()), texts(corpora.open("valid"))) == expected
    again = corpora.prepare(train="train.tsv", valid="valid.tsv")
    assert again.up_to_date
    assert "train.tsv: only the first two columns are read" in caplog.text


def test_a_line_without_a_tab_ends_the_preparation(corpora):
    (corpora.folder / "train.tsv").write_text("a\tb\nc d\n")
    with pytest.raises(DataError, match=r"train\.tsv:2: has no tab; each line must be a source, a"):
        corpora.prepare(train="train.tsv")


def test_two_names_of_one_file_are_refused_before_anything_is_written(corpora):
    (corpora.folder / "link.en").symlink_to("train.de")
    with pytest.raises(UsageError, match=r"is named for both sides; name two files that are tran"):
        corpora.prepare(train=["train.de", "link.en"])


@pytest.mark.parametrize("name", ["train", "valid"])
def test_files_that_are_not_text_are_refused_by_their_kind(corpora, name):
    (corpora.folder / f"{name}.en").write_bytes(b"PK\3\4 and so on")
    with pytest.raises(
        DataError, match=rf"{name}\.en: is a zip archive, not plain text; unpack it"
    ):
        corpora.prepare()
    assert not corpora.out.exists()


def test_pairs_of_a_test_set_are_found_in_training_pairs_of_a_tsv(corpora, caplog):
    lines = "".join(f"{source}\t{target}\n" for source, target in PAIRS[15:])
    (corpora.folder / "train.tsv").write_text(lines, encoding="utf-8")
    corpora.prepare(train="train.tsv", with_test=True)
    assert "train.tsv:1: is also a test pair" in caplog.text


def test_held_out_pairs_of_a_tsv_are_left_out(corpora):
    lines = "".join(f"{source}\t{target}\n" for source, target in PAIRS[15:])
    (corpora.folder / "train.tsv").write_text(lines, encoding="utf-8")
    held_out = "".join(f"{source}\t{target}\n" for source, target in PAIRS[5:18])
    (corpora.folder / "valid.tsv").write_text(held_out, encoding="utf-8")
    summary = corpora.prepare(train="train.tsv", valid="valid.tsv", drop_held_out=True)
    assert summary.dropped == {"held out": 3}


def test_text_is_normalised(corpora):
    corpora.write("train", [("  Cafe\u0301 \u00a0 x ", "a\u2028b"), *PAIRS[20:]])
    corpora.prepare()
    assert texts(corpora.open())[0] == ("Café x", "a b")


def test_empty_sides_of_validation_pairs_are_left_out_with_a_warning(corpora, caplog):
    long = ("1 Hund läuft" * 50, "a")
    corpora.write("valid", [*PAIRS[:9], ("", "x"), long, ("x", " ")])
    summary = corpora.prepare(max_length=60, max_ratio=2.0)
    assert (summary.valid_pairs, summary.valid_kept) == (12, 10)
    assert texts(corpora.open("valid")) == [*PAIRS[:9], long]
    assert "2 of 12 validation pairs have an empty side" in caplog.text


def test_validation_without_text_is_refused_before_training_text_is_read(corpora):
    corpora.write("valid", [("", "")])
    corpora.write("train", [("", "")])
    said = r"no validation pair has text on both sides; name other files in data\.valid\.$"
    with pytest.raises(DataError, match=said):
        corpora.prepare()


def test_validation_of_overlong_pairs_alone_is_refused(corpora):
    corpora.write("valid", [("1 Hund " * 400, "a")])
    said = r"has text on both sides, of at most 1,024 pieces; name other files in data\.valid\.$"
    with pytest.raises(DataError, match=said):
        corpora.prepare()


def test_test_and_validation_pairs_in_the_training_data_are_warned_of(corpora, caplog):
    corpora.write("train", [*PAIRS[20:], PAIRS[12], PAIRS[12], PAIRS[13], PAIRS[0]])
    corpora.prepare(with_test=True)
    warnings = [record.getMessage() for record in caplog.records]
    file = corpora.folder / "train.de"
    assert warnings == [
        f"{file}:384: is also a validation pair. 1 of 10 validation pairs are in the training "
        "files, so scores on them say little; set data.drop_held_out = true, or delete them there",
        f"{file}:381: is also a test pair. 2 of 10 test pairs are in the training files, so scores "
        "on them say little; set data.drop_held_out = true, or delete them there",
    ]
    assert len(corpora.open()) == 384


def test_test_and_validation_pairs_can_be_left_out_of_the_training_data(corpora, caplog):
    corpora.write("train", [*PAIRS[20:], PAIRS[12], PAIRS[12], PAIRS[13], PAIRS[0]])
    summary = corpora.prepare(with_test=True, drop_held_out=True)
    assert texts(corpora.open()) == PAIRS[20:]
    assert summary.dropped == {"held out": 4}
    assert [row[:2] for row in dropped(corpora.out)] == [
        [str(line), "held out"] for line in (381, 382, 383, 384)
    ]
    assert not caplog.records


def test_training_warns_of_as_many_test_pairs_as_check_counts(corpora, caplog):
    corpora.write("train", [*PAIRS[20:], PAIRS[12], ("  1  Hund läuft", "1 dog runs"), ("", "x")])
    corpora.write("test", [PAIRS[12], PAIRS[12], ("1 Hund läuft", "1 dog runs"), ("", "x")])
    corpora.prepare(with_test=True)
    [warning] = [record.getMessage() for record in caplog.records]
    files = {
        name: [corpora.folder / f"{name}.{side}" for side in ("de", "en")]
        for name in ("train", "test")
    }
    report = check(*files["train"], against=tuple(files["test"]))
    [leak] = [finding for finding in report.findings if finding.name == "test-in-train"]
    assert leak.count == 3
    assert "3 of 4 test pairs" in warning


def test_without_overlap_there_is_no_warning(corpora, caplog):
    corpora.prepare(with_test=True)
    assert not caplog.records


@pytest.mark.parametrize(
    ("options", "message"),
    [({"max_length": 1}, "380 too long"), ({"max_ratio": 0.5}, "380 ratio")],
)
def test_a_corpus_with_no_pairs_left_is_refused_with_the_reasons(options, message, corpora):
    refusal = (
        rf"none of 380 pairs is left to learn from \({message}\); "
        r"check the files, and the limits in \[data\]\.$"
    )
    with pytest.raises(DataError, match=refusal):
        corpora.prepare(**options)
    assert not corpora.out.exists()


def test_an_empty_training_file_is_refused(corpora):
    corpora.write("train", [])
    with pytest.raises(DataError, match=r"none of 0 pairs is left .*the file is empty"):
        corpora.prepare()


def test_unequal_files_are_refused_and_nothing_is_written(corpora):
    (corpora.folder / "train.en").write_text("one line\n")
    with pytest.raises(DataError, match=r"train\.de has 380 lines, .*train\.en 1;"):
        corpora.prepare()
    assert list(corpora.out.parent.iterdir()) == []


def test_a_missing_file_is_refused(corpora):
    with pytest.raises(DataError, match=r"tarin\.de: no such file; did you mean .*train\.de"):
        corpora.prepare(train=["tarin.de", "train.en"])


def test_a_vocabulary_that_is_too_small_is_refused(corpora):
    with pytest.raises(ConfigError, match=r"tokenizer\.vocab_size: 100 is too small"):
        corpora.prepare(tokenizer={"vocab_size": 100})


def test_a_failed_preparation_leaves_the_previous_data_unchanged(corpora):
    corpora.prepare()
    (corpora.folder / "train.de").write_bytes(b"\xff\n" * 380)
    with pytest.raises(DataError, match=r"train\.de:1: byte 1 is 0xff"):
        corpora.prepare()
    assert len(corpora.open()) == 380
    assert [path.name for path in corpora.out.parent.iterdir()] == ["data"]


def test_bad_lines_can_be_skipped_or_repaired(corpora):
    path = corpora.folder / "train.de"
    path.write_bytes(path.read_bytes().replace(b"1 Hund", b"1 \xff", 1))
    assert corpora.prepare(bad_lines="skip").kept == 379
    assert corpora.prepare(bad_lines="replace").kept == 380
    assert texts(corpora.open())[0][0].startswith("1 \ufffd")
    assert corpora.prepare().up_to_date  # no bad line is left to stop at


def test_data_of_a_trained_model_keep_their_handling_of_bad_lines(corpora):
    path = corpora.folder / "train.de"
    path.write_bytes(path.read_bytes().replace(b"1 Hund", b"1 \xff", 1))
    corpora.prepare(bad_lines="skip")
    key = PreparationRecord.load(corpora.out).key

    def prepare_for_training(**options):
        return prepare(
            corpora.experiment(), corpora.folder, corpora.out, expected_key=key, **options
        )

    with pytest.raises(DataError) as caught:
        prepare_for_training(bad_lines="replace")
    assert str(caught.value) == (
        f"{corpora.out.parent}: was trained on text prepared with --bad-lines skip; "
        "give the same, or choose another --run."
    )
    assert prepare_for_training().up_to_date
    shutil.rmtree(corpora.out)
    assert prepare_for_training().kept == 379
    assert PreparationRecord.load(corpora.out).key == key


def test_progress_is_reported(corpora):
    lines: list[str] = []
    prepare(corpora.experiment(), corpora.folder, corpora.out, report=lines.append)
    assert [line.split()[0] for line in lines] == ["reading", "training", "encoding", "learning"]


def test_pieces_are_learned_from_a_sample_of_a_huge_corpus(corpora, monkeypatch):
    corpora.prepare(tokenizer={"kind": "word"})
    everything = load_subwords(corpora.out)[0].vocab_size
    monkeypatch.setattr("nmt.data.pieces._SUBWORD_LINES", 10)
    corpora.prepare(tokenizer={"kind": "word", "character_coverage": 0.99})
    assert load_subwords(corpora.out)[0].vocab_size < everything


def test_a_killed_preparation_leaves_nothing_that_looks_complete(corpora):
    code = (
        "import os, sys; from pathlib import Path\n"
        "from nmt.config.experiment import Experiment\n"
        "from nmt.data import prepare as module\n"
        "module.write_json = lambda *_: os._exit(9)\n"
        "experiment = Experiment.model_validate_json(sys.argv[1])\n"
        "module.prepare(experiment, Path(sys.argv[2]), Path(sys.argv[3]))\n"
    )
    arguments = [corpora.experiment().model_dump_json(by_alias=True), corpora.folder, corpora.out]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 9
    assert not corpora.out.exists()
    assert not corpora.prepare().up_to_date


def test_the_manifest_records_the_inputs(corpora):
    corpora.prepare()
    manifest = json.loads((corpora.out / "preparation.json").read_text())
    assert set(manifest["inputs"]) == {
        str(corpora.folder / f"{name}.{side}")
        for name in ("train", "valid")
        for side in ("de", "en")
    }
    assert manifest["summary"]["kept"] == 380
    assert manifest["normalization"] == {"unicode": "nfc", "whitespace": True, "repair": False}


LIES = [
    {"inputs": [1]},
    {"inputs": {"train.de": {"sha256": "0"}}},
    {"inputs": None},
    {"bad_lines": None},
    {"bad_lines": "sometimes"},
    {"key": None},
    {"subword": 3},
    {"normalization": {"unicode": "nfz"}},
    {"summary": {"pairs": "many"}},
    {"summary": None},
]


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_data_with_a_wrong_manifest_are_prepared_again(corpora, lie):
    corpora.prepare()
    path = corpora.out / "preparation.json"
    truth = json.loads(path.read_text())
    files = dict.fromkeys(truth["inputs"], 3)
    for change in (lie, {"inputs": files}):
        path.write_text(json.dumps({**truth, **change}))
        write_checksums(corpora.out)
        assert not corpora.prepare().up_to_date
        again = json.loads(path.read_text())
        del again["summary"]["seconds"], truth["summary"]["seconds"]
        assert again == truth
        truth = json.loads(path.read_text())


def test_a_pipe_in_place_of_the_manifest_does_not_block(corpora):
    corpora.prepare()
    (corpora.out / "preparation.json").unlink()
    os.mkfifo(corpora.out / "preparation.json")
    assert not corpora.prepare().up_to_date
