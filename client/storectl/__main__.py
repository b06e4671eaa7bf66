"""The start of `storectl-python` and `python -m storectl`: isolated first, before anything else is imported."""

import os
import sys

from storectl.isolation import isolate


def start() -> int:
    """Run the command in ``sys.argv``; its exit code."""
    isolate(sys.argv[1:], os.environ)
    from storectl.command_line import main  # noqa: PLC0415 - what is imported may be the wrong one until here

    return main()


if __name__ == "__main__":
    sys.exit(start())
