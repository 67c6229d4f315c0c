"""Entry point of `nmt`: Ctrl-C ends the program quietly even while it is being imported."""

import os
import signal


def main() -> None:
    """Import the command line, and run it."""
    is_default = signal.getsignal(signal.SIGINT) == signal.default_int_handler
    if is_default:  # in the background of a shell, SIGINT is ignored
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(128 + number))
    from nmt.cli.main import main

    if is_default:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
