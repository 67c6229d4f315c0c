"""Text from a language model: whole lines, sampled or searched, and what may come next.

model = Translator.load("runs/tale")
for text in generate(model, 3, search={"temperature": 0.7}):
    print(text.text)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from nmt.config.search import SearchConfig, change_search
from nmt.errors import UsageError
from nmt.search.hypothesis import Hypothesis
from nmt.search.plan import SentenceBatch
from nmt.search.search import search as search_sentences
from nmt.text.vocabulary import BOS, EOS
from nmt.translation import TranslatedText
from nmt.translator import Translator
from nmt.writing import Prefix, Prefixes

_BATCH = 64
"""Lines that are sampled at once."""


@dataclass(frozen=True)
class NextPiece:
    """A piece that may come next."""

    text: str
    """As sentencepiece writes it, with "▁" for a space; the end of the line is "</s>"."""
    log_prob: float
    """Natural logarithm of its probability."""


def generate(
    model: Translator,
    count: int = 1,
    *,
    options: SearchConfig | None = None,
    search: Mapping[str, object] | None = None,
    prefix: str = "",
    most_pieces: int = 256,
) -> Iterator[TranslatedText]:
    """Yield `count` lines that a language model generates.

    They are sampled, unless `search` says `{"sample": False}`: then they are the best that a beam
    finds, all different. A sample depends on the seed and its number alone.

    Args:
        model: loaded from the run or folder of a language model.
        count: number of lines; without sampling, at most `beam`.
        options: search options; None = those of the model folder.
        search: changes of these options by name, such as `{"temperature": 0.7, "seed": 2}`.
        prefix: text that each line begins with.
        most_pieces: longer lines are cut.

    Raises:
        UsageError: the model is a translation model, or a search option has a wrong value.
        DataError: the pieces of the model cannot spell the prefix.
    """
    _require_language_model(model)
    options = change_search(
        options or model.options,
        {"sample": True, "max_length_factor": 0.0, "max_length_offset": most_pieces}
        | {"min_length_factor": 0.0, "n_best": 1, **(search or {})},
    )
    if not options.sample:
        if count > options.beam:
            raise UsageError(
                f"count: a beam of {options.beam} cannot find {count} lines; widen the beam."
            )
        options = options.model_copy(update={"n_best": options.beam})  # some may be the same text
    [beginning] = Prefixes([prefix], model.target, model.normalizer).take([1]).values()
    lines = iter(range(1, count + 1 if options.sample else 2))

    def texts() -> Iterator[TranslatedText]:
        while batch := tuple(islice(lines, _BATCH)):
            for hypotheses in _search(model, batch, options, beginning.read):
                yield from _texts(model, hypotheses, beginning)

    return islice(_different(texts()), count) if not options.sample else texts()


def next_pieces(model: Translator, prefix: str = "", *, count: int = 10) -> list[NextPiece]:
    """Return the likeliest next pieces after a text, best first: the distribution softmax(U h + b).

    Args:
        model: loaded from the run or folder of a language model.
        prefix: the text so far, cut into pieces as a whole.
        count: number of pieces.

    Raises:
        UsageError: the model is a translation model.
    """
    _require_language_model(model)
    read = model.target.encode(model.normalizer.normalize(prefix)) if prefix.strip() else []
    with model.engine.computing(SentenceBatch((1,), len(read) + 1)):
        source, mask = model.engine.pad([[EOS]])
        state = model.engine.scorer.start(source, mask, copies=1)
        for piece in (BOS, *read):
            scored = model.engine.scorer.step(
                torch.tensor([piece], device=model.engine.device), state
            )
            state = scored.state
        best = scored.log_probs[0].topk(min(count, scored.log_probs.shape[1]))
    found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [NextPiece(model.engine.pieces[piece], log_prob) for piece, log_prob in found]


def _search(
    model: Translator, lines: tuple[int, ...], options: SearchConfig, prefix: str
) -> list[list[Hypothesis]]:
    """Return the hypotheses of each line, whose number is that of its random stream."""
    with model.engine.computing(SentenceBatch(lines, 1)):
        source, mask = model.engine.pad([[EOS]] * len(lines))
        return search_sentences(
            model.engine.scorer_for(options, exact=False),
            source,
            mask,
            options,
            streams=lines,
            rank=model.engine.rank,
            pieces=model.engine.pieces,
            prefixes=[prefix] * len(lines),
        )


def _texts(
    model: Translator, hypotheses: Sequence[Hypothesis], prefix: Prefix
) -> Iterator[TranslatedText]:
    """Yield hypotheses as text, which begins with the prefix as it was given."""
    for each in hypotheses:
        text = prefix.given + model.target.decode(each.tokens)[len(prefix.read) :]
        yield TranslatedText(text, each.log_prob, each.score, each.finished, alignment=None)


def _different(texts: Iterable[TranslatedText]) -> Iterator[TranslatedText]:
    """Yield the first of equal texts."""
    seen: set[str] = set()
    for each in texts:
        if each.text not in seen:
            seen.add(each.text)
            yield each


def _require_language_model(model: Translator) -> None:
    """Refuse a model that reads a source.

    Raises:
        UsageError: it does.
    """
    if model.has_source:
        raise UsageError(
            f"{model.engine.name}: is a translation model, which writes nothing without a source; "
            'use `nmt translate`, or train a language model with model.encoder = "none".'
        )
