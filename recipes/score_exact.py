"""Count how many lines of a file equal those of a reference.

    python recipes/score_exact.py HYPOTHESIS REFERENCE

Each line is one item (a date, the pronunciation of a word) with one right answer, so the word error
rate is the share of lines with any error. Exit codes: 0 done, 2 usage, 3 unusable files.
"""

import argparse
import sys
from pathlib import Path


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file; only a line feed ends a line."""
    lines = path.read_bytes().decode("utf-8").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def report(hypotheses: list[str], references: list[str]) -> str:
    """Return the line to print; both lists must have the same length, above 0."""
    right = sum(map(str.__eq__, hypotheses, references))
    total = len(references)
    exact = 100 * right / total
    return f"exact match {exact:.1f} %  ({right} of {total})   word error rate {100 - exact:.1f} %"


def main(arguments: list[str] | None = None) -> int:
    """Compare two files; return the exit code."""
    parser = argparse.ArgumentParser(description="Count the lines that are exactly right.")
    parser.add_argument("hypothesis", type=Path, help="output of the model")
    parser.add_argument("reference", type=Path, help="right answers")
    options = parser.parse_args(arguments)
    try:
        hypotheses, references = read_lines(options.hypothesis), read_lines(options.reference)
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 3
    except UnicodeDecodeError as error:
        print(f"error: a file is not UTF-8: {error}", file=sys.stderr)
        return 3
    if len(hypotheses) != len(references) or not references:
        print(
            f"error: {options.hypothesis} has {len(hypotheses)} lines and {options.reference} has "
            f"{len(references)}; both need one line for each item",
            file=sys.stderr,
        )
        return 3
    print(report(hypotheses, references))
    return 0


if __name__ == "__main__":
    sys.exit(main())
