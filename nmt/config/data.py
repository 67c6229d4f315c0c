"""`[data]`, `[normalization]` and `[tokenizer]`: from text files to pieces."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from nmt.config import limits
from nmt.config.section import MAY_CHANGE, Section
from nmt.paths import holds_pairs


def _two_names(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return (value if holds_pairs(value) else "", value)


def _shortest(pair: tuple[str, str]) -> str | list[str]:
    return pair[1] if _two_names(pair[1]) == pair else list(pair)


FilePair = Annotated[
    tuple[str, str],
    Field(strict=False),
    BeforeValidator(_two_names),
    PlainSerializer(_shortest),
]
"""A source file and a target file, line by line translations of each other. A single name is one
file of tab-separated pairs if it ends in .tsv, which then stands for both; any other is a target
file without a source, for a language model."""


class DataConfig(Section):
    """Which files to train on, and which of their pairs to drop."""

    source: Annotated[str, MAY_CHANGE] = ""
    """Language code of the source side, for example "en"; none for a language model."""
    target: Annotated[str, MAY_CHANGE] = Field(min_length=1)
    """Language code of the target side, for example "it"."""
    # The files may move; whether they still hold the same text is checked by `nmt.data.prepare`.
    train: Annotated[FilePair, MAY_CHANGE]
    """Source and target file to train on, one .tsv of both, or one text for a language model;
    relative paths start at this file's folder."""
    valid: Annotated[FilePair | None, MAY_CHANGE] = None
    """Source and target file that select the best checkpoint, or one .tsv. Without any, up to 1,000
    sentences, at most one in 20, are held out from the training files."""
    test: Annotated[FilePair | None, MAY_CHANGE] = None
    """Source and target file to score the finished model on with `nmt evaluate`, or one .tsv; `nmt
    train` only warns if the training data contain their pairs."""
    max_length: int = Field(default=128, ge=1)
    """Longest side of a training pair, in pieces; longer pairs are dropped."""
    max_ratio: float = Field(default=9.0, ge=0.0)
    """Largest ratio of the longer to the shorter side, in pieces; 0 = no limit."""
    drop_duplicates: bool = False
    """Keep only the first of identical training pairs."""
    drop_copies: bool = False
    """Drop training pairs whose two sides are the same text."""
    drop_held_out: bool = False
    """Drop training pairs that are also in `valid` or `test`, after normalisation."""

    join_lines: int = Field(default=0, ge=0)
    """For a language model: join consecutive lines into sequences of at least this many pieces,
    through which the state is carried from line to line; 0 = every line by itself. Best with
    training.truncation."""

    @property
    def has_source(self) -> bool:
        """Whether there is source text: a language model has none."""
        return bool(self.train[0])


class NormalizationConfig(Section):
    """How lines are normalised before they are segmented."""

    unicode: Literal["off", "nfc", "nfkc"] = "nfc"
    """Unicode normalisation form."""
    whitespace: bool = True
    """Replace every run of white space by one space and strip both ends."""
    repair: bool = False
    """Delete invisible characters that the script does not need, such as zero-width spaces, and
    join words that are cut at their apostrophe, as tokenized text has them: "d ’ ailleurs"."""


Sides = Literal["both", "source", "target"]


class TokenizerConfig(Section):
    """How text is segmented into pieces (sentencepiece)."""

    pieces_from: Annotated[str, MAY_CHANGE] = Field(default="", alias="from")
    """Run or model folder whose pieces are used instead of learning new ones, for example the
    translation run that a language model is for; "" = none. Other keys then only describe them."""
    kind: Literal["unigram", "bpe", "char", "word"] = "unigram"
    """Unigram language model, byte-pair encoding, characters, or words between spaces."""
    vocab_size: int = Field(default=8000, ge=8, le=limits.MOST_PIECES)
    """Number of pieces, special pieces included; a small corpus may yield fewer."""
    joint: bool = True
    """Learn the pieces from both languages together. Each side then keeps only the pieces it uses,
    or all of them if all embeddings are tied, which requires this option."""
    byte_fallback: bool = True
    """Spell unknown characters as bytes instead of <unk>; takes 256 pieces (not with "word")."""
    character_coverage: float = Field(default=1.0, gt=0.9, le=1.0)
    """Fraction of the corpus's characters covered by pieces of their own."""
    symbols: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Texts that stay whole, each a piece of its own, in training and translation, for example
    ["<2it>", "⟨NUM1⟩"]; not with "word"."""
    sampling: Annotated[float, MAY_CHANGE] = Field(default=0.0, ge=0.0, lt=1.0)
    """Sample segmentations in training: alpha of subword regularisation (unigram, Kudo 2018)
    or dropout rate of merges (bpe, Provilkov et al. 2020); 0 = off."""
    sampled: Annotated[Sides, MAY_CHANGE] = "both"
    """Sides whose segmentations `sampling` draws; the other keeps its most likely one."""
