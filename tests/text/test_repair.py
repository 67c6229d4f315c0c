import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.text.normalize import Normalizer
from nmt.text.repair import INNER_APOSTROPHE, delete_invisible, find_invisible, join_words

WHOLE = {
    "d ’ fhorbair apple": "d’fhorbair apple",
    "lorsqu ’ il arrive": "lorsqu’il arrive",
    "a person ' s immune system": "a person's immune system",
    "we don ' t know": "we don't know",
    "l ' uomo dell ’ anno": "l'uomo dell’anno",
    "D' fhéadfadh sé, l’ ami": "D'fhéadfadh sé, l’ami",
    "d ’ o ’ clock": "d’o’clock",
}
LEFT_ALONE = (
    "it is called ' protein ' here",
    "it is called ‘ protein ’ here",
    "ends with ’ 2020",
    "’ tis",
    "d’fhorbair",
    "the ' 90s",
    "plan 'b' is the workers' way",
    "a - b",
)


@pytest.mark.parametrize("cut", WHOLE)
def test_a_word_cut_at_its_apostrophe_is_joined(cut):
    assert join_words(cut) == WHOLE[cut]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_quotation_marks_and_whole_words_stay(text):
    assert join_words(text) == text


def test_invisible_characters_go_unless_the_script_needs_them():
    assert delete_invisible("an\u200b vacs\u00adaín\ufeff") == "an vacsaín"
    for needed in ("می\u200cخواهم", "क्\u200dष", "\u200fשלום", "👩\u200d🔬", "ភាសា\u200bខ្មែរ"):
        assert delete_invisible(needed) == needed


@given(
    st.text(
        st.sampled_from("ab1 '’‘\u200b\u200d\u00ad\u200e\u0301क\u2060\ufe0f\u05d0"), max_size=12
    )
)
def test_repairing_twice_changes_nothing_more(text):
    for form in ("off", "nfc", "nfkc"):
        for whitespace in (True, False):
            repair = Normalizer(form, whitespace, repair=True).normalize
            once = repair(text)
            assert repair(once) == once
    assert find_invisible(delete_invisible(text)) is None


def test_text_is_not_repaired_unless_asked():
    assert Normalizer().normalize("d ’ f\u200bh") == "d ’ f\u200bh"


def test_an_apostrophe_is_inside_a_word():
    assert INNER_APOSTROPHE.findall("don’t rock'n'roll 5'3 'so' students' d ’ f") == ["’", "'", "'"]
