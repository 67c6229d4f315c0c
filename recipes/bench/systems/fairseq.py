"""fairseq 0.12.2: `--arch lstm`, which always has input feeding and Luong attention."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from bench.corpus import Corpus
from bench.environment import Environment
from bench.measure import Progress, UnavailableError
from bench.process import Command, Finished, thread_settings
from bench.systems import MAX_LENGTH, Training, Translated, Translating, flatten

_REPORT = re.compile(r"\| train_inner \| (\{.*\})")
_HYPOTHESIS = re.compile(r"^H-\d+\t\S+\t(.*)$", re.MULTILINE)
_TIME = re.compile(r"Translated [\d,]+ sentences \(([\d,]+) tokens\) in .*?([\d.]+) tokens/s\)")
_DATACLASS = re.compile(r"^( *)@dataclass(?:\(\))?$", re.MULTILINE)


class Fairseq:
    """See `System`."""

    name = "fairseq"
    precisions = ("fp32",)  # --bf16 without a GPU requires a TPU
    has_shortlist = False

    def install(self, environment: Environment) -> None:
        # pip 24.1 rejects the requirements of omegaconf 2.0.6. If torch is installed, the build
        # needs a C++ file that is missing in the source archive, so torch comes last.
        environment.install("pip<24.1")
        environment.install("numpy<2", "cython<3", "setuptools<81", "wheel")
        ready = ("--no-deps", "--no-build-isolation")
        environment.install(
            *ready, "fairseq==0.12.2", "hydra-core==1.0.7", "omegaconf==2.0.6",
            "antlr4-python3-runtime==4.8",
        )  # fmt: skip
        environment.install(
            "torch", "numpy<2", "setuptools<81", "PyYAML", "cffi", "regex", "sacrebleu", "tqdm",
            "bitarray", "scikit-learn", "packaging",
        )  # fmt: skip
        for package in ("fairseq", "hydra"):
            allow_defaults(environment.package(package))

    def help(self, environment: Environment) -> list[str]:
        return [environment.program("fairseq-train"), "--help"]

    def prepare(self, environment: Environment, corpus: Corpus, folder: Path) -> list[Command]:
        corpus.write_vocabulary(folder / "dict.txt", suffix=" 1")
        files = {"--trainpref": corpus.prefix("train"), "--validpref": corpus.prefix("dev")}
        return [binarize(environment, corpus, folder / "dict.txt", folder, files)]

    def train(self, environment: Environment, job: Training) -> Command:
        model, training = job.experiment.model, job.experiment.training
        options = {
            "--task": "translation",
            "--source-lang": job.corpus.languages.source,
            "--target-lang": job.corpus.languages.target,
            "--arch": "lstm",
            "--encoder-embed-dim": model.embedding.size,
            "--encoder-hidden-size": model.encoder.hidden_size,
            "--encoder-layers": model.encoder.layers,
            "--decoder-embed-dim": model.embedding.size,
            "--decoder-hidden-size": model.decoder.hidden_size,
            "--decoder-out-embed-dim": model.decoder.hidden_size,
            "--decoder-layers": model.decoder.layers,
            "--dropout": model.dropout.layers,
            "--criterion": "label_smoothed_cross_entropy",
            "--label-smoothing": training.label_smoothing,
            "--optimizer": "adam",
            "--adam-betas": "(0.9, 0.999)",
            "--lr": training.learning_rate,
            "--lr-scheduler": "fixed",
            "--clip-norm": training.clip_norm,
            "--max-tokens": job.corpus.counts.longer_side_of_update,
            "--max-update": training.max_updates,
            "--log-interval": 1,
            "--log-format": "json",
            "--seed": training.seed,
            "--save-dir": job.folder,
            "--num-workers": 0,
        }
        flags = ["--cpu", "--encoder-bidirectional", "--disable-validation", "--no-progress-bar",
                 "--no-epoch-checkpoints"]  # fmt: skip
        program = environment.program("fairseq-train")
        arguments = [program, str(job.prepared), *flags, *flatten(options)]
        return Command(arguments, job.folder, thread_settings(training.threads))

    def progress(self, line: str) -> Progress | None:
        # wpb: words per batch, which is `ntokens` of the target: end symbols, no padding.
        if (found := _REPORT.search(line)) is None:
            return None
        report = json.loads(found[1])
        return Progress(int(report["num_updates"]), tokens=float(report["wpb"]))

    def translate(self, environment: Environment, job: Translating) -> list[Command]:
        languages, model = job.model.corpus.languages, job.model
        lines = job.folder / "lines"
        for side in (languages.source, languages.target):  # the binarizer needs both sides
            lines.with_suffix(f".{side}").write_bytes(job.source.read_bytes())
        vocabulary = model.prepared / "dict.txt"
        binary = job.folder / "binary"
        options = {
            "--path": model.folder / "checkpoint_last.pt",
            "--gen-subset": "test",
            "--beam": job.beam,
            "--batch-size": job.batch,
            "--max-len-a": 0,
            "--max-len-b": MAX_LENGTH,
            "--num-workers": 0,
        }
        program = environment.program("fairseq-generate")
        arguments = [program, str(binary), "--cpu", "--no-progress-bar", *flatten(options)]
        return [
            binarize(environment, model.corpus, vocabulary, binary, {"--testpref": lines}),
            Command(arguments, job.folder, thread_settings(job.threads)),
        ]

    def translated(self, job: Translating, finished: Finished) -> Translated:
        # The reported time covers the search only.
        if (time := _TIME.search(finished.output)) is None:
            raise UnavailableError("fairseq-generate did not report its time")
        seconds = int(time[1].replace(",", "")) / float(time[2])
        return Translated(_HYPOTHESIS.findall(finished.output), seconds)


def binarize(
    environment: Environment,
    corpus: Corpus,
    vocabulary: Path,
    folder: Path,
    files: Mapping[str, object],
) -> Command:
    """Return the command that converts segmented text to ids."""
    options = {
        "--source-lang": corpus.languages.source,
        "--target-lang": corpus.languages.target,
        "--srcdict": vocabulary,
        "--destdir": folder,
        **files,
    }
    program = environment.program("fairseq-preprocess")
    arguments = [program, "--joined-dictionary", *flatten(options)]
    return Command(arguments, vocabulary.parent, thread_settings(1))


def allow_defaults(package: Path) -> None:
    """Make dataclasses hashable, which Python 3.11 requires of default values."""
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        changed = _DATACLASS.sub(r"\1@dataclass(unsafe_hash=True)", text)
        if changed != text:
            path.write_text(changed, encoding="utf-8")
