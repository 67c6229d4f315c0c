"""Marian 1.12 (`pymarian`): its s2s model with LSTM cells, larger than the other systems' models.

The encoder has the decoder's size in each direction, the attention is a one-layer network, and the
decoder's first layer has a second cell after the attention instead of input feeding.
"""

import json
import re
from pathlib import Path

from bench.corpus import Corpus
from bench.environment import Environment
from bench.measure import Progress, UnavailableError
from bench.process import Command, Finished, thread_settings
from bench.systems import Training, Translated, Translating, flatten

_REPORT = re.compile(r": Up\. (\d+) : .* \* [\d,]+ @ ([\d,]+) after ")
_TIME = re.compile(r"Total time: ([\d.]+)s wall")
_MAIN = "import sys, _pymarian; sys.exit(_pymarian.main(sys.argv[1:]))"


class Marian:
    """See `System`."""

    name = "marian"
    precisions = ("fp32",)
    has_shortlist = False

    def install(self, environment: Environment) -> None:
        environment.install("pymarian==1.12.42")

    def help(self, environment: Environment) -> list[str]:
        return [environment.python, "-c", _MAIN, "train", "--help"]

    def prepare(self, environment: Environment, corpus: Corpus, folder: Path) -> list[Command]:
        numbers = {piece: i for i, piece in enumerate(("</s>", "<unk>", *corpus.pieces))}
        text = json.dumps(numbers, ensure_ascii=False, indent=0)
        (folder / "vocabulary.yml").write_text(text, encoding="utf-8")
        return []

    def train(self, environment: Environment, job: Training) -> Command:
        model, training = job.experiment.model, job.experiment.training
        vocabulary = job.prepared / "vocabulary.yml"
        options = {
            "--type": "s2s",
            "--model": job.folder / "model.npz",
            "--dim-emb": model.embedding.size,
            "--dim-rnn": model.decoder.hidden_size,
            "--enc-cell": "lstm",
            "--dec-cell": "lstm",
            "--enc-depth": model.encoder.layers,
            "--dec-depth": model.decoder.layers,
            "--dropout-rnn": model.dropout.layers,
            "--label-smoothing": training.label_smoothing,
            "--optimizer": "adam",
            "--learn-rate": training.learning_rate,
            "--clip-norm": training.clip_norm,
            "--cost-type": "ce-sum",  # makes Marian log the number of target tokens
            "--mini-batch": 1_000_000,  # sentences, effectively unlimited
            "--mini-batch-words": training.batch_tokens // training.threads,  # per thread
            "--mini-batch-round-up": "false",
            "--maxi-batch": 1_000,
            "--max-length": 200,
            "--after": f"{training.max_updates}u",
            "--disp-freq": "1u",
            "--workspace": 1024,
            "--cpu-threads": training.threads,
            "--data-threads": 1,
            "--tempdir": job.folder,
            "--seed": training.seed,
        }
        files = [str(job.corpus.side("train", target=target)) for target in (False, True)]
        arguments = [environment.python, "-c", _MAIN, "train", "--sync-sgd", *flatten(options)]
        arguments += ["--train-sets", *files, "--vocabs", str(vocabulary), str(vocabulary)]
        return Command(arguments, job.folder, thread_settings(1))  # Marian's threads are workers

    def progress(self, line: str) -> Progress | None:
        # The number after @ counts target labels: with end symbols, without padding.
        if (found := _REPORT.search(line)) is None:
            return None
        return Progress(int(found[1]), tokens=float(found[2].replace(",", "")))

    def translate(self, environment: Environment, job: Translating) -> list[Command]:
        vocabulary = str(job.model.prepared / "vocabulary.yml")
        options = {
            "--models": job.model.folder / "model.npz",
            "--input": job.source,
            "--output": job.folder / "output",
            "--beam-size": job.beam,
            "--normalize": 1,
            "--mini-batch": job.batch,
            "--maxi-batch": 100,
            "--maxi-batch-sort": "src",
            "--cpu-threads": job.threads,
        }
        arguments = [environment.python, "-c", _MAIN, "decode", "--quiet-translation"]
        arguments += [*flatten(options), "--vocabs", vocabulary, vocabulary]
        return [Command(arguments, job.folder, thread_settings(1))]

    def translated(self, job: Translating, finished: Finished) -> Translated:
        if (time := _TIME.search(finished.output)) is None:
            raise UnavailableError("marian did not report its time")
        lines = (job.folder / "output").read_text(encoding="utf-8").split("\n")
        return Translated(lines[:-1], float(time[1]))
