"""Isolation: storectl's own interpreter ignores PYTHON variables and the user's folders. Its programs heed them.

The launcher starts the interpreter isolated. If something else has started it (``python -m storectl``, a service
file, a kernel), and there is something to keep out, storectl starts itself anew.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Mapping

FLAGS = ("-E", "-P", "-X", "utf8")
"""The flags in client/launcher/storectl. The user's own site-packages stay: storectl may be installed there."""


def isolate(arguments: list[str], environ: Mapping[str, str]) -> None:
    """Become an isolated interpreter with these arguments, unless this one is, or there is nothing to keep out."""
    variables = not sys.flags.ignore_environment and any(name.startswith("PYTHON") for name in environ)
    if variables or sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, *FLAGS, "-m", "storectl", *arguments])  # noqa: S606 - itself
