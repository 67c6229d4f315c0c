"""The steps of data preparation: clean the texts, learn the pieces, encode, write."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO, TypeVar

import numpy as np

from nmt.config.dump import toml_value
from nmt.config.experiment import Experiment
from nmt.data.corpus import Corpus, EncodedPair, write_corpus
from nmt.data.folder import (
    DROPPED,
    HELD_OUT,
    TRAIN,
    VALID,
    PreparedSummary,
    normalization_of,
    valid_files,
)
from nmt.data.held_out import KnownTexts
from nmt.data.lexicon import learn_lexicon
from nmt.data.shape import Misfits, Shape
from nmt.data.stream import join_lines
from nmt.data.valid_choice import ValidChoice
from nmt.errors import ConfigError, DataError
from nmt.storage.checksums import verify_checksums
from nmt.storage.files import write_bytes, write_text
from nmt.text.copied import CopyIds
from nmt.text.filters import LengthFilter, Reason, TextFilter, digest_of, is_empty
from nmt.text.lines import BadLines, read_lines, read_numbered_pairs
from nmt.text.normalize import Normalizer
from nmt.text.pruning import UsedPieces, prune
from nmt.text.subword import (
    JOINT_FILE,
    SOURCE_FILE,
    SPACE,
    TARGET_FILE,
    Subword,
    find_pieces,
    load_subwords,
)
from nmt.text.training_text import TrainingTextSurvey
from nmt.text.vocabulary import EOS, SPECIAL_PIECES, UNK

_CHUNK = 4096  # pairs encoded at once
_SUBWORD_LINES = 4_000_000  # maximum number of lines, evenly spread, to train a subword model on
_MUCH_TEXT = 5.0  # per cent of the text in overlong pairs that is worth a warning
_LONGEST_VALID = 1024  # pieces per side of a validation pair, so that its loss fits into memory
_NORMALIZED = ".normalized"

_logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TextPair:
    """A pair of normalised lines."""

    number: int
    """Line number in the files, from 1."""
    source: str
    target: str
    reason: Reason | None = None
    """Why the pair is excluded from training; None if it is kept."""


class Preparation:
    """One preparation, inside a folder that is not published yet.

    Args:
        experiment: with absolute paths.
        folder: empty folder to fill.
        bad_lines: what to do with pairs that are not UTF-8.
        report: called with a line of text at each step.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: Path,
        bad_lines: BadLines,
        report: Callable[[str], None],
    ) -> None:
        self._data = experiment.data
        self._tokenizer = experiment.tokenizer
        self._is_shared = experiment.model.embedding.shares_vocabulary
        self._shape = Shape.of(experiment.model)
        self._points = experiment.model.output.kind == "pointer"
        self._normalization = experiment.normalization
        self._normalizer = Normalizer(
            unicode=experiment.normalization.unicode,
            whitespace=experiment.normalization.whitespace,
        )
        self._symbols = [self._normalizer.normalize(text) for text in self._tokenizer.symbols]
        self._folder = folder
        self._valid = valid_files(self._data, folder)
        self._held_out: frozenset[int] = frozenset()  # digests of sources
        self._bad_lines = bad_lines
        self._report = report
        self._pairs = 0
        self._dropped: Counter[Reason] = Counter()
        self._pieces = self._unknown = 0
        self._seen_symbols: set[int] = set()
        self._too_long = 0
        self.survey = TrainingTextSurvey(self._data.source)
        """What the kept training pairs look like; empty without a source."""

    def run(self) -> PreparedSummary:
        """Fill the folder and return a summary."""
        clean = self._clean()
        if self._data.valid is None:
            clean -= self._hold_out()
        source, target = self._learn_pieces(clean)
        kept = self._write_train(clean, source, target)
        self._warn_of_lost_text()
        self._warn_of_unseen_symbols(source)
        if self._shape.source == "text" and self._shape.target == "text":
            self._learn_lexicon(source, target)
        valid_pairs, valid_kept = self._write_valid(source, target)
        return PreparedSummary(
            pairs=self._pairs,
            kept=kept,
            dropped=dict(self._dropped),
            valid_pairs=valid_pairs,
            valid_kept=valid_kept,
            is_valid_held_out=self._data.valid is None,
            joint=self._data.has_source and source is target,
            source_vocab=source.vocab_size if self._data.has_source else 0,
            target_vocab=target.vocab_size,
            unknown_percent=100 * self._unknown / self._pieces,
            too_long_percent=self._too_long_percent,
        )

    def _clean(self) -> int:
        """Write the training pairs, normalised and filtered by text; return the number kept."""
        self._report(f"reading {' and '.join(dict.fromkeys(filter(None, self._data.train)))}")
        text_filter = TextFilter(
            drop_copies=self._data.drop_copies, drop_duplicates=self._data.drop_duplicates
        )
        named = {"validation": self._data.valid, "test": self._data.test}
        held_out = [_HeldOut(name, self._read(files)) for name, files in named.items() if files]
        misfits = Misfits(self._shape, self._data.train)
        with _create(self._folder / _NORMALIZED) as file:
            for pair in self._read(self._data.train):
                self._pairs += 1
                reason = text_filter.reason(*self._sides(pair.source, pair.target))
                if (
                    reason is None
                    and self._data.drop_held_out
                    and any(o.has(pair) for o in held_out)
                ):
                    reason = "held out"
                if reason is not None:
                    self._dropped[reason] += 1
                else:
                    misfits.meet(pair.number, pair.source, pair.target)
                    for other in held_out:
                        other.meet(pair)
                file.write(f"{pair.number}\n{reason or ''}\n{pair.source}\n{pair.target}\n")
        misfits.refuse()
        for other in held_out:
            other.warn(self._named(self._data.train))
        clean = self._pairs - self._dropped.total()
        if not clean:
            raise self._nothing_left()
        return clean

    def _hold_out(self) -> int:
        """Write validation files of sentences that are not trained on; return the pairs lost.

        All pairs of such a sentence are lost; the first of them is validated on.

        Raises:
            DataError: there is only one sentence.
        """
        train = self._named(self._data.train)
        candidates = ValidChoice(longest=_LONGEST_VALID)
        for pair in self._clean_pairs():
            candidates.add(*self._sides(pair.source, pair.target))
        self._held_out = candidates.choose()
        if not self._held_out:
            raise DataError(
                f"{train}: has only one sentence, so that none can be held out to validate on; "
                "name validation files in data.valid."
            )
        first: dict[str, int] = {}
        lost = 0
        for pair in self._normalized_pairs():
            if pair.reason == "for validation":
                lost += 1
                first.setdefault(self._sides(pair.source, pair.target)[0], pair.number)
        self._dropped["for validation"] = lost
        chosen = set(first.values())
        texts = [text for number, text in self._read_raw(self._data.train) if number in chosen]
        for name, lines in zip(HELD_OUT, zip(*texts, strict=True), strict=True):
            if self._data.has_source or name == HELD_OUT[1]:
                write_text(self._folder / name, "\n".join([*lines, ""]))
        self._report(
            f"data.valid names no files: {len(texts):,} of the sentences in {train} "
            "are held out to validate on"
        )
        return lost

    def _learn_pieces(self, clean: int) -> tuple[Subword, Subword]:
        """Train one subword model or two on the clean pairs."""
        options = self._tokenizer
        if options.pieces_from:
            return self._take_pieces(Path(options.pieces_from))
        shape = self._shape
        is_joint = options.joint and shape.is_parallel
        count = "one model" if is_joint or not shape.has_source_pieces else "two models"
        self._report(f"training {count} of {options.vocab_size:,} pieces ({options.kind})")
        stride = -(-clean * 2 // _SUBWORD_LINES)  # rounded up

        def train(name: str, sides: Callable[[TextPair], tuple[str, ...]]) -> Subword:
            pairs = islice(self._clean_pairs(), 0, None, stride)
            return Subword.train(
                (line for pair in pairs for line in sides(pair)),
                self._folder / name,
                kind=options.kind,
                vocab_size=options.vocab_size,
                byte_fallback=options.byte_fallback,
                character_coverage=options.character_coverage,
                symbols=self._symbols,
            )

        def train_target(name: str) -> Subword:
            if shape.target != "label":
                return train(name, lambda pair: (pair.target,))
            labels = {pair.target for pair in self._clean_pairs()}
            return Subword.train(
                sorted(labels),
                self._folder / name,
                kind="word",
                vocab_size=len(SPECIAL_PIECES) + len(labels),
            )

        if shape.target == "numbers":
            if shape.has_source_pieces:
                source = train(JOINT_FILE, lambda pair: (pair.source,))
            else:  # a folder has some pieces, even if a model uses none
                source = Subword.train(["0"], self._folder / JOINT_FILE, kind="word", vocab_size=5)
            return source, source
        if not shape.has_source_pieces:
            target = train_target(JOINT_FILE)
            return target, target
        if is_joint:
            joint = train(JOINT_FILE, lambda pair: (pair.source, pair.target))
            return (joint, joint) if self._is_shared else self._divide(joint)
        return (
            train(SOURCE_FILE, lambda pair: (pair.source,)),
            train_target(TARGET_FILE),
        )

    def _take_pieces(self, run: Path) -> tuple[Subword, Subword]:
        """Copy the subword models of a run or model folder; without a source, the target's.

        Raises:
            ModelError: it has none, or they are damaged.
            ConfigError: its text was normalised in another way.
        """
        self._report(f"taking the pieces of {run}")
        folder = find_pieces(run)
        verify_checksums(folder)
        if (expected := normalization_of(folder)) != self._normalization:
            values = ", ".join(f"{key} = {toml_value(value)}" for key, value in expected)
            raise ConfigError(
                f"tokenizer.from: {run} normalises text in another way, and its pieces are for "
                f"such text; set [normalization] to {values}."
            )
        names = {name: name for name in (JOINT_FILE, SOURCE_FILE, TARGET_FILE)}
        if not self._data.has_source and not (folder / JOINT_FILE).exists():
            names = {TARGET_FILE: JOINT_FILE}
        for name, own in names.items():
            if (folder / name).exists():
                write_bytes(self._folder / own, (folder / name).read_bytes())
        source, target = load_subwords(self._folder)
        if self._shape.target in ("label", "aligned") and target.kind != "word":
            raise ConfigError(
                f"tokenizer.from: {run} has target pieces of kind {target.kind}, but "
                f'model.decoder.kind "{self._shape.target}" needs whole words; leave it out.'
            )
        lacking = [text for text in self._symbols if text not in source.symbols.ids]
        if lacking:
            raise ConfigError(
                f"tokenizer.symbols: {run} has no pieces for {', '.join(lacking)}; leave out "
                "tokenizer.symbols, or tokenizer.from to learn new pieces."
            )
        return source, target

    def _divide(self, joint: Subword) -> tuple[Subword, Subword]:
        """Replace a joint model by one per side, with only the pieces that the side uses."""
        source, target = UsedPieces(joint), UsedPieces(joint)
        for chunk in _chunks(self._clean_pairs()):
            for pair in self._encode(chunk, joint, joint):
                source.add([pair.source], [pair.source_text])
                target.add([pair.target], [pair.target_text])
        whole = self._folder / JOINT_FILE
        models = (
            prune(whole, source.needed(), self._folder / SOURCE_FILE),
            prune(whole, target.needed(), self._folder / TARGET_FILE),
        )
        whole.unlink()
        return models

    def _write_train(self, clean: int, source: Subword, target: Subword) -> int:
        """Write the kept pairs as a corpus, list the others, and return the number kept."""
        self._report(f"encoding {clean:,} {'pairs' if self._data.has_source else 'lines'}")
        max_ratio = self._data.max_ratio if self._shape.is_parallel else 0.0
        length_filter = LengthFilter(self._data.max_length, max_ratio)
        require_held = self._require_held(self._data.train, source, target)

        def kept() -> Iterator[EncodedPair]:
            for chunk in _chunks(self._normalized_pairs()):
                encoded = self._encode([p for p in chunk if p.reason is None], source, target)
                for texts in chunk:
                    reason = texts.reason
                    if reason is None:
                        pair = next(encoded)
                        lengths = self._sides(len(pair.source), len(pair.target))
                        reason = length_filter.reason(*lengths)
                        if reason is None:
                            require_held(texts.number, pair)
                            self._count(pair)
                            yield pair
                            continue
                        self._dropped[reason] += 1
                        if reason == "too long":
                            self._too_long += len(pair.source) + len(pair.target)
                    left, right = (text.replace("\t", " ") for text in (texts.source, texts.target))
                    dropped.write(f"{texts.number}\t{reason}\t{left}\t{right}\n")

        with _create(self._folder / DROPPED) as dropped:
            dropped.write("line\treason\tsource\ttarget\n")
            lines = kept()
            if self._data.join_lines:
                lines = join_lines(lines, self._data.join_lines)
            written = self._write(TRAIN, lines, source, target)
        (self._folder / _NORMALIZED).unlink()
        if not written:
            raise self._nothing_left()
        return written

    def _encode(
        self, pairs: list[TextPair], source: Subword, target: Subword
    ) -> Iterator[EncodedPair]:
        return self._shape.encode([(pair.source, pair.target) for pair in pairs], source, target)

    def _count(self, pair: EncodedPair) -> None:
        if self._data.has_source:
            self.survey.add(pair.source_text, pair.target_text, pieces=len(pair.source))
        ids = [*pair.source, *pair.target]
        self._pieces += len(ids)
        self._unknown += ids.count(UNK)
        if self._symbols:
            self._seen_symbols.update(ids)

    @property
    def _too_long_percent(self) -> float:
        """Share of the pieces that are in overlong pairs."""
        return 100 * self._too_long / (self._pieces + self._too_long)

    def _warn_of_lost_text(self) -> None:
        if self._too_long_percent > _MUCH_TEXT:
            _logger.warning(
                f"data.max_length = {self._data.max_length:,} leaves out "
                f"{self._too_long_percent:.1f} % of the training text, in "
                f"{self._dropped['too long']:,} long pairs; raise it, or split them"
            )

    def _warn_of_unseen_symbols(self, subword: Subword) -> None:
        """Log symbols that no training pair has; they have the same id on both sides."""
        ids = {text: subword.symbols.ids[text] for text in self._symbols}
        unseen = [text for text, piece in ids.items() if piece not in self._seen_symbols]
        if unseen:
            _logger.warning(
                f"tokenizer.symbols: no training pair has {', '.join(unseen)}, so the model cannot "
                "learn to use it; compare the spelling with the text"
            )

    def _learn_lexicon(self, source: Subword, target: Subword) -> None:
        """Write which target pieces are frequent, and which are likely for each source piece."""
        self._report("learning which pieces translate which")
        corpus = Corpus(self._folder, TRAIN)
        lexicon = learn_lexicon(
            corpus, source_vocab=source.vocab_size, target_vocab=target.vocab_size
        )
        lexicon.save(self._folder)
        corpus.close()

    def _write_valid(self, source: Subword, target: Subword) -> tuple[int, int]:
        """Write the validation pairs as a corpus; return their number and the number written.

        Pairs with an empty or overlong side are skipped.
        """
        longest = max(_LONGEST_VALID, self._data.max_length)
        length_filter = LengthFilter(longest)
        flaws, misfits = Counter[str](), Misfits(self._shape, self._valid)
        require_held = self._require_held(self._valid, source, target)

        def kept() -> Iterator[EncodedPair]:
            for chunk in _chunks(self._read(self._valid)):
                filled = [p for p in chunk if not is_empty(*self._sides(p.source, p.target))]
                flaws["an empty side"] += len(chunk) - len(filled)
                for texts in filled:
                    misfits.meet(texts.number, texts.source, texts.target)
                misfits.refuse()
                encoded = self._encode(filled, source, target)
                for texts, pair in zip(filled, encoded, strict=True):
                    lengths = self._sides(len(pair.source), len(pair.target))
                    if length_filter.reason(*lengths) is None:
                        require_held(texts.number, pair)
                        yield pair
                    else:
                        flaws[f"more than {longest:,} pieces on a side"] += 1

        written = self._write(VALID, kept(), source, target)
        if not written:
            raise DataError(
                f"{self._named(self._valid)}: no validation pair has text on both sides, of "
                f"at most {longest:,} pieces; name other files in data.valid."
            )
        everything = written + flaws.total()
        for flaw, count in flaws.items():
            if count:
                _logger.warning(
                    f"{self._named(self._valid)}: {count:,} of {everything:,} validation "
                    f"pairs have {flaw} and do not count in the loss"
                )
        return everything, written

    def _require_held(
        self, files: tuple[str, str], source: Subword, target: Subword
    ) -> Callable[[int, EncodedPair], None]:
        """Return a function that refuses a pair, by its line number, that a pointer cannot write.

        Raises:
            DataError: the target has a piece that is not in the source.
        """
        if not self._points:
            return lambda number, pair: None
        copies = CopyIds(source, target)

        def require(number: int, pair: EncodedPair) -> None:
            ids = np.array([*pair.source, EOS]), np.array([*pair.target, EOS])
            if piece := copies.lacking(ids, (pair.source_text, pair.target_text)):
                raise DataError(
                    f'{files[1]}:{number}: "{piece.replace(SPACE, " ").strip()}" is not in the '
                    'source line, and model.output "pointer" writes pieces of the source alone; '
                    'remove the pair, or use "copy".'
                )

        return require

    def _write(
        self, name: str, pairs: Iterable[EncodedPair], source: Subword, target: Subword
    ) -> int:
        return write_corpus(
            self._folder,
            name,
            pairs,
            vocab_size=max(source.vocab_size, target.vocab_size),
            fingerprints=(source.fingerprint, target.fingerprint),
        )

    def _read(self, files: tuple[str, str]) -> Iterator[TextPair]:
        """Yield the pairs of two text files, or of one .tsv, normalised."""
        normalize = self._normalizer.normalize
        for number, (source, target) in self._read_raw(files):
            yield TextPair(number, normalize(source), normalize(target))

    def _read_raw(self, files: tuple[str, str]) -> Iterator[tuple[int, tuple[str, str]]]:
        """Return (line number from 1, pair) of two text files; the source is empty without one."""
        source, target = map(Path, files)
        if files[0]:
            return read_numbered_pairs(source, target, bad_lines=self._bad_lines)
        lines = read_lines(target, bad_lines=self._bad_lines)
        return ((number, ("", line)) for number, line in enumerate(lines, start=1))

    @staticmethod
    def _named(files: tuple[str, str]) -> str:
        """Return the file to name in messages about a pair of files."""
        return files[0] or files[1]

    def _sides(self, source: T, target: T) -> tuple[T, T]:
        """Return the two sides for the filters; without a source, the target twice."""
        return (source if self._data.has_source else target), target

    def _normalized_pairs(self) -> Iterator[TextPair]:
        """Yield all training pairs that `_clean` wrote, kept or not."""
        with (self._folder / _NORMALIZED).open(encoding="utf-8", newline="\n") as file:
            for number in file:
                reason, source, target = (file.readline()[:-1] for _ in range(3))
                if not reason and self._is_held_out(*self._sides(source, target)):
                    reason = "for validation"
                yield TextPair(int(number), source, target, reason or None)  # type: ignore[arg-type]

    def _is_held_out(self, source: str, target: str) -> bool:
        return bool(self._held_out) and digest_of(source) in self._held_out

    def _clean_pairs(self) -> Iterator[TextPair]:
        return (pair for pair in self._normalized_pairs() if pair.reason is None)

    def _nothing_left(self) -> DataError:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self._dropped.items())
        return DataError(
            f"{self._named(self._data.train)}: none of {self._pairs:,} pairs is left to learn from "
            f"({reasons or 'the file is empty'}); check the files, and the limits in [data]."
        )


class _HeldOut:
    """Pairs that should not be in the training data, and which of them occur there."""

    def __init__(self, name: str, pairs: Iterable[TextPair]) -> None:
        self._name = name
        self._texts = KnownTexts()
        for pair in pairs:
            self._texts.add(pair.number, *_texts(pair))

    def has(self, pair: TextPair) -> bool:
        """Whether a training pair is held out."""
        return _texts(pair) in self._texts

    def meet(self, pair: TextPair) -> None:
        """Compare a training pair with the held-out pairs."""
        self._texts.meet(pair.number, *_texts(pair))

    def warn(self, file: str) -> None:
        """Log how many held-out pairs were found, if any."""
        if found := self._texts.found:
            _logger.warning(
                f"{file}:{min(found.values())}: is also a {self._name} pair. {len(found):,} of "
                f"{self._texts.lines:,} {self._name} pairs are in the training files, so scores on "
                "them say little; set data.drop_held_out = true, or delete them there"
            )


def _texts(pair: TextPair) -> tuple[str, ...]:
    """Return the lines of a pair; only the target, of a language model."""
    return (pair.source, pair.target) if pair.source else (pair.target,)


def _chunks(pairs: Iterator[TextPair]) -> Iterator[list[TextPair]]:
    while chunk := list(islice(pairs, _CHUNK)):
        yield chunk


def _create(path: Path) -> TextIO:
    return path.open("x", encoding="utf-8", newline="\n")
