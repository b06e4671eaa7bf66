"""What `storectl-python` and `python -m storectl` start. It isolates the interpreter before any other import."""

import os
import sys

from storectl.isolation import isolate


def start() -> int:
    """Run the command in ``sys.argv``; return its exit code."""
    isolate(sys.argv[1:], os.environ)
    from storectl.command_line import main  # noqa: PLC0415 - before that, an import may find the wrong module

    return main()


if __name__ == "__main__":
    sys.exit(start())
