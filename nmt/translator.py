"""Text in, text out: the public interface to a trained model.

translator = Translator.load("runs/de-en")
for translation in translator.translate(["Ein Mann schläft."]):
    print(translation.text)
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from nmt.config.search import SearchConfig
from nmt.diagnostics.alignment import Link, align_words, words_of_pieces
from nmt.errors import ModelError, UsageError, explain_lack_of_memory
from nmt.machine import MOST_THREADS, has_fast_int8, has_int8
from nmt.models.folder import LoadedModel, load_model_folder
from nmt.models.shortlist import Choice, Shortlist
from nmt.models.translation import TranslationModel
from nmt.search.forced import score_targets
from nmt.search.hypothesis import Hypothesis
from nmt.search.options import SearchOptions
from nmt.search.plan import SentenceBatch, plan_batches, plan_blocks
from nmt.search.repetition import is_loop
from nmt.search.scorer import EnsembleScorer, ModelScorer, Scorer
from nmt.search.search import search
from nmt.text.normalize import Normalizer
from nmt.text.subword import Subword
from nmt.text.vocabulary import EOS, PAD
from nmt.text.windows import full_windows, prompt_windows

Precision = Literal["fp32", "bf16", "int8"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.float32}

WINDOW = 4096
"""Lines that are sorted by length and translated before the first of them comes out."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TranslatedText:
    """One of the translations of a line."""

    text: str
    """Plain text, one line."""
    log_prob: float
    """Natural logarithm of its probability."""
    score: float
    """What translations are ranked by: `log_prob` after length and coverage penalty."""
    finished: bool
    """False if the model was cut off at the length limit."""
    alignment: tuple[Link, ...] | None
    """(source word, target word) from 0, if asked for."""
    repeats: bool = False
    """Whether some words stand in it again and again, more often than in the source."""


@dataclass(frozen=True)
class Translation:
    """What became of one line."""

    source: str
    """The line as it was given."""
    hypotheses: tuple[TranslatedText, ...]
    """At least one, best first."""

    @property
    def text(self) -> str:
        """The best translation."""
        return self.hypotheses[0].text

    @property
    def log_prob(self) -> float:
        """See `TranslatedText`."""
        return self.hypotheses[0].log_prob

    @property
    def score(self) -> float:
        """See `TranslatedText`."""
        return self.hypotheses[0].score

    @property
    def finished(self) -> bool:
        """See `TranslatedText`."""
        return self.hypotheses[0].finished

    @property
    def alignment(self) -> tuple[Link, ...] | None:
        """See `TranslatedText`."""
        return self.hypotheses[0].alignment


@dataclass(frozen=True)
class ScoredPair:
    """How likely a given translation is."""

    pieces: tuple[str, ...]
    """Target pieces, the end symbol last; none of an empty pair."""
    log_probs: tuple[float, ...]
    """Natural log-probability of each."""

    @property
    def log_prob(self) -> float:
        """Their sum."""
        return sum(self.log_probs, start=0.0)

    @property
    def mean(self) -> float:
        """Their mean; 0 of an empty pair."""
        return self.log_prob / max(1, len(self.log_probs))


class Translator:
    """Translates text with one model, or with several as an ensemble.

    Args:
        models: at least one, all of the same subword models.
        source: pieces of the source side.
        target: pieces of the target side.
        normalizer: what happens to a line first.
        search: how translations are found, unless `translate` is told otherwise.
        shortlist: what the first model's folder knows of the target pieces.
        device: where the models are.
    """

    def __init__(
        self,
        models: Sequence[TranslationModel],
        *,
        source: Subword,
        target: Subword,
        normalizer: Normalizer,
        search: SearchConfig | None = None,
        shortlist: Shortlist | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.models = tuple(models)
        self.source, self.target, self.normalizer = source, target, normalizer
        self.options = SearchOptions.from_config(search or SearchConfig())
        self.shortlist, self.device = shortlist, torch.device(device)
        scorers = [ModelScorer(model) for model in self.models]
        self.scorer: Scorer = scorers[0] if len(scorers) == 1 else EnsembleScorer(scorers)

    @classmethod
    def load(
        cls,
        paths: Path | str | Sequence[Path | str],
        *,
        device: str = "auto",
        precision: Precision | Literal["auto"] = "fp32",
        threads: int = 0,
        fast: bool = True,
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

        Raises:
            ModelError: a folder is missing or damaged, or models do not fit together.
            UsageError: there is no such device, no such precision on it, or no machine has so many
                threads.
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
        models = [member.model.to(where, DTYPES[precision]) for member in loaded]
        if fast:
            from nmt.fast.accelerate import accelerate

            for model in models:
                accelerate(model, "search", int8=precision == "int8")
        return cls(
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
        )

    def translate(
        self,
        lines: Iterable[str],
        *,
        options: SearchOptions | None = None,
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
            options: how to search; None = as the model folder says (`self.options`).
            batch_size: most sentences at once.
            batch_tokens: most source pieces at once, padding included.
            max_source: longer lines are cut to so many pieces, with a warning.
            align: also say which words translate which; needs a model with attention.
            exact: give the same bits in any batch and order, see `nmt.search.plan`; slower.
            prompt: answer each line as soon as it comes, instead of collecting many; `lines` is
                then drawn in another thread.

        Raises:
            UsageError: alignments are asked of a model without attention, or a shortlist of one
                that has none or together with `exact`.
            ModelError: the model yields NaN.
            ResourceError: memory is too small for a batch.
        """
        options = replace(
            self.options if options is None else options, keep_attention=align, fixed_shape=exact
        )
        self._require_shortlist(options)
        if align and all(model.decoder.attention is None for model in self.models):
            raise UsageError("the model has no attention, so words cannot be aligned; leave it out")

        def plan(sentences: Sequence[Sequence[int]]) -> list[SentenceBatch]:
            if exact:
                return plan_blocks(sentences, batch_size=batch_size)
            lengths = [len(ids) for ids in sentences]
            return plan_batches(lengths, batch_size=batch_size, batch_tokens=batch_tokens)

        def translations() -> Iterator[Translation]:
            number = 1
            windows = prompt_windows if prompt else full_windows
            for window in windows(lines, WINDOW):
                sources = self._read(window, number, max_source)
                filled = [index for index, ids in enumerate(sources) if len(ids) > 1]
                found: dict[int, list[Hypothesis]] = {}
                for batch in plan([sources[index] for index in filled]):
                    members = [None if m is None else filled[m] for m in batch.members]
                    found |= self._search(sources, members, batch.width, options, number)
                for index, line in enumerate(window):
                    yield self._write(line, sources[index], found.get(index), align=align)
                number += len(window)

        return translations()

    def score(
        self,
        pairs: Iterable[tuple[str, str]],
        *,
        batch_size: int = 64,
        batch_tokens: int = 4096,
        max_length: int = 1024,
    ) -> Iterator[ScoredPair]:
        """Yield how likely each given translation is, in order.

        That an empty line stays empty is certain, as in `translate`: such a pair scores 0.

        Args:
            pairs: source line and target line.
            batch_size: most pairs at once.
            batch_tokens: most pieces of the longer side at once, padding included.
            max_length: longer lines are cut to so many pieces, with a warning.
        """
        first = 1
        for window in full_windows(pairs, WINDOW):
            sources, targets = (
                _cut(self._encode(subword, list(lines)), max_length, first, side, "scored")
                for subword, lines, side in zip(
                    (self.source, self.target),
                    zip(*window, strict=True),
                    ("source line", "target line"),
                    strict=True,
                )
            )
            first += len(window)
            longest = [max(map(len, pair)) for pair in zip(sources, targets, strict=True)]
            filled = [number for number, length in enumerate(longest) if length > 1]
            lengths = [longest[number] for number in filled]
            found: dict[int, ScoredPair] = {}
            for batch in plan_batches(lengths, batch_size=batch_size, batch_tokens=batch_tokens):
                numbers = [filled[member] for member in batch.members if member is not None]
                with self._computing(batch):
                    log_probs = score_targets(
                        self.scorer,
                        *self._pad([sources[number] for number in numbers]),
                        *self._pad([targets[number] for number in numbers]),
                    ).tolist()
                for number, values in zip(numbers, log_probs, strict=True):
                    ids = targets[number]
                    pieces = tuple(self.target.pieces(ids))
                    found[number] = ScoredPair(pieces, tuple(values[: len(ids)]))
            yield from (found.get(number, ScoredPair((), ())) for number in range(len(window)))

    def _read(self, window: list[str], first: int, max_source: int) -> list[list[int]]:
        """Return the source ids of each line, EOS last; of a blank line EOS alone."""
        return _cut(self._encode(self.source, window), max_source, first, "line", "translated")

    def _encode(self, subword: Subword, lines: list[str]) -> list[list[int]]:
        """Return normalised lines as ids, EOS last; white space alone counts as nothing."""
        texts = [self.normalizer.normalize(line) for line in lines]
        encoded = subword.encode_all(["" if text.isspace() else text for text in texts])
        return [[*ids, EOS] for ids in encoded]

    def _search(
        self,
        sources: list[list[int]],
        members: list[int | None],
        width: int,
        options: SearchOptions,
        first: int,
    ) -> dict[int, list[Hypothesis]]:
        """Translate one batch; rows without a member repeat the first that has one."""
        filler = next(member for member in members if member is not None)
        rows = [filler if member is None else member for member in members]
        batch = SentenceBatch(tuple(members), width)
        with self._computing(batch):
            source, mask = self._pad([sources[row] for row in rows], width)
            found = search(
                self.scorer,
                source,
                mask,
                options,
                numbers=[first + row for row in rows],
                choice=self._choose(source, options),
            )
        return {
            member: hypotheses
            for member, hypotheses in zip(members, found, strict=True)
            if member is not None
        }

    def _require_shortlist(self, options: SearchOptions) -> None:
        if options.shortlist and options.fixed_shape:
            raise UsageError(
                "exact: a shortlist has another size in each batch; set it to 0 for exact results."
            )
        if options.shortlist and self.shortlist is None:
            raise UsageError("shortlist: the model folder has none; train it anew, or set it to 0.")

    def _choose(self, source: Tensor, options: SearchOptions) -> Choice | None:
        """Return the pieces to write with, None for all; `source` [batch, src_len]."""
        if self.shortlist is None or not options.shortlist:
            return None
        return self.shortlist.choose(source, options.shortlist)

    def _pad(self, sentences: list[list[int]], width: int = 0) -> tuple[Tensor, Tensor]:
        """Return ids padded to `width` or the longest, and their mask, [batch, width]."""
        width = width or max(map(len, sentences))
        ids = torch.tensor([[*line, *[PAD] * (width - len(line))] for line in sentences])
        lengths = torch.tensor([len(line) for line in sentences])
        mask = torch.arange(width) < lengths.unsqueeze(1)
        return ids.to(self.device), mask.to(self.device)

    @contextlib.contextmanager
    def _computing(self, batch: SentenceBatch) -> Iterator[None]:
        """Set the models up for inference, and explain a lack of memory."""

        def explain() -> str:
            count = len(batch.members)
            return (
                f"{count:,} sentences with {count * batch.width:,} pieces, padding included, the "
                f"longest of them with {batch.width:,}; lower --batch-tokens, --batch-size, "
                "--max-source or --beam."
            )

        in_training = [model for model in self.models if model.training]
        try:
            for model in in_training:
                model.eval()
            with torch.inference_mode(), explain_lack_of_memory(explain):
                yield
        finally:
            for model in in_training:
                model.train()

    def _write(
        self, line: str, ids: list[int], hypotheses: list[Hypothesis] | None, *, align: bool
    ) -> Translation:
        """Turn what was found for a line, None if it is blank, into text."""
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


def _cut(
    sentences: list[list[int]], most: int, first: int, what: str, done: str
) -> list[list[int]]:
    """Return ids, EOS last, of which none are longer than `most`; each that was has a warning.

    Args:
        sentences: ids of consecutive lines, EOS last.
        most: pieces that are kept, EOS included.
        first: number of the first line.
        what: a line is called.
        done: what is done with the pieces.
    """
    for index, ids in enumerate(sentences):
        if len(ids) > most:
            _logger.warning(
                "%s %s: has %s pieces, only the first %s are %s; split the line",
                what,
                f"{first + index:,}",
                f"{len(ids):,}",
                f"{most:,}",
                done,
            )
    return [ids if len(ids) <= most else [*ids[: most - 1], EOS] for ids in sentences]


def choose_device(device: str) -> torch.device:
    """Return the device of that name; "auto" is CUDA if there is a GPU.

    Raises:
        UsageError: there is no such device.
    """
    has_gpu = torch.cuda.is_available()
    if device == "auto":
        return torch.device("cuda" if has_gpu else "cpu")
    if device not in ("cpu", "cuda") or (device == "cuda" and not has_gpu):
        raise UsageError(f'device: "{device}" is not available here; choose "cpu" or "auto".')
    return torch.device(device)


def choose_precision(device: torch.device) -> Precision:
    """Return in what a device translates best: much faster, with hardly another result."""
    return "int8" if device.type == "cpu" and has_int8() and has_fast_int8() else "fp32"


def require_int8(device: torch.device, *, fast: bool) -> None:
    """Refuse products of 8-bit integers where there are none.

    Raises:
        UsageError: on a GPU, with a torch that lacks them, or without fast modules.
    """
    if not fast:
        raise UsageError(
            'precision: "int8" exists in fast modules only; choose "fp32" or "bf16", or leave '
            "--plain out."
        )
    if device.type != "cpu" or not has_int8():
        raise UsageError(
            f'precision: "int8" is not available on {device.type} with torch {torch.__version__}; '
            'choose "bf16" or "fp32".'
        )


def require_same_pieces(folders: Sequence[Path | str], loaded: Sequence[LoadedModel]) -> None:
    """Refuse an ensemble whose members would not mean the same by an id.

    Raises:
        ModelError: subword models or normalisation differ.
    """
    first = loaded[0]
    for folder, other in zip(folders[1:], loaded[1:], strict=True):
        what = ""
        if other.target.fingerprint != first.target.fingerprint:
            what = "target subword models"
        elif other.source.fingerprint != first.source.fingerprint:
            what = "source subword models"
        elif other.config.normalization != first.config.normalization:
            what = "normalizations"
        if what:
            raise ModelError(
                f"{folders[0]} and {folder} have different {what} and cannot be an ensemble; "
                "train its members on the same prepared data."
            )
