"""The training text, segmented once, so that all systems get the same pieces."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from nmt.benchmark.sizes import TRAINING
from nmt.benchmark.work import Sample
from nmt.config.data import DataConfig, TokenizerConfig
from nmt.config.dump import dump
from nmt.config.embedding import EmbeddingConfig
from nmt.config.experiment import Experiment
from nmt.config.model import ModelConfig
from nmt.errors import DataError, UsageError
from nmt.storage.folders import make_folder
from nmt.text.lines import read_lines
from nmt.text.normalize import Normalizer
from nmt.text.subword import JOINT_FILE, Subword
from nmt.text.vocabulary import SPECIAL_PIECES

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = TokenizerConfig(kind="bpe", vocab_size=8000, joint=True, byte_fallback=False)
WHOLE = ModelConfig(embedding=EmbeddingConfig(tied="all"))
"""A model for which `nmt prepare` keeps all joint pieces on both sides, like the other toolkits."""
CONFIG, RUN = "config.toml", "run"
"""Configuration and run of that preparation, in the folder of the corpus."""


@dataclass(frozen=True)
class Languages:
    """Location and languages of a plain-text corpus."""

    name: str
    folder: Path
    source: str
    target: str

    def file(self, part: str, language: str) -> Path:
        """Return the file of `train` or `dev` in a language."""
        return self.folder / f"{part}.{language}"

    def both(self, part: str) -> tuple[str, str]:
        """Return the source and the target file of a part."""
        return str(self.file(part, self.source)), str(self.file(part, self.target))


@dataclass(frozen=True, kw_only=True)
class TextCounts:
    """Counts that determine the cost of a corpus; tokens are pieces and end symbols."""

    vocabulary: int
    sentences: int
    source_tokens: int
    target_tokens: int
    longer_side_tokens: int
    """Tokens on the longer side of each pair, summed over pairs."""

    @property
    def sample(self) -> Sample:
        """Average composition of an update."""
        return Sample(
            source_length=self.source_tokens / self.sentences,
            target_length=self.target_tokens / self.sentences,
            target_tokens=TRAINING.batch_tokens,
        )

    @property
    def longer_side_of_update(self) -> int:
        """Longer-side tokens of an average update.

        Toolkits that limit a batch by its longer side get this number, so that their updates have
        as many target tokens as those of the others.
        """
        return round(TRAINING.batch_tokens * self.longer_side_tokens / self.target_tokens)


@dataclass(frozen=True)
class Corpus:
    """A corpus segmented into pieces, `train` and `dev`, in `folder`."""

    languages: Languages
    folder: Path
    counts: TextCounts
    pieces: tuple[str, ...]
    """The vocabulary without special pieces."""

    def side(self, part: str, *, target: bool) -> Path:
        """Return the segmented file of one side."""
        language = self.languages.target if target else self.languages.source
        return self.folder / f"{part}.{language}"

    def prefix(self, part: str) -> str:
        """Return the path of the segmented files without the language."""
        return str(self.folder / part)

    def write_vocabulary(self, path: Path, suffix: str = "") -> None:
        """Write the pieces, one per line, each followed by `suffix`."""
        path.write_text("".join(f"{piece}{suffix}\n" for piece in self.pieces), encoding="utf-8")


def find_languages() -> Languages:
    """Return Multi30k from $NMT_DATA, or the toy corpus if that is not set.

    Raises:
        UsageError: $NMT_DATA is set, but a file of Multi30k is missing.
    """
    data = os.environ.get("NMT_DATA")
    if not data:
        return Languages("toy", ROOT / "data" / "toy", "en", "it")
    found = Languages("multi30k", Path(data).resolve() / "multi30k", "en", "de")
    for file in (*found.both("train"), *found.both("dev")):
        if not Path(file).is_file():
            raise UsageError(
                f'NMT_DATA is "{data}", but {file} does not exist; correct it, or unset it to '
                "measure on the toy corpus."
            )
    return found


def experiment_on(languages: Languages, model: ModelConfig) -> Experiment:
    """Return the configuration for training a model on a corpus with nmt."""
    data = DataConfig(
        source=languages.source,
        target=languages.target,
        train=languages.both("train"),
        valid=languages.both("dev"),
    )
    return Experiment(data=data, tokenizer=TOKENIZER, model=model, training=TRAINING)


def prepare_corpus(languages: Languages, folder: Path) -> Corpus:
    """Train joint BPE on `train` with `nmt prepare`, segment both parts, and count.

    Raises:
        DataError: the files of the corpus are invalid.
    """
    make_folder(folder)
    (folder / CONFIG).write_text(dump(experiment_on(languages, WHOLE)), encoding="utf-8")
    prepare = (sys.executable, "-m", "nmt.cli", "prepare", CONFIG, "--run", RUN)
    if subprocess.run(prepare, cwd=folder, stdout=sys.stderr, check=False).returncode:
        raise DataError(f"{languages.folder}: the files are invalid; see the errors above.")
    subword = Subword.load(folder / RUN / "data" / JOINT_FILE)
    lengths = {}
    for language in (languages.source, languages.target):
        for part in ("train", "dev"):
            cut = subword.encode_all(_normalised(languages.file(part, language)))
            lines = [" ".join(subword.pieces(ids)) + "\n" for ids in cut]
            (folder / f"{part}.{language}").write_text("".join(lines), encoding="utf-8")
            lengths[part, language] = [len(ids) + 1 for ids in cut]
    source, target = (lengths["train", side] for side in (languages.source, languages.target))
    counts = TextCounts(
        vocabulary=subword.vocab_size,
        sentences=len(source),
        source_tokens=sum(source),
        target_tokens=sum(target),
        longer_side_tokens=sum(map(max, source, target)),
    )
    pieces = tuple(subword.pieces(range(len(SPECIAL_PIECES), subword.vocab_size)))
    return Corpus(languages, folder, counts, pieces)


def _normalised(path: Path) -> list[str]:
    normalizer = Normalizer(unicode="nfc", whitespace=True)
    return [normalizer.normalize(line) for line in read_lines(path)]
