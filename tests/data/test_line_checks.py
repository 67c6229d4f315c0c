"""Each kind of odd line is found, and text as people write it is left alone."""

import time

import pytest

from nmt.data.line_checks import LINE_CHECKS

ODD = {
    "entity": [
        "It&apos;s",
        "a &amp; b",
        "&#39;s",
        "&#x27;s",
        "&quot ; x",
        "&amp;quot;x",
        "caf&eacute;",
        "a&nbsp;b",
    ],
    "tag": [
        "<b>bold</b>",
        "a<br/>b",
        "a <br /> b",
        '<a href="x">y</a>',
        "<!-- x -->",
        "</seg>",
        "{\\i1}Hello{\\i0}",
        "[b]x[/b]",
        "see [[Rome]]",
    ],
    "piece-mark": [
        *["a hun@@ gry cat", "hun@@", "▁a ▁cat", "a hun ##gry cat", "hun￭ gry", "<unk> x"],
        *["TheĠhungryĠcat", "The Ġhungry Ġcat", "The ĠHungry cat"],
    ],
    "separator": ["a cat ||| un gatto", "0 ||| a cat ||| -1.5"],
    "tokenized": [
        "A cat .",
        "Yes , I do",
        "I do n't know",
        "the dog ’ s bone",
        "well @-@ known",
        "( in red )",
        "猫 が いる 。",
        "50 % .",
    ],
    "penn": ["-LRB- in red -RRB-", "He said `` yes", "yes '' he said"],
    "bare-entity": ["a &nbsp b", "R &amp D", "a&#39 b"],
    "escape": [
        r"caff\u00e8",
        r"one\ntwo",
        r"One.\nTwo",
        r"a \n b",
        "a%20hungry%20cat",
        "caff%C3%A8",
        "caff=C3=A8",
    ],
    "no-value": ["NULL", "nan", "None", "#N/A"],
    "emphasis": ["a **bold** word", "**So** it is"],
    "quoted": ['"A cat sleeps."', '"He said ""no"" twice."'],
    "numbered": ["1. A cat", "12) Ein Hund"],
    "tab": ["one\tuno"],
    "nothing-visible": ["\u200b", "\u00ad", "\u200e \u2060", "\ufe0f"],
    "invisible": ["a\u200bb", "a\u00adb", "a\u200eb", "a\ufeffb", "a\u2060", "\u202ax", "a\u200db"],
    "private-use": ["a\uf0b7 b", "\U000f0001"],
    "control": ["bell \x07", "a\x85b", "a\u2028b", "a\x92b"],
    "mixed-script": ["pаypal", "вoда", "Сat food", "cαt"],
    "url": ["https://example.org/a?b=1", "www.example.org", "anna@example.org"],
    "punctuation": ["---", "* * *", "?!", "(...)"],
    "sentences": [
        "It rains. We stay.",
        "He said: “Leave.” Then he left.",
        "下雨了。我们留下。",
        "यह घर है। वह गया।",
        "Really? Yes!",
    ],
    "mojibake": ["donâ€™t", "CafÃ©"],
    "replacement": ["a\ufffdb"],
    "nul": ["a\0b"],
    "lone-cr": ["a\rb"],
    "full-width": ["Ｈｅｌｌｏ", "第１章"],
}
RIGHT = [
    "Tom & Jerry, AT&T; R&D",
    "a < b and c > d, x<y",
    "<2it> I paid ⟨NUM1⟩.",
    "Quoi ? Oui ! Voici : rien ; « bien »",
    "Wait ... what . . .",
    "The .NET framework costs .5 cents",
    "Mail a@b.de or see https://example.org/a?b=1&lt=2 there",
    "Mr. Smith met Dr. Jones at 5 p.m. in the U.S. Senate",
    "z. B. das hier, d. h. nicht",
    "Item #5, C# and ##",
    "می‌خواهم کتاب‌ها را",  # zero width non-joiner
    "فایل PDF‌ها",
    "क्‍ष और र्‍य",  # zero width joiner
    "👩‍💻 and ❤️‍🔥 and 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "ខ្ញុំ​ចង់​ញ៉ាំ​បាយ",  # zero width spaces between words
    "שלום \u200f(hello)\u200f עולם",
    "café, naïve, Straße, Привет, 你好。",
    "iPhone и Wi-Fi, α-helix, 5 µm",
    "東京タワーへ行く",
    "",
    "'s avonds in 't huis",
    '"Yes", he said, "of course"',
    "1.5 litres, 3. Oktober, in 2 ** 3, __init__.py",
    r"C:\new\temp and AC\DC",
    "None of them, null and void, R&D=x&lt=2",
    "l''amico",
    "Il-Ġimgħa li għaddiet kien ENERĠIJA",
    "https://example.org/a%20b and 100%20",
    "Ra\u2139\ufe0f 1\ufe0f\u20e3 \u2764\ufe0f a || b",
]


def found(text: str) -> set[str]:
    checks = (check for check in LINE_CHECKS if check.in_ascii or not text.isascii())
    return {check.name for check in checks if check.find(text)}


@pytest.mark.parametrize(
    ("name", "text"), [(n, text) for n, texts in ODD.items() for text in texts]
)
def test_an_odd_line_is_found(name, text):
    assert name in found(text)


@pytest.mark.parametrize("text", RIGHT)
def test_nothing_is_found_in_text_as_people_write_it(text):
    assert not found(text)


def test_every_kind_is_tested():
    assert {check.name for check in LINE_CHECKS} == {*ODD}


@pytest.mark.parametrize("part", ["a ", "é.", "<a ", "&a", "[[a ", "a@a.", "{\\a", "'", "。 "])
def test_a_long_line_takes_time_in_proportion_to_its_length(part):
    """No pattern reads the rest of the line again at every place."""
    began = time.process_time()
    found(part * 100_000)
    found("<a " + part * 100_000 + "= " * 100_000)
    assert time.process_time() - began < 5


def test_the_remedy_for_piece_marks_names_each_kind():
    (check,) = (check for check in LINE_CHECKS if check.name == "piece-mark")
    assert 'WordPiece: sed "s/ ##//g"' in check.remedy
