"""Text in, text out: the public interface to a trained model.

translator = Translator.load("runs/de-en")
for translation in translator.translate(["Ein Mann schläft."]):
    print(translation.text)
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from nmt.config.search import SearchConfig
from nmt.diagnostics.alignment import Link, align_words, words_of_pieces
from nmt.errors import UsageError, explain_lack_of_memory
from nmt.machine import MOST_THREADS, Precision, choose_device, choose_precision, require_int8
from nmt.models.compatibility import require_language_model, require_same_pieces
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.models.folder import load_model_folder
from nmt.models.shortlist import Choice, Shortlist
from nmt.search.forced import score_targets
from nmt.search.hypothesis import Hypothesis
from nmt.search.plan import SentenceBatch, plan_batches, plan_blocks
from nmt.search.ranking import Rank, rank_plainly
from nmt.search.repetition import is_loop
from nmt.search.scorers import EnsembleScorer, FusionScorer, ModelScorer, Scorer
from nmt.search.search import search
from nmt.text.normalize import Normalizer
from nmt.text.subword import Subword
from nmt.text.vocabulary import EOS, PAD
from nmt.text.windows import full_windows, prompt_windows
from nmt.translation import ScoredPair, TranslatedText, Translation

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.float32}

WINDOW = 4096
"""Lines read, sorted by length and translated before the first result is returned."""

__all__ = ["DTYPES", "Precision", "ScoredPair", "TranslatedText", "Translation", "Translator"]

_logger = logging.getLogger(__name__)


class Translator:
    """Translates text with one model, or with several as an ensemble.

    Args:
        models: at least one; all share the same subword models.
        source: subword model of the source side.
        target: subword model of the target side.
        normalizer: applied to each line first.
        search: default search options of `translate`.
        shortlist: of the first model's folder; None if it has none.
        device: where the models are.
        rank: finds the best continuations in a search.
        language_model: fused with the models, with weight `lm_weight`; None = no fusion.
    """

    def __init__(
        self,
        models: Sequence[EncoderDecoder],
        *,
        source: Subword,
        target: Subword,
        normalizer: Normalizer,
        search: SearchConfig | None = None,
        shortlist: Shortlist | None = None,
        device: torch.device | str = "cpu",
        rank: Rank = rank_plainly,
        language_model: EncoderDecoder | None = None,
    ) -> None:
        self.models, self.language_model = tuple(models), language_model
        self.source, self.target, self.normalizer = source, target, normalizer
        self.options = SearchConfig() if search is None else search
        self.shortlist, self.device, self.rank = shortlist, torch.device(device), rank
        self.autocast = False
        """Compute products in bfloat16, with weights in float32."""
        self.scorer = scorer_of(self.models)
        self.pieces = tuple(target.pieces(range(target.vocab_size)))
        """Target pieces by id."""

    @property
    def has_source(self) -> bool:
        """Whether the models translate; language models read no source."""
        return all(model.encoder.reads_source for model in self.models)

    @classmethod
    def load(
        cls,
        paths: Path | str | Sequence[Path | str],
        *,
        device: str = "auto",
        precision: Precision | Literal["auto"] = "fp32",
        threads: int = 0,
        fast: bool = True,
        language_model: Path | str | None = None,
    ) -> "Translator":
        """Load a model, or several as an ensemble.

        Args:
            paths: model folder, or run folder with one inside; several: an ensemble.
            device: "cpu", "cuda", or "auto": CUDA if there is a GPU.
            precision: of the products; "bf16" and, on CPUs, "int8" are faster where the machine
                has instructions for them. "auto" is "int8" on such a CPU, else "fp32".
            threads: CPU threads of this process; 0 leaves them as they are.
            fast: exchange modules for fast ones (`nmt.fast.accelerate`); False computes the plain
                equations, slowly, in fp32 or bf16.
            language_model: run or model folder of a language model with the same target pieces,
                fused with the others in search.

        Raises:
            ModelError: a folder is missing or damaged, or models do not fit together.
            UsageError: the device is not available, does not support the precision, or `threads` is
                out of range.
        """
        if not 0 <= threads <= MOST_THREADS:
            raise UsageError(f"threads: {threads} is out of range; from 0 to {MOST_THREADS}.")
        if threads:
            torch.set_num_threads(threads)
        where = choose_device(device)
        if precision == "auto":
            precision = choose_precision(where) if fast else "fp32"
        elif precision == "int8":
            require_int8(where, fast=fast)
        folders = [paths] if isinstance(paths, Path | str) else list(paths)
        loaded = [load_model_folder(Path(folder)) for folder in folders]
        require_same_pieces(folders, loaded)
        first = loaded[0]
        models = [member.model.to(where) for member in loaded]
        helper = None
        if language_model is not None:
            found = load_model_folder(Path(language_model))
            require_language_model(language_model, found, folders[0], first)
            helper = found.model.to(where)
        rank: Rank = rank_plainly
        if fast:
            from nmt.fast.accelerate import accelerate, ranking

            rank = ranking(rank_plainly)
            for model in filter(None, [*models, helper]):
                model.to(DTYPES[precision])
                accelerate(model, "search", int8=precision == "int8")
        translator = cls(
            models,
            source=first.source,
            target=first.target,
            normalizer=Normalizer(
                unicode=first.config.normalization.unicode,
                whitespace=first.config.normalization.whitespace,
            ),
            search=first.config.search,
            shortlist=first.shortlist,
            device=where,
            rank=rank,
            language_model=helper,
        )
        translator.autocast = precision == "bf16" and not fast
        return translator

    def translate(
        self,
        lines: Iterable[str],
        *,
        options: SearchConfig | None = None,
        batch_size: int = 64,
        batch_tokens: int = 4096,
        max_source: int = 1024,
        align: bool = False,
        exact: bool = False,
        prompt: bool = False,
    ) -> Iterator[Translation]:
        """Yield the translation of each line, in order; an empty line stays empty.

        Args:
            lines: plain text, a sentence each.
            options: search options; None = those of the model folder (`self.options`;
                `nmt.config.search.change_search` returns a changed copy).
            batch_size: most sentences at once.
            batch_tokens: most source pieces at once, padding included.
            max_source: longer lines are truncated to this many pieces, with a warning.
            align: add word alignments; needs a model with attention.
            exact: bit-identical results in any batch and order, see `nmt.search.plan`; slower.
            prompt: translate each line as soon as it arrives, instead of collecting many; `lines`
                is then read in another thread.

        Raises:
            UsageError: the model is a language model; alignments are requested from a model without
                attention; or a shortlist is requested that is missing, or together with `exact`.
            ModelError: the model yields NaN.
            ResourceError: memory is too small for a batch.
        """
        if not self.has_source:
            raise UsageError(
                "this is a language model, which reads no source; score text by `nmt score RUN "
                "--target FILE`, or help a translation model by `nmt translate RUN --lm LM`."
            )
        options = self.options if options is None else options
        ban = tuple(self.normalizer.normalize(word) for word in options.ban)
        options = options.model_copy(update={"ban": ban})
        scorer = self._scorer_for(options, exact=exact)
        if align and all(model.decoder.attention is None for model in self.models):
            raise UsageError("the model has no attention, so words cannot be aligned; leave it out")

        def plan(sources: Mapping[int, list[int]]) -> list[SentenceBatch]:
            if exact:
                return plan_blocks(sources, batch_size=batch_size)
            lengths = {number: len(ids) for number, ids in sources.items()}
            return plan_batches(lengths, batch_size=batch_size, batch_tokens=batch_tokens)

        def search_batch(
            batch: SentenceBatch, sources: Mapping[int, list[int]]
        ) -> dict[int, list[Hypothesis]]:
            with self._computing(batch, ", --max-source or --beam"):
                source, mask = self._pad([sources[number] for number in batch.rows], batch.width)
                found = search(
                    scorer,
                    source,
                    mask,
                    options,
                    streams=batch.rows,
                    keep_attention=align,
                    fixed_shape=exact,
                    rank=self.rank,
                    pieces=self.pieces,
                )
            each = zip(batch.members, found, strict=True)
            return {number: hypotheses for number, hypotheses in each if number is not None}

        def translations() -> Iterator[Translation]:
            first = 1
            windows = prompt_windows if prompt else full_windows
            for window in windows(lines, WINDOW):
                texts = dict(enumerate(window, first))  # keyed by line number, from here on
                sources = self._read(self.source, texts, max_source, "line", "translated")
                found: dict[int, list[Hypothesis]] = {}
                for batch in plan({n: ids for n, ids in sources.items() if len(ids) > 1}):
                    found |= search_batch(batch, sources)
                for number, line in texts.items():
                    yield self._write(line, sources[number], found.get(number), align=align)
                first += len(window)

        return translations()

    def score(
        self,
        pairs: Iterable[tuple[str, str]],
        *,
        batch_size: int = 64,
        batch_tokens: int = 4096,
        max_length: int = 1024,
    ) -> Iterator[ScoredPair]:
        """Yield the log-probabilities of each given translation, in order.

        An empty line with an empty translation scores 0, since `translate` leaves it empty.

        Args:
            pairs: source line, "" for a language model, and target line.
            batch_size: most pairs at once.
            batch_tokens: most pieces of the longer side at once, padding included.
            max_length: longer lines are truncated to this many pieces, with a warning.
        """
        first = 1
        for window in full_windows(pairs, WINDOW):
            numbers = range(first, first + len(window))
            texts = [dict(zip(numbers, side, strict=True)) for side in zip(*window, strict=True)]
            sources = self._read(self.source, texts[0], max_length, "source line", "scored")
            targets = self._read(self.target, texts[1], max_length, "target line", "scored")
            lengths = {n: max(len(sources[n]), len(targets[n])) for n in numbers}
            lengths = {number: length for number, length in lengths.items() if length > 1}
            found: dict[int, list[float]] = {}
            for batch in plan_batches(lengths, batch_size=batch_size, batch_tokens=batch_tokens):
                found |= self._score_batch(batch, sources, targets)
            for number in numbers:
                if number in found:
                    pieces = tuple(self.target.pieces(targets[number]))
                    words = len(texts[1][number].split()) + 1
                    yield ScoredPair(pieces, tuple(found[number]), words)
                else:
                    yield ScoredPair((), (), 0)
            first += len(window)

    def _score_batch(
        self,
        batch: SentenceBatch,
        sources: Mapping[int, list[int]],
        targets: Mapping[int, list[int]],
    ) -> dict[int, list[float]]:
        """Return the log-probabilities of each pair's pieces, by pair number."""
        with self._computing(batch, " or --max-length"):
            source, source_mask = self._pad([sources[number] for number in batch.rows])
            target, target_mask = self._pad([targets[number] for number in batch.rows])
            found = score_targets(self.scorer, source, source_mask, target, target_mask).tolist()
        each = zip(batch.rows, found, strict=True)
        return {number: values[: len(targets[number])] for number, values in each}

    def _read(
        self, subword: Subword, texts: Mapping[int, str], most: int, side: str, done: str
    ) -> dict[int, list[int]]:
        """Return the ids of each line by line number, ending in EOS; a blank line has only EOS.

        Args:
            subword: subword model of the side.
            texts: lines by number.
            most: maximum number of pieces kept, EOS included; longer lines cause a warning.
            side: name of a line in the warning.
            done: what is done with the kept pieces, for the warning.
        """
        normalised = [self.normalizer.normalize(line) for line in texts.values()]
        encoded = subword.encode_all(["" if text.isspace() else text for text in normalised])
        read = {}
        for number, ids in zip(texts, encoded, strict=True):
            if len(ids) >= most:
                _logger.warning(
                    "%s %s: has %s pieces, only the first %s are %s; split the line",
                    side,
                    f"{number:,}",
                    f"{len(ids) + 1:,}",
                    f"{most:,}",
                    done,
                )
            read[number] = [*ids[: most - 1], EOS]
        return read

    def _scorer_for(self, options: SearchConfig, *, exact: bool) -> Scorer:
        """Return the scorer of a search: models, shortlist and language model, as configured."""
        scorer = self._narrow_scorer(options, exact=exact)
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
        if self.shortlist is None:
            raise UsageError("shortlist: the model folder has none; retrain it, or set it to 0.")
        return scorer_of(self.models, partial(self.shortlist.choose, frequent=options.shortlist))

    def _pad(self, sentences: list[list[int]], width: int = 0) -> tuple[Tensor, Tensor]:
        """Return ids padded to `width` or the longest, and their mask, [batch, width]."""
        width = width or max(map(len, sentences))
        ids = torch.tensor([[*line, *[PAD] * (width - len(line))] for line in sentences])
        lengths = torch.tensor([len(line) for line in sentences])
        mask = torch.arange(width) < lengths.unsqueeze(1)
        return ids.to(self.device), mask.to(self.device)

    @contextlib.contextmanager
    def _computing(self, batch: SentenceBatch, remedy: str) -> Iterator[None]:
        """Put the models into evaluation mode, and explain out-of-memory errors.

        Args:
            batch: what is computed.
            remedy: the options to lower where memory is too small.
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
            low = torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast)
            with torch.inference_mode(), low, explain_lack_of_memory(explain):
                yield
        finally:
            for model in in_training:
                model.train()

    def _write(
        self, line: str, ids: list[int], hypotheses: list[Hypothesis] | None, *, align: bool
    ) -> Translation:
        """Convert the hypotheses of a line, None if it is blank, to text."""
        if hypotheses is None:
            return Translation(line, (TranslatedText("", 0.0, 0.0, True, () if align else None),))
        words = self._words(self.source, ids[:-1]) if align else []
        texts = []
        for hypothesis in hypotheses:
            text = self.target.decode(hypothesis.tokens)
            links: tuple[Link, ...] | None = None
            if hypothesis.attention is not None:
                spoken = self._words(self.target, hypothesis.tokens)
                links = tuple(align_words(hypothesis.attention, words, spoken))
            texts.append(
                TranslatedText(
                    text,
                    hypothesis.log_prob,
                    hypothesis.score,
                    hypothesis.finished,
                    links,
                    repeats=is_loop(hypothesis.tokens, ids),
                )
            )
        return Translation(line, tuple(texts))

    @staticmethod
    def _words(subword: Subword, ids: Sequence[int]) -> list[int | None]:
        return words_of_pieces(subword.pieces(ids), one_each=subword.kind == "word")


def scorer_of(
    models: Sequence[EncoderDecoder], choose: Callable[[Tensor], Choice] | None = None
) -> Scorer:
    """Return a model, or several as an ensemble, as a scorer; for `choose` see `ModelScorer`."""
    scorers = [ModelScorer(model, choose) for model in models]
    return scorers[0] if len(scorers) == 1 else EnsembleScorer(scorers)
