"""`storectl warm` without options. It does without click, which takes longer to load than most of such warms take."""

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from storectl.daemon.answers import EnvironmentInfo
from storectl.daemon.warming import warm
from storectl.errors import ClientError, OutputError, printable
from storectl.frozen import is_frozen
from storectl.locks.freshness import with_fresh_lock_file
from storectl.locks.remembered import locking_for
from storectl.locks.unlocked import locate_or_lock
from storectl.options import Options
from storectl.run_options import BY_NAME, options_of_environment

_OTHERS = frozenset({"STORECTL_SHARED", *BY_NAME["--project"].variables, *BY_NAME["--directory"].variables})
"""Variables that stand for options of the command besides those of an environment."""


def is_plain(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether these arguments of `warm` are at most a folder, and no variable stands for more."""
    named = len(arguments) == 1 and arguments[0][:1] not in {"", "-"}
    return (not arguments or named) and _OTHERS.isdisjoint(environ)


def main(arguments: Sequence[str]) -> int:
    """Make the environment of the folder ready; return the exit code."""
    gc.disable()  # a command leaves little garbage
    try:
        options = options_of_environment(os.environ)
        starts = arguments or ["."]
        project, _, options = locate_or_lock(lambda: starts, options, os.environ, locking_for(options))
        tell_ready(warmed(project, options))
    except OutputError:
        raise  # the reader of the output is gone
    except ClientError as error:
        sys.stdout.flush()
        sys.stderr.write(error.report())
        return error.exit_code
    return 0


def warmed(project: str, options: Options) -> EnvironmentInfo:
    """The project's environment, ready, with all of its bytecode. Raises ClientError if it cannot be made."""
    make = partial(warm, project, options, os.environ, bytecode=True)
    return with_fresh_lock_file(make, project, options, os.environ)


def tell_ready(environment: EnvironmentInfo) -> None:
    """Print what is ready."""
    wheels = "1 wheel" if environment.wheels == 1 else f"{environment.wheels} wheels"
    how = "ready (frozen)" if is_frozen(os.environ) else "ready"
    ready = f"{how}: {wheels} for Python {environment.version} in {environment.path}"
    sys.stdout.write(f"{printable(ready)}\n")
