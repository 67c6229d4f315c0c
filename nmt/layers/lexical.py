"""An output layer that also translates the source words attended to, whatever their context."""

import torch
from torch import Tensor, nn

from nmt.layers.linear import select_outputs
from nmt.layers.output import OutputLayer


class LexicalOutput(OutputLayer):
    """Softmax of features and of a lexical model (Nguyen and Chiang, 2018, eq. 5 to 7).

        e_t = tanh(sum_j a_tj x_j),    l_t = tanh(U e_t) + e_t,    p = softmax(W f_t + b + V l_t)

    x_j are the embeddings of the source pieces, a_tj the attention, and f_t the decoder's features.
    Encoder and decoder are bypassed, which helps rare words most. The features of this output are
    [f_t; l_t], which `extend` makes.

    Args:
        project: the linear map f -> W f + b.
        hidden: the linear map e -> U e.
        lexicon: the linear map l -> V l.
    """

    def __init__(self, project: nn.Linear, *, hidden: nn.Linear, lexicon: nn.Linear) -> None:
        super().__init__(project)
        self.hidden, self.lexicon = hidden, lexicon

    @property
    def weight(self) -> Tensor:
        """[W V], [vocab, readout + embedding]."""
        return torch.cat([self.project.weight, self.lexicon.weight], dim=1)

    def extend(self, features: Tensor, attention: Tensor, embedded: Tensor) -> Tensor:
        """Return [f_t; l_t], [batch, tgt_len, readout + embedding].

        Args:
            features: f_t, [batch, tgt_len, readout].
            attention: a_tj, [batch, tgt_len, src_len].
            embedded: x_j, [batch, src_len, embedding].
        """
        words = torch.tanh(attention.to(embedded.dtype) @ embedded)  # [batch, tgt_len, embedding]
        return torch.cat([features, torch.tanh(self.hidden(words)) + words], dim=-1)

    def scores(self, features: Tensor) -> Tensor:
        """Return the logits W f + b + V l [rows, vocab] of [f; l] [rows, readout + embedding]."""
        size = self.lexicon.in_features
        scores: Tensor = self.project(features[..., :-size]) + self.lexicon(features[..., -size:])
        return scores

    def narrow(self, pieces: Tensor) -> OutputLayer:
        """See `OutputLayer`."""
        project, lexicon = (select_outputs(part, pieces) for part in (self.project, self.lexicon))
        return LexicalOutput(project, hidden=self.hidden, lexicon=lexicon)
