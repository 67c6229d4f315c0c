"""OpenNMT-py 3.5.1: `-rnn_type LSTM -input_feed 1 -global_attention general`."""

import json
import re
from pathlib import Path

from bench.corpus import Corpus
from bench.environment import Environment
from bench.measure import Progress, UnavailableError
from bench.process import Command, Finished, thread_settings
from bench.systems import MAX_LENGTH, Training, Translated, Translating

_REPORT = re.compile(r"Step +(\d+)/ *\d+;.* bsz: +\d+/ *(\d+)/ *\d+;")
_TIME = re.compile(r"Total translation time \(s\): ([\d.]+)")


class OpenNmt:
    """See `System`.

    Both directions of its encoder together have as many units as the decoder, so its "big" model is
    smaller than the others.
    """

    name = "opennmt"
    precisions = ("fp32",)  # supports fp16 on CUDA only
    has_shortlist = False

    def install(self, environment: Environment) -> None:
        # It requires torch < 2.3, but works with the current one; spacy and fasttext are only
        # imported.
        environment.install("--no-deps", "OpenNMT-py==3.5.1")
        environment.install(
            "torch", "configargparse", "ctranslate2", "fasttext-wheel", "flask", "pyahocorasick",
            "pyonmttok", "pyyaml", "rapidfuzz", "sacrebleu", "six", "spacy", "tensorboard",
            "waitress",
        )  # fmt: skip

    def help(self, environment: Environment) -> list[str]:
        return [environment.program("onmt_train"), "--help"]

    def prepare(self, environment: Environment, corpus: Corpus, folder: Path) -> list[Command]:
        corpus.write_vocabulary(folder / "vocabulary.txt")
        return []

    def train(self, environment: Environment, job: Training) -> Command:
        model, training = job.experiment.model, job.experiment.training
        vocabulary = str(job.prepared / "vocabulary.txt")
        sides = {
            f"path_{name}": str(job.corpus.side("train", target=name == "tgt"))
            for name in ("src", "tgt")
        }
        config = {
            "save_data": str(job.folder / "data"),
            "data": {"corpus": sides},
            "src_vocab": vocabulary,
            "tgt_vocab": vocabulary,
            "share_vocab": True,
            "save_model": str(job.folder / "model"),
            "seed": training.seed,
            "encoder_type": "brnn",
            "decoder_type": "rnn",
            "rnn_type": "LSTM",
            "layers": model.decoder.layers,
            "word_vec_size": model.embedding.size,
            "hidden_size": model.decoder.hidden_size,
            "input_feed": 1,
            "global_attention": "general",
            "dropout": [model.dropout.layers],
            "label_smoothing": training.label_smoothing,
            "optim": "adam",
            "learning_rate": training.learning_rate,
            "max_grad_norm": training.clip_norm,
            "batch_type": "tokens",
            "batch_size": job.corpus.counts.longer_side_of_update,
            "normalization": "tokens",
            "bucket_size": job.corpus.counts.sentences,  # sorts the whole corpus at once
            "num_workers": 0,
            "train_steps": training.max_updates,
            "save_checkpoint_steps": training.max_updates,
            "valid_steps": training.max_updates + 1,
            "report_every": 1,
        }
        path = job.folder / "config.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        arguments = [environment.program("onmt_train"), "-config", str(path)]
        return Command(arguments, job.folder, thread_settings(training.threads))

    def progress(self, line: str) -> Progress | None:
        # bsz: source/target/sentences per batch; the target count excludes padding and <s> and
        # includes </s>.
        found = _REPORT.search(line)
        return None if found is None else Progress(int(found[1]), tokens=float(found[2]))

    def translate(self, environment: Environment, job: Translating) -> list[Command]:
        model = job.model.folder / f"model_step_{job.model.experiment.training.max_updates}.pt"
        arguments = [
            environment.program("onmt_translate"), "-model", str(model), "-src", str(job.source),
            "-output", str(job.folder / "output"), "-beam_size", str(job.beam),
            "-batch_size", str(job.batch), "-length_penalty", "avg", "-report_time",
            "-max_length", str(MAX_LENGTH), "-max_length_ratio", "0",
        ]  # fmt: skip
        return [Command(arguments, job.folder, thread_settings(job.threads))]

    def translated(self, job: Translating, finished: Finished) -> Translated:
        if (time := _TIME.search(finished.output)) is None:
            raise UnavailableError("onmt_translate did not report its time")
        lines = (job.folder / "output").read_text(encoding="utf-8").split("\n")
        return Translated(lines[:-1], float(time[1]))
