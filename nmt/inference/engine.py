"""The models of a translator, and how a batch is computed with them."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from nmt.config.search import SearchConfig
from nmt.errors import UsageError, explain_lack_of_memory
from nmt.layers.copying import SourceOutput
from nmt.layers.regression import NumbersOutput
from nmt.machine import using_threads
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.models.shortlist import Choice, Shortlist
from nmt.search.plan import SentenceBatch
from nmt.search.ranking import Rank, rank_plainly
from nmt.search.scorers import EnsembleScorer, FusionScorer, ModelScorer, Scorer
from nmt.text.vectors import Vectors
from nmt.text.vocabulary import BOS, PAD

Source: TypeAlias = list[int] | Vectors
"""A source sentence: ids with EOS, or numbers [positions, features]."""


class Engine:
    """One model, or several as an ensemble, on a device.

    Args:
        models: at least one; all read and write the same pieces.
        weights: of the models in their mean, above 0; none = equal ones.
        pieces: target pieces by id.
        shortlist: likely translations of source pieces; None if there is none.
        device: where the models are.
        rank: finds the best continuations in a search.
        language_model: fused with the models, with weight `lm_weight`; None = no fusion.
    """

    def __init__(
        self,
        models: Sequence[EncoderDecoder],
        *,
        weights: Sequence[float] = (),
        pieces: Sequence[str],
        shortlist: Shortlist | None = None,
        device: torch.device | str = "cpu",
        rank: Rank = rank_plainly,
        language_model: EncoderDecoder | None = None,
    ) -> None:
        self.models, self.language_model = tuple(models), language_model
        self.pieces, self.shortlist, self.rank = tuple(pieces), shortlist, rank
        self.device = torch.device(device)
        self.name = "the model"
        """What error messages call the models: their folders, if they were loaded."""
        self.autocast = False
        """Compute products in bfloat16, with weights in float32."""
        self.threads = 0
        """CPU threads to compute with; 0 = as many as torch uses."""
        self.weights = tuple(weights) or (1.0,) * len(self.models)
        self.scorer = scorer_of(self.models, weights=self.weights)
        self.features = self.models[0].features
        """Numbers at each source position; 0 if the source is text."""
        self.target_lines = self.models[0].target_lines
        """What the models write; see `EncoderDecoder.target_lines`."""

    @property
    def has_source(self) -> bool:
        """Whether the models translate; language models read no source."""
        return all(model.encoder.reads_source for model in self.models)

    @property
    def copies(self) -> bool:
        """Whether the models write pieces of the source."""
        return any(isinstance(model.output, SourceOutput) for model in self.models)

    @property
    def right_to_left(self) -> bool:
        """Whether the models write the last piece of a translation first."""
        return self.models[0].right_to_left

    @property
    def is_translation(self) -> bool:
        """Whether both sides are text: neither numbers nor labels nor tags."""
        return self.target_lines == "text" and not self.features

    def scorer_for(self, options: SearchConfig, *, exact: bool) -> Scorer:
        """Return the scorer of a search: models, shortlist and language model, as configured.

        Raises:
            UsageError: the models cannot be searched so.
        """
        scorer = self._narrow_scorer(options, exact=exact)
        if self.language_model is not None and self.copies:
            raise UsageError(
                "--lm: a language model cannot be fused with a model that copies from the source, "
                "whose words it may not know; leave it out."
            )
        if self.language_model is None or options.lm_weight == 0.0:
            return scorer
        return FusionScorer(scorer, ModelScorer(self.language_model), options.lm_weight)

    def _narrow_scorer(self, options: SearchConfig, *, exact: bool) -> Scorer:
        """Return the translation models as a scorer, with the shortlist if one is configured."""
        if not options.shortlist:
            return self.scorer
        if exact:
            raise UsageError(
                "exact: a shortlist has another size in each batch; set it to 0 for exact results."
            )
        if self.copies:
            raise UsageError(
                "shortlist: the model copies from the source, which a shortlist may lack; set it "
                "to 0."
            )
        if self.shortlist is None:
            raise UsageError("shortlist: the model folder has none; retrain it, or set it to 0.")
        choose = partial(self.shortlist.choose, frequent=options.shortlist)
        return scorer_of(self.models, choose, weights=self.weights)

    @property
    def has_attention(self) -> bool:
        """Whether a model attends to the source."""
        return any(model.decoder.attention is not None for model in self.models)

    def require_attention(self, remedy: str = "leave alignments out") -> None:
        """Refuse alignments of a model without attention.

        Args:
            remedy: what the message tells the user to do.

        Raises:
            UsageError: no model has any, or the source is no text.
        """
        if not self.has_attention:
            raise UsageError(
                f"{self.name}: has no attention, so words cannot be aligned; {remedy}."
            )
        if self.features:
            raise UsageError(
                f"{self.name}: reads numbers, so there are no words to align; {remedy}."
            )

    def pad(self, sentences: Sequence[Source], width: int = 0) -> tuple[Tensor, Tensor]:
        """Return ids padded to `width` or the longest, and their mask, [batch, width].

        Numbers are [batch, width, features].
        """
        width = width or max(map(len, sentences))
        lengths = torch.tensor([len(line) for line in sentences])
        mask = torch.arange(width) < lengths.unsqueeze(1)
        if isinstance(sentences[0], np.ndarray):
            padded = torch.zeros(*mask.shape, self.features)
            padded[mask] = torch.from_numpy(np.concatenate(sentences))
        else:
            padded = torch.tensor([[*line, *[PAD] * (width - len(line))] for line in sentences])
        return padded.to(self.device), mask.to(self.device)

    def predict(self, source: Tensor, mask: Tensor) -> Tensor:
        """Return the numbers [batch, values] that the models predict, their weighted mean.

        Args:
            source: ids or numbers, [batch, src_len, ...].
            mask: [batch, src_len].
        """
        begin = torch.full((len(mask), 1), BOS, device=mask.device)
        predicted = []
        for model, weight in zip(self.models, self.weights, strict=True):
            if not isinstance(model.output, NumbersOutput):
                raise TypeError("this model predicts no numbers")
            features = model.decode(model.encode(source, mask), begin).features[:, 0]
            share = weight / sum(self.weights)
            predicted.append(share * model.output.scores(features).float())
        return torch.stack(predicted).sum(dim=0)

    @contextlib.contextmanager
    def computing(self, batch: SentenceBatch, remedy: str = "") -> Iterator[None]:
        """Use the threads and evaluation mode for the block, and explain out-of-memory errors.

        Args:
            batch: what is computed.
            remedy: further options to lower where memory is too small.
        """

        def explain() -> str:
            count = len(batch.members)
            return (
                f"{count:,} sentences with {count * batch.width:,} pieces, padding included, the "
                f"longest of them with {batch.width:,}; lower --batch-tokens, --batch-size{remedy}."
            )

        in_training = [model for model in self.models if model.training]
        try:
            for model in in_training:
                model.eval()
            low: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
            if self.autocast:
                low = torch.autocast(self.device.type, torch.bfloat16)
            threads = using_threads(self.threads)
            with torch.inference_mode(), low, threads, explain_lack_of_memory(explain):
                yield
        finally:
            for model in in_training:
                model.train()


def scorer_of(
    models: Sequence[EncoderDecoder],
    choose: Callable[[Tensor], Choice] | None = None,
    *,
    weights: Sequence[float] = (),
) -> Scorer:
    """Return a model, or several as an ensemble, as a scorer.

    Args:
        models: at least one.
        choose: see `ModelScorer`.
        weights: see `EnsembleScorer`.
    """
    scorers = [ModelScorer(model, choose) for model in models]
    return scorers[0] if len(scorers) == 1 else EnsembleScorer(scorers, weights)
