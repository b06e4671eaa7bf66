"""`storectl run` in the list of commands. ``storectl.run`` does the work; the command line calls it without click."""

import click

from storectl.commands.parameters import PASS_ON
from storectl.run import main


@click.command(context_settings=PASS_ON)
@click.argument("arguments", metavar="[OPTIONS] PROGRAM [ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
def run(arguments: tuple[str, ...]) -> None:
    """Run a program in the environment of its project. See storectl run --help."""
    raise click.exceptions.Exit(main(list(arguments)))
