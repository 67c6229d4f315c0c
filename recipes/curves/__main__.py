"""`make curves`: measure how time grows with each quantity, print figures and slopes, plot.

JSON lines go to standard output, the table of slopes to standard error.
"""

import sys

from curves.options import parse
from nmt.errors import NmtError
from nmt.machine import keep_memory

if __name__ == "__main__":
    options = parse(sys.argv[1:])
    keep_memory()  # before torch is imported, like the nmt command
    try:
        from curves.run import run

        run(options)
    except NmtError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
