"""`storectl run` in the list of commands. ``storectl.run`` does the work; the command line calls it without typer."""

from typing import Annotated

import typer

from storectl.run import main

Arguments = Annotated[list[str] | None, typer.Argument(metavar="[OPTIONS] PROGRAM [ARGUMENTS]...")]


def run(arguments: Arguments = None) -> None:
    """Run a program in the environment of its project. See storectl run --help."""
    raise typer.Exit(main(arguments or []))
