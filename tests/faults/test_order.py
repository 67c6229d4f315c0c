"""N lines in, N lines out, in order: any batch, beam and order, from a file, a pipe or a list."""

import os
import random
import threading
import time

import pytest

from nmt.config.search import change_search
from nmt.translator import Translator

WORDS = ["a", "cat", "eats", "mouse", "the", "small", "dog", "sleeps", "two", "birds", "."]
SHAPES = [(1, 4096), (3, 4096), (7, 40), (64, 4096), (500, 100_000)]
"""Most sentences and most pieces at once."""


def sentences(count: int, seed: int = 1) -> list[str]:
    """Lines that all differ, each with its number, so that a shift would show; some are empty."""
    chance = random.Random(seed)
    lines = []
    for number in range(count):
        words = chance.choices(WORDS, k=chance.randint(1, 12))
        lines.append("" if number % 10 == 3 else f"{number} {' '.join(words)}")
    return lines


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("exact", [False, True], ids=["by length", "exact"])
def test_any_batch_and_any_order_give_the_same_lines_in_order(model_folder, programme, beam, exact):
    """Log-probabilities within 1e-5; texts may differ only where two hypotheses tie."""
    begin, lines = time.monotonic(), sentences(programme.count(quick=60, full=300))
    translator = Translator.load(model_folder, device="cpu")
    options = change_search(translator.options, {"beam": beam})
    chance, orders = random.Random(2), programme.count(quick=1, full=2)
    expected = list(translator.translate(lines, options=options, exact=exact))
    assert [found.source for found in expected] == lines
    worst, same, count = 0.0, 0, 0
    for size, tokens in SHAPES[1:3] if not programme.full else SHAPES:
        for _ in range(orders):
            order = chance.sample(range(len(lines)), len(lines))
            shuffled = [lines[place] for place in order]
            found = list(
                translator.translate(
                    shuffled, options=options, batch_size=size, batch_tokens=tokens, exact=exact
                )
            )
            assert [translation.source for translation in found] == shuffled
            for place, translation in zip(order, found, strict=True):
                assert (translation.text == "") >= (lines[place] == "")
                count += 1
                if translation.text == expected[place].text:
                    same += 1
                    worst = max(worst, abs(translation.log_prob - expected[place].log_prob))
    assert worst <= 1e-5
    assert same / count >= (1.0 if exact else 0.99)
    way = "exact" if exact else "by length"
    programme.record(
        8,
        f"any batch and order, beam {beam}, {way}: {same / count:.2%} same text, "
        f"log-probabilities within {worst:.0e}",
        tries=count,
        worst_seconds=time.monotonic() - begin,
    )


def test_a_file_standard_input_and_a_slow_pipe_give_the_same_bytes(
    model_folder, tmp_path, launcher, programme
):
    lines, begin = sentences(programme.count(quick=30, full=300)), time.monotonic()
    file, pipe, target = tmp_path / "lines", tmp_path / "pipe", tmp_path / "out"
    file.write_text("".join(f"{line}\n" for line in lines))
    os.mkfifo(pipe)
    command = ["translate", model_folder, "--beam", 2, "--exact"]
    ways = [
        launcher.start(*command, "-i", file, "-o", target),
        launcher.start(*command, stdin=file),
        launcher.start(*command, stdin=pipe),
    ]

    def trickle() -> None:
        data, chance = file.read_bytes(), random.Random(3)
        with pipe.open("wb", buffering=0) as mouth:
            while data:  # writes do not end where lines end
                size = chance.randint(1, 200)
                mouth.write(data[:size])
                data = data[size:]

    feeder = threading.Thread(target=trickle)
    feeder.start()
    for process in ways:
        assert process.wait() == 0, process.errors
    feeder.join()
    written = [target.read_bytes(), *(process.output.encode() for process in ways[1:])]
    assert written[0].count(b"\n") == len(lines)
    assert written[0] == written[1] == written[2]
    blanks = [number for number, line in enumerate(written[0].split(b"\n")[:-1]) if not line]
    assert set(blanks) >= {number for number, line in enumerate(lines) if not line}
    programme.record(
        8,
        "file, standard input and pipe: the same bytes",
        tries=3 * len(lines),
        worst_seconds=time.monotonic() - begin,
    )
