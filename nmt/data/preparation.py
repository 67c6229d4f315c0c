"""The phases of a preparation: clean the texts, learn the pieces, cut, write."""

import heapq
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

from nmt.config.experiment import Experiment
from nmt.data.binary import Corpus, EncodedPair, write_corpus
from nmt.data.lexicon import learn_lexicon
from nmt.data.prepared import DROPPED, TRAIN, VALID, PreparedSummary
from nmt.errors import DataError
from nmt.text.filters import LengthFilter, Reason, TextFilter, digest, is_empty
from nmt.text.lines import BadLines, read_numbered_pairs
from nmt.text.normalize import Normalizer
from nmt.text.pruning import UsedPieces, prune
from nmt.text.subword import JOINT_FILE, SOURCE_FILE, TARGET_FILE, Subword
from nmt.text.vocabulary import UNK

_CHUNK = 4096  # pairs cut into pieces at once
_SUBWORD_LINES = 4_000_000  # at most so many lines teach a subword model, evenly spread
_LONGEST_VALID = 1024  # pieces of a side of a validation pair; training filters its own
_CLEAN, _DROPPED_BY_TEXT, _DROPPED_BY_LENGTH = ".clean", ".dropped-by-text", ".dropped-by-length"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TextPair:
    """A pair of normalised lines and their number in the files, from 1."""

    number: int
    source: str
    target: str


class Preparation:
    """One run through all phases, inside a folder that is not published yet."""

    def __init__(
        self,
        experiment: Experiment,
        folder: Path,
        bad_lines: BadLines,
        tell: Callable[[str], None],
    ) -> None:
        self._data = experiment.data
        self._tokenizer = experiment.tokenizer
        self._is_shared = experiment.model.embedding.shares_vocabulary
        self._normalizer = Normalizer(
            unicode=experiment.normalization.unicode,
            whitespace=experiment.normalization.whitespace,
        )
        self._folder = folder
        self._bad_lines = bad_lines
        self._tell = tell
        self._pairs = 0
        self._dropped: Counter[Reason] = Counter()
        self._pieces = self._unknown = 0

    def run(self) -> PreparedSummary:
        """Fill the folder and say what is in it."""
        clean = self._clean()
        source, target = self._train_subwords(clean)
        kept = self._write_train(clean, source, target)
        self._learn_lexicon(source, target)
        valid_pairs, valid_kept = self._write_valid(source, target)
        self._merge_dropped()
        return PreparedSummary(
            folder=self._folder,
            pairs=self._pairs,
            kept=kept,
            dropped=dict(self._dropped),
            valid_pairs=valid_pairs,
            valid_kept=valid_kept,
            joint=source is target,
            source_vocab=source.vocab_size,
            target_vocab=target.vocab_size,
            unknown_percent=100 * self._unknown / self._pieces,
            seconds=0.0,
            up_to_date=False,
        )

    def _clean(self) -> int:
        """Write the training pairs whose texts are fit, normalised; return their number."""
        self._tell(f"reading {' and '.join(self._data.train)}")
        fit = TextFilter(
            drop_copies=self._data.drop_copies, drop_duplicates=self._data.drop_duplicates
        )
        held_out = [_HeldOut("validation", self._normalized(self._data.valid))]
        if self._data.test is not None:
            held_out.append(_HeldOut("test", self._normalized(self._data.test)))
        clean = 0
        with (
            _create(self._folder / _CLEAN) as kept,
            _create(self._folder / _DROPPED_BY_TEXT) as dropped,
        ):
            for pair in self._normalized(self._data.train):
                self._pairs += 1
                reason = fit.reason(pair.source, pair.target)
                if reason is not None:
                    self._drop(dropped, reason, pair)
                    continue
                for other in held_out:
                    other.meet(pair)
                kept.write(f"{pair.number}\n{pair.source}\n{pair.target}\n")
                clean += 1
        for other in held_out:
            other.warn(self._data.train[0])
        if not clean:
            raise self._nothing_left()
        return clean

    def _train_subwords(self, clean: int) -> tuple[Subword, Subword]:
        """Train one model or two on the clean pairs."""
        options = self._tokenizer
        count = "a joint model" if options.joint else "two models"
        self._tell(f"training {count} of {options.vocab_size:,} pieces ({options.kind})")
        stride = -(-clean * 2 // _SUBWORD_LINES)  # rounded up

        def train(name: str, sides: Callable[[TextPair], Iterable[str]]) -> Subword:
            return Subword.train(
                chain.from_iterable(map(sides, islice(self._clean_pairs(), 0, None, stride))),
                self._folder / name,
                kind=options.kind,
                vocab_size=options.vocab_size,
                byte_fallback=options.byte_fallback,
                character_coverage=options.character_coverage,
            )

        if options.joint:
            joint = train(JOINT_FILE, lambda pair: (pair.source, pair.target))
            return (joint, joint) if self._is_shared else self._divide(joint)
        return (
            train(SOURCE_FILE, lambda pair: (pair.source,)),
            train(TARGET_FILE, lambda pair: (pair.target,)),
        )

    def _divide(self, joint: Subword) -> tuple[Subword, Subword]:
        """Give each side a model of those pieces of a joint one that it uses."""
        source, target = UsedPieces(joint), UsedPieces(joint)
        for pair, ids in _encode(self._clean_pairs(), joint, joint):
            source.add([ids.source], [pair.source])
            target.add([ids.target], [pair.target])
        whole = self._folder / JOINT_FILE
        models = (
            prune(whole, source.needed(), self._folder / SOURCE_FILE),
            prune(whole, target.needed(), self._folder / TARGET_FILE),
        )
        whole.unlink()
        return models

    def _write_train(self, clean: int, source: Subword, target: Subword) -> int:
        """Write the clean pairs of fit lengths as a corpus and return their number."""
        self._tell(f"cutting {clean:,} pairs into pieces")
        fit = LengthFilter(max_length=self._data.max_length, max_ratio=self._data.max_ratio)

        def kept() -> Iterator[EncodedPair]:
            for texts, pair in _encode(self._clean_pairs(), source, target):
                reason = fit.reason(len(pair.source), len(pair.target))
                if reason is not None:
                    self._drop(dropped, reason, texts)
                    continue
                for ids in (pair.source, pair.target):
                    self._pieces += len(ids)
                    self._unknown += ids.count(UNK)
                yield pair

        with _create(self._folder / _DROPPED_BY_LENGTH) as dropped:
            written = self._write(TRAIN, kept(), source, target)
        (self._folder / _CLEAN).unlink()
        if not written:
            raise self._nothing_left()
        return written

    def _learn_lexicon(self, source: Subword, target: Subword) -> None:
        """Write which target pieces are frequent, and likely for each source piece."""
        self._tell("learning which pieces translate which")
        corpus = Corpus.open(self._folder, TRAIN)
        vocabularies = {"source_vocab": source.vocab_size, "target_vocab": target.vocab_size}
        learn_lexicon(corpus, **vocabularies).save(self._folder)
        corpus.close()

    def _write_valid(self, source: Subword, target: Subword) -> tuple[int, int]:
        """Write the validation pairs as a corpus; return how many there are, and are written.

        They are not filtered; but a side without text has nothing that a loss could be of, and
        of what is no sentence at all, memory may not hold the loss.
        """
        everything = too_long = 0
        longest = max(_LONGEST_VALID, self._data.max_length)
        fit = LengthFilter(max_length=longest)

        def with_text() -> Iterator[TextPair]:
            nonlocal everything
            for pair in self._normalized(self._data.valid):
                everything += 1
                if not is_empty(pair.source, pair.target):
                    yield pair

        def short() -> Iterator[EncodedPair]:
            nonlocal too_long
            for _, pair in _encode(with_text(), source, target):
                if fit.reason(len(pair.source), len(pair.target)) is None:
                    yield pair
                else:
                    too_long += 1

        written = self._write(VALID, short(), source, target)
        if not written:
            raise DataError(
                f"{self._data.valid[0]}: no validation pair has text on both sides, of at most "
                f"{longest:,} pieces; "
                "name other files in data.valid."
            )
        for count, flaw in (
            (everything - written - too_long, "an empty side"),
            (too_long, f"more than {longest:,} pieces on a side"),
        ):
            if count:
                _logger.warning(
                    "%s: %s of %s validation pairs have %s and do not count in the loss",
                    self._data.valid[0],
                    f"{count:,}",
                    f"{everything:,}",
                    flaw,
                )
        return everything, written

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

    def _normalized(self, files: tuple[str, str]) -> Iterator[TextPair]:
        normalize = self._normalizer.normalize
        source, target = map(Path, files)
        for number, (left, right) in read_numbered_pairs(source, target, bad_lines=self._bad_lines):
            yield TextPair(number, normalize(left), normalize(right))

    def _clean_pairs(self) -> Iterator[TextPair]:
        """Yield what `_clean` wrote."""
        with _open(self._folder / _CLEAN) as file:
            for number in file:
                yield TextPair(int(number), file.readline()[:-1], file.readline()[:-1])

    def _drop(self, file: TextIO, reason: Reason, pair: TextPair) -> None:
        self._dropped[reason] += 1
        source, target = (text.replace("\t", " ") for text in (pair.source, pair.target))
        file.write(f"{pair.number}\t{reason}\t{source}\t{target}\n")

    def _merge_dropped(self) -> None:
        """Make one list of dropped pairs, in the order of the training files."""
        parts = [self._folder / name for name in (_DROPPED_BY_TEXT, _DROPPED_BY_LENGTH)]
        with (
            _open(parts[0]) as first,
            _open(parts[1]) as second,
            _create(self._folder / DROPPED) as merged,
        ):
            merged.write("line\treason\tsource\ttarget\n")
            merged.writelines(heapq.merge(first, second, key=_line_number))
        for part in parts:
            part.unlink()

    def _nothing_left(self) -> DataError:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self._dropped.items())
        return DataError(
            f"{self._data.train[0]}: none of {self._pairs:,} pairs is left to learn from "
            f"({reasons or 'the file is empty'}); look at the files, and at the limits in [data]."
        )


class _HeldOut:
    """Pairs that training should not see, and which of them it does."""

    def __init__(self, name: str, pairs: Iterable[TextPair]) -> None:
        self._name = name
        self._digests = {digest(pair.source, pair.target) for pair in pairs}
        self._met: dict[int, int] = {}

    def meet(self, pair: TextPair) -> None:
        """Take note of a training pair."""
        key = digest(pair.source, pair.target)
        if key in self._digests:
            self._met.setdefault(key, pair.number)

    def warn(self, file: str) -> None:
        """Log how many of the pairs were met, if any."""
        if self._met:
            _logger.warning(
                "%s:%s: is also a %s pair, as %s of %s different ones are; "
                "scores on them say little, take them out of the training files",
                file,
                min(self._met.values()),
                self._name,
                f"{len(self._met):,}",
                f"{len(self._digests):,}",
            )


def _encode(
    pairs: Iterator[TextPair], source: Subword, target: Subword
) -> Iterator[tuple[TextPair, EncodedPair]]:
    """Yield each pair as it was and cut into pieces."""
    while chunk := list(islice(pairs, _CHUNK)):
        source_ids = source.encode_all([pair.source for pair in chunk])
        target_ids = target.encode_all([pair.target for pair in chunk])
        for pair, left, right in zip(chunk, source_ids, target_ids, strict=True):
            yield pair, EncodedPair(left, right, pair.source, pair.target)


def _line_number(line: str) -> int:
    return int(line.partition("\t")[0])


def _create(path: Path) -> TextIO:
    return path.open("x", encoding="utf-8", newline="\n")


def _open(path: Path) -> TextIO:
    return path.open(encoding="utf-8", newline="\n")
