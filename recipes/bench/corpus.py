"""The text that all systems learn from: cut once, the same pieces for everyone."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.sizes import TextCounts
from nmt.text.lines import read_lines
from nmt.text.normalize import Normalizer
from nmt.text.subword import JOINT_FILE, Subword
from nmt.text.vocabulary import SPECIAL_PIECES

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY = 8000
CONFIG, RUN = "config.toml", "run"
"""Of nmt's own preparation, in the folder of the corpus."""


@dataclass(frozen=True)
class Languages:
    """Where a corpus lies as plain text."""

    name: str
    folder: Path
    source: str
    target: str

    def file(self, part: str, language: str) -> Path:
        """Return the file of `train` or `dev` in a language."""
        return self.folder / f"{part}.{language}"


@dataclass(frozen=True)
class Corpus:
    """A corpus cut into pieces, `train` and `dev`, under `folder`."""

    languages: Languages
    folder: Path
    counts: TextCounts
    pieces: tuple[str, ...]
    """The vocabulary without special pieces."""

    def side(self, part: str, *, target: bool) -> Path:
        """Return the file of cut text of one side."""
        language = self.languages.target if target else self.languages.source
        return self.folder / f"{part}.{language}"

    def prefix(self, part: str) -> str:
        """Return the path of cut text without the language."""
        return str(self.folder / part)

    def write_vocabulary(self, path: Path, suffix: str = "") -> None:
        """Write the pieces, one a line, each followed by `suffix`."""
        path.write_text("".join(f"{piece}{suffix}\n" for piece in self.pieces), encoding="utf-8")


def find_languages() -> Languages:
    """Return Multi30k from $NMT_DATA if it is there, else the corpus of the project."""
    folder = Path(os.environ.get("NMT_DATA") or "/nonexistent") / "multi30k"
    if (folder / "train.de").is_file():
        return Languages("multi30k", folder.resolve(), "en", "de")
    return Languages("toy", ROOT / "data" / "toy", "en", "it")


def prepare_corpus(languages: Languages, folder: Path) -> Corpus:
    """Let nmt learn joint BPE pieces from `train` as it always does, cut both parts, and count."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(config_head(languages), encoding="utf-8")
    prepare = (sys.executable, "-m", "nmt.cli", "prepare", CONFIG, "--run", RUN)
    subprocess.run(prepare, cwd=folder, check=True, stdout=sys.stderr)
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


def config_head(languages: Languages) -> str:
    """Return what an nmt configuration says of the corpus and how it is cut."""
    files = {
        key: [str(languages.file(part, side)) for side in (languages.source, languages.target)]
        for key, part in (("train", "train"), ("valid", "dev"))
    }
    return f"""[data]
source = "{languages.source}"
target = "{languages.target}"
train = {json.dumps(files["train"])}
valid = {json.dumps(files["valid"])}

[tokenizer]
kind = "bpe"
vocab_size = {VOCABULARY}
byte_fallback = false
"""


def _normalised(path: Path) -> list[str]:
    normalizer = Normalizer(unicode="nfc", whitespace=True)
    return [normalizer.normalize(line) for line in read_lines(path)]
