"""`storectl lock`: lock the project with the tool that it belongs to."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from storectl.locks.lock import locking_of

Place = Annotated[str, typer.Argument(metavar="DIR|SCRIPT", help="A project's folder, or a script with a block.")]
Tool = Annotated[str | None, typer.Option("--with", metavar="TOOL", help="uv, poetry, pdm, pipenv or pip.")]
Arguments = Annotated[list[str] | None, typer.Argument(metavar="-- ARGUMENTS", help="For the tool itself.")]


def lock(place: Place = ".", arguments: Arguments = None, *, tool: Tool = None) -> None:
    """Lock a project with its own tool. That is uv, Poetry, PDM, Pipenv or pip; the exit code is the tool's."""
    locking = locking_of(Path(place), tool=tool, arguments=arguments or [], environ=os.environ)
    shown = " ".join([os.path.basename(locking.command[0]), *locking.command[1:]])
    sys.stderr.write(f"storectl: {shown} ({locking.why})\n")
    sys.stderr.flush()
    code = subprocess.run(locking.command, cwd=locking.folder, check=False).returncode
    raise typer.Exit(128 - code if code < 0 else code)
