"""Names of BLEU's tokenizers, as the command line and `validation.tokenize` accept them."""

from nmt.errors import ConfigError

TOKENIZERS = (
    "auto",
    "13a",
    "intl",
    "zh",
    "char",
    "none",
    "ja-mecab",
    "ko-mecab",
    "flores101",
    "flores200",
)
"""How BLEU splits text into words; "auto" follows the script of the references."""
SPM = "spm:"
"""What precedes the path of a sentencepiece model that splits text into pieces (spBLEU)."""


def require_tokenizer(name: str) -> str:
    """Return `name` if it is one of TOKENIZERS or `spm:FILE`.

    Raises:
        ConfigError: it is neither.
    """
    if name in TOKENIZERS or (name.startswith(SPM) and name != SPM):
        return name
    raise ConfigError(f'unknown tokenizer "{name}"; known: {", ".join(TOKENIZERS)}, {SPM}FILE')
