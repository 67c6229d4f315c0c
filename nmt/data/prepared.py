"""What `nmt prepare` has made: the names in its folder, its pieces and the summary for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nmt.config.data import NormalizationConfig
from nmt.data.binary import MANIFEST
from nmt.errors import ModelError
from nmt.storage import read_json
from nmt.text.filters import REASONS, Reason
from nmt.text.subword import Subword, load_subwords

TRAIN, VALID = "train", "valid"
"""Names of the corpora to learn from and to choose by."""
DROPPED = "dropped.tsv"
"""Name of the list of training pairs that were left out."""


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
    manifest = folder / MANIFEST
    described, subwords = read_json(manifest), load_subwords(folder)
    try:
        fingerprints = described["subword"]
        normalization = NormalizationConfig.model_validate(described["normalization"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{manifest}: is damaged; write it anew by `nmt prepare`.") from error
    if fingerprints != [subword.fingerprint for subword in subwords]:
        raise ModelError(
            f"{folder}: the subword models are not those that {manifest.name} names; "
            "write them anew by `nmt prepare`."
        )
    return subwords, normalization
