"""An output layer that also translates the source words attended to, whatever their context."""

import torch
from torch import Tensor, nn

from nmt.layers.linear import Linear
from nmt.layers.output import OutputLayer
from nmt.text.subword import LIKELY

_LEAST = 1e-3
"""Probability of a translation that the dictionary does not have (Arthur et al., 2016)."""


class Dictionary(nn.Module):
    """Bias towards what a dictionary has for the source words attended to.

        log(1 + sum_j a_tj p(e | x_j) / 0.001)    for each target piece e

    This is the bias of Arthur et al. (2016), less a constant, log 0.001, that a softmax does not
    see. The probabilities p are those of IBM model 1, which preparation estimates; they are not
    learned in training, and saved with the weights.

    Args:
        source_vocab: number of source pieces.
        target_vocab: number of target pieces.
    """

    likely: Tensor
    """Target pieces that translate each source piece, [source_vocab, LIKELY]."""
    probability: Tensor
    """p(target piece | source piece) of each, [source_vocab, LIKELY]."""

    def __init__(self, source_vocab: int, target_vocab: int) -> None:
        super().__init__()
        self.target_vocab = target_vocab
        self.register_buffer("likely", torch.zeros(source_vocab, LIKELY, dtype=torch.long))
        self.register_buffer("probability", torch.zeros(source_vocab, LIKELY))

    def forward(self, attention: Tensor, source: Tensor) -> Tensor:
        """Return the bias of each target piece, [batch, tgt_len, target_vocab].

        Args:
            attention: a_tj, [batch, tgt_len, src_len].
            source: ids x_j, padded, [batch, src_len].
        """
        wide = torch.promote_types(attention.dtype, torch.float32)
        likely = self.likely[source].flatten(1)  # [batch, src_len * LIKELY]
        probability = self.probability[source].to(wide)  # [batch, src_len, LIKELY]
        shares = (attention.unsqueeze(3) * probability.unsqueeze(1)).flatten(2)
        found = shares.new_zeros(*shares.shape[:2], self.target_vocab)
        found = found.scatter_add(2, likely.unsqueeze(1).expand_as(shares), shares)
        return torch.log1p(found / _LEAST)


class LexicalOutput(OutputLayer):
    """Softmax of features and of a lexical model (Nguyen and Chiang, 2018, eq. 5 to 7).

        e_t = tanh(sum_j a_tj x_j),    l_t = tanh(U e_t) + e_t,    p = softmax(W f_t + b + V l_t)

    x_j are the embeddings of the source pieces, a_tj the attention, and f_t the decoder's features.
    Encoder and decoder are bypassed, which helps rare words most. With a dictionary, its bias d_t
    is added inside the softmax. The features of this output are [f_t; l_t; d_t], which `extend`
    makes.

    Args:
        project: the linear map f -> W f + b.
        hidden: the linear map e -> U e.
        lexicon: the linear map l -> V l.
        dictionary: makes d_t; None = there is none.
        pieces: those scored, of all that d_t has, [kept]; None = all of them.
    """

    def __init__(
        self,
        project: Linear,
        *,
        hidden: nn.Linear,
        lexicon: Linear,
        dictionary: Dictionary | None = None,
        pieces: Tensor | None = None,
    ) -> None:
        super().__init__(project)
        self.hidden, self.lexicon, self.dictionary = hidden, lexicon, dictionary
        self.pieces = pieces

    @property
    def weight(self) -> Tensor:
        """[W V], [vocab, readout + embedding]."""
        return torch.cat([self.project.weight, self.lexicon.weight], dim=1)

    def extend(
        self, features: Tensor, attention: Tensor, embedded: Tensor, source: Tensor
    ) -> Tensor:
        """Return [f_t; l_t; d_t], [batch, tgt_len, readout + embedding + vocab].

        Args:
            features: f_t, [batch, tgt_len, readout].
            attention: a_tj, [batch, tgt_len, src_len].
            embedded: x_j, [batch, src_len, embedding].
            source: ids of the x_j, [batch, src_len].
        """
        words = torch.tanh(attention.to(embedded.dtype) @ embedded)  # [batch, tgt_len, embedding]
        parts = [features, torch.tanh(self.hidden(words)) + words]
        if self.dictionary is not None:
            parts.append(self.dictionary(attention, source).to(features.dtype))
        return torch.cat(parts, dim=-1)

    def split(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return [f; l], [rows, readout + embedding], and d [rows, vocab]; see `OutputLayer`."""
        if self.dictionary is None:
            return features, None
        bias = features[..., -self.dictionary.target_vocab :]
        features = features[..., : -self.dictionary.target_vocab]
        return features, bias if self.pieces is None else bias[..., self.pieces]

    def scores(self, features: Tensor) -> Tensor:
        """Return the logits W f + b + V l + d [rows, vocab] of [f; l; d]."""
        features, bias = self.split(features)
        size = self.lexicon.in_features
        scores: Tensor = self.project(features[..., :-size]) + self.lexicon(features[..., -size:])
        return scores if bias is None else scores + bias

    def narrow(self, pieces: Tensor) -> OutputLayer:
        """See `OutputLayer`."""
        return type(self)(
            self.project.narrow(pieces),
            hidden=self.hidden,
            lexicon=self.lexicon.narrow(pieces),
            dictionary=self.dictionary,
            pieces=pieces,
        )
