"""Segmentation of text into subword pieces and back, by sentencepiece.

The model file holds everything except the normalisation, which is done by `Normalizer`:
sentencepiece itself leaves text unchanged, so that `decode(encode(text)) == text`. The only
exception is "▁" (U+2581), sentencepiece's symbol for a space, which is decoded as a space.
"""

import copy
import hashlib
import io
import logging
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import sentencepiece

from nmt.errors import ConfigError, DataError, ModelError
from nmt.paths import require_regular_file
from nmt.text.protobuf import fields
from nmt.text.segmentation import (
    BpeDropout,
    PieceTable,
    Symbols,
    UnigramSampler,
    sample_segmentation,
)
from nmt.text.spans import Span, spans_of_pieces
from nmt.text.vocabulary import (
    BOS,
    BOS_PIECE,
    EOS,
    EOS_PIECE,
    PAD,
    PAD_PIECE,
    SPECIAL_PIECES,
    UNK,
    UNK_PIECE,
)

SubwordKind = Literal["unigram", "bpe", "char", "word"]

JOINT_FILE, SOURCE_FILE, TARGET_FILE = "subword.model", "source.model", "target.model"
"""Names of the model files in a folder: one for both languages, or one for each."""
SHORTLIST_FILE = "shortlist.safetensors"
LIKELY = 16
"""Likely translations of each source piece in that file."""
"""Name of the shortlist, written by `nmt.data.lexicon` and read by `nmt.models.shortlist`."""
PIECE_FILES = (JOINT_FILE, SOURCE_FILE, TARGET_FILE, SHORTLIST_FILE)
"""All files related to pieces that a folder may contain."""
MODEL_CONFIG, PREPARATION = "config.json", "preparation.json"
"""Names of the file beside the pieces in a model folder, and in prepared data."""

_KINDS: dict[int, SubwordKind] = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
_BYTES = 256
_UNKNOWN_SIGN = "⁇"
SPACE = "▁"
"""How sentencepiece writes a space."""
_WORD = re.compile(f"{SPACE}*[^{SPACE}]+|{SPACE}+")
_RESERVED = "▅"  # sentencepiece skips lines with it (U+2585)
_NO_LIMIT = 1 << 30  # bytes of a line; by default sentencepiece skips lines above 4,192
_ERRORS_ONLY = 2
_UNSPOKEN = frozenset((PAD, BOS, EOS))
_ONE_LINE = str.maketrans("\n\r\0", "   ")


class Subword:
    """A subword model: text to ids and back. Use `load` or `train` to get one.

    Args:
        model: content of a sentencepiece model file.
        name: name of the model in error messages.

    Raises:
        ModelError: the model is damaged, or its special ids differ from those in `vocabulary`.
    """

    def __init__(self, model: bytes, *, name: str = "subword model") -> None:
        sentencepiece.set_min_log_level(_ERRORS_ONLY)
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
            size = self._processor.get_piece_size() if model else 0
            pieces = self._processor.id_to_piece(list(range(size)))
            kind, symbols = _kind_and_symbols(model)
        except (RuntimeError, UnicodeDecodeError, IndexError) as error:
            raise ModelError(f"{name}: is not a subword model, or damaged; restore it.") from error
        found = tuple(pieces[: len(SPECIAL_PIECES)])
        if found != SPECIAL_PIECES:
            raise ModelError(
                f"{name}: begins with the pieces {' '.join(found) or '(none)'} instead of "
                f"{' '.join(SPECIAL_PIECES)}; train it with `nmt prepare`."
            )
        self._samplers: dict[float, Callable[[str, random.Random], list[int]] | None] = {}
        self.symbols = Symbols({text: i for text in symbols if (i := self.id_of(text)) is not None})
        """Texts that stay whole, with their ids."""
        self.vocab_size: int = size
        """Number of pieces, special ones included."""
        self.fingerprint = hashlib.sha256(model).hexdigest()
        """SHA-256 of the model file."""
        self.kind: SubwordKind = kind
        """The segmentation algorithm."""
        self.parts_unknown = False
        """Whether unknown words side by side are one piece each, rather than one in all."""

    @classmethod
    def load(cls, path: Path) -> "Subword":
        """Read a model file.

        Raises:
            ModelError: it is missing, damaged, or has other special pieces.
        """
        try:
            require_regular_file(path)
            model = path.read_bytes()
        except FileNotFoundError:
            raise ModelError(f"{path}: is missing; `nmt prepare` trains it.") from None
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be read: {error.strerror}; fix its mode, or restore it."
            ) from error
        return cls(model, name=str(path))

    @classmethod
    def train(
        cls,
        lines: Iterable[str],
        path: Path,
        *,
        kind: SubwordKind,
        vocab_size: int,
        byte_fallback: bool = True,
        character_coverage: float = 1.0,
        symbols: Sequence[str] = (),
        threads: int = 4,
    ) -> "Subword":
        """Learn pieces from normalised lines and write the model to `path`.

        Equal lines and options give equal bytes. `threads` is one of these options, as it affects
        the order of summation; its default therefore does not depend on the number of cores.

        Args:
            lines: the text; read once.
            path: the model file to write.
            kind: the algorithm.
            vocab_size: number of pieces, special ones included; a small text may yield fewer.
            byte_fallback: spell unknown characters as bytes; not for "word".
            character_coverage: fraction of the text's characters covered by pieces of their own.
            symbols: texts that stay whole, as pieces of their own; not for "word".
            threads: number of training threads.

        Raises:
            ConfigError: `vocab_size` is too small for the characters of the text.
            DataError: there is no text.
        """
        byte_fallback = byte_fallback and kind != "word"
        _check_room(vocab_size, byte_fallback, len(symbols))
        text = _TrainingText(lines)
        output = io.BytesIO()
        sentencepiece.set_min_log_level(_ERRORS_ONLY)
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(text),
                model_writer=output,
                model_type=kind,
                vocab_size=vocab_size,
                hard_vocab_limit=False,
                byte_fallback=byte_fallback,
                character_coverage=character_coverage,
                user_defined_symbols=list(symbols),
                max_sentence_length=_NO_LIMIT,
                normalization_rule_name="identity",
                remove_extra_whitespaces=False,
                add_dummy_prefix=True,
                num_threads=threads,
                minloglevel=_ERRORS_ONLY,
                pad_id=PAD,
                unk_id=UNK,
                bos_id=BOS,
                eos_id=EOS,
                pad_piece=PAD_PIECE,
                unk_piece=UNK_PIECE,
                bos_piece=BOS_PIECE,
                eos_piece=EOS_PIECE,
                # An unknown word includes the space before it; an unknown character does not.
                unk_surface=f" {_UNKNOWN_SIGN}" if kind == "word" else _UNKNOWN_SIGN,
            )
        except RuntimeError as error:
            if text.failure is not None:
                raise text.failure from None
            raise _explain(error, text, vocab_size, byte_fallback) from error
        path.write_bytes(output.getvalue())
        trained = cls(output.getvalue(), name=str(path))
        if trained.vocab_size < vocab_size and kind != "char":
            logging.getLogger(__name__).info(
                "%s: the text yields %s pieces, fewer than tokenizer.vocab_size = %s",
                path.name,
                f"{trained.vocab_size:,}",
                f"{vocab_size:,}",
            )
        return trained

    def encode(
        self, text: str, *, alpha: float = 0.0, generator: random.Random | None = None
    ) -> list[int]:
        """Return the ids of a normalised line, without BOS and EOS.

        Args:
            text: one line.
            alpha: above 0, a random segmentation: smoothing of subword regularisation for
                unigram, rate of BPE-dropout for bpe. The other kinds have only one segmentation.
            generator: random generator; a new one by default.
        """
        sampler = self._sampler(alpha) if alpha > 0 else None
        if sampler is None:  # a list of one would start a thread
            ids: list[int] = self._processor.encode(_repair(text))
            return self._parted(text, ids)
        generator = generator or random.Random()
        return sample_segmentation(_repair(text), sampler, generator, self.symbols)

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each line, as `encode` without `alpha`, in one call."""
        try:
            ids: list[list[int]] = self._processor.encode(list(texts), num_threads=1)
        except (RuntimeError, TypeError, UnicodeEncodeError):  # a lone surrogate
            ids = self._processor.encode([_repair(text) for text in texts], num_threads=1)
        return [self._parted(text, each) for text, each in zip(texts, ids, strict=True)]

    def encode_sampled(self, texts: Sequence[str], *, alpha: float, seed: int) -> list[list[int]]:
        """Return a random segmentation of each line; see `encode` for `alpha`.

        The same texts and seed give the same result on every machine and in every process.
        """
        sampler = self._sampler(alpha) if alpha > 0 else None
        if sampler is None:
            return self.encode_all(texts)
        generator = random.Random(seed)
        return [
            sample_segmentation(_repair(text), sampler, generator, self.symbols) for text in texts
        ]

    def decode(self, ids: Iterable[int], beyond: Sequence[str] = ()) -> str:
        """Return the text of ids: always one line.

        PAD, BOS and EOS are skipped, UNK becomes "⁇", and bytes that form no character become
        U+FFFD. A line feed, carriage return or NUL, which byte pieces can spell, becomes a space.

        Args:
            ids: those from `vocab_size` on stand for the texts of `beyond`, in order.
            beyond: as `spell` returns them.
        """
        spoken = [int(piece) for piece in ids if piece not in _UNSPOKEN]
        if not spoken:
            return ""
        text: str
        if max(spoken) < self.vocab_size:
            text = self._processor.decode(spoken)
        else:
            text = self._processor.decode([self._name(piece, beyond) for piece in spoken])
            text = text.replace(SPACE, " ")
        if spoken[0] == UNK or spoken[0] >= self.vocab_size:
            text = text.removeprefix(" ")  # an unknown word includes the space before it
        return text.translate(_ONE_LINE)

    def spell(self, text: str) -> list[str]:
        """Return the spelling of each piece of `encode`, with "▁" for a space; of unknown text,
        that text."""
        spelled: list[str] = self._processor.encode(_repair(text), out_type=str)
        if not self.parts_unknown:
            return spelled
        return [part for name in spelled for part in self._parts(name)]

    def parting_unknown(self) -> "Subword":
        """Return the same model with a piece for each unknown word, so that each can be copied."""
        other = copy.copy(self)
        other.parts_unknown = True
        return other

    def _parted(self, text: str, ids: list[int]) -> list[int]:
        """Return the ids of a text, with as many UNK as `spell` says."""
        if not self.parts_unknown or UNK not in ids:
            return ids
        spelled = self._processor.encode(_repair(text), out_type=str)
        return [
            piece
            for each, name in zip(ids, spelled, strict=True)
            for piece in [each] * (len(self._parts(name)) if each == UNK else 1)
        ]

    @staticmethod
    def _parts(name: str) -> list[str]:
        """Return the words of a piece, each with the space before it; sentencepiece joins unknown
        ones."""
        return _WORD.findall(name)

    def _name(self, piece: int, beyond: Sequence[str]) -> str:
        """Return the name of a piece, or the text of `beyond`."""
        if piece >= self.vocab_size:
            return beyond[piece - self.vocab_size]
        name: str = self._processor.id_to_piece(piece)
        return name

    def encode_spans(self, text: str) -> list[Span]:
        """Return the part of a normalised line that each piece of `encode` spells."""
        parts = [
            self._byte(piece, surface)
            for piece, surface in zip(self.encode(text), self.spell(text), strict=True)
        ]
        if parts and isinstance(parts[0], str):
            parts[0] = parts[0].removeprefix(SPACE)  # sentencepiece adds it to every line
        return spans_of_pieces(parts)[1]

    def decode_spans(self, ids: Iterable[int], beyond: Sequence[str] = ()) -> list[Span]:
        """Return the part of `decode` that each piece spells; nothing for PAD, BOS and EOS."""
        unknown = f" {_UNKNOWN_SIGN}" if self.kind == "word" else _UNKNOWN_SIGN
        parts: list[str | int] = []
        pieces = list(map(int, ids))
        for piece in pieces:
            if piece not in _UNSPOKEN:
                name = unknown if piece == UNK else self._name(piece, beyond)
                part = self._byte(piece, name.replace(SPACE, " "))
                if not parts and isinstance(part, str):
                    part = part.removeprefix(" ")
                parts.append(part)
        spans = iter(spans_of_pieces(parts)[1])
        found, reached = [], 0
        for piece in pieces:
            found.append((reached, reached) if piece in _UNSPOKEN else next(spans))
            reached = found[-1][1]
        return found

    def _byte(self, piece: int, name: str) -> str | int:
        """Return the value of a byte piece; `name` for all others."""
        is_byte = piece < self.vocab_size and self._processor.is_byte(piece)
        return int(self._processor.id_to_piece(piece)[3:5], 16) if is_byte else name

    def pieces(self, ids: Iterable[int], beyond: Sequence[str] = ()) -> list[str]:
        """Return the name of each piece.

        Args:
            ids: those from `vocab_size` on are unknown, or stand for the texts of `beyond`.
            beyond: as `spell` returns them.
        """
        most = self.vocab_size + len(beyond)
        known = (piece if piece < most else UNK for piece in map(int, ids))
        return [self._name(piece, beyond) for piece in known]

    def pieces_of(self, text: str) -> list[str]:
        """Return the name of each piece of `encode`; of an unknown one that can be copied, its
        text."""
        names = self.pieces(self.encode(text))
        if not self.parts_unknown:
            return names
        spelled = zip(names, self.spell(text), strict=True)
        return [part if name == UNK_PIECE else name for name, part in spelled]

    @cached_property
    def characters(self) -> frozenset[str]:
        """The characters that pieces spell, besides those that bytes would."""
        spelled = self.piece_table.ids
        return frozenset(" ").union(*spelled) - {SPACE}

    def id_of(self, piece: str) -> int | None:
        """Return the id of a piece; None if there is none."""
        found: int = self._processor.piece_to_id(piece)
        return found if found != UNK or piece == UNK_PIECE else None

    def _sampler(self, alpha: float) -> Callable[[str, random.Random], list[int]] | None:
        if alpha not in self._samplers:
            self._samplers[alpha] = self._new_sampler(alpha)
        return self._samplers[alpha]

    def _new_sampler(self, alpha: float) -> Callable[[str, random.Random], list[int]] | None:
        if self.kind == "unigram":
            return UnigramSampler(self.piece_table, alpha)
        if self.kind == "bpe":
            return BpeDropout(self.piece_table, alpha)
        return None

    @cached_property
    def piece_table(self) -> PieceTable:
        """Ids and scores of the pieces."""
        every = range(self.vocab_size)
        spelled = [i for i in every if self._processor.is_byte(i)]
        other = {*spelled, *range(len(SPECIAL_PIECES))}
        return PieceTable(
            ids={self._processor.id_to_piece(i): i for i in every if i not in other},
            scores=[self._processor.get_score(i) for i in every],
            bytes=spelled,
        )


def load_subwords(folder: Path) -> tuple[Subword, Subword]:
    """Return the subword models of source and target in a folder; if joint, the same one twice.

    Raises:
        ModelError: one is missing or damaged.
    """
    joint = folder / JOINT_FILE
    if joint.exists() or not (folder / SOURCE_FILE).exists():
        model = Subword.load(joint)
        return model, model
    return Subword.load(folder / SOURCE_FILE), Subword.load(folder / TARGET_FILE)


def find_pieces(run: Path) -> Path:
    """Return the folder with the subword models of a run, a model folder or prepared data.

    Raises:
        ModelError: there are none.
    """
    for folder in (run / "data", run / "model", run):
        if (folder / JOINT_FILE).exists() or (folder / TARGET_FILE).exists():
            return folder
    raise ModelError(f"{run}: has no subword models; name a run or a model folder.")


class _TrainingText:
    """Lines for the trainer; records their errors, which sentencepiece would hide."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines
        self.failure: BaseException | None = None
        self.is_empty = True

    def __iter__(self) -> Iterator[str]:
        try:
            for line in self._lines:
                if line:
                    self.is_empty = False
                    yield line.replace(_RESERVED, " ")
        except GeneratorExit:  # the trainer has enough
            raise
        except BaseException as error:  # including Ctrl-C
            self.failure = error
            raise


def _check_room(vocab_size: int, byte_fallback: bool, symbols: int) -> None:
    least = len(SPECIAL_PIECES) + symbols + 1 + (_BYTES if byte_fallback else 0)
    if vocab_size < least:
        way_out = "or set tokenizer.byte_fallback = false" if byte_fallback else ""
        parts = [f"{len(SPECIAL_PIECES)} special pieces"]
        parts += [f"{symbols} symbols"] * bool(symbols) + ["256 bytes"] * byte_fallback
        raise ConfigError(
            f"tokenizer.vocab_size: {vocab_size:,} is too small, the least is {least}: "
            f"{', '.join(parts)} and a character; raise it {way_out}".rstrip()
            + "."
        )


def _explain(
    error: RuntimeError, text: _TrainingText, vocab_size: int, byte_fallback: bool
) -> Exception:
    """Return an error that explains why training failed."""
    if text.is_empty:
        return DataError(
            "there is no text to learn pieces from, every line is empty; name other files."
        )
    needed = re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error))
    if needed:
        way_out = ", set tokenizer.byte_fallback = false" if byte_fallback else ""
        return ConfigError(
            f"tokenizer.vocab_size: {vocab_size:,} is too small, the characters of the text need "
            f"{int(needed[1]):,}; raise it{way_out} or lower tokenizer.character_coverage."
        )
    return DataError(
        f"no {vocab_size:,} pieces can be learned from the text ({error}); "
        "try another tokenizer.vocab_size, or more text."
    )


def _repair(text: str) -> str:
    """Replace lone surrogates, which have no UTF-8, by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _kind_and_symbols(model: bytes) -> tuple[SubwordKind, list[str]]:
    """Return the algorithm of a model file, and its user-defined symbols.

    They are `model_type` and `user_defined_symbols` of `trainer_spec`, fields 3 and 31 of field 2.
    """
    kind: SubwordKind = "unigram"
    symbols = []
    for field in fields(model):
        if field.number == 2 and isinstance(field.value, bytes):
            for inner in fields(field.value):
                if inner.number == 3 and isinstance(inner.value, int):
                    kind = _KINDS.get(inner.value, "unigram")
                elif inner.number == 31 and isinstance(inner.value, bytes) and inner.value:
                    symbols.append(inner.value.decode())
            break
    return kind, symbols
