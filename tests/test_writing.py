"""Translations are written with the capitals that names lost before the model read them."""

from pathlib import Path

import pytest
import torch

from nmt.search.hypothesis import Hypothesis
from nmt.text.normalize import Normalizer
from nmt.text.reading import LineReader
from nmt.text.subword import Subword
from nmt.text.training_text import TrainingTextSurvey
from nmt.writing import Details, LineWriter, Prefix

SOURCE, TARGET = "We saw anna in new york.", "Abbiamo visto anna a nuova york."
LINE = "We saw Anna in New York."
TRANSLATION = "Abbiamo visto lei a nuova york."


class Tools:
    """A reader and a writer for word pieces, as a model of `SOURCE` and `TARGET` has them."""

    def __init__(self, folder: Path, *, target: str = TARGET, max_source: int = 100) -> None:
        survey = TrainingTextSurvey("en")
        survey.add(SOURCE, target, pieces=(60, 60))
        seen = survey.result()
        self.source, self.target = (
            Subword.train([text], folder / name, kind="word", vocab_size=100, byte_fallback=False)
            for name, text in (("s", SOURCE), ("t", f"{target} {TRANSLATION}"))
        )
        self.reader = LineReader(self.source, Normalizer(), seen, most=100, language="en")
        self.writer = LineWriter(
            self.source,
            self.target,
            seen,
            language="it",
            n_best=1,
            keep_repeated=False,
            details=Details(),
            max_source=max_source,
        )

    def write(self, links: list[int] | None, *, weight: float = 0.9, prefix: str = "") -> str:
        """Return the text of `TRANSLATION`, whose words attend to these words of `LINE`.

        What is left of a word's attention is on the end symbol.
        """
        attention = None
        if links is not None:
            attention = torch.zeros(len(links), 7)
            attention[:, 6] = 1.0 - weight
            attention[range(len(links)), links] += weight
        hypothesis = Hypothesis(
            tuple(self.target.encode(TRANSLATION)), -1.0, -1.0, True, attention=attention
        )
        segments = self.reader.read(LINE, 1)
        given = Prefix(prefix, prefix)
        return self.writer.write(LINE, segments, [[hypothesis]], given).text


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path)


def test_a_word_that_attends_to_a_name_has_its_capital(tools: Tools):
    assert tools.write([0, 1, 2, 3, 4, 5]) == "Abbiamo visto Lei a Nuova York."
    assert tools.write([0, 1, 1, 3, 4, 5]) == "Abbiamo visto lei a Nuova York."
    assert tools.write([0, 4, 1, 3, 4, 3]) == "Abbiamo Visto lei a nuova York."  # and york, a copy


def test_a_word_that_attends_to_no_word_clearly_stays(tools: Tools):
    assert tools.write([0, 1, 2, 3, 4, 5], weight=0.3) == "Abbiamo visto lei a nuova York."


def test_without_attention_copies_alone_have_capitals(tools: Tools):
    assert tools.write(None) == "Abbiamo visto lei a nuova York."


def test_a_prefix_stays_as_it_was_given(tools: Tools):
    begun = tools.write([0, 1, 2, 3, 4, 5], prefix="Abbiamo visto lei")
    assert begun == "Abbiamo visto lei a Nuova York."


def test_a_model_that_writes_names_itself_is_left_alone(tmp_path: Path):
    """Its source has no capitals, as Chinese has none."""
    tools = Tools(tmp_path, target=TARGET.replace("anna", "Anna"))
    assert tools.write([0, 1, 2, 3, 4, 5]) == "Abbiamo visto lei a nuova York."


def test_words_that_were_not_read_are_linked_to_nothing(tmp_path: Path):
    tools = Tools(tmp_path, max_source=5)  # four words and the end symbol, in column 4
    assert tools.write([0, 1, 2, 3, 4, 4]) == "Abbiamo visto Lei a nuova York."
