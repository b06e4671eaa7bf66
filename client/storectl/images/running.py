"""`storectl image run`: become a program in the environment of an image, which is staged before if it is not.

Every rank of a job does this, so it imports neither click nor anything of the daemon.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from storectl.errors import ClientError, OutputError, UsageError
from storectl.images.place import node_folder
from storectl.images.problems import image_problems
from storectl.program import execute, path_with
from storectl.target import command_line
from storectl_store.images.staging import staged_environment

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Mapping

CANNOT_RUN = 125
"""As in ``storectl.run``: storectl itself is the reason that nothing ran."""

HELP = """\
Usage: storectl image run [--to DIR] [--memory] FILE [script.py | -m module | -c code | command] [ARGUMENTS]

Run a program in the environment of an image. FILE is the image, or the folder of one that is unpacked or mounted. If it
is not staged on this node yet, it is: see storectl image stage --help. Without a program: the interactive interpreter.
Exit codes are the program's; 125 to 127 are storectl's.

  --to DIR     where to stage it; otherwise $STORECTL_NODE_DIR, $SLURM_TMPDIR, $TMPDIR or /tmp
  --memory     stage it in memory, below /dev/shm
  -h, --help   this text
"""


def main(arguments: list[str]) -> int:
    """Do what the arguments after `storectl image run` ask for: become the program, or return an exit code."""
    try:
        to, memory, rest = None, False, list(arguments)
        while rest and rest[0].startswith("-"):
            option = rest.pop(0)
            name, equals, value = option.partition("=")
            if option in ("-h", "--help"):
                sys.stdout.write(HELP)
                return 0
            if option == "--memory":
                memory = True
            elif name == "--to" and (equals or rest):
                to = value if equals else rest.pop(0)
            else:
                raise UsageError(f"unknown option {option}", hint="see storectl image run --help")
        if not rest:
            raise UsageError("say which image", hint="see storectl image run --help")
        run(rest[0], rest[1:], os.environ, to=to, memory=memory)
    except OutputError:
        raise  # the caller ends this command as any other
    except ClientError as error:
        sys.stderr.write(error.report())
        return error.exit_code if error.exit_code != ClientError.exit_code else CANNOT_RUN
    return 0


def run(file: str, program: list[str], environ: Mapping[str, str], *, to: str | None, memory: bool) -> None:
    """Become the program in the environment of this image; ClientError if that cannot be."""
    path = Path(file).absolute()
    # The folder of an image needs no place to be staged in.
    node = "/" if path.is_dir() else node_folder(to, environ, memory=memory)
    with image_problems():
        environment = str(staged_environment(path, Path(node)))
    python = os.path.join(environment, "bin", "python")
    command = [python, *program]
    if program and not program[0].startswith("-"):
        command = command_line(program[0], tuple(program[1:]), (), python, environ)
    execute(command, image_environ(environment, environ))


def image_environ(environment: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of a program in the environment of an image. Nothing is asked, started or written for it."""
    kept = {name: value for name, value in environ.items() if name not in ("STORECTL_SOCKET", "STORECTL_LEASE")}
    path = path_with(os.path.join(environment, "bin"), environ.get("PATH", os.defpath))
    return {**kept, "PATH": path, "VIRTUAL_ENV": environment, "STORECTL_FROZEN": "1"}
