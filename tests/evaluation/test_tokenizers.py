"""BLEU's tokenizer follows the script of the references, and equals that of sacrebleu."""

import hashlib
import io
import sys
from pathlib import Path

import pytest
import sentencepiece
from sacrebleu.metrics.bleu import BLEU

from nmt.errors import DataError, UsageError
from nmt.evaluation.by_length import score_by_length
from nmt.evaluation.metrics import score
from nmt.evaluation.significance import compare
from nmt.evaluation.tokenizers import choose_tokenizer, make_bleu

TEXTS = {
    "我有三个苹果，他没有。": "zh",
    "使用 Python 语言编写程序。": "zh",
    "私は林檎を三つ持っています。": "char",
    "カメラ": "char",
    "東京都庁舎の展望室": "char",
    "나는 사과를 세 개 가지고 있다.": "char",
    "ฉันมีแอปเปิลสามลูก": "char",
    "ຂ້ອຍມີຫມາກໂປມສາມຫນ່ວຍ": "char",
    "ខ្ញុំមានផ្លែប៉ោមបី": "char",
    "ငါ့မှာ ပန်းသီးသုံးလုံးရှိတယ်": "char",
    "ང་ལ་ཀུ་ཤུ་གསུམ་ཡོད།": "char",
    "I have three apples.": "13a",
    "У меня три яблока.": "13a",
    "मेरे पास तीन सेब हैं।": "13a",
    "لدي ثلاث تفاحات.": "13a",
    "Tôi có ba quả táo.": "13a",
    "He said 你好 to everybody in the room.": "13a",
    "1984-09-25": "13a",
    "": "13a",
}


@pytest.mark.parametrize(("text", "tokenizer"), TEXTS.items())
def test_the_tokenizer_follows_the_script_of_the_references(text, tokenizer):
    references = [text] * 4
    assert choose_tokenizer(references) == tokenizer
    [bleu] = score(references, references)
    assert bleu.tokenizer == tokenizer
    assert f"|tok:{tokenizer}|" in bleu.signature
    expected = BLEU(tokenize=tokenizer).corpus_score(references, [references])
    assert bleu.value == expected.score


def test_a_partly_right_translation_into_chinese_has_a_score():
    [plain], [found] = (
        score(["我爱你们的猫"], ["我爱他们的猫"], tokenize=t) for t in ("13a", "auto")
    )
    assert plain.value == 0.0
    assert found.value > 0.0


def test_a_named_tokenizer_overrides_the_script():
    assert choose_tokenizer(["我有三个苹果。"], "13a") == "13a"
    assert choose_tokenizer(["Three apples."], "char") == "char"


def test_comparisons_and_scores_by_length_use_the_same_tokenizer():
    references = ["我有三个苹果", "OK", "他在家里吃饭"]
    [found] = compare(references, ["我", "OK", "他"], references, samples=10)
    assert "|tok:zh|" in found.signature
    for group in score_by_length(references, references, edges=[3]):
        assert "|tok:zh|" in group.scores[0].signature


@pytest.fixture(scope="module")
def pieces() -> bytes:
    """A small sentencepiece model."""
    model = io.BytesIO()
    lines = [f"the number {n} is not {n + 1} nor {n * 7}" for n in range(200)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=40, minloglevel=2
    )
    return model.getvalue()


HYPOTHESES, REFERENCES = ["the number 7 is not 8"], ["the number 8 is not 7"]


def test_a_local_sentencepiece_model_scores_as_spbleu_does(pieces, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    for name in ("flores200sacrebleuspm", "sacrebleu_tokenizer_spm.model"):
        (tmp_path / "models" / name).write_bytes(pieces)
    monkeypatch.setattr("sacrebleu.utils.SACREBLEU_DIR", str(tmp_path))
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_spm.SACREBLEU_DIR", str(tmp_path))
    theirs = BLEU(tokenize="flores200").corpus_score(HYPOTHESES, [REFERENCES]).score
    file = tmp_path / "models" / "flores200sacrebleuspm"
    for tokenize in (f"spm:{file}", "flores200", "flores101"):
        [ours] = score(HYPOTHESES, REFERENCES, tokenize=tokenize)
        assert ours.value == theirs > 0.0
        digest = f"spm-{hashlib.sha256(pieces).hexdigest()[:12]}"
        assert ours.tokenizer == (digest if ":" in tokenize else tokenize)


def test_a_model_is_never_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr("sacrebleu.utils.SACREBLEU_DIR", str(tmp_path))
    monkeypatch.setattr("sacrebleu.utils.download_file", None)
    with pytest.raises(UsageError) as error:
        make_bleu("flores200", lowercase=False)
    assert str(error.value) == (
        f"the tokenizer flores200 needs {tmp_path}/models/flores200sacrebleuspm, and nmt downloads "
        "nothing; get it from https://tinyurl.com/flores200sacrebleuspm, or name a sentencepiece "
        "model that you have: spm:FILE"
    )


@pytest.mark.parametrize("content", [b"", b"text", bytes(100)])
def test_a_file_that_is_no_sentencepiece_model_is_refused(tmp_path, content):
    file = tmp_path / "x.model"
    file.write_bytes(content)
    with pytest.raises(
        DataError, match=r"x\.model: is not a sentencepiece model; name another file"
    ):
        make_bleu(f"spm:{file}", lowercase=False)


@pytest.mark.parametrize(("name", "reason"), [("none", "no such file"), ("", "is not a file")])
def test_a_missing_sentencepiece_model_is_named(tmp_path, name, reason):
    with pytest.raises(DataError, match=f"{tmp_path / name}: {reason}"):
        make_bleu(f"spm:{tmp_path / name}", lowercase=False)


def test_a_sentencepiece_model_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    file = tmp_path / "x.model"
    file.write_bytes(b"")

    def fail(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", fail)
    message = r"x\.model: cannot be read: Permission denied; name another file"
    with pytest.raises(DataError, match=message):
        make_bleu(f"spm:{file}", lowercase=False)


@pytest.mark.parametrize("language", ["ja", "ko"])
def test_missing_packages_are_named_with_the_command_that_installs_them(language, monkeypatch):
    module = sys.modules.get(f"sacrebleu.tokenizers.tokenizer_{language}_mecab")
    if module is not None:
        monkeypatch.setattr(module, "MeCab", None)
    for package in ("MeCab", "mecab_ko"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError) as error:
        make_bleu(f"{language}-mecab", lowercase=False)
    assert str(error.value) == (
        f"the tokenizer {language}-mecab needs packages that are not installed or do not work; run "
        f'`pip install "sacrebleu[{language}]"`, or choose char'
    )
