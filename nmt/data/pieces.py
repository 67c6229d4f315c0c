"""The pieces of a corpus: learned from its training pairs, or taken from another run."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from nmt.config.dump import toml_value
from nmt.config.experiment import Experiment
from nmt.data.cleaning import TrainingPairs
from nmt.data.folder import normalization_of
from nmt.data.pairs import TextPair, chunks
from nmt.data.shape import Shape
from nmt.errors import ConfigError
from nmt.storage.checksums import verify_checksums
from nmt.storage.files import write_bytes
from nmt.text.pruning import UsedPieces, prune
from nmt.text.subword import (
    JOINT_FILE,
    SOURCE_FILE,
    TARGET_FILE,
    Subword,
    find_pieces,
    load_subwords,
)
from nmt.text.vocabulary import SPECIAL_PIECES

_SUBWORD_LINES = 4_000_000  # maximum number of lines, evenly spread, to train a subword model on


class PieceLearner:
    """Writes the subword models of both sides into a folder of prepared data.

    Args:
        experiment: kind and number of the pieces, or where to take them.
        folder: the folder.
        training: pairs to learn from.
        symbols: texts that are pieces by themselves, normalised.
        report: called with a line of text at each step.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: Path,
        training: TrainingPairs,
        symbols: list[str],
        report: Callable[[str], None],
    ) -> None:
        self._options, self._normalization = experiment.tokenizer, experiment.normalization
        self._has_source = experiment.data.has_source
        self._is_shared = experiment.model.embedding.shares_vocabulary
        self._shape = Shape.of(experiment.model)
        self._folder, self._training = folder, training
        self._symbols, self._report = symbols, report

    def learn(self) -> tuple[Subword, Subword]:
        """Return the subword models of source and target, which may be the same one."""
        options, shape = self._options, self._shape
        if options.pieces_from:
            return self._take(Path(options.pieces_from))
        is_joint = options.joint and shape.is_parallel
        count = "one model" if is_joint or not shape.has_source_pieces else "two models"
        self._report(f"training {count} of {options.vocab_size:,} pieces ({options.kind})")
        if shape.target == "numbers":
            if shape.has_source_pieces:
                source = self._train(JOINT_FILE, lambda pair: (pair.source,))
            else:  # a folder has some pieces, even if a model uses none
                source = Subword.train(["0"], self._folder / JOINT_FILE, kind="word", vocab_size=5)
            return source, source
        if not shape.has_source_pieces:
            target = self._train_target(JOINT_FILE)
            return target, target
        if is_joint:
            joint = self._train(JOINT_FILE, lambda pair: (pair.source, pair.target))
            return (joint, joint) if self._is_shared else self._divide(joint)
        source = self._train(SOURCE_FILE, lambda pair: (pair.source,))
        return source, self._train_target(TARGET_FILE)

    def _train(self, name: str, sides: Callable[[TextPair], tuple[str, ...]]) -> Subword:
        """Train a subword model on some sides of the clean pairs."""
        options = self._options
        stride = -(-self._training.kept * 2 // _SUBWORD_LINES)  # rounded up
        pairs = islice(self._training.clean(), 0, None, stride)
        return Subword.train(
            (line for pair in pairs for line in sides(pair)),
            self._folder / name,
            kind=options.kind,
            vocab_size=options.vocab_size,
            byte_fallback=options.byte_fallback,
            character_coverage=options.character_coverage,
            symbols=self._symbols,
        )

    def _train_target(self, name: str) -> Subword:
        if self._shape.target != "label":
            return self._train(name, lambda pair: (pair.target,))
        labels = {pair.target for pair in self._training.clean()}
        return Subword.train(
            sorted(labels),
            self._folder / name,
            kind="word",
            vocab_size=len(SPECIAL_PIECES) + len(labels),
        )

    def _divide(self, joint: Subword) -> tuple[Subword, Subword]:
        """Replace a joint model by one per side, with only the pieces that the side uses."""
        source, target = UsedPieces(joint), UsedPieces(joint)
        for chunk in chunks(self._training.clean()):
            texts = [(pair.source, pair.target) for pair in chunk]
            for pair in self._shape.encode(texts, joint, joint):
                source.add([pair.source], [pair.source_text])
                target.add([pair.target], [pair.target_text])
        whole = self._folder / JOINT_FILE
        models = (
            prune(whole, source.needed(), self._folder / SOURCE_FILE),
            prune(whole, target.needed(), self._folder / TARGET_FILE),
        )
        whole.unlink()
        return models

    def _take(self, run: Path) -> tuple[Subword, Subword]:
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
        if not self._has_source and not (folder / JOINT_FILE).exists():
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
