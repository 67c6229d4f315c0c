"""What `nmt prepare` has made: the names in its folder, its pieces and the summary for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from nmt.config.data import NormalizationConfig
from nmt.data.binary import MANIFEST
from nmt.errors import ModelError
from nmt.storage.files import read_json
from nmt.text.filters import REASONS, Reason
from nmt.text.lines import BadLines
from nmt.text.subword import Subword, load_subwords

TRAIN, VALID = "train", "valid"
"""Names of the corpora to learn from and to choose by."""
DROPPED = "dropped.tsv"
"""Name of the list of training pairs that were left out."""


class InputFile(BaseModel):
    """A text file, as it was when it was prepared."""

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What `manifest.json` of prepared data says that is read again."""

    format: int
    key: str
    """Hash of everything that the data depend on."""
    bad_lines: BadLines
    inputs: dict[str, InputFile]
    """Text files by path."""
    subword: list[str]
    """Fingerprints of the subword models."""
    normalization: NormalizationConfig
    summary: dict[str, Any]
    """Of `PreparedSummary`."""

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read the manifest of a folder of prepared data.

        Raises:
            ModelError: it is missing or damaged.
        """
        path = folder / MANIFEST
        described = read_json(path)
        try:
            return cls.model_validate(described)
        except ValidationError as error:
            raise ModelError(f"{path}: is damaged; write it anew by `nmt prepare`.") from error


@dataclass(frozen=True)
class PreparedSummary:
    """What a preparation read, left out and made.

    Attributes:
        folder: where the prepared data lie.
        pairs: pairs of the training files.
        kept: pairs to learn from.
        dropped: number of pairs left out, by reason.
        valid_pairs: pairs of the validation files.
        valid_kept: those of them that count in the loss.
        joint: whether both languages share one vocabulary.
        source_vocab: pieces of the source vocabulary, special ones included.
        target_vocab: pieces of the target vocabulary.
        unknown_percent: share of <unk> among the pieces of the training pairs.
        seconds: what it took.
        up_to_date: nothing was done, as the folder already held these data.
    """

    folder: Path
    pairs: int
    kept: int
    dropped: Mapping[Reason, int]
    valid_pairs: int
    valid_kept: int
    joint: bool
    source_vocab: int
    target_vocab: int
    unknown_percent: float
    seconds: float
    up_to_date: bool

    @classmethod
    def from_manifest(cls, manifest: Manifest, folder: Path) -> "PreparedSummary":
        """Return the summary that an earlier preparation has left.

        Raises:
            ModelError: it is damaged.
        """
        kept = {**manifest.summary, "folder": folder, "up_to_date": True}
        try:
            return TypeAdapter(cls).validate_python(kept)
        except ValidationError as error:
            raise ModelError(
                f"{folder / MANIFEST}: is damaged; write it anew by `nmt prepare`."
            ) from error

    def describe(self) -> list[str]:
        """Return a few lines for people."""
        train = f"train  {self.pairs:,} pairs   {self.kept:,} kept"
        if self.dropped:
            reasons = ", ".join(f"{self.dropped[r]:,} {r}" for r in REASONS if r in self.dropped)
            train += f"  ({reasons})   details: {self.folder / DROPPED}"
        valid = f"valid  {self.valid_pairs:,} pairs"
        if self.valid_kept < self.valid_pairs:
            valid += (
                f"   {self.valid_pairs - self.valid_kept:,} with an empty or endless side left out"
            )
        sizes = f"source {self.source_vocab:,}, target {self.target_vocab:,}"
        vocab = f"vocab  {f'joint {self.source_vocab:,}' if self.joint else sizes}"
        if self.up_to_date:
            place = f"up to date in {self.folder}"
        else:
            place = f"written to {self.folder} in {self.seconds:.1f} s"
        return [train, valid, f"{vocab}    unknown {self.unknown_percent:.2f} %    {place}"]


def read_pieces(folder: Path) -> tuple[tuple[Subword, Subword], NormalizationConfig]:
    """Return the subword models of source and target, and the normalisation before them.

    Raises:
        ModelError: one is missing or damaged, or the manifest names other models.
    """
    manifest, subwords = Manifest.load(folder), load_subwords(folder)
    if manifest.subword != [subword.fingerprint for subword in subwords]:
        raise ModelError(
            f"{folder}: the subword models are not those that {MANIFEST} names; "
            "write them anew by `nmt prepare`."
        )
    return subwords, manifest.normalization
