"""A text as a stream: consecutive lines in one sequence, through which a state is carried on."""

from collections.abc import Iterable, Iterator

from nmt.data.corpus import EncodedPair
from nmt.text.vocabulary import EOS


def join_lines(lines: Iterable[EncodedPair], least: int) -> Iterator[EncodedPair]:
    """Yield consecutive lines of a language model's text as sequences, with EOS between them.

    Args:
        lines: without a source.
        least: pieces of a sequence, end symbols included; only the last may be shorter.
    """
    ids: list[int] = []
    texts: list[str] = []
    for line in lines:
        ids += [EOS] * bool(texts) + [*line.target]
        texts.append(line.target_text)
        if len(ids) + 1 >= least:
            yield EncodedPair([], ids, "", " ".join(texts))
            ids, texts = [], []
    if texts:
        yield EncodedPair([], ids, "", " ".join(texts))
