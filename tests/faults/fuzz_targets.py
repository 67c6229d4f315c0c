"""Look for bytes that a reader neither accepts nor refuses properly, guided by coverage.

    python fuzz_targets.py TARGET SECONDS CORPUS_FOLDER

TARGET is one of `fuzz_readers.READERS`. The folder is made if it is missing, filled with seeds, and
keeps inputs that reach new code; inputs that reveal a defect are written beside it, as `crash-…`,
`timeout-…` or `oom-…`. Given such a file in place of the folder, the reader is tried on it once.
Needs atheris, libFuzzer for Python, except in the latter case.
"""

import logging
import os
import random
import resource
import sys
import tempfile
from pathlib import Path

INSTRUMENTED = ["nmt", "tomllib", "json"]
MOST_MEMORY = 700
"""MB that reading a few kB may take beside what the process has."""
LONGEST = 4096
"""Bytes of a try, or twice those of the longest seed."""
MOST_SECONDS = 20
"""Of one try."""


def fuzz(target: str, seconds: int, corpus: Path) -> None:
    """Fuzz for `seconds`; the process then ends, with code 0 if nothing was found."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from fuzz_readers import READERS

    logging.disable(logging.WARNING)  # warnings would take most of the time
    corpus.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=corpus.parent))
    reader = READERS[target](work)
    longest = LONGEST
    for number, seed in enumerate(reader.seeds()):
        longest = max(longest, 2 * len(seed))
        (corpus / f"seed{number:02d}").write_bytes(seed)
        reader(seed)  # triggers lazy imports
    words = corpus.with_name(f"{corpus.name}.dict")
    words.write_text("".join(f'"{word}"\n' for word in reader.words))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    options = {
        "max_total_time": seconds,
        "max_len": longest,
        "len_control": 0,
        "keep_seed": 1,
        "rss_limit_mb": used + MOST_MEMORY,
        "timeout": MOST_SECONDS,
        "report_slow_units": MOST_SECONDS,
        "dict": words,
        "artifact_prefix": f"{corpus.parent}{os.sep}",
        "print_final_stats": 1,
    }
    arguments = [f"-{name}={value}" for name, value in options.items()]

    def try_once(data: bytes) -> None:
        reader(data)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        other = reader.mutate(data, chance) if chance.random() < 0.5 else b""
        return other if 0 < len(other) <= most else atheris.Mutate(data, most)

    setup = [sys.argv[0], *arguments, str(corpus)]
    atheris.Setup(setup, try_once, custom_mutator=mutate)
    atheris.Fuzz()


def reproduce(target: str, found: Path) -> None:
    """Try the bytes of a file once."""
    from fuzz_readers import READERS

    with tempfile.TemporaryDirectory() as work:
        is_taken = READERS[target](Path(work))(found.read_bytes())
    print("taken" if is_taken else "refused, as it should be")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    target, seconds, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).absolute()
    if path.is_file():
        reproduce(target, path)
    else:
        fuzz(target, seconds, path)
