"""How BLEU splits text into words: by the script of the references, unless it is told."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.config.bleu import SPM, require_tokenizer
from nmt.errors import DataError, UsageError
from nmt.text.scripts import HAN, SPACELESS, count_scripts

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

SPLIT_AT_SPACES = frozenset({"13a", "intl", "none"})
"""Tokenizers that find words only between spaces and punctuation."""

_KANA = ("HIRAGANA", "KATAKANA")
_KOREAN = "HANGUL"  # written with spaces, but its words carry their particles
_MIXED_SHARE = 0.25
_JAPANESE_SHARE = 0.05
_PACKAGES = {"ja-mecab": "ja", "ko-mecab": "ko"}
_DIGITS_SHOWN = 12


def choose_tokenizer(references: Sequence[str], tokenize: str = "auto") -> str:
    """Return the tokenizer of BLEU for `references`; "auto" follows their script.

    "zh" for Chinese characters, "char" for Japanese, Korean, and other scripts without spaces
    between words, "13a" for all others. Packages that happen to be installed make no difference,
    so that two machines compute the same score: "ja-mecab" and "ko-mecab" are used on request only.

    A quarter of the letters is enough: words between spaces have about four times as many letters
    as words of the scripts without spaces.
    """
    if tokenize != "auto":
        return tokenize
    scripts = count_scripts(references)
    letters = {script: scripts[script] for script in (*SPACELESS, _KOREAN)}
    dense = sum(letters.values())
    if not dense or dense < _MIXED_SHARE * scripts.total():
        return "13a"
    is_japanese = sum(letters[kana] for kana in _KANA) > _JAPANESE_SHARE * dense
    return "zh" if 2 * letters[HAN] > dense and not is_japanese else "char"


def is_spaceless(lines: Sequence[str]) -> bool:
    """Whether most letters are of scripts that have no spaces between words."""
    scripts = count_scripts(lines)
    return 2 * sum(scripts[script] for script in SPACELESS) > scripts.total()


def make_bleu(tokenize: str, *, lowercase: bool) -> "BLEU":
    """Return sacrebleu's BLEU with a tokenizer other than "auto".

    Nothing is ever downloaded.

    Raises:
        UsageError: there is no such tokenizer, or its package or model is missing.
        DataError: the file of `spm:FILE` cannot be used.
    """
    from sacrebleu.metrics.bleu import BLEU

    require_tokenizer(tokenize)
    if tokenize.startswith(SPM):
        pieces = _load_pieces(Path(tokenize.removeprefix(SPM)))
        metric = BLEU(tokenize="none", lowercase=lowercase, force=True)
        metric.tokenizer, metric.tokenizer_signature = pieces, pieces.signature()
        return metric
    if tokenize.startswith("flores"):
        _require_model(tokenize)
    try:  # `force` disables sacrebleu's warning; see `suspicions`
        return BLEU(tokenize=tokenize, lowercase=lowercase, force=True)
    except RuntimeError as error:
        if tokenize not in _PACKAGES:
            raise
        raise UsageError(
            f"the tokenizer {tokenize} needs packages that are not installed or do not work; "
            f'run `pip install "sacrebleu[{_PACKAGES[tokenize]}]"`, or choose char'
        ) from error


def require_available(tokenize: str) -> None:
    """Refuse a tokenizer that cannot be used here, before anything is translated.

    Raises:
        UsageError, DataError: see `make_bleu`.
    """
    if tokenize != "auto":
        make_bleu(tokenize, lowercase=False)


def _require_model(name: str) -> None:
    """Refuse a tokenizer whose model sacrebleu would have to download.

    Raises:
        UsageError: the model is not where sacrebleu keeps it.
    """
    from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
    from sacrebleu.utils import SACREBLEU_DIR

    url = SPM_MODELS[name]["url"]
    path = Path(SACREBLEU_DIR, "models", url.rsplit("/", 1)[1])
    if not path.is_file():
        raise UsageError(
            f"the tokenizer {name} needs {path}, and nmt downloads nothing; get it from {url}, or "
            f"name a sentencepiece model that you have: {SPM}FILE"
        )


class SentencePieces:
    """A tokenizer of sacrebleu: the pieces of a sentencepiece model in a local file.

    Args:
        model: content of the file.
        path: its path, for error messages.

    Raises:
        DataError: it is not a sentencepiece model.
    """

    def __init__(self, model: bytes, path: Path) -> None:
        import sentencepiece

        processor: Any = sentencepiece.SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto(model)
            is_empty = not processor.get_piece_size()
        except RuntimeError:
            is_empty = True
        if is_empty:
            raise DataError(f"{path}: is not a sentencepiece model; name another file")
        self._split = lru_cache(maxsize=1 << 16)(processor.EncodeAsPieces)
        self._digest = hashlib.sha256(model).hexdigest()

    def __call__(self, line: str) -> str:
        """Return the pieces of `line`, separated by spaces."""
        return " ".join(self._split(line))

    def signature(self) -> str:
        """Return the name in sacrebleu's signature: `spm-` and the start of the file's SHA-256."""
        return f"spm-{self._digest[:_DIGITS_SHOWN]}"


@lru_cache(maxsize=4)
def _load_pieces(path: Path) -> SentencePieces:
    """Read the sentencepiece model of `spm:FILE`.

    Raises:
        DataError: the file cannot be read, or is not a sentencepiece model.
    """
    if not path.is_file():
        problem = "is not a file" if path.exists() else "no such file"
        raise DataError(f"{path}: {problem}; name a sentencepiece model")
    try:
        return SentencePieces(path.read_bytes(), path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; name another file") from error
