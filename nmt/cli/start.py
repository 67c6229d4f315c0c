"""What runs first: Ctrl-C ends the program quietly while the rest of it is imported."""

import os
import signal


def main() -> None:
    """Import the command line, and run it."""
    is_heeded = signal.getsignal(signal.SIGINT) == signal.default_int_handler
    if is_heeded:  # in the background of a shell it is ignored
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(128 + number))
    from nmt.cli.main import main

    if is_heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
