"""A part of the target vocabulary that is enough to translate given sentences.

A sentence may be written with the pieces that are most frequent, and with those that are likely
translations of its own (Jean et al., 2015). The rest of the output layer, most of it, need not be
computed. A batch computes what any of its sentences needs, and closes to each what it does not
need itself: a translation does not depend on what else is in its batch.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nmt.errors import ModelError
from nmt.storage.tensors import load_tensors
from nmt.text.vocabulary import SPECIAL_PIECES


@dataclass(frozen=True)
class Choice:
    """The pieces that the sentences of a batch may be written with."""

    pieces: Tensor
    """Ids, ascending, the special ones first: [kept]. A place in it is a piece's local id."""
    closed: Tensor
    """True where a sentence does not need a piece, [batch, kept]."""

    def barred(self) -> Tensor:
        """Return what to add to scores: -inf where a piece is closed, else 0, [batch, kept]."""
        return torch.zeros(self.closed.shape, device=self.closed.device).masked_fill_(
            self.closed, -torch.inf
        )


@dataclass(frozen=True)
class Shortlist:
    """What is known of the target pieces; see `nmt.data.lexicon`."""

    frequent: Tensor
    """All target pieces, the most frequent first, [target_vocab]."""
    likely: Tensor
    """Likely translations of each source piece, PAD where there are no more,
    [source_vocab, likely]."""

    @classmethod
    def load(cls, path: Path, *, source_vocab: int, target_vocab: int) -> "Shortlist":
        """Read a file.

        Raises:
            ModelError: it is damaged, or of another vocabulary.
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
        """Choose for a batch.

        Args:
            source: padded ids, [batch, src_len].
            frequent: how many of the most frequent pieces are open to all.
        """
        device = source.device
        open_to = torch.zeros(source.shape[0], len(self.frequent), dtype=torch.bool, device=device)
        open_to[:, : len(SPECIAL_PIECES)] = True
        open_to[:, self.frequent[:frequent].to(device)] = True
        open_to.scatter_(1, self.likely.to(device)[source].flatten(1), True)
        pieces = open_to.any(dim=0).nonzero().squeeze(1)  # [kept]
        return Choice(pieces, ~open_to[:, pieces])
