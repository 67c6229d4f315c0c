"""JoeyNMT 2.3: recurrent, attention "luong", input feeding."""

import json
import re
from pathlib import Path

from bench.corpus import Corpus
from bench.environment import Environment
from bench.measure import Progress, UnavailableError
from bench.process import Command, Finished, thread_settings
from bench.systems import MAX_LENGTH, Training, Translated, Translating
from nmt.config.model import ModelConfig

_REPORT = re.compile(r"Step: +(\d+), .*Tokens per Sec: +(\d+),")
_TIME = re.compile(r"Generation took ([\d.]+)\[sec\]")


class JoeyNmt:
    """See `System`.

    It does not sort by length. An update is a fixed number of sentences, chosen to have as many
    target tokens on average as the updates of the others: a token limit would count padding.
    """

    name = "joeynmt"
    precisions = ("fp32",)  # fp16 is disabled without a GPU
    has_shortlist = False

    def install(self, environment: Environment) -> None:
        # It calls SetVocabulary of an older sentencepiece and does not declare importlib_metadata.
        # In one command, pip would search for compatible versions for hours.
        environment.install("joeynmt==2.3.0", "torch")
        environment.install("sentencepiece<0.2", "importlib_metadata")

    def help(self, environment: Environment) -> list[str]:
        return [environment.python, "-m", "joeynmt", "--help"]

    def prepare(self, environment: Environment, corpus: Corpus, folder: Path) -> list[Command]:
        corpus.write_vocabulary(folder / "vocabulary.txt")
        return []

    def train(self, environment: Environment, job: Training) -> Command:
        path = job.folder / "config.yaml"
        path.write_text(json.dumps(training_config(job)), encoding="utf-8")  # JSON is YAML
        arguments = [environment.python, "-m", "joeynmt", "train", str(path), "--skip-test"]
        return Command(arguments, job.folder, thread_settings(job.experiment.training.threads))

    def progress(self, line: str) -> Progress | None:
        # The rate counts `ntokens`: target tokens that are not padding, after <s>, with </s>.
        found = _REPORT.search(line)
        return None if found is None else Progress(int(found[1]), rate=float(found[2]))

    def translate(self, environment: Environment, job: Translating) -> list[Command]:
        config = training_config(job.model)
        languages = job.model.corpus.languages
        lines = job.folder / "lines"
        for side in (languages.source, languages.target):  # it needs both sides
            lines.with_suffix(f".{side}").write_bytes(job.source.read_bytes())
        config["data"] = {**config["data"], "test": str(lines)}
        del config["data"]["train"], config["data"]["dev"]
        config["testing"] = {
            **config["testing"],
            "load_model": str(job.model.folder / "model" / "latest.ckpt"),
            "beam_size": job.beam,
            "batch_size": job.batch,
        }
        path = job.folder / "config.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        arguments = [
            environment.python, "-m", "joeynmt", "test", str(path),
            "--output-path", str(job.folder / "output"),
        ]  # fmt: skip
        return [Command(arguments, job.folder, thread_settings(job.threads))]

    def translated(self, job: Translating, finished: Finished) -> Translated:
        times = _TIME.findall(finished.output)
        if not times:
            raise UnavailableError("joeynmt did not report its time")
        lines = (job.folder / "output.test").read_text(encoding="utf-8").split("\n")
        return Translated(lines[:-1], float(times[-1]))


def training_config(job: Training) -> dict[str, dict[str, object]]:
    """Return the configuration of a training run."""
    training, languages = job.experiment.training, job.corpus.languages
    # `scheduling` is required; "plateau" passes an argument that torch no longer accepts.
    constant = {"scheduling": "exponential", "decrease_factor": 1.0, "learning_rate_min": 0.0}
    general: dict[str, object] = {
        "name": "bench",
        "joeynmt_version": "2.3.0",
        "model_dir": str(job.folder / "model"),
        "use_cuda": False,
        "random_seed": training.seed,
    }
    return {
        **general,  # type: ignore[dict-item]
        "data": {
            "train": job.corpus.prefix("train"),
            "dev": job.corpus.prefix("dev"),
            "dataset_type": "plain",
            "src": side_config(languages.source, job.prepared),
            "trg": side_config(languages.target, job.prepared),
        },
        "testing": {"beam_alpha": 1.0, "batch_type": "sentence", "eval_metrics": [],
                    "max_output_length": MAX_LENGTH},
        "training": {
            **constant,
            "optimizer": "adam",
            "learning_rate": training.learning_rate,
            "clip_grad_norm": training.clip_norm,
            "label_smoothing": training.label_smoothing,
            "normalization": "tokens",
            "batch_type": "sentence",
            "batch_size": job.corpus.counts.sample.sentences,
            "epochs": 1_000_000,
            "updates": training.max_updates,
            "logging_freq": 1,
            "validation_freq": 1_000_000,
            "early_stopping_metric": "loss",
            "overwrite": True,
        },
        "model": model_config(job.experiment.model),
    }  # fmt: skip


def side_config(language: str, prepared: Path) -> dict[str, object]:
    """Return the configuration of one side of the corpus."""
    vocabulary = str(prepared / "vocabulary.txt")
    return {"lang": language, "level": "word", "tokenizer_type": "none", "voc_file": vocabulary}


def model_config(model: ModelConfig) -> dict[str, object]:
    """Return the configuration of the model."""
    shared = {
        "type": "recurrent",
        "rnn_type": "lstm",
        "embeddings": {"embedding_dim": model.embedding.size, "dropout": model.dropout.layers},
        "num_layers": model.decoder.layers,
        "dropout": model.dropout.layers,
    }
    return {
        "tied_embeddings": False,
        "tied_softmax": False,
        "encoder": {**shared, "hidden_size": model.encoder.hidden_size, "bidirectional": True},
        "decoder": {
            **shared,
            "hidden_size": model.decoder.hidden_size,
            "hidden_dropout": model.dropout.layers,
            "input_feeding": True,
            "init_hidden": "bridge",
            "attention": "luong",
        },
    }
