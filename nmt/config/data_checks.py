"""Constraints on data and tokenizer."""

import re
import unicodedata
from collections.abc import Iterator

from nmt.config.data import DataConfig
from nmt.config.dump import toml_value
from nmt.config.experiment import Experiment
from nmt.config.faults import Fault, fault_at
from nmt.paths import why_not_sides

_NAMES_OF_PIECES = re.compile("<pad>|<unk>|<s>|</s>|<0x[0-9A-F]{2}>")


def data_disagreements(experiment: Experiment) -> Iterator[Fault]:
    """Yield each value of data or tokenizer that contradicts another one."""
    data, tokenizer = experiment.data, experiment.tokenizer
    yield from _source(experiment)
    if data.join_lines and data.has_source:
        yield fault_at(
            "data.join_lines", "is for language models, which have no source; leave it out"
        )
    if data.join_lines and tokenizer.sampling:
        yield fault_at(
            "data.join_lines",
            "joins the pieces of lines, which tokenizer.sampling would draw again; set one of them "
            "to 0",
            "tokenizer.sampling",
        )
    for key, pair in _file_pairs(data):
        # Without a source, as for a language model, the first name is empty.
        if any("\0" in name for name in pair) or not pair[1]:
            yield fault_at(
                f"data.{key}", "holds a name that is empty or has a NUL in it; name two text files"
            )
        elif pair[0] and (reason := why_not_sides(*pair)):
            yield fault_at(f"data.{key}", reason.replace("\n", "\\n"))  # a fault is one line
    yield from _symbols(experiment)
    if tokenizer.sampling > 0 and tokenizer.kind not in ("unigram", "bpe"):
        yield fault_at(
            "tokenizer.sampling",
            'needs tokenizer.kind "unigram" or "bpe", '
            f'since "{tokenizer.kind}" has only one segmentation; set it to 0',
            "tokenizer.kind",
        )
    if tokenizer.sampling > 0 and tokenizer.sampled == "source" and not data.has_source:
        yield fault_at(
            "tokenizer.sampled",
            'must be "both" or "target" for a language model, which has no source',
        )


def _symbols(experiment: Experiment) -> Iterator[Fault]:
    """Yield symbols that cannot be pieces, or could not be told from others."""
    symbols, kind = experiment.tokenizer.symbols, experiment.tokenizer.kind
    if symbols and kind == "word":
        yield fault_at(
            "tokenizer.symbols",
            'needs tokenizer.kind "unigram", "bpe" or "char", since "word" keeps all whole that '
            "stands between spaces; put spaces around symbols in the text instead",
            "tokenizer.kind",
        )
    form = experiment.normalization.unicode
    seen: set[str] = set()
    for symbol in symbols:
        written = symbol
        if form != "off":
            written = unicodedata.normalize("NFC" if form == "nfc" else "NFKC", symbol)
        if reason := _why_no_symbol(written, written in seen):
            yield fault_at("tokenizer.symbols", f"{toml_value(symbol)} {reason}")
        seen.add(written)


def _why_no_symbol(symbol: str, is_repeated: bool) -> str | None:
    if not symbol:
        return "is empty; leave it out"
    if any(character.isspace() or character in "\0▁▅" for character in symbol):
        return 'has a space, or one of the signs that stand for one, "▁" and "▅"; use other signs'
    if _NAMES_OF_PIECES.fullmatch(symbol):
        return "is the name of a special piece; choose another"
    return "is listed twice; leave one out" if is_repeated else None


def _source(experiment: Experiment) -> Iterator[Fault]:
    """Yield a missing source of a translation model, or a superfluous one of a language model."""
    data, reads_source = experiment.data, experiment.model.encoder.reads_source
    if reads_source and not data.source:
        yield fault_at("data.source", 'missing: language code of the source side, for example "en"')
    for key, pair in _file_pairs(data):
        if bool(pair[0]) != reads_source:
            needed = "one text file, without a source and not called .tsv"
            if reads_source:
                needed = "two text files, or one .tsv of tab-separated pairs"
            yield fault_at(
                f"data.{key}",
                f'must be {needed}, since model.encoder.kind is "{experiment.model.encoder.kind}"',
                "model.encoder",
            )
    if not reads_source and data.source:
        yield fault_at("data.source", "must be left out: a language model reads no source")
    if not reads_source and experiment.validation.metric != "loss":
        yield fault_at(
            "validation.metric",
            'must be "loss" for a language model, which translates nothing',
            "model.encoder",
        )


def _file_pairs(data: DataConfig) -> list[tuple[str, tuple[str, str]]]:
    """Return the pairs of files there are, by their keys."""
    pairs = (("train", data.train), ("valid", data.valid), ("test", data.test))
    return [(key, pair) for key, pair in pairs if pair is not None]
