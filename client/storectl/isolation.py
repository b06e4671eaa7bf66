"""Isolation: storectl's own interpreter heeds no PYTHON variable and no folder of the user's. Its programs do.

The launcher starts it isolated. What is started in another way (``python -m storectl``, a service file, a kernel) starts
itself anew if there is anything to be kept out.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Mapping

FLAGS = ("-E", "-P", "-X", "utf8")
"""As in client/launcher/storectl. The user's own site-packages stay: storectl may be installed there."""


def isolate(arguments: list[str], environ: Mapping[str, str]) -> None:
    """Become an isolated interpreter with these arguments, unless this one is, or nothing is there to be kept out."""
    variables = not sys.flags.ignore_environment and any(name.startswith("PYTHON") for name in environ)
    if variables or sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, *FLAGS, "-m", "storectl", *arguments])  # noqa: S606 - itself
