"""Row 7: whatever a model generates, a translation is one line with exactly its fields."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from programme import Programme
from text_commands import Outcome, built_once, nmt
from torch import Tensor

from nmt.cli.lines_out import one_line
from nmt.config.search import change_search
from nmt.search.scorers import ScorerStep
from nmt.text.subword import Subword
from nmt.text.vocabulary import EOS
from nmt.translator import Translator

SEPARATORS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\0"


@dataclass(frozen=True)
class ForcedState:
    sentence: Tensor  # [rows]
    step: int
    src_mask: Tensor  # [batch, src_len]

    def select(self, rows: Tensor) -> "ForcedState":
        return replace(self, sentence=self.sentence[rows])

    def select_sentences(self, sentences: Tensor, rows: Tensor) -> "ForcedState":
        return replace(self, sentence=self.sentence[rows], src_mask=self.src_mask[sentences])

    def concat(self, other: "ForcedState") -> "ForcedState":
        raise NotImplementedError  # no sentence joins a batch here


class ForcedScorer:
    """Generates forced sequences: the sentence "n17" becomes sequence 17, with near certainty."""

    def __init__(self, source: Subword, vocab: int, sequences: list[list[int]]) -> None:
        self.source, self.vocab, self.sequences = source, vocab, sequences

    def start(self, source: Tensor, source_mask: Tensor, *, copies: int) -> ForcedState:
        numbers = [int(self.source.decode(row)[1:]) for row in source.tolist()]
        return ForcedState(torch.tensor(numbers).repeat_interleave(copies), 0, source_mask)

    def step(self, tokens: Tensor, state: ForcedState) -> ScorerStep:
        scores = torch.full((len(tokens), self.vocab), -30.0)
        scores[:, EOS] = -300.0
        for row, number in enumerate(state.sentence.tolist()):
            sequence = [*self.sequences[number], EOS]
            scores[row, sequence[min(state.step, len(sequence) - 1)]] = -0.001
        copies = len(tokens) // len(state.src_mask)
        mask = state.src_mask.repeat_interleave(copies, dim=0).float()
        attention = mask / mask.sum(dim=1, keepdim=True)
        return ScorerStep(
            scores, torch.zeros(len(tokens)), attention, replace(state, step=state.step + 1)
        )


def byte_ids(subword: Subword, data: bytes) -> list[int]:
    found = [subword.id_of(f"<0x{byte:02X}>") for byte in data]
    assert None not in found
    return [piece for piece in found if piece is not None]


def sequences(subword: Subword, *, everywhere: bool = True) -> list[list[int]]:
    """Every byte piece, and every text that is special to some program: alone, and among words."""
    word = subword.encode("a cat")
    nasty = [*SEPARATORS, "\r\n", "|||", " ||| ", "||||", "|| |", "&#124;&#124;&#124;", "\t"]
    nasty += ["\ufeff", '"', "\\n", "\x1b[2J", "\x7f", "\U0001f600"]
    datas = [bytes([byte]) for byte in range(256)]
    datas += [text.encode() for text in nasty]
    datas += [text.encode() * 3 for text in nasty]
    alone = [byte_ids(subword, data) for data in datas]
    if not everywhere:
        return [*alone, *([*word, *ids, *word] for ids in alone[256:])]
    return [
        *alone,
        *([*word, *ids, *word] for ids in alone),
        *([*ids, *word] for ids in alone),
        *([*word, *ids] for ids in alone),
    ]


@pytest.fixture
def forced(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, programme: Programme
) -> Iterator[list[str]]:
    """Make the commands use a forced model; return the texts of its translations."""
    translator = Translator.load(model_folder)
    everything = sequences(translator.target, everywhere=programme.full)
    vocab = translator.target.vocab_size
    translator.engine.scorer = ForcedScorer(translator.source, vocab, everything)
    translator.options = change_search(translator.options, {"max_length_offset": 60})
    monkeypatch.setattr(Translator, "load", lambda *_, **__: translator)
    with built_once():
        yield [translator.target.decode(ids) for ids in everything]


def numbers(texts: list[str]) -> bytes:
    return "".join(f"n{number}\n" for number in range(len(texts))).encode()


def lines_of(found: Outcome, count: int) -> list[str]:
    """The lines of an output, asserting that no program would find more of them."""
    assert found.code == 0, found.log
    text = found.out.decode()
    assert text.count("\n") == count
    assert len(text.splitlines()) == count
    assert not set(text) & set(SEPARATORS) - {"\n"}
    return found.lines


def test_no_piece_can_add_a_line_or_a_field(forced, programme, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    count, data, began = len(forced), numbers(forced), time.monotonic()
    assert any("|||" in text for text in forced)
    assert any("\u2028" in text for text in forced)
    tries = 0
    for beam in (1, 3):
        call = ["translate", "unused", "--beam", beam]
        plain = lines_of(nmt(*call, stdin=data), count)
        assert plain == [one_line(text) for text in forced]
        for options, fields in ((["--scores"], 3), (["--align"], 2), (["--scores", "--align"], 4)):
            found = lines_of(nmt(*call, *options, stdin=data), count)
            assert {line.count("|||") for line in found} == {fields - 1}
        for best in (1, beam):
            options = ["--format", "nbest", "--n-best", best]
            texts = min(best, 2)  # two of three hypotheses are the same text
            found = lines_of(nmt(*call, *options, stdin=data), texts * count)
            split = [line.split(" ||| ") for line in found]
            assert {len(fields) for fields in split} == {4}
            assert [int(fields[0]) for fields in split] == sorted(list(range(count)) * texts)
            firsts = [fields[1] for fields in split[::texts]]
            assert firsts == [line.replace("|||", "&#124;" * 3) for line in plain]
        found = lines_of(nmt(*call, "--format", "jsonl", stdin=data), count)
        assert [json.loads(line)["text"] for line in found] == forced
        assert [json.loads(line)["id"] for line in found] == list(range(count))
        tries += 7 * count
    for name in ("s", "t"):
        Path(name).write_bytes(data)
    done = nmt(
        *("evaluate", "--run", "unused", "--test", "s", "t", "-o", "kept"),
        *("--bootstrap", 0, "-m", "exact"),
    )
    assert done.code == 0
    kept = Path("kept").read_bytes().decode()
    assert len(kept.splitlines()) == kept.count("\n") == count
    programme.record(
        *(7, "a model forced to write each byte, line ends and ||| in 7 formats: 0 extra lines"),
        tries=tries + count,
        worst_seconds=time.monotonic() - began,
    )


def test_pieces_joined_by_hand_are_one_line_each(model_folder):
    subword = Subword.load(model_folder / "subword.model")
    everything = sequences(subword)
    data = "".join(" ".join(map(str, ids)) + "\n" for ids in everything).encode()
    found = nmt("tokenize", model_folder, "--decode", "--ids", stdin=data)
    assert found.code == 0
    assert found.lines == [subword.decode(ids) for ids in everything]


def test_scored_pieces_are_one_line_each(model_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = [
        f"a{character}b ||| {character}" for character in SEPARATORS if character not in "\n\0"
    ]
    for side in ("s", "t"):
        Path(side).write_text("".join(f"{text}\n" for text in texts), newline="\n")
    call = ["score", model_folder, "--source", "s", "--target", "t", "--by-token"]
    for options in ([], ["--json"]):
        found = lines_of(nmt(*call, *options), len(texts))
        assert len(found) == len(texts)
