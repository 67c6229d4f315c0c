"""Show one claim of the lectures: `python -m lectures vanishing --quick`."""

import argparse
import sys
from pathlib import Path

import torch

from lectures.shelf import Report, load, names
from nmt.errors import NmtError

LEARN_FROM_TEXT = ("next-word",)


def main() -> None:
    known = names()
    parser = argparse.ArgumentParser(prog="lectures", description=__doc__)
    parser.add_argument("name", nargs="?", choices=known, metavar="NAME", help=", ".join(known))
    parser.add_argument("--quick", action="store_true", help="a smaller scale, within 30 seconds")
    parser.add_argument("--out", type=Path, help="folder for pictures; default runs/lectures/NAME")
    parser.add_argument("--text", type=Path, help="text to learn from, for next-word")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    options = parser.parse_args()
    if options.name is None:
        parser.error(f"no lecture is named; give NAME, one of: {', '.join(known)}")
    if options.text is not None and options.name not in LEARN_FROM_TEXT:
        parser.error(f"--text (TEXT): {options.name} learns from no text; leave it out")
    torch.set_num_threads(options.threads)
    lecture = load(options.name)
    folder = options.out or Path(__file__).parents[2] / "runs" / "lectures" / options.name
    report = Report(folder, quick=options.quick, text=options.text)
    report.say(f"{options.name}: {lecture.CLAIM}")
    try:
        lecture.show(report)
    except NmtError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
