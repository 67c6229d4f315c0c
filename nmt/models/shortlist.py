"""A subset of the target vocabulary that suffices to translate given sentences.

A translation may use the most frequent pieces and likely translations of its source pieces (Jean
et al., 2015), so most of the output layer need not be computed. A batch computes the pieces that
any of its sentences needs, and each sentence excludes those that only others need: a translation
does not depend on its batch.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nmt.errors import DataError, ModelError
from nmt.storage.tensors import load_tensors
from nmt.text.subword import SHORTLIST_FILE
from nmt.text.vocabulary import SPECIAL_PIECES


@dataclass(frozen=True)
class Choice:
    """The pieces allowed in the translations of a batch."""

    pieces: Tensor
    """Ids, ascending, the special ones first, [kept]."""
    closed: Tensor
    """True where a sentence does not need a piece, [batch, kept]."""

    def barred(self) -> Tensor:
        """Return the mask to add to scores: -inf for excluded pieces, else 0, [batch, kept]."""
        return torch.zeros(self.closed.shape, device=self.closed.device).masked_fill_(
            self.closed, -torch.inf
        )

    def select(self, sentences: Tensor) -> "Choice":
        """Keep, reorder or repeat sentences by index [new_batch]; the pieces stay."""
        return Choice(self.pieces, self.closed.index_select(0, sentences))

    def concat(self, other: "Choice") -> "Choice":
        """Append the sentences of `other`; the result has the pieces of both."""
        pieces = torch.unique(torch.cat([self.pieces, other.pieces]))  # sorted
        parts = []
        for choice in (self, other):
            closed = choice.closed.new_ones(len(choice.closed), len(pieces))
            closed[:, torch.searchsorted(pieces, choice.pieces)] = choice.closed
            parts.append(closed)
        return Choice(pieces, torch.cat(parts))


def load_dictionary(folder: Path, *, used_by: str) -> tuple[Tensor, Tensor]:
    """Return likely translations of each source piece, and their probabilities.

    Args:
        folder: prepared data.
        used_by: key of the configuration that needs them, for the error message.

    Returns:
        Target pieces, PAD where there are no more, and p(target piece | source piece), 0 where
        there are no more; [source_vocab, LIKELY] each.

    Raises:
        DataError: the data were prepared before there were probabilities.
    """
    tensors = load_tensors(folder / SHORTLIST_FILE)
    if "probability" not in tensors:
        raise DataError(
            f"{folder / SHORTLIST_FILE}: has no probabilities, which {used_by} needs; "
            f"delete {folder} to prepare the data again."
        )
    return tensors["likely"].long(), tensors["probability"]


@dataclass(frozen=True)
class Shortlist:
    """Frequencies and likely translations of pieces; written by `nmt.data.lexicon`."""

    frequent: Tensor
    """All target pieces, the most frequent first, [target_vocab]."""
    likely: Tensor
    """Likely translations of each source piece, PAD where there are no more,
    [source_vocab, likely]."""

    @classmethod
    def load(cls, path: Path, *, source_vocab: int, target_vocab: int) -> "Shortlist":
        """Load a shortlist file.

        Raises:
            ModelError: it is damaged, or belongs to another vocabulary.
        """
        tensors = load_tensors(path)
        try:
            frequent, likely = tensors["frequent"].long(), tensors["likely"].long()
        except KeyError as error:
            raise ModelError(f"{path}: has no `{error.args[0]}`; copy the folder again.") from None
        fits = frequent.shape == (target_vocab,) and likely.shape[:1] == (source_vocab,)
        ids = torch.cat([frequent.flatten(), likely.flatten()])
        if not fits or likely.dim() != 2 or ids.min() < 0 or ids.max() >= target_vocab:
            raise ModelError(
                f"{path}: is not for {source_vocab:,} source and {target_vocab:,} target pieces; "
                "files of two models are mixed, copy the folder again."
            )
        return cls(frequent, likely)

    def choose(self, source: Tensor, frequent: int) -> Choice:
        """Return the pieces for a batch.

        Args:
            source: padded ids, [batch, src_len].
            frequent: number of most frequent pieces, allowed in all sentences.
        """
        device = source.device
        open_to = torch.zeros(source.shape[0], len(self.frequent), dtype=torch.bool, device=device)
        open_to[:, : len(SPECIAL_PIECES)] = True
        open_to[:, self.frequent[:frequent].to(device)] = True
        open_to.scatter_(1, self.likely.to(device)[source].flatten(1), True)
        pieces = open_to.any(dim=0).nonzero().squeeze(1)  # [kept]
        return Choice(pieces, ~open_to[:, pieces])
