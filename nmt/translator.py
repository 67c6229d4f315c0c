"""Text in, text out: the public interface to a trained model.

translator = Translator.load("runs/de-en")
for translation in translator.translate(["Ein Mann schläft."]):
    print(translation.text)
"""

import contextlib
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from nmt.config.search import SearchConfig, change_search
from nmt.diagnostics.attention import identity, soft_attention
from nmt.diagnostics.explanation import Explanation, explain
from nmt.errors import DataError, UsageError, explain_lack_of_memory
from nmt.layers.copying import SourceOutput
from nmt.layers.regression import NumbersOutput
from nmt.machine import (
    MOST_THREADS,
    Precision,
    choose_device,
    choose_precision,
    require_int8,
    using_threads,
)
from nmt.models.compatibility import require_language_model, require_same_pieces
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.models.folder import load_model
from nmt.models.shortlist import Choice, Shortlist
from nmt.search.forced import score_targets
from nmt.search.hypothesis import Hypothesis
from nmt.search.plan import SentenceBatch, plan_batches, plan_blocks
from nmt.search.ranking import Rank, rank_plainly
from nmt.search.scorers import EnsembleScorer, FusionScorer, ModelScorer, Scorer
from nmt.search.search import search as search_sentences
from nmt.text.copied import CopyIds
from nmt.text.normalize import Normalizer
from nmt.text.reading import FirstWarnings, LineReader, Segment, Split
from nmt.text.subword import Subword
from nmt.text.training_text import TrainingText
from nmt.text.vectors import Vectors, read_vectors, write_numbers
from nmt.text.vocabulary import BOS, EOS, PAD
from nmt.text.whole_lines import WholeLineReader, encode_positions, encode_words
from nmt.text.windows import full_windows, prompt_windows
from nmt.translation import ScoredPair, TranslatedText, Translation, sum_words
from nmt.writing import Details, LineWriter, Prefix, Prefixes, align_texts, read_text

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.float32}

Source: TypeAlias = list[int] | Vectors
"""A source sentence: ids with EOS, or numbers [positions, features]."""

MOST_EXPLAINED = 200
"""Pieces of the longest sentence that `explain` takes."""
WINDOW = 4096
"""Lines read, sorted by length and translated before the first result is returned."""

__all__ = [
    "DTYPES",
    "Explanation",
    "Precision",
    "ScoredPair",
    "TranslatedText",
    "Translation",
    "Translator",
]


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
        training_text: what the training text looked like; None if that is unknown.
        languages: codes of source and target.
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
        training_text: TrainingText | None = None,
        languages: tuple[str, str] = ("", ""),
    ) -> None:
        self.models, self.language_model = tuple(models), language_model
        self.source, self.target, self.normalizer = source, target, normalizer
        self.options = SearchConfig() if search is None else search
        self.shortlist, self.device, self.rank = shortlist, torch.device(device), rank
        self.training_text, self.languages = training_text, languages
        self.autocast = False
        """Compute products in bfloat16, with weights in float32."""
        self.threads = 0
        """CPU threads to compute with; 0 = as many as torch uses."""
        self.scorer = scorer_of(self.models)
        self.pieces = tuple(target.pieces(range(target.vocab_size)))
        """Target pieces by id."""
        self.features = self.models[0].features
        """Numbers at each source position; 0 if the source is text."""
        self.target_lines = self.models[0].target_lines
        """What the models write; see `EncoderDecoder.target_lines`."""
        self.copy_ids: CopyIds | None = None
        """Ids of what the models can copy; None if they cannot."""
        if any(isinstance(model.output, SourceOutput) for model in self.models):
            self.copy_ids = CopyIds(source, target)
            self.source, self.target = self.copy_ids.source, self.copy_ids.target

    @property
    def is_translation(self) -> bool:
        """Whether both sides are text: neither numbers nor labels nor tags."""
        return self.target_lines == "text" and not self.features

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
        checkpoint: str | int | None = None,
    ) -> "Translator":
        """Load a model, or several as an ensemble.

        Args:
            paths: model folder, run folder with one inside, or checkpoint of a run; several: an
                ensemble.
            device: "cpu", "cuda", or "auto": CUDA if there is a GPU.
            precision: of the products; "bf16" and, on CPUs, "int8" are faster where the machine
                has instructions for them. "auto" is "int8" on such a CPU, else "fp32".
            threads: CPU threads to compute with; 0 = as many as torch uses.
            fast: exchange modules for fast ones (`nmt.fast.accelerate`); False computes the plain
                equations, slowly, in fp32 or bf16.
            language_model: run or model folder of a language model with the same target pieces,
                fused with the others in search.
            checkpoint: of a run folder, take the weights of this checkpoint: its number of updates,
                its name, "last" or "best". If the run keeps a moving average, it is that.

        Raises:
            ModelError: a folder is missing or damaged, or models do not fit together.
            UsageError: the device is not available, does not support the precision, `threads` is
                out of range, or there is no such checkpoint.
        """
        if not 0 <= threads <= MOST_THREADS:
            raise UsageError(f"threads: {threads} is out of range; from 0 to {MOST_THREADS}.")
        where = choose_device(device)
        if precision == "auto":
            precision = choose_precision(where) if fast else "fp32"
        elif precision == "int8":
            require_int8(where, fast=fast)
        folders = [paths] if isinstance(paths, Path | str) else list(paths)
        if checkpoint is not None and len(folders) > 1:
            raise UsageError(
                f"--checkpoint {checkpoint}: is for a single run; for an ensemble, name the paths "
                f"of checkpoints, such as {folders[0]}/checkpoints/NAME."
            )
        loaded = [load_model(Path(folder), checkpoint) for folder in folders]
        require_same_pieces(folders, loaded)
        first = loaded[0]
        models = [member.model.to(where) for member in loaded]
        helper = None
        if language_model is not None:
            found = load_model(Path(language_model))
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
            training_text=first.config.training_text,
            languages=(first.config.source_language, first.config.target_language),
        )
        translator.autocast = precision == "bf16" and not fast
        translator.threads = threads
        return translator

    def translate(
        self,
        lines: Iterable[str],
        *,
        options: SearchConfig | None = None,
        search: Mapping[str, object] | None = None,
        prefixes: Iterable[str] | None = None,
        batch_size: int = 64,
        batch_tokens: int = 4096,
        max_source: int = 1024,
        split: Split = "auto",
        align: bool = False,
        attention: bool = False,
        score_words: bool = False,
        exact: bool = False,
        prompt: bool = False,
    ) -> Iterator[Translation]:
        """Yield the translation of each line, in order; an empty line stays empty.

        `nmt.text.reading` says which parts of a line are translated, and which are copied.

        Args:
            lines: plain text, a sentence or a paragraph each.
            options: search options; None = those of the model folder, `self.options`.
            search: changes of these options by name, such as `{"beam": 1}` or `{"n_best": 5,
                "beam": 10}`; `SearchConfig` lists them all.
            prefixes: for each line, text that its translation begins with, character by character,
                "" = any. Such a line is not cut into sentences; one that is not translated, as
                it is blank, gives the prefix alone.
            batch_size: most sentences at once.
            batch_tokens: most source pieces at once, padding included.
            max_source: longer sentences are cut into parts of this many pieces; what still is
                longer, or with `split = "never"`, is truncated; both with a warning.
            split: whether a line is cut into sentences, which are translated one by one: "auto"
                cuts those that have more of them, or are longer, than usual in training; "always"
                or "never".
            align: add alignments of words and pieces; needs a model with attention.
            attention: add the attention weights of pieces and words; needs a model with attention.
            score_words: add the log-probability of each word.
            exact: bit-identical results in any batch and order, see `nmt.search.plan`; slower.
            prompt: translate each line as soon as it arrives, instead of collecting many; `lines`
                is then read in another thread.

        Raises:
            UsageError: `lines` is a single string, or holds something else than strings; `split` is
                unknown; the model is a language model; a search option has a wrong name or value;
                alignments or attention are requested from a model without attention; or a shortlist
                is requested that is missing, or together with `exact` or prefixes.
            DataError: there are more or fewer prefixes than lines, or the pieces of the model
                cannot spell one.
            ModelError: the model yields NaN.
            ResourceError: memory is too small for a batch.
        """
        _refuse_text(lines, "lines")
        if split not in get_args(Split):
            raise UsageError(f'split: "{split}" is unknown; choose "auto", "never" or "always".')
        if not self.has_source:
            raise UsageError(
                "this is a language model, which reads no source; score text by `nmt score RUN "
                "--target FILE`, or help a translation model by `nmt translate RUN --lm LM`."
            )
        options = change_search(options or self.options, search or {})
        ban = tuple(self.normalizer.normalize(word) for word in options.ban)
        options = options.model_copy(update={"ban": ban})
        if prefixes is not None and options.shortlist:
            raise UsageError("prefix: a shortlist may lack its pieces; set it to 0 for prefixes.")
        details = Details(align=align, attention=attention, score_words=score_words)
        if details.keep_attention:
            self._require_attention()
        windows = prompt_windows if prompt else full_windows
        if self.target_lines == "numbers":
            if options.n_best > 1 or options.sample or prefixes is not None:
                raise UsageError(
                    "this model predicts numbers, one prediction a line; set n_best to 1, and "
                    "leave samples and prefixes out."
                )
            each_window = windows(_require_lines(lines), WINDOW)
            return self._predictions(each_window, max_source, batch_size, batch_tokens)
        scorer = self.scorer_for(options, exact=exact)
        requested = options
        if options.n_best > 1 and not options.sample:  # several hypotheses may be the same text
            options = options.model_copy(update={"n_best": options.beam})
        beginnings = None if prefixes is None else Prefixes(prefixes, self.target, self.normalizer)

        def plan(sources: Mapping[int, Source]) -> list[SentenceBatch]:
            if exact:
                return plan_blocks(sources, batch_size=batch_size)
            lengths = {number: len(ids) for number, ids in sources.items()}
            return plan_batches(lengths, batch_size=batch_size, batch_tokens=batch_tokens)

        def search_batch(
            batch: SentenceBatch,
            sources: Mapping[int, Source],
            texts: Mapping[int, str],
            given: Mapping[int, str],
        ) -> dict[int, list[Hypothesis]]:
            with self.computing(batch, ", --max-source or --beam"):
                read, beyond = self._copyable(batch.rows, sources, texts)
                source, mask = self.pad(read, batch.width)
                found = search_sentences(
                    scorer,
                    source,
                    mask,
                    options,
                    streams=batch.rows,
                    keep_attention=details.keep_attention,
                    fixed_shape=exact,
                    rank=self.rank,
                    pieces=self.pieces,
                    prefixes=[given.get(number, "") for number in batch.rows],
                )
            return {
                number: [replace(hypothesis, beyond=spelled) for hypothesis in hypotheses]
                for number, hypotheses, spelled in zip(batch.members, found, beyond, strict=True)
                if number is not None
            }

        reader, whole = (self._reader(each, max_source) for each in (split, "never"))
        writer = LineWriter(
            self.source,
            self.target,
            self.training_text,
            language=self.languages[1],
            search=requested,
            details=details,
            max_source=max_source,
            is_translation=self.is_translation,
        )

        def translations() -> Iterator[Translation]:
            first, cut, joined = 1, FirstWarnings(), FirstWarnings()
            for window in windows(_require_lines(lines), WINDOW):
                texts = dict(enumerate(window, first))  # keyed by line number
                given = beginnings.take(list(texts)) if beginnings else {}
                read = {number: reader.read(line, number) for number, line in texts.items()}
                for number, prefix in given.items():
                    if prefix.given and len(read[number]) > 1:
                        joined.warn(
                            f"line {number:,}: has several parts, which are translated as one "
                            "because of its prefix; give each a line of its own"
                        )
                    if prefix.given:
                        read[number] = whole.read(texts[number], number)
                sources: dict[int, Source] = {}
                spelled: dict[int, str] = {}
                for number, segments in read.items():
                    for key, segment in _keyed(number, segments):
                        if not segment.is_copied:
                            name = f"line {number:,}"
                            sources[key] = self._source(segment, max_source, name, cut)
                            spelled[key] = segment.text
                found: dict[int, list[Hypothesis]] = {}
                required = {number: prefix.read for number, prefix in given.items()}
                for batch in plan(sources):
                    found |= search_batch(batch, sources, spelled, required)
                for number, line in texts.items():
                    each = [found.get(key) for key, _ in _keyed(number, read[number])]
                    yield writer.write(line, read[number], each, given.get(number, Prefix()))
                first += len(window)
            if beginnings:
                beginnings.end(first - 1)
            reader.report()
            cut.report("lines are too long; split them")
            joined.report("lines with a prefix have several parts")

        return translations()

    def score(
        self,
        pairs: Iterable[tuple[str, str]],
        *,
        batch_size: int = 64,
        batch_tokens: int = 4096,
        max_length: int = 1024,
        align: bool = False,
        attention: bool = False,
        score_words: bool = False,
    ) -> Iterator[ScoredPair]:
        """Yield the log-probabilities of each given translation, in order.

        An empty line with an empty translation scores 0, since `translate` leaves it empty.

        Args:
            pairs: source line, "" for a language model, and target line.
            batch_size: most pairs at once.
            batch_tokens: most pieces of the longer side at once, padding included.
            max_length: longer lines are truncated to this many pieces, with a warning.
            align: add alignments of words and pieces; needs a model with attention.
            attention: add the attention weights of pieces and words; needs a model with attention.
            score_words: add the log-probability of each word.

        Raises:
            UsageError: `pairs` is a single string, or one of them is not a pair of lines; or
                alignments or attention are requested from a model without attention.
        """
        _refuse_text(pairs, "pairs")
        details = Details(align=align, attention=attention, score_words=score_words)
        if self.target_lines == "numbers":
            raise UsageError(
                "this model predicts numbers, which have no probabilities; translate the source "
                "and compare the numbers."
            )
        if details.keep_attention:
            self._require_attention()
        return self._score(
            _require_pairs(pairs),
            partial(plan_batches, batch_size=batch_size, batch_tokens=batch_tokens),
            max_length,
            details,
        )

    def explain(
        self,
        line: str,
        *,
        target: str | None = None,
        search: Mapping[str, object] | None = None,
        top: int = 8,
    ) -> Explanation:
        """Return how the model comes to the translation of a line, which it reads as one sentence.

        Load the model with `fast=False` to see gates and state norms.

        Args:
            line: the sentence.
            target: a translation to explain; None = the best that a beam search finds.
            search: changes of the search options, see `translate`.
            top: number of alternatives at each step.

        Raises:
            UsageError: there are several models, or one that does not translate; or the line has
                nothing to translate; or a search option has a wrong name or value.
        """
        if len(self.models) > 1 or not self.has_source or not self.is_translation:
            raise UsageError("only a single translation model can be explained; name one.")
        options = change_search(self.options, search or {})
        segments = self._reader("never", MOST_EXPLAINED).read(line, 1)
        if not segments or segments[0].is_copied:
            raise UsageError(
                f"{reprlib.repr(line)}: has nothing to translate, it is copied as it is; give a "
                "sentence."
            )
        ids = segments[0].ids
        given = None if target is None else self.target.encode(self.normalizer.normalize(target))
        longest = max(len(ids), len(given or ()))
        if longest > MOST_EXPLAINED:
            raise UsageError(
                f"the sentence has {longest:,} pieces, and at most {MOST_EXPLAINED} can be "
                "explained; give a shorter one."
            )
        with self.computing(SentenceBatch((1,), longest + 1), ""):
            return explain(
                self.models[0],
                (line, ids),
                (self.source, self.target),
                options,
                target=None if given is None else (target or "", given),
                top=top,
            )

    def _score(
        self,
        pairs: Iterable[tuple[str, str]],
        plan: Callable[[Mapping[int, int]], list[SentenceBatch]],
        most: int,
        details: Details,
    ) -> Iterator[ScoredPair]:
        """Yield what `score` returns."""
        first, cut = 1, FirstWarnings()
        for window in full_windows(pairs, WINDOW):
            numbers = range(first, first + len(window))
            texts = [dict(zip(numbers, side, strict=True)) for side in zip(*window, strict=True)]
            sources = self._read_sources(texts[0], most, cut)
            targets = self._read(self._encode_targets, texts[1], most, "target line", cut)
            lengths = {n: max(len(sources[n]), len(targets[n])) for n in numbers}
            lengths = {number: length for number, length in lengths.items() if length > 1}
            found: dict[int, tuple[list[float], Tensor | None]] = {}
            written = self._copied(texts, sources, targets)
            for batch in plan(lengths):
                found |= self._score_batch(batch, *written, keep_attention=details.keep_attention)
            for number in numbers:
                pair = ScoredPair((), (), 0)
                if number in found:
                    given = texts[0][number], texts[1][number]
                    ids = sources[number], targets[number]
                    pair = self._describe_pair(given, ids, *found[number], details)
                else:
                    pair = replace(
                        pair,
                        alignment=() if details.align else None,
                        piece_alignment=() if details.align else None,
                        word_scores=() if details.score_words else None,
                        attention=identity(()) if details.attention else None,
                    )
                yield pair
            first += len(window)
        cut.report("lines are too long; split them")

    def _describe_pair(
        self,
        given: tuple[str, str],
        ids: tuple[Source, list[int]],
        log_probs: list[float],
        weights: Tensor | None,
        details: Details,
    ) -> ScoredPair:
        """Return the scores of a pair; `weights`, if they were kept, [tgt_len, src_len]."""
        source = target = attention = None
        if weights is not None and isinstance(ids[0], list):
            source = read_text(given[0], self.normalizer, self.source, ids[0])
        if details != Details():
            target = read_text(given[1], self.normalizer, self.target, ids[1])
        alignment = align_texts(weights if details.align else None, source, target)
        if details.attention and not (weights is None or source is None or target is None):
            attention = soft_attention(
                weights,
                source,
                target,
                source_pieces=self.source.pieces(ids[0][:-1]),
                target_pieces=self.target.pieces(ids[1][:-1]),
            )
        return ScoredPair(
            tuple(self.target.pieces(ids[1])),
            tuple(log_probs),
            len(given[1].split()) + 1,
            alignment.words,
            alignment.pieces,
            sum_words(target, log_probs) if details.score_words and target is not None else None,
            attention,
        )

    def _score_batch(
        self,
        batch: SentenceBatch,
        sources: Mapping[int, Source],
        targets: Mapping[int, list[int]],
        *,
        keep_attention: bool,
    ) -> dict[int, tuple[list[float], Tensor | None]]:
        """Return log-probabilities and attention of each pair's pieces, by pair number."""
        with self.computing(batch, " or --max-length"):
            source, source_mask = self.pad([sources[number] for number in batch.rows])
            target, target_mask = self.pad([targets[number] for number in batch.rows])
            scored = score_targets(
                self.scorer, source, source_mask, target, target_mask, keep_attention=keep_attention
            )
        found = {}
        for row, number in enumerate(batch.rows):
            attention = None if scored.attention is None else scored.attention[row]
            found[number] = scored.log_probs[row, : len(targets[number])].tolist(), attention
        return found

    def _copyable(
        self, numbers: Sequence[int], sources: Mapping[int, Source], texts: Mapping[int, str]
    ) -> tuple[list[Source], list[tuple[str, ...]]]:
        """Return the ids of sentences as the models read them, and the spelling of those beyond
        the target vocabulary; see `CopyIds.read`.

        Args:
            numbers: of the sentences.
            sources: ids by number.
            texts: what the ids spell, or begin to spell, by number.
        """
        if self.copy_ids is None:
            return [sources[number] for number in numbers], [()] * len(numbers)
        ids = {number: np.asarray(sources[number], dtype=np.int64) for number in numbers}
        read = [self.copy_ids.read(ids[number], texts[number]) for number in numbers]
        return [found.tolist() for found, _ in read], [beyond for _, beyond in read]

    def _copied(
        self,
        texts: Sequence[Mapping[int, str]],
        sources: Mapping[int, Source],
        targets: Mapping[int, list[int]],
    ) -> tuple[Mapping[int, Source], Mapping[int, list[int]]]:
        """Return ids of sources and targets by number, as the models read and write them."""
        if self.copy_ids is None:
            return sources, targets
        source_texts, target_texts = (
            {number: self.normalizer.normalize(text) for number, text in side.items()}
            for side in texts
        )
        read, beyond = self._copyable(list(sources), sources, source_texts)
        written = {
            number: self.copy_ids.write(targets[number], target_texts[number], spelled).tolist()
            for number, spelled in zip(sources, beyond, strict=True)
        }
        return dict(zip(sources, read, strict=True)), written

    def _read(
        self,
        encode_all: Callable[[Sequence[str]], list[list[int]]],
        texts: Mapping[int, str],
        most: int,
        side: str,
        cut: FirstWarnings,
    ) -> dict[int, list[int]]:
        """Return the ids of each line by line number, ending in EOS; a blank line has only EOS.

        Args:
            encode_all: returns the ids of normalised lines.
            texts: lines by number.
            most: maximum number of pieces kept, EOS included; longer lines cause a warning.
            side: name of a line in the warning.
            cut: warnings about truncated lines.
        """
        normalised = [self.normalizer.normalize(line) for line in texts.values()]
        encoded = encode_all(["" if text.isspace() else text for text in normalised])
        return {
            number: _limit(ids, most, f"{side} {number:,}", cut, "scored")
            for number, ids in zip(texts, encoded, strict=True)
        }

    def _read_sources(
        self, texts: Mapping[int, str], most: int, cut: FirstWarnings
    ) -> dict[int, Source]:
        """Return the ids or numbers of each source line by line number; see `_read`."""
        if not self.features:
            ids = self._read(self._encode_sources, texts, most, "source line", cut)
            return dict(ids)
        normalised = {number: self.normalizer.normalize(line) for number, line in texts.items()}
        return {
            number: self._numbers(line, most, f"source line {number:,}", cut)
            for number, line in normalised.items()
        }

    def _source(self, segment: Segment, most: int, name: str, cut: FirstWarnings) -> Source:
        """Return the ids of a segment with EOS, or its numbers, truncated to `most`."""
        if self.features:
            return self._numbers(segment.text, most, name, cut)
        return _limit(segment.ids, most, name, cut)

    def _numbers(self, text: str, most: int, name: str, cut: FirstWarnings) -> Vectors:
        """Return the numbers of a normalised line, truncated to `most` positions.

        Raises:
            DataError: it has something else.
        """
        try:
            numbers = read_vectors(text, self.features)
        except ValueError as error:
            raise DataError(f"{name}: {error}; correct the line.") from None
        if len(numbers) > most:
            cut.warn(f"{name}: has {len(numbers):,} positions, only the first {most:,} are read")
        return numbers[:most]

    def _encode_sources(self, texts: Sequence[str]) -> list[list[int]]:
        if self.target_lines == "aligned":
            return [encode_words(self.source, text) for text in texts]
        return self.source.encode_all(texts)

    def _encode_targets(self, texts: Sequence[str]) -> list[list[int]]:
        if self.target_lines == "text":
            return self.target.encode_all(texts)
        return [encode_words(self.target, text) for text in texts]

    def _predictions(
        self, windows: Iterable[Sequence[str]], most: int, batch_size: int, batch_tokens: int
    ) -> Iterator[Translation]:
        """Yield the numbers that are predicted for each line, the mean of all models.

        There is nothing to search among: log-probabilities are 0.

        Args:
            windows: lines that are read together.
            most: source pieces or positions that are read of a line.
            batch_size: see `translate`.
            batch_tokens: see `translate`.
        """
        reader, cut, first = self._reader("never", most), FirstWarnings(), 1
        for window in windows:
            sources: dict[int, Source] = {}
            for number, line in enumerate(window, first):
                for segment in reader.read(line, number):
                    sources[number] = self._source(segment, most, f"line {number:,}", cut)
            lengths = {number: len(source) for number, source in sources.items()}
            found: dict[int, str] = {}
            for batch in plan_batches(lengths, batch_size=batch_size, batch_tokens=batch_tokens):
                with self.computing(batch, " or --max-source"):
                    source, mask = self.pad([sources[number] for number in batch.rows])
                    predicted = predict(self.models, source, mask).tolist()
                found |= dict(zip(batch.rows, map(write_numbers, predicted), strict=True))
            for number, line in enumerate(window, first):
                text = TranslatedText(found.get(number, line), 0.0, 0.0, True, None)
                yield Translation(line, (text,), sentences=int(number in found))
            first += len(window)
        cut.report("lines are too long; split them")

    def _reader(self, split: Split, max_source: int) -> LineReader | WholeLineReader:
        if self.features:
            return WholeLineReader(self.normalizer, encode_positions)
        if self.target_lines == "aligned":
            return WholeLineReader(self.normalizer, partial(encode_words, self.source))
        if self.target_lines in ("label", "numbers"):
            return WholeLineReader(self.normalizer, self.source.encode)
        return LineReader(
            self.source,
            self.normalizer,
            self.training_text,
            split=split,
            most=max_source - 1,
            language=self.languages[0],
        )

    def scorer_for(self, options: SearchConfig, *, exact: bool) -> Scorer:
        """Return the scorer of a search: models, shortlist and language model, as configured."""
        scorer = self._narrow_scorer(options, exact=exact)
        if self.language_model is not None and self.copy_ids is not None:
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
        if self.copy_ids is not None:
            raise UsageError(
                "shortlist: the model copies from the source, which a shortlist may lack; set it "
                "to 0."
            )
        if self.shortlist is None:
            raise UsageError("shortlist: the model folder has none; retrain it, or set it to 0.")
        return scorer_of(self.models, partial(self.shortlist.choose, frequent=options.shortlist))

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

    @contextlib.contextmanager
    def computing(self, batch: SentenceBatch, remedy: str) -> Iterator[None]:
        """Use the threads and evaluation mode for the block, and explain out-of-memory errors.

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
            threads = using_threads(self.threads)
            with torch.inference_mode(), low, threads, explain_lack_of_memory(explain):
                yield
        finally:
            for model in in_training:
                model.train()

    def _require_attention(self) -> None:
        """Refuse alignments of a model without attention.

        Raises:
            UsageError: no model has any, or the source is no text.
        """
        if all(model.decoder.attention is None for model in self.models):
            raise UsageError(
                "the model has no attention, so words cannot be aligned; leave alignments out."
            )
        if self.features:
            raise UsageError(
                "the model reads numbers, so there are no words to align; leave alignments out."
            )


def scorer_of(
    models: Sequence[EncoderDecoder], choose: Callable[[Tensor], Choice] | None = None
) -> Scorer:
    """Return a model, or several as an ensemble, as a scorer; for `choose` see `ModelScorer`."""
    scorers = [ModelScorer(model, choose) for model in models]
    return scorers[0] if len(scorers) == 1 else EnsembleScorer(scorers)


def predict(models: Sequence[EncoderDecoder], source: Tensor, mask: Tensor) -> Tensor:
    """Return the numbers [batch, values] that models predict, their mean.

    Args:
        models: at least one, that predict numbers.
        source: ids or numbers, [batch, src_len, ...].
        mask: [batch, src_len].
    """
    begin = torch.full((len(mask), 1), BOS, device=mask.device)
    predicted = []
    for model in models:
        if not isinstance(model.output, NumbersOutput):
            raise TypeError("this model predicts no numbers")
        features = model.decode(model.encode(source, mask), begin).features[:, 0]
        predicted.append(model.output.scores(features).float())
    return torch.stack(predicted).mean(dim=0)


_NEXT_SEGMENT = 1 << 40


def _keyed(number: int, segments: Sequence[Segment]) -> Iterator[tuple[int, Segment]]:
    """Yield each segment of a line with a number of its own; the first has that of the line."""
    for place, segment in enumerate(segments):
        yield number + place * _NEXT_SEGMENT, segment


def _limit(
    ids: Sequence[int], most: int, name: str, cut: FirstWarnings, done: str = "translated"
) -> list[int]:
    """Return ids with EOS, truncated to `most`, with a warning that names the line."""
    if len(ids) >= most:
        cut.warn(
            f"{name}: has {len(ids) + 1:,} pieces, only the first {most:,} are {done}; "
            "split the line"
        )
    return [*ids[: most - 1], EOS]


def _refuse_text(lines: object, name: str) -> None:
    """Refuse a single string, whose characters would be taken as lines.

    Raises:
        UsageError: it is one.
    """
    if isinstance(lines, str | bytes):
        raise UsageError(f"{name}: is a single string; give a list of {name}.")


def _require_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines.

    Raises:
        UsageError: one is not a string.
    """
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, str):
            raise UsageError(f"lines: number {number:,} is {reprlib.repr(line)}; give strings.")
        yield line


def _require_pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield pairs of lines.

    Raises:
        UsageError: one is something else.
    """
    for number, pair in enumerate(pairs, start=1):
        if not (
            isinstance(pair, tuple | list)
            and len(pair) == 2
            and all(isinstance(line, str) for line in pair)
        ):
            raise UsageError(
                f"pairs: number {number:,} is {reprlib.repr(pair)}; give pairs of lines, such as "
                "zip(sources, targets, strict=True)."
            )
        yield pair[0], pair[1]
