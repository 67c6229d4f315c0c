"""`nmt attention`: links, pictures, and the error rate against links by hand."""

import gzip

import pytest

from nmt.translator import Translator

LINES = ["a cat eats a mouse.", "the small dog sleeps"]


@pytest.fixture
def files(tmp_path):
    """Return two files, one of sentences and one of their translations."""
    source, target = tmp_path / "text.en", tmp_path / "text.it"
    source.write_text("".join(f"{line}\n" for line in LINES))
    target.write_text("un gatto mangia un topo.\nil cane piccolo\n")
    return source, target


def links(alignment) -> str:
    return " ".join(f"{source}-{target}" for source, target in alignment)


def test_one_sentence_gives_its_links_and_its_picture(nmt, model_folder, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "cat.svg"
    code, lines, log = nmt("attention", model_folder, LINES[0], "-o", picture)
    (found,) = Translator.load(model_folder).translate(LINES[:1], align=True)
    assert (code, lines) == (0, [links(found.alignment)])
    assert f"wrote {picture}" in log
    assert "source piece" in picture.read_text(encoding="utf-8")
    assert nmt("attention", model_folder, LINES[0], "-o", picture, "--unit", "words")[0] == 0
    text = picture.read_text(encoding="utf-8")
    assert "source word" in text
    assert ">mouse.<" in text


def test_several_lines_give_numbered_pictures_and_a_blank_one_none(nmt, model_folder, tmp_path):
    pytest.importorskip("matplotlib")
    code, lines, log = nmt(
        "attention", model_folder, "-o", tmp_path / "a.png", lines=[LINES[0], "", LINES[1]]
    )
    assert code == 0
    assert len(lines) == 3
    assert lines[1] == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-1.png", "a-3.png"]
    assert "line 2: has no translation" in log


def test_given_translations_are_aligned_as_they_are(nmt, model_folder, files):
    source, target = files
    code, lines, _ = nmt("attention", model_folder, "-i", source, "--target", target)
    pairs = list(zip(LINES, target.read_text().splitlines(), strict=True))
    expected = [
        links(pair.alignment) for pair in Translator.load(model_folder).score(pairs, align=True)
    ]
    assert (code, lines) == (0, expected)
    given = pairs[1][1]
    assert nmt("attention", model_folder, LINES[1], "--target", given)[1] == expected[1:]


def test_gold_links_give_error_rates_and_the_worst_sentences(nmt, model_folder, files, tmp_path):
    source, target = files
    both = ("attention", model_folder, "-i", source, "--target", target)
    gold = tmp_path / "gold"
    gold.write_text("".join(f"{line}\n" for line in nmt(*both)[1]))
    code, lines, _ = nmt(*both, "--gold", gold)
    assert code == 0
    assert lines[0] == (
        "AER 0.0%  precision 100.0%  recall 100.0%  "
        "(2 sentences; 8 links, by hand 8 sure and 0 possible)"
    )
    second = gold.read_text().splitlines()[1]
    gold.write_text(f"\n{second}\n")
    lines = nmt(*both, "--gold", gold)[1]
    assert lines[0].startswith("AER 45.5%  precision 37.5%  recall 100.0%")
    assert lines[1].startswith("links along the diagonal instead: AER ")
    assert lines[2].startswith("line 1: AER 100.0%  precision 0.0%  recall 100.0%  a cat eats")
    assert lines[3].startswith("line 2: AER 0.0%")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["a cat", "--gold", "gold"],
            2,
            "--gold: holds links of given translations; name their file with --target.",
        ),
        (
            ["a cat", "-i", "text.en"],
            2,
            "--input text.en: a sentence is given, too; leave one of them out.",
        ),
        (
            ["--target", "text.it"],
            2,
            "--target: needs the sentences it translates; name them with --input, or give one "
            "SENTENCE, of which --target is the translation.",
        ),
        (["a cat", "-o", "cat.jpg"], 2, "cat.jpg: cannot draw this kind of file"),
        (
            ["-i", "text.it"],
            2,
            "text.it: is named `it`, but this model translates en to it; name the en file there.",
        ),
        (["-i", "text.en", "--target", "one.it"], 3, "text.en has 2 lines"),
        (
            ["-i", "text.en", "--target", "text.it", "--gold", "one.it"],
            3,
            "one.it: has 1 line, but there are 2 pairs of sentences; give the links of exactly",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    nmt, model_folder, files, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.it").write_text("0-0\n")
    found, lines, log = nmt("attention", model_folder, *arguments)
    assert (found, lines) == (code, [])
    assert message in log


def test_text_of_another_language_is_pointed_out(nmt, model_folder, files, tmp_path):
    other, packed = tmp_path / "text.de", tmp_path / "text.en.gz"
    other.write_text("eine katze\n")
    packed.write_bytes(gzip.compress(b"a cat\n"))
    code, _, log = nmt("attention", model_folder, "-i", other)
    assert code == 0
    assert "text.de: is named `de`, but this model translates en to it" in log
    code, _, log = nmt("attention", model_folder, "-i", packed)
    assert (code, log) == (0, "")


def test_a_model_without_attention_is_refused(nmt, make_model_folder):
    folder = make_model_folder(model={"decoder": {"attention": "none"}})
    code, _, log = nmt("attention", folder, "a cat")
    assert code == 2
    assert (
        f"error: {folder}: has no attention, so words cannot be aligned; name another model." in log
    )
