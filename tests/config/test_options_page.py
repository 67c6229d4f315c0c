"""docs/configuration.md lists every key, and is the page that the code generates."""

from pathlib import Path

from nmt.config.reference import reference
from nmt.config.schema import paths

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m nmt.config.reference > docs/configuration.md"
    )


def test_every_key_and_every_kind_is_there():
    page = reference()
    for path in set(paths()):
        key = path.rpartition(".")[2]
        is_there = f"| `{key}` |" in page or f"## [{path}]" in page or key == "kind"
        assert is_there, path
    for kind in ("rnn", "lnlstm", "additive", "inverse_sigmoid", "sparse"):
        assert f'**kind = "{kind}"**' in page


def test_what_a_resumed_run_may_change_is_said():
    page = reference()
    assert "The encoder-decoder. *Fixed: the weights were trained with it.*" in page
    rates = page.split("## [model.dropout]")[1].split("##")[0]
    assert "a single number sets the first three. *Not fixed.*" in rates
