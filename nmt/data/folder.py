"""A folder of prepared data: its contents and their origin.

data/
  subword.model            or source.model and target.model, see `pieces`
  train/ valid/            see `corpus`
  valid-source.txt         with valid-target.txt: pairs held out from the training files, if no
                           validation files are named
  shortlist.safetensors    see `lexicon`
  dropped.tsv              pairs excluded from training, with the reason
  preparation.json         inputs, options and results of the preparation
  SHA256SUMS
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nmt.config.data import DataConfig, NormalizationConfig
from nmt.errors import ModelError
from nmt.storage.files import read_json
from nmt.text.filters import REASONS, Reason
from nmt.text.lines import BadLines
from nmt.text.subword import MODEL_CONFIG, PREPARATION, Subword, load_subwords
from nmt.text.training_text import TrainingText

TRAIN, VALID = "train", "valid"
"""Names of the training and validation corpora."""
HELD_OUT = ("valid-source.txt", "valid-target.txt")
"""Text files that were held out from the training files; a language model has only the second."""
DROPPED = "dropped.tsv"
"""Name of the list of excluded training pairs."""
RECORD = PREPARATION
"""Name of the file with the `PreparationRecord`."""


class PreparedSummary(BaseModel):
    """Summary of a preparation.

    Attributes:
        folder: where the prepared data are.
        pairs: pairs of the training files.
        kept: pairs kept for training.
        dropped: number of excluded pairs, by reason.
        valid_pairs: pairs of the validation files.
        valid_kept: those of them that count in the loss.
        is_valid_held_out: whether they were held out from the training files.
        joint: whether both languages share one vocabulary.
        source_vocab: pieces of the source vocabulary, special ones included; 0 without a source.
        target_vocab: pieces of the target vocabulary.
        unknown_percent: share of <unk> among the pieces of the training pairs.
        too_long_percent: share of the pieces that are in pairs dropped for their length.
        seconds: duration of the preparation.
        up_to_date: True if the folder already held these data, so that nothing was done.
    """

    model_config = ConfigDict(frozen=True)

    folder: Path = Field(default=Path(), exclude=True)
    pairs: int
    kept: int
    dropped: dict[Reason, int]
    valid_pairs: int
    valid_kept: int
    is_valid_held_out: bool = False
    joint: bool
    source_vocab: int
    target_vocab: int
    unknown_percent: float
    too_long_percent: float = 0.0
    seconds: float = 0.0
    up_to_date: bool = Field(default=False, exclude=True)

    def describe(self) -> list[str]:
        """Return a few lines for people."""
        unit = "pairs" if self.source_vocab else "lines"
        train = f"train  {self.pairs:,} {unit}   {self.kept:,} kept"
        if self.dropped:
            counts = {r: f"{self.dropped[r]:,} {r}" for r in REASONS if r in self.dropped}
            if "too long" in counts and self.too_long_percent:
                counts["too long"] += f": {self.too_long_percent:.1f} % of the text"
            reasons = ", ".join(counts.values())
            train += f"  ({reasons})   details: {self.folder / DROPPED}"
        valid = f"valid  {self.valid_pairs:,} {unit}"
        if skipped := self.valid_pairs - self.valid_kept:
            valid += f"   {skipped:,} with an empty or overlong side skipped"
        if self.is_valid_held_out:
            names = " and ".join(HELD_OUT if self.source_vocab else HELD_OUT[1:])
            valid += f"   held out from the training files: {names} in {self.folder}"
        sizes = f"target {self.target_vocab:,}"
        if self.source_vocab:
            sizes = f"source {self.source_vocab:,}, {sizes}"
        vocab = f"vocab  {f'joint {self.target_vocab:,}' if self.joint else sizes}"
        if self.up_to_date:
            place = f"up to date in {self.folder}"
        else:
            place = f"written to {self.folder} in {self.seconds:.1f} s"
        return [train, valid, f"{vocab}    unknown {self.unknown_percent:.2f} %    {place}"]


def valid_files(data: DataConfig, folder: Path) -> tuple[str, str]:
    """Return the validation files: those named, or those held out in the prepared `folder`."""
    if data.valid is not None:
        return data.valid
    source, target = (str(folder / name) for name in HELD_OUT)
    return (source if data.has_source else ""), target


class PreparationRecord(BaseModel):
    """Content of `preparation.json`."""

    format: int
    nmt: str
    """Version of nmt that prepared the data."""
    sentencepiece: str
    """Version of sentencepiece."""
    key: str
    """Hash of everything the data depend on."""
    training_key: str = ""
    """Hash of everything the training data depend on; older preparations do not say."""
    valid: list[str] = []
    """SHA-256 of the validation files."""
    replaced: dict[str, list[str]] = {}
    """Earlier preparations of the same training data: `valid` by `key`."""
    bad_lines: BadLines
    inputs: dict[str, str]
    """SHA-256 of each text file, by path."""
    normalization: NormalizationConfig
    subword: list[str]
    """Fingerprints of the subword models."""
    taken: list[str] = []
    """Fingerprints of the subword models that `tokenizer.from` names; empty without it."""
    summary: PreparedSummary
    training_text: TrainingText | None = None
    """What the training text looked like; None for a language model, or an older preparation."""

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


def normalization_of(folder: Path) -> NormalizationConfig:
    """Return how text is normalised before it is segmented by the pieces of `folder`.

    Args:
        folder: prepared data or a model folder.

    Raises:
        ModelError: the file that records it is missing or damaged.
    """
    if (folder / RECORD).exists():
        return PreparationRecord.load(folder).normalization
    path = folder / MODEL_CONFIG
    try:
        return NormalizationConfig.model_validate(read_json(path)["normalization"])
    except (KeyError, TypeError, ValidationError) as error:
        raise ModelError(f"{path}: is damaged; copy the model folder again.") from error


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
