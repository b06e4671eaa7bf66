"""Warm from the command line: start the daemon if it is not running, and show progress on stderr."""

import os
import sys
from collections.abc import Mapping

from storectl.daemon.answers import EnvironmentInfo
from storectl.daemon.chosen_python import with_python
from storectl.daemon.progress import ProgressLine, progress_line
from storectl.daemon.start import ensure_daemon
from storectl.errors import DaemonGoneError
from storectl.frozen import frozen_environment, is_frozen
from storectl.options import Options
from storectl_shim.leases import held

GOES_ON = "storectl: the daemon goes on with it: `storectl env show` says how far, `storectl daemon stop` ends it\n"
"""Printed when the user interrupts the wait."""


def warm(project: str, options: Options, environ: Mapping[str, str], *, bytecode: bool = False) -> EnvironmentInfo:
    """Wait for the environment of these options, with ``bytecode`` also for that; ClientError if it cannot be made.

    It stays there as long as this process lives.
    If the daemon dies meanwhile, it is started again, once: what it had committed is still there.
    If nothing may be made here, it is looked for in what was made before.
    """
    if is_frozen(environ):
        return held(lambda: _made_before(project, options, environ), lambda made: made.path)
    line = progress_line(sys.stderr, environ)

    def ask() -> EnvironmentInfo:
        return held(lambda: _warm(project, options, environ, line, bytecode=bytecode), lambda made: made.path)

    try:
        try:
            return ask() if options.offline else with_python(ask, project, environ)
        except DaemonGoneError:
            return ask()
    except KeyboardInterrupt:
        line.close()
        sys.stderr.write(GOES_ON)
        raise
    finally:
        line.close()


def _made_before(project: str, options: Options, environ: Mapping[str, str]) -> EnvironmentInfo:
    found = frozen_environment(project, options, environ)
    return EnvironmentInfo(
        id=os.path.basename(found.path),
        path=found.path,
        python=os.path.join(found.path, "bin", "python"),
        project=project,
        lock_file=found.lock_file,
        executable=found.executable,
        version=found.version,
        wheels=found.wheels,
    )


def _warm(
    project: str, options: Options, environ: Mapping[str, str], line: ProgressLine, *, bytecode: bool
) -> EnvironmentInfo:
    daemon = ensure_daemon(environ)
    return daemon.warm(project, options, line, bytecode=bytecode)
