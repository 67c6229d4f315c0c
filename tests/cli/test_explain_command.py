"""`nmt explain`: one page without a network, or its numbers."""

import json
import re
from functools import partial
from html.parser import HTMLParser

import pytest

from nmt.reporting.page import as_page
from nmt.translator import Translator

LINE = "a cat eats a mouse."


@pytest.fixture
def nmt(nmt, tmp_path, monkeypatch):
    """Return a function that runs `nmt explain` in an empty folder, as `nmt` runs any command."""
    monkeypatch.chdir(tmp_path)
    return partial(nmt, "explain")


class Page(HTMLParser):
    """Collects the addresses that a page loads, and its data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded, self.data, self._inside = [], "", False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.loaded += [found[key] for key in ("src", "href", "srcset") if key in found]
        self._inside = found.get("id") == "data"

    def handle_endtag(self, tag):
        self._inside = False

    def handle_data(self, data):
        self.data += data * self._inside


def test_the_page_is_one_file_that_loads_nothing(nmt, model_folder, tmp_path):
    code, lines, log = nmt(model_folder, LINE)
    assert (code, lines) == (0, [])
    assert "wrote explanation.html; open it in a browser" in log
    text = (tmp_path / "explanation.html").read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    page = Page(text)
    assert page.loaded == []
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", text)
    (found,) = json.loads(page.data)["models"]
    expected = Translator.load(model_folder, fast=False).explain(LINE)
    assert found["name"] == str(model_folder)
    assert found["source"] == LINE
    assert found["text"] == expected.text
    assert len(found["tree"]) == len(expected.tree)
    assert found["choices"][0]["alternatives"][0]["probability"] == pytest.approx(
        expected.choices[0].alternatives[0].probability, abs=1e-4
    )


def test_text_cannot_break_out_of_the_page(model_folder):
    nasty = "</script><script>alert(1)</script> a <!-- cat \u2028"
    explanation = Translator.load(model_folder, fast=False).explain("a cat", target=nasty)
    text = as_page({"<b>run": explanation})
    assert "alert(1)</script>" not in text
    assert "<!-- cat" not in text
    found = json.loads(Page(text).data)["models"][0]
    assert (found["name"], found["text"]) == ("<b>run", nasty)


def test_two_models_and_a_given_translation_stand_side_by_side(
    nmt, model_folder, make_model_folder
):
    other = make_model_folder(seed=2, model={"decoder": {"attention": "none"}})
    arguments = (model_folder, LINE, "--against", other, "--target", "un gatto.", "--beam", 2)
    code, lines, _ = nmt(*arguments, "--json", "--top", 3)
    assert code == 0
    first, second = map(json.loads, lines)
    assert (first["name"], second["name"]) == (str(model_folder), str(other))
    assert first["text"] == second["text"] == "un gatto."
    assert first["is_given"]
    assert first["log_prob"] != second["log_prob"]
    assert first["beam"] == 2
    assert len(first["choices"][0]["alternatives"]) == 3
    assert second["choices"][0]["attention"] is None
    assert nmt(*arguments, "-o", "two.html")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["42"], 2, "'42': has nothing to translate, it is copied as it is; give a sentence."),
        (["a cat", "--against", "absent"], 4, "absent: no such folder; name a run folder"),
        (["a cat", "-o", "page.html.gz"], 2, "page.html.gz: what this command writes is plain"),
    ],
)
def test_what_cannot_be_explained_is_refused(nmt, model_folder, arguments, code, message):
    found, lines, log = nmt(model_folder, *arguments)
    assert (found, lines) == (code, [])
    assert message in log


def test_a_model_against_itself_is_refused(nmt, model_folder):
    code, _, log = nmt(model_folder, LINE, "--against", model_folder)
    assert code == 2
    assert "is the same model; name another one." in log
