"""The two sides of a corpus as `nmt check` reads them: two files, or the columns of one."""

from collections.abc import Iterator
from itertools import islice, tee
from pathlib import Path

from nmt.data.report import Check, Finding, Tally
from nmt.paths import is_stream
from nmt.text.formats import NotTextError
from nmt.text.lines import is_one_file, read_records, require_file

_NO_TAB = Check(
    name="no-tab",
    level="fault",
    message="without a tab between source and translation",
    remedy="repair or delete these",
)
_COLUMNS = Check(
    name="columns",
    level="note",
    message="with more than two columns, of which only the first two are read",
)


class Sides:
    """Both sides of a corpus, line by line.

    Args:
        source: text file, or a file of tab-separated pairs.
        target: its translation, line by line, or the same file.

    Attributes:
        files: the two files.
        names: what to call the two sides.
        where: what to call the corpus.
        is_text: whether each of the two is plain text.
        source: its lines in UTF-8, with their line feeds; none if the file is no text.
        target: likewise. The two are read in step.

    Raises:
        DataError: a file cannot be read.
        UsageError: the two cannot be sides of a corpus.
    """

    def __init__(self, source: Path, target: Path) -> None:
        self.files = (source, target)
        self.names = (str(source), str(target))
        self.where = f"{source} + {target}"
        self.source: Iterator[bytes] = iter(())
        self.target: Iterator[bytes] = iter(())
        self._lines, self._untabbed, self._widened = 0, Tally(), Tally()
        self._is_one = is_one_file(source, target)
        self._refusals = [*_refusals(source, *() if self._is_one else (target,))]
        refused = {error.name for error in self._refusals}
        self.is_text = (str(source) not in refused, str(target) not in refused)
        if self._is_one:
            self.names = (f"{source} (source)", f"{source} (target)")
            self.where = str(source)
        if self._is_one and all(self.is_text):
            left, right = tee(self._columns())
            self.source, self.target = (one for one, _ in left), (other for _, other in right)
        elif not self._is_one:
            self.source, self.target = (
                read_records(file) if is_text else iter(())
                for file, is_text in zip(self.files, self.is_text, strict=True)
            )

    def _columns(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the first two columns of each line, and count the lines that have not two."""
        for number, record in enumerate(read_records(self.files[0]), 1):
            source, *others = record.removesuffix(b"\n").split(b"\t", 2)
            self._lines = number
            if source.strip() and not others:
                self._untabbed.add(number, source.decode(errors="replace"))
            if len(others) > 1:
                self._widened.add(number)
            yield source + b"\n", (others[0] if others else b"") + b"\n"

    def source_line(self, number: int) -> str:
        """Return a line of the source, by its number from 1; "" if it can be read only once."""
        if is_stream(self.files[0]):
            return ""
        record = next(islice(read_records(self.files[0]), number - 1, None))
        text = record.decode(errors="replace")
        return (text.partition("\t")[0] if self._is_one else text).strip()

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with the files, once they have been read."""
        for error in self._refusals:
            yield Finding("fault", "not-text", error.name, 0, error.what, remedy=error.remedy)
        yield from _NO_TAB.findings(self.where, self._untabbed, self._lines)
        yield from _COLUMNS.findings(self.where, self._widened, self._lines)


def _refusals(*paths: Path) -> Iterator[NotTextError]:
    """Yield why files are no text; pipes, which can be read only once, are not looked at."""
    for path in paths:
        try:
            if not is_stream(path):
                require_file(path)
        except NotTextError as error:
            yield error
