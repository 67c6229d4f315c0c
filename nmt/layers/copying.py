"""Outputs that can write pieces of the source.

Both kinds give a probability to each source position; the probability of a piece is the sum over
the positions that hold it. So a source batch says which target piece each position holds, beside
the id that the encoder reads:

    source id = id in the source vocabulary + source_vocab x (target id + 1)

An id below `source_vocab` holds the piece of the same id: special pieces, and those of a joint
vocabulary. A text that is no piece of the target vocabulary has a target id of its own in its
sentence, `target_vocab` + k for the k-th such text (See et al., 2017, section 2.2); the decoder
reads it as <unk>. `nmt.text.copied` makes these ids from text, and text from them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.layers.attention import AdditiveAttention


@dataclass(frozen=True)
class Pointed:
    """Probabilities of source positions for some target positions."""

    weights: Tensor
    """They sum to 1 in each row, and padding has 0, [rows, src_len]."""
    ids: Tensor
    """Target id at each source position, below vocabulary + src_len, [rows, src_len]."""

    def mass(self, vocab: int) -> Tensor:
        """Return the summed weight of each id, [rows, vocab + src_len]."""
        width = vocab + self.ids.shape[1]
        return self.weights.new_zeros(len(self.ids), width).scatter_add(1, self.ids, self.weights)


class SourceOutput(nn.Module):
    """Base of the outputs that write pieces of the source.

    Their scores are log-probabilities, with a column for each piece of the target vocabulary and
    one for each source position, where texts beyond the vocabulary are.

    Args:
        source_vocab: number of source pieces.
        target_vocab: number of target pieces.
    """

    loss_name = "nll"
    """See `OutputLayer`."""

    def __init__(self, *, source_vocab: int, target_vocab: int) -> None:
        super().__init__()
        self.source_vocab, self.target_vocab = source_vocab, target_vocab

    def read_ids(self, source: Tensor) -> Tensor:
        """Return what the encoder reads: ids in the source vocabulary, of the shape of `source`."""
        return source % self.source_vocab

    def write_ids(self, source: Tensor) -> Tensor:
        """Return which target piece each source position holds, of the shape of `source`."""
        return torch.where(source < self.source_vocab, source, source // self.source_vocab - 1)

    def known(self, tokens: Tensor, unknown: int) -> Tensor:
        """Return target ids with `unknown` in place of those beyond the vocabulary."""
        return tokens.masked_fill(tokens >= self.target_vocab, unknown)

    def log_mass(self, scores: Tensor) -> Tensor:
        """Return 0 for each row of `scores`, which are normalised, [rows]."""
        return scores.new_zeros(len(scores))

    def log_probs(self, features: Tensor, pointed: Pointed) -> Tensor:
        """Return log P of each piece, [rows, target_vocab + src_len], at least in float32.

        Args:
            features: [rows, size].
            pointed: where the output points from each of them.
        """
        raise NotImplementedError

    def keys(self, memory: Tensor) -> Tensor | None:
        """Project source states [batch, src_len, memory], once per sentence, to compare them with
        features; None for outputs that do not."""
        return None

    def losses(
        self, features: Tensor, pointed: Pointed, target: Tensor, *, smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy of each token with label smoothing, and without, in nats.

        See `OutputLayer.losses`; `target` may hold ids beyond the vocabulary.
        """
        return self.cross_entropy(self.log_probs(features, pointed), target, smoothing=smoothing)

    def cross_entropy(
        self, log_probs: Tensor, target: Tensor, *, smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Return what `losses` does, from log P of each piece, [rows, target_vocab + src_len]."""
        nll = -log_probs.gather(1, target.unsqueeze(1)).squeeze(1)  # [tokens]
        if not smoothing:
            return nll, nll.detach()
        return (1.0 - smoothing) * nll - smoothing * self.spread(log_probs), nll.detach()

    def spread(self, log_probs: Tensor) -> Tensor:
        """Return the mean log P over the pieces that label smoothing trains towards, [rows]."""
        raise NotImplementedError


class CopyOutput(SourceOutput):
    """Either generate a piece, or copy one (Gulcehre et al., 2016; See et al., 2017, eq. 8 and 9).

        P(w) = g P_V(w) + (1 - g) sum_{j: x_j = w} a_j,    g = sigmoid(v . f + b)

    P_V is the softmax of `OutputLayer`, a the decoder's attention, and f its features, which have
    seen state, context and, with a deep readout, the previous piece.

    Label smoothing spreads its mass over the vocabulary, as without copying.

    Args:
        project: the linear map f -> W f + b of P_V.
        source_vocab: number of source pieces.
    """

    def __init__(self, project: nn.Linear, *, source_vocab: int) -> None:
        super().__init__(source_vocab=source_vocab, target_vocab=project.out_features)
        self.project = project
        self.gate = nn.Linear(project.in_features, 1)

    def log_probs(self, features: Tensor, pointed: Pointed) -> Tensor:
        """See `SourceOutput`."""
        gate = _wide(self.gate(features))  # [rows, 1]
        generated = _wide(self.project(features)).log_softmax(dim=-1) + F.logsigmoid(gate)
        generated = F.pad(generated, (0, pointed.ids.shape[1]), value=-torch.inf)
        mass = pointed.mass(self.target_vocab).to(generated)
        copied = mass.masked_fill(mass == 0, 1.0).log() + F.logsigmoid(-gate)
        return torch.where(mass == 0, generated, torch.logaddexp(generated, copied))

    def spread(self, log_probs: Tensor) -> Tensor:
        """See `SourceOutput`: over the vocabulary."""
        return log_probs[:, : self.target_vocab].mean(dim=-1)


class PointerOutput(SourceOutput):
    """Point at a source position (Vinyals et al., 2015, eq. 3).

        u_j = v . tanh(W_1 e_j + W_2 d),    P(w) = sum_{j: x_j = w} softmax(u)_j

    e_j are the encoder's outputs, and d the decoder's features. Pointing at the end symbol of the
    source ends the target. Only pieces of the source have a probability above 0.

    Args:
        query_size: size of the features.
        memory_size: size of a source state.
        hidden_size: size of v.
        source_vocab: number of source pieces.
        target_vocab: number of target pieces.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        hidden_size: int,
        source_vocab: int,
        target_vocab: int,
    ) -> None:
        super().__init__(source_vocab=source_vocab, target_vocab=target_vocab)
        self.attention = AdditiveAttention(query_size, memory_size, hidden_size=hidden_size)

    def keys(self, memory: Tensor) -> Tensor:
        """See `SourceOutput`."""
        return self.attention.keys(memory)

    def log_probs(self, features: Tensor, pointed: Pointed) -> Tensor:
        """See `SourceOutput`; -inf carries no gradient."""
        mass = _wide(pointed.mass(self.target_vocab))
        return mass.masked_fill(mass == 0, 1.0).log().masked_fill(mass == 0, -torch.inf)

    def spread(self, log_probs: Tensor) -> Tensor:
        """See `SourceOutput`: over the pieces of the source, since all others have none."""
        is_there = log_probs > -torch.inf
        return log_probs.masked_fill(~is_there, 0.0).sum(dim=-1) / is_there.sum(dim=-1)


def _wide(values: Tensor) -> Tensor:
    """Return values in float32 if they are in a narrower type."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
