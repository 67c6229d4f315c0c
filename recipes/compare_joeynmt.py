r"""Train JoeyNMT on the corpus of a configuration for some minutes, and score it on its test set.

    .venv/bin/python recipes/compare_joeynmt.py recipes/loresmt21-en-ga/config.toml \
        --folder runs/joeynmt-en-ga --minutes 30

JoeyNMT 2.3 is installed into the folder, with the torch of constraints.txt, unless it is there.
Its settings resemble those used with it for languages of few resources (Nekoto et al., 2020): a
Transformer of 6 layers and 256 units with 4 heads, dropout 0.3, 4,000 BPE pieces learned from both
sides, batches of 4,096 tokens, label smoothing 0.1, a beam of 5. In a few minutes on a CPU it makes
hardly any such update; with `--batch-tokens 1024` it makes more. Its "plateau" schedule fails with
current versions of torch; the rate falls with the inverse square root of the update instead, from
3e-4 after 1,000 updates. When the minutes are over, its best weights so far, by perplexity on the
development set, are scored. Translations may be as long as the longest line of that set.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.environment import Environment
from bench.measure import UnavailableError
from bench.process import Command, finish, thread_settings
from bench.systems.joeynmt import JoeyNmt

from nmt.config.load import load, resolve_paths
from nmt.errors import NmtError
from nmt.evaluation.metrics import score
from nmt.text.lines import read_parallel
from nmt.text.normalize import Normalizer
from nmt.text.subword import SPACE, Subword

PIECES = 4000
BATCH_TOKENS = 4096
SPECIAL = ("<unk>", "<pad>", "<s>", "</s>")
"""As JoeyNMT orders them in its vocabulary file."""
MOST_PIECES = 256
Pair = tuple[str, str]


def write_data(config: Path, folder: Path) -> list[Pair]:
    """Write the corpus of a configuration as pieces, and a vocabulary; return the test pairs."""
    data = resolve_paths(load(config), config.absolute().parent).data
    normalize = Normalizer().normalize
    parts: dict[str, list[Pair]] = {}
    for part, files in (("train", data.train), ("dev", data.valid), ("test", data.test)):
        if files is None:
            raise UnavailableError(f"error: {config}: names no file for {part}")
        texts = read_parallel(*map(Path, files))
        parts[part] = [(normalize(source), normalize(target)) for source, target in texts]
    parts["train"] = [pair for pair in dict.fromkeys(parts["train"]) if all(pair)]
    lines = (text for pair in parts["train"] for text in pair)
    subword = Subword.train(
        lines, folder / "pieces.model", kind="bpe", vocab_size=PIECES, byte_fallback=False
    )
    seen: dict[str, None] = {}
    for part, pairs in parts.items():
        for side, suffix in enumerate(("src", "trg")):
            pieces = [subword.pieces_of(pair[side]) for pair in pairs]
            write(folder / f"{part}.{suffix}", (" ".join(line) for line in pieces))
            if part == "train":
                seen.update(dict.fromkeys(piece for line in pieces for piece in line))
    write(folder / "vocabulary.txt", (*SPECIAL, *seen))
    return parts["test"]


def write(path: Path, lines: Iterable[str]) -> None:
    """Write lines of text."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def settings(
    folder: Path, parts: Sequence[str], *, batch_tokens: int = BATCH_TOKENS, **testing: object
) -> dict[str, object]:
    """Return the configuration of JoeyNMT for the data in a folder.

    Args:
        folder: has what `write_data` wrote.
        parts: of the data, any of "train", "dev" and "test".
        batch_tokens: tokens of an update.
        testing: options of translation, beyond those that always hold.
    """
    vocabulary = str(folder / "vocabulary.txt")
    words = {
        "level": "word",
        "tokenizer_type": "none",
        "voc_file": vocabulary,
        "max_length": MOST_PIECES,
    }
    layers = {
        "type": "transformer",
        "num_layers": 6,
        "num_heads": 4,
        "embeddings": {"embedding_dim": 256, "scale": True, "dropout": 0.0},
        "hidden_size": 256,
        "ff_size": 1024,
        "dropout": 0.3,
    }
    return {
        "name": "low-resource",
        "joeynmt_version": "2.3.0",
        "model_dir": str(folder / "model"),
        "use_cuda": False,
        "random_seed": 1,
        "data": {
            **{part: str(folder / part) for part in parts},
            "dataset_type": "plain",
            "src": {"lang": "src", **words},
            "trg": {"lang": "trg", **words},
        },
        "testing": {
            "beam_size": 5,
            "beam_alpha": 1.0,
            "batch_type": "sentence",
            "batch_size": 50,
            "eval_metrics": ["bleu"],
            **testing,
        },
        "training": {
            "optimizer": "adam",
            "learning_rate": 3e-4,
            "learning_rate_min": 0.0,
            "scheduling": "warmupinversesquareroot",
            "learning_rate_warmup": 1000,
            "label_smoothing": 0.1,
            "normalization": "tokens",
            "batch_type": "token",
            "batch_size": batch_tokens,
            "epochs": 1_000_000,
            "logging_freq": 25,  # must divide validation_freq
            "validation_freq": 50,
            "early_stopping_metric": "ppl",
            "keep_best_ckpts": 1,
            "overwrite": True,
        },
        "model": {
            "initializer": "xavier_uniform",
            "embed_initializer": "xavier_uniform",
            "tied_embeddings": True,
            "tied_softmax": True,
            "encoder": layers,
            "decoder": layers,
        },
    }


def train(
    environment: Environment, folder: Path, minutes: float, threads: int, batch_tokens: int
) -> float:
    """Train until the time is over; return the minutes taken."""
    config = folder / "config.yaml"
    # Perplexity decides; to translate as well at each validation would take longer than training.
    made = settings(folder, ("train", "dev"), batch_tokens=batch_tokens, max_output_length=1)
    config.write_text(json.dumps(made), encoding="utf-8")  # JSON is YAML
    arguments = [environment.python, "-m", "joeynmt", "train", str(config), "--skip-test"]
    started = time.monotonic()
    with (folder / "train.log").open("w") as log:
        process = subprocess.Popen(
            arguments,
            env={**os.environ, **thread_settings(threads)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            process.wait(timeout=60 * minutes)
            raise UnavailableError(f"error: JoeyNMT has ended early; see {log.name}")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return (time.monotonic() - started) / 60


def translate(environment: Environment, folder: Path, threads: int) -> list[str]:
    """Translate the test set with the best weights."""
    checkpoint = folder / "model" / "best.ckpt"
    if not checkpoint.exists():
        raise UnavailableError(f"error: no weights yet; give it more minutes ({folder}/train.log)")
    dev = (folder / "dev.trg").read_text(encoding="utf-8").splitlines()
    longest = max(len(line.split()) for line in dev)
    made = settings(folder, ("test",), max_output_length=longest, load_model=str(checkpoint))
    path = folder / "test.yaml"
    path.write_text(json.dumps(made), encoding="utf-8")
    arguments = [environment.python, "-m", "joeynmt", "test", str(path)]
    arguments += ["--output-path", str(folder / "output")]
    finish(Command(arguments, folder, thread_settings(threads)))
    lines = (folder / "output.test").read_text(encoding="utf-8").splitlines()
    return [line.replace(" ", "").replace(SPACE, " ").strip() for line in lines]


def main(arguments: list[str] | None = None) -> int:
    """Train, translate and score; return the exit code."""
    parser = argparse.ArgumentParser(description="Train JoeyNMT on the corpus of a configuration.")
    parser.add_argument("config", type=Path, help="configuration of nmt that names the corpus")
    parser.add_argument("--folder", type=Path, required=True, help="for everything that it writes")
    parser.add_argument("--minutes", type=float, default=30.0, help="of training")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument(
        "--batch-tokens", type=int, default=BATCH_TOKENS, help="tokens of an update"
    )
    options = parser.parse_args(arguments)
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    environment = Environment(folder / "venv")
    try:
        if not Path(environment.python).exists():
            environment.create()
            JoeyNmt().install(environment)
        pairs = write_data(options.config, folder)
        minutes = train(environment, folder, options.minutes, options.threads, options.batch_tokens)
        texts = translate(environment, folder, options.threads)
    except (NmtError, UnavailableError) as error:
        print(error, file=sys.stderr)
        return 1
    write(folder / "hypothesis.txt", texts)
    for found in score(texts, [reference for _, reference in pairs], ("bleu", "chrf")):
        print(f"{found.value:.2f}  {found}")
    print(f"{minutes:.0f} minutes of training, {options.threads} threads")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
