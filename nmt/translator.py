"""Text in, text out: the public interface to a trained model.

translator = Translator.load("runs/de-en")
for translation in translator.translate(["Ein Mann schläft."]):
    print(translation.text)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import torch

from nmt.arguments import refuse_text, require_lines, require_pairs
from nmt.config.search import SearchConfig, change_search
from nmt.diagnostics.explanation import Explanation
from nmt.errors import UsageError
from nmt.inference.engine import Engine
from nmt.inference.explaining import Explaining
from nmt.inference.reading import Reading
from nmt.inference.reranking import MinimumBayesRisk, Rescoring
from nmt.inference.scoring import Scoring
from nmt.inference.translating import Batches, Rerank, Translating, predictions
from nmt.machine import (
    MOST_THREADS,
    Precision,
    choose_device,
    choose_precision,
    require_int8,
)
from nmt.models.compatibility import require_language_model, require_same_pieces, require_weights
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.models.folder import load_model
from nmt.models.shortlist import Shortlist
from nmt.search.ranking import Rank, rank_plainly
from nmt.text.copied import CopyIds
from nmt.text.normalize import Normalizer
from nmt.text.reading import Split
from nmt.text.subword import Subword
from nmt.text.training_text import TrainingText
from nmt.text.windows import full_windows, prompt_windows
from nmt.translation import ScoredPair, TranslatedText, Translation
from nmt.writing import Details, LineWriter, Prefixes

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.float32}

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
        weights: of the models in an ensemble, above 0; none = equal ones.
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
        rescorers: translators whose log-probabilities are added to the scores of hypotheses, with
            weight `rescore_weight`; their pieces may be others.
    """

    def __new__(cls, models: object = None, **_: object) -> "Translator":
        """Refuse a path in place of models.

        Raises:
            UsageError: it says how to load a model folder.
        """
        if isinstance(models, str | Path):
            raise UsageError(
                f"Translator({str(models)!r}): is made of models, not of their path; load them by "
                f"Translator.load({str(models)!r})."
            )
        return super().__new__(cls)

    def __init__(
        self,
        models: Sequence[EncoderDecoder],
        *,
        weights: Sequence[float] = (),
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
        rescorers: Sequence["Translator"] = (),
    ) -> None:
        pieces = target.pieces(range(target.vocab_size))
        self.engine = Engine(
            models,
            weights=weights,
            pieces=pieces,
            shortlist=shortlist,
            device=device,
            rank=rank,
            language_model=language_model,
        )
        """The models, and how a batch is computed with them."""
        copy_ids = CopyIds(source, target) if self.engine.copies else None
        if copy_ids is not None:
            source, target = copy_ids.source, copy_ids.target
        self.source, self.target, self.normalizer = source, target, normalizer
        self.options = SearchConfig() if search is None else search
        self.training_text, self.languages = training_text, languages
        self.rescorers = tuple(rescorers)
        self.reading = Reading(
            source,
            target,
            normalizer,
            training_text,
            language=languages[0],
            features=self.engine.features,
            target_lines=self.engine.target_lines,
            copy_ids=copy_ids,
        )
        """How lines are read."""

    @property
    def models(self) -> tuple[EncoderDecoder, ...]:
        """One model, or those of an ensemble."""
        return self.engine.models

    @property
    def has_source(self) -> bool:
        """Whether the models translate; language models read no source."""
        return self.engine.has_source

    @property
    def is_translation(self) -> bool:
        """Whether both sides are text: neither numbers nor labels nor tags."""
        return self.engine.is_translation

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
        weights: Sequence[float] = (),
        rescorers: Sequence[Path | str] = (),
    ) -> "Translator":
        """Load a model, or several as an ensemble.

        Args:
            paths: model folder, run folder with one inside, or checkpoint of a run; several: an
                ensemble.
            device: "cpu", "cuda", or "auto": CUDA if there is a GPU.
            precision: of the products; "bf16" and, on CPUs, "int8" are faster where the machine
                has instructions for them. "auto" is "int8" on such a CPU unless the model writes
                numbers, else "fp32".
            threads: CPU threads to compute with; 0 = as many as torch uses.
            fast: exchange modules for fast ones (`nmt.fast.accelerate`); False computes the plain
                equations, slowly, in fp32 or bf16.
            language_model: run or model folder of a language model with the same target pieces,
                fused with the others in search.
            checkpoint: of a run folder, take the weights of this checkpoint: its number of updates,
                its name, "last" or "best". If the run keeps a moving average, it is that.
            weights: of the models in an ensemble, one for each; only their ratios count. None given
                = equal ones.
            rescorers: run or model folders of further models. Their log-probabilities are added to
                the scores of the hypotheses that the search finds, with weight `rescore_weight`. A
                model may have other pieces, write from right to left, or be a language model.

        Raises:
            ModelError: a folder is missing or damaged, or models do not fit together.
            UsageError: the device is not available, does not support the precision, `threads` is
                out of range, there is no such checkpoint, weights are not above 0 and one for each
                model, or a rescorer writes another language.
        """
        if not 0 <= threads <= MOST_THREADS:
            raise UsageError(f"threads: {threads} is out of range; from 0 to {MOST_THREADS}.")
        where = choose_device(device)
        if precision == "int8":
            require_int8(where, fast=fast)
        folders = [paths] if isinstance(paths, Path | str) else list(paths)
        if checkpoint is not None and len(folders) > 1:
            raise UsageError(
                f"--checkpoint {checkpoint}: is for a single run; for an ensemble, name the paths "
                f"of checkpoints, such as {folders[0]}/checkpoints/NAME."
            )
        require_weights(weights, folders)
        loaded = [load_model(Path(folder), checkpoint) for folder in folders]
        require_same_pieces(folders, loaded)
        first = loaded[0]
        if precision == "auto":  # numbers are written as they are, so that each digit counts
            is_exact = not fast or first.model.target_lines == "numbers"
            precision = "fp32" if is_exact else choose_precision(where)
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
        others = [
            cls.load(folder, device=device, precision=precision, threads=threads, fast=fast)
            for folder in rescorers
        ]
        translator = cls(
            models,
            weights=weights,
            source=first.source,
            target=first.target,
            normalizer=Normalizer(**first.config.normalization.model_dump()),
            search=first.config.search,
            shortlist=first.shortlist,
            device=where,
            rank=rank,
            language_model=helper,
            training_text=first.config.training_text,
            languages=(first.config.source_language, first.config.target_language),
            rescorers=others,
        )
        for folder, other in zip(rescorers, others, strict=True):
            _require_rescorer(folder, other, translator)
        translator.engine.autocast = precision == "bf16" and not fast
        translator.engine.threads = threads
        translator.engine.name = " + ".join(map(str, folders))
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
                alignments or attention are requested from a model without attention; a shortlist
                is requested that is missing, or together with `exact` or prefixes; prefixes or
                banned words of a model that writes from right to left; or `mbr` with rescorers.
            DataError: there are more or fewer prefixes than lines, or the pieces of the model
                cannot spell one.
            ModelError: the model yields NaN.
            ResourceError: memory is too small for a batch.
        """
        refuse_text(lines, "lines")
        refuse_text(prefixes, "prefixes")
        if split not in get_args(Split):
            raise UsageError(f'split: "{split}" is unknown; choose "auto", "never" or "always".')
        if not self.has_source:
            raise UsageError(
                f"{self.engine.name}: is a language model, which reads no source; score text by "
                "`nmt score RUN --target FILE`, or help a translation model by `nmt translate RUN "
                "--lm LM`."
            )
        options = change_search(options or self.options, search or {})
        ban = tuple(self.normalizer.normalize(word) for word in options.ban)
        options = options.model_copy(update={"ban": ban})
        if prefixes is not None and options.shortlist:
            raise UsageError("prefix: a shortlist may lack its pieces; set it to 0 for prefixes.")
        self._require_possible(options, has_prefixes=prefixes is not None, exact=exact)
        details = Details(align=align, attention=attention, score_words=score_words)
        if details.keep_attention:
            self.engine.require_attention()
        windows = (prompt_windows if prompt else full_windows)(require_lines(lines), WINDOW)
        batches = Batches(size=batch_size, tokens=batch_tokens, exact=exact)
        if self.engine.target_lines == "numbers":
            if options.n_best > 1 or options.sample or prefixes is not None:
                raise UsageError(
                    "this model predicts numbers, one prediction a line; set n_best to 1, and "
                    "leave samples and prefixes out."
                )
            return predictions(self.engine, self.reading, windows, batches, max_source)
        scorer = self.engine.scorer_for(options, exact=exact)
        rerank = self._rerank(options, batches)
        writer = LineWriter(
            self.source,
            self.target,
            self.training_text,
            language=self.languages[1],
            n_best=options.n_best,
            keep_repeated=options.sample and rerank is None,
            details=details,
            max_source=max_source,
            is_translation=self.is_translation,
        )
        keep_attention = details.keep_attention or (
            writer.links_names and self.engine.has_attention
        )
        wanted = options.n_best
        if options.sample:
            wanted = wanted if rerank is None else max(wanted, options.candidates)
        elif wanted > 1 or rerank is not None:
            wanted = options.beam  # several hypotheses may be the same text
        options = options.model_copy(update={"n_best": wanted})
        return Translating(
            engine=self.engine,
            reading=self.reading,
            writer=writer,
            scorer=scorer,
            options=options,
            batches=batches,
            max_source=max_source,
            split=split,
            prefixes=None if prefixes is None else Prefixes(prefixes, self.target, self.normalizer),
            keep_attention=keep_attention,
            rerank=rerank,
        ).run(windows)

    def _require_possible(self, options: SearchConfig, *, has_prefixes: bool, exact: bool) -> None:
        """Refuse search options that the models cannot be searched with.

        Raises:
            UsageError: there are some.
        """
        if self.engine.right_to_left and (has_prefixes or options.ban):
            what = "prefix" if has_prefixes else "ban"
            raise UsageError(
                f"{what}: the model writes from right to left, and would know the text only at the "
                "end; leave it out, or let this model rescore another one (--rescore)."
            )
        if exact and self.rescorers:
            raise UsageError(
                "exact: the models of --rescore compute batches of any shape; leave one of the two "
                "out."
            )
        if options.mbr != "none" and self.rescorers:
            raise UsageError(
                "mbr: chooses by expected scores, and --rescore by probabilities; leave one of the "
                "two out."
            )
        if options.mbr != "none" and not self.is_translation:
            raise UsageError(
                'mbr: compares texts, and this model does not translate text; set it to "none".'
            )

    def _rerank(self, options: SearchConfig, batches: Batches) -> Rerank | None:
        """Return what reorders hypotheses; None if nothing does."""
        if options.mbr != "none":
            return MinimumBayesRisk(options.mbr, are_samples=options.sample, target=self.target)
        if not self.rescorers:
            return None
        scorings = [rescorer._scoring(batches, 1024, Details()) for rescorer in self.rescorers]
        return Rescoring(scorings, options, self.target)

    def _scoring(self, batches: Batches, max_length: int, details: Details) -> Scoring:
        return Scoring(
            engine=self.engine,
            reading=self.reading,
            batches=batches,
            max_length=max_length,
            details=details,
        )

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
        refuse_text(pairs, "pairs")
        details = Details(align=align, attention=attention, score_words=score_words)
        if self.engine.target_lines == "numbers":
            raise UsageError(
                "this model predicts numbers, which have no probabilities; translate the source "
                "and compare the numbers."
            )
        if details.keep_attention:
            self.engine.require_attention()
        batches = Batches(size=batch_size, tokens=batch_tokens)
        scoring = self._scoring(batches, max_length, details)
        return scoring.run(full_windows(require_pairs(pairs), WINDOW))

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
                nothing to translate, or too much; or a search option has a wrong name or value.
        """
        options = change_search(self.options, search or {})
        return Explaining(self.engine, self.reading, options, top).run(line, target)


def _require_rescorer(folder: Path | str, other: Translator, translator: Translator) -> None:
    """Refuse a model that cannot score the translations of another one.

    Raises:
        UsageError: it writes no text, or reads or writes another language.
    """
    if not (other.is_translation and translator.is_translation):
        raise UsageError(f"--rescore {folder}: only models of text can rescore each other.")
    pairs = zip(other.languages, translator.languages, strict=True)
    if any(one and two and one != two for one, two in pairs):
        theirs, ours = ("-".join(filter(None, each.languages)) for each in (other, translator))
        raise UsageError(
            f"--rescore {folder}: is a model of {theirs}, and the translations are {ours}; name a "
            "model of these languages."
        )
