"""The encoder-decoder: two paths through the same weights.

Training uses `encode` and `decode`, which take whole sequences. Search uses `start` and `step`,
which advance one target position at a time. A test checks that both give equal results.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from nmt.layers.copying import CopyOutput, Pointed, PointerOutput, SourceOutput
from nmt.layers.lexical import LexicalOutput
from nmt.layers.numbers import NumbersInput
from nmt.layers.output import OutputLayer, pair_losses
from nmt.layers.regression import NumbersOutput
from nmt.layers.regularization import PairWeights
from nmt.models.aligned import AlignedDecoder
from nmt.models.bag import BagEncoder
from nmt.models.convolutional import ConvolutionalDecoder, ConvolutionalEncoder
from nmt.models.decoder import RecurrentDecoder
from nmt.models.encoder import NoEncoder, RecurrentEncoder, masked_mean
from nmt.models.label import LabelDecoder
from nmt.models.state import Copyable, Decoded, DecodeOptions, DecoderState, Memory, Step
from nmt.text.vocabulary import UNK

Output: TypeAlias = OutputLayer | CopyOutput | PointerOutput
"""Any output: a distribution over pieces from features; or numbers."""
Encoder: TypeAlias = RecurrentEncoder | ConvolutionalEncoder | BagEncoder | NoEncoder
"""Any encoder: from a source and its mask to states and their summary."""
Decoder: TypeAlias = RecurrentDecoder | ConvolutionalDecoder | LabelDecoder | AlignedDecoder
"""Any decoder: `forward` for whole targets, `start` and `step` for one position after the other."""

_ROWS = 2048
"""Positions whose distributions over the vocabulary are in memory at once."""


@dataclass(frozen=True)
class ScheduledSampling:
    """Feed the decoder its own predictions at random (Bengio et al., 2015)."""

    probability: float
    """Probability of reading the reference, drawn independently for every token."""
    pick: Literal["sample", "argmax"] = "sample"
    """How to choose the model's prediction: draw it from its distribution, or take the best."""
    form: Literal["steps", "two_pass"] = "steps"
    """Predict each piece from the prefix that the decoder read, step by step; or all of them at
    once from the reference's prefix, in a pass of its own without gradient (Mihaylova and Martins,
    2019; Duckworth et al., 2019)."""


class EncoderDecoder(nn.Module):
    """p(target | source), factorized piece by piece; with `NoEncoder`, p(target) alone.

    Args:
        encoder: reads the source.
        decoder: turns a target prefix into features.
        output: turns features into a distribution over pieces.
        right_to_left: whether targets are given, and returned, from their last piece to the first;
            `nmt.data.batch.right_to_left` puts them into order.
    """

    def __init__(
        self, encoder: Encoder, decoder: Decoder, output: Output, *, right_to_left: bool = False
    ) -> None:
        super().__init__()
        self.right_to_left = right_to_left
        self.encoder, self.decoder, self.output = encoder, decoder, output

    @property
    def features(self) -> int:
        """Numbers at each source position; 0 if the source is text, or there is none."""
        if isinstance(self.encoder, NoEncoder):
            return 0
        reads = self.encoder.embedding
        return reads.size if isinstance(reads, NumbersInput) else 0

    @property
    def target_lines(self) -> str:
        """What a target line is: "text", a "label", words "aligned" with the source, "numbers"."""
        if isinstance(self.output, NumbersOutput):
            return "numbers"
        return self.decoder.target_lines

    def encode(self, source: Tensor, source_mask: Tensor) -> Memory:
        """Encode `source`; `source_mask` [batch, src_len] is True at real positions.

        Args:
            source: ids [batch, src_len], or numbers [batch, src_len, features].
            source_mask: [batch, src_len].
        """
        written = None
        if isinstance(self.output, SourceOutput):
            source, written = self.output.read_ids(source), self.output.write_ids(source)
        read = self.encoder(source, source_mask)
        attention = self.decoder.attention
        keys = None if attention is None else attention.keys(read.outputs)
        mean = self.decoder.reads_mean
        summary = masked_mean(read.outputs, source_mask) if mean else read.last
        last_states = None
        if self.decoder.copies_states:
            last_states = torch.cat([part for state in read.states for part in state], dim=-1)
        copyable = None
        if written is not None and isinstance(self.output, SourceOutput):
            copyable = Copyable(written, self.output.keys(read.outputs))
        embedded, ids = None, None
        if isinstance(self.output, LexicalOutput):
            embedded, ids = read.embedded, source
        return Memory(
            read.outputs, keys, source_mask, summary, last_states, copyable, embedded, ids
        )

    def decode(
        self,
        memory: Memory,
        target_in: Tensor,
        *,
        sampling: ScheduledSampling | None = None,
        keep_attention: bool = False,
        truncation: int = 0,
    ) -> Decoded:
        """Return the features of every position of a target, for the output layer.

        Args:
            memory: the source sentences.
            target_in: begin symbol and reference pieces, [batch, tgt_len].
            sampling: scheduled sampling; None or a probability of 1 is teacher forcing, with
                bit-identical results.
            keep_attention: return the attention as well.
            truncation: steps after which no gradient flows back through the decoder's state; 0 = it
                always flows.
        """
        if isinstance(self.output, SourceOutput):
            target_in = self.output.known(target_in, UNK)
        keep_attention = keep_attention or isinstance(self.output, CopyOutput | LexicalOutput)
        choose = None
        if sampling is not None and sampling.probability < 1.0:
            if sampling.form == "two_pass":
                target_in = self._mix_inputs(sampling, memory, target_in)
            else:
                choose = partial(self._choose_input, sampling)
        options = DecodeOptions(choose, keep_attention, truncation)
        decoded: Decoded = self.decoder(memory, target_in, options)
        features = self._extended(decoded.features, decoded.attention, memory)
        return replace(decoded, features=features)

    @torch.no_grad()
    def _mix_inputs(self, sampling: ScheduledSampling, memory: Memory, target_in: Tensor) -> Tensor:
        """Return what the decoder reads in the second of two passes, [batch, tgt_len].

        The first pass reads the reference and predicts every piece; the second reads the begin
        symbol, and then reference or prediction at random.
        """
        if target_in.shape[1] == 1:
            return target_in
        gold = target_in[:, 1:]  # [batch, tgt_len - 1]
        first: Decoded = self.decoder(memory, target_in[:, :-1])
        own = [
            self._own_choice(features, sampling.pick)
            for features in torch.split(first.features.flatten(0, 1), _ROWS)
        ]
        read_gold = torch.rand(gold.shape, device=gold.device) < sampling.probability
        mixed = torch.where(read_gold, gold, torch.cat(own).view_as(gold))
        return torch.cat([target_in[:, :1], mixed], dim=1)

    def _choose_input(self, sampling: ScheduledSampling, features: Tensor, gold: Tensor) -> Tensor:
        """Return what the decoder reads next, [rows]: a reference piece of `gold`, or its own."""
        own = self._own_choice(features, sampling.pick)
        read_gold = torch.rand(gold.shape, device=gold.device) < sampling.probability
        return torch.where(read_gold, gold, own)

    @torch.no_grad()
    def _own_choice(self, features: Tensor, pick: str) -> Tensor:
        """Return the model's own next piece, [rows]; no gradient flows through it."""
        if isinstance(self.output, SourceOutput | LexicalOutput):
            raise TypeError("scheduled sampling needs an output that sees the features alone")
        log_probs = self.output.log_probs(features.detach())
        if pick == "argmax":
            return log_probs.argmax(dim=-1)
        return torch.multinomial(log_probs.exp(), 1).squeeze(1)

    def start(self, memory: Memory, *, copies: int = 1) -> DecoderState:
        """Return the initial decoder state, with `copies` rows per sentence."""
        return self.decoder.start(memory, copies=copies)

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory) -> Step:
        """Read one more piece per row: `tokens` [rows], where rows of a sentence are adjacent."""
        if isinstance(self.output, SourceOutput):
            tokens = self.output.known(tokens, UNK)
        step = self.decoder.step(tokens, state, memory)
        if not isinstance(self.output, LexicalOutput):
            return step
        features, attention = step.features.view(memory.batch, -1, step.features.shape[-1]), None
        if step.attention is not None:
            attention = step.attention.view(memory.batch, -1, step.attention.shape[-1])
        return replace(step, features=self._extended(features, attention, memory).flatten(0, 1))

    def _extended(self, features: Tensor, attention: Tensor | None, memory: Memory) -> Tensor:
        """Append what the output reads besides `features`, if anything.

        Args:
            features: [batch, tgt_len, readout].
            attention: [batch, tgt_len, src_len].
            memory: the source sentences.
        """
        if not isinstance(self.output, LexicalOutput):
            return features
        if attention is None or memory.embedded is None or memory.source is None:
            raise ValueError("this output reads source words, and needs an attention")
        return self.output.extend(features, attention, memory.embedded, memory.source)

    def scores(self, step: Step, memory: Memory) -> Tensor:
        """Return the scores of the next piece after a step, [rows, vocab]; see the output."""
        if not isinstance(self.output, SourceOutput):
            return self.output.scores(step.features)
        rows = len(step.features)
        features = step.features.view(memory.batch, -1, step.features.shape[-1])
        attention = step.attention
        if attention is not None:
            attention = attention.view(memory.batch, -1, attention.shape[-1])
        every = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
        pointed = self._pointed(features, attention, memory, every)
        return self.output.log_probs(features.reshape(rows, -1), pointed)

    def losses(
        self,
        memory: Memory,
        decoded: Decoded,
        target: Tensor,
        mask: Tensor,
        *,
        smoothing: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of each real target token, and without smoothing; see `OutputLayer`.

        Args:
            memory: the source sentences.
            decoded: what `decode` returned.
            target: reference ids, [batch, tgt_len].
            mask: True at real tokens, [batch, tgt_len].
            smoothing: rate of label smoothing.
        """
        features, gold = decoded.features[mask], target[mask]
        if not isinstance(self.output, SourceOutput):
            return self.output.losses(features, gold, smoothing=smoothing)
        pointed = self._pointed(decoded.features, decoded.attention, memory, mask)
        return self.output.losses(features, pointed, gold, smoothing=smoothing)

    def pair_losses(
        self,
        first: tuple[Memory, Decoded],
        second: tuple[Memory, Decoded],
        target: Tensor,
        mask: Tensor,
        weights: PairWeights,
        *,
        smoothing: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of two predictions of each real target token; see `pair_losses`.

        Args:
            first: the source sentences and what `decode` returned.
            second: the same, of the second prediction.
            target: reference ids, [batch, tgt_len].
            mask: True at real tokens, [batch, tgt_len].
            weights: of the terms of the loss.
            smoothing: rate of label smoothing.
        """
        gold = target[mask]
        if not isinstance(self.output, SourceOutput):
            features, others = (decoded.features[mask] for _, decoded in (first, second))
            return self.output.pair_losses(features, others, gold, weights, smoothing=smoothing)
        log_p, log_q = (
            self.output.log_probs(
                decoded.features[mask],
                self._pointed(decoded.features, decoded.attention, memory, mask),
            )
            for memory, decoded in (first, second)
        )
        return pair_losses(self.output, log_p, log_q, gold, weights, smoothing=smoothing)

    def _pointed(
        self, features: Tensor, attention: Tensor | None, memory: Memory, mask: Tensor
    ) -> Pointed:
        """Return where the output points at the target positions in `mask` [batch, tgt_len].

        Args:
            features: [batch, tgt_len, readout].
            attention: [batch, tgt_len, src_len].
            memory: the source sentences.
            mask: the target positions.
        """
        copyable, weights = memory.copyable, attention
        if copyable is not None and copyable.keys is not None:
            if not isinstance(self.output, PointerOutput):
                raise TypeError("only a pointer has keys")
            weights = self.output.attention(features, copyable.keys, memory.mask)
        if copyable is None or weights is None:
            raise ValueError("this output writes pieces of the source, and needs an attention")
        ids = copyable.ids.unsqueeze(1).expand(weights.shape)
        return Pointed(weights[mask], ids[mask])
