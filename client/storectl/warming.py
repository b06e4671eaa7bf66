"""Warming from the command line: the daemon started where it is not running, progress on stderr."""

import sys
from collections.abc import Mapping

from storectl.answers import EnvironmentInfo
from storectl.daemon_start import ensure_daemon
from storectl.options import Options
from storectl.progress import ProgressLine


def warm(project: str, options: Options, environ: Mapping[str, str]) -> EnvironmentInfo:
    """Wait for the environment of these options; ClientError where it cannot be made."""
    line = ProgressLine(sys.stderr)
    try:
        with ensure_daemon(environ) as daemon:
            return daemon.warm(project, options, line)
    finally:
        line.close()
