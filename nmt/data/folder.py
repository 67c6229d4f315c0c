"""A folder of prepared data: what is in it, and where it came from.

data/
  subword.model            or source.model and target.model, see `build`
  train/ valid/            see `corpus`
  shortlist.safetensors    see `lexicon`
  dropped.tsv              each pair left out of training, and why
  preparation.json         what went in, what came out
  SHA256SUMS
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nmt.config.data import NormalizationConfig
from nmt.errors import ModelError
from nmt.storage.files import read_json
from nmt.text.filters import REASONS, Reason
from nmt.text.lines import BadLines
from nmt.text.subword import Subword, load_subwords

TRAIN, VALID = "train", "valid"
"""Names of the corpora to learn from and to choose by."""
DROPPED = "dropped.tsv"
"""Name of the list of training pairs that were left out."""
RECORD = "preparation.json"
"""Name of the file that a `PreparationRecord` is kept in."""


class PreparedSummary(BaseModel):
    """What a preparation read, left out and made.

    Attributes:
        folder: where the prepared data are.
        pairs: pairs of the training files.
        kept: pairs to learn from.
        dropped: number of pairs left out, by reason.
        valid_pairs: pairs of the validation files.
        valid_kept: those of them that count in the loss.
        joint: whether both languages share one vocabulary.
        source_vocab: pieces of the source vocabulary, special ones included; 0 without a source.
        target_vocab: pieces of the target vocabulary.
        unknown_percent: share of <unk> among the pieces of the training pairs.
        seconds: duration of the preparation.
        up_to_date: nothing was done, as the folder already held these data.
    """

    model_config = ConfigDict(frozen=True)

    folder: Path = Field(default=Path(), exclude=True)
    pairs: int
    kept: int
    dropped: dict[Reason, int]
    valid_pairs: int
    valid_kept: int
    joint: bool
    source_vocab: int
    target_vocab: int
    unknown_percent: float
    seconds: float = 0.0
    up_to_date: bool = Field(default=False, exclude=True)

    def describe(self) -> list[str]:
        """Return a few lines for people."""
        unit = "pairs" if self.source_vocab else "lines"
        train = f"train  {self.pairs:,} {unit}   {self.kept:,} kept"
        if self.dropped:
            reasons = ", ".join(f"{self.dropped[r]:,} {r}" for r in REASONS if r in self.dropped)
            train += f"  ({reasons})   details: {self.folder / DROPPED}"
        valid = f"valid  {self.valid_pairs:,} {unit}"
        if skipped := self.valid_pairs - self.valid_kept:
            valid += f"   {skipped:,} with an empty or overlong side skipped"
        sizes = f"target {self.target_vocab:,}"
        if self.source_vocab:
            sizes = f"source {self.source_vocab:,}, {sizes}"
        vocab = f"vocab  {f'joint {self.target_vocab:,}' if self.joint else sizes}"
        if self.up_to_date:
            place = f"up to date in {self.folder}"
        else:
            place = f"written to {self.folder} in {self.seconds:.1f} s"
        return [train, valid, f"{vocab}    unknown {self.unknown_percent:.2f} %    {place}"]


class PreparationRecord(BaseModel):
    """What `preparation.json` says."""

    format: int
    nmt: str
    """Version of nmt that prepared the data."""
    sentencepiece: str
    """Version of sentencepiece."""
    key: str
    """Hash of everything that the data depend on."""
    bad_lines: BadLines
    inputs: dict[str, str]
    """SHA-256 of each text file, by path."""
    normalization: NormalizationConfig
    subword: list[str]
    """Fingerprints of the subword models."""
    summary: PreparedSummary

    @classmethod
    def load(cls, folder: Path) -> "PreparationRecord":
        """Read the record of a folder of prepared data.

        Raises:
            ModelError: it is missing or damaged, or another version of nmt wrote it.
        """
        path = folder / RECORD
        content = read_json(path)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise ModelError(f"{path}: is damaged; rewrite it with `nmt prepare`.") from error


def read_pieces(folder: Path) -> tuple[tuple[Subword, Subword], NormalizationConfig]:
    """Return the subword models of source and target, and the normalisation before them.

    Raises:
        ModelError: one is missing or damaged, or the record names other models.
    """
    record, subwords = PreparationRecord.load(folder), load_subwords(folder)
    if record.subword != [subword.fingerprint for subword in subwords]:
        raise ModelError(
            f"{folder}: the subword models are not those that {RECORD} names; "
            "rewrite them with `nmt prepare`."
        )
    return subwords, record.normalization
