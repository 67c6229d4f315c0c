"""Measure one part of the benchmark: takes a `Task` as JSON, prints one JSON `Figure` per line."""

import json
import logging
import sys
from dataclasses import asdict

from nmt.errors import NmtError
from nmt.machine import keep_memory, wait_briefly

if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    keep_memory()
    if task["part"] in ("train", "kernels"):
        wait_briefly()
    exchanges = logging.getLogger("nmt.fast")  # which code is measured
    exchanges.addHandler(logging.StreamHandler())
    exchanges.setLevel(logging.DEBUG)
    try:
        from nmt.benchmark.part import Task, run_part

        for figure in run_part(Task(**task)):
            print(json.dumps(asdict(figure)), flush=True)
    except NmtError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
