"""`storectl completion`: the scripts with which shells complete its command lines, and what these scripts run."""

import os
import sys

import click

import storectl.completion
from storectl.commands.parameters import PASS_ON
from storectl.errors import printable

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", metavar="|".join(SHELLS), type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes command lines in a shell.

    bash: eval "$(storectl completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc, after compinit; fish: storectl
    completion fish > ~/.config/fish/completions/storectl.fish.
    """
    folder = os.path.dirname(storectl.completion.__file__)
    with open(os.path.join(folder, f"storectl.{shell}"), encoding="utf-8") as file:
        sys.stdout.write(file.read())


@click.command(hidden=True, context_settings=PASS_ON)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def complete(context: click.Context, words: tuple[str, ...]) -> None:
    """Print what the last of the words may become, a line each with a tab and a sentence about it.

    The first line says what the shell adds: `files`, `folders` or nothing more, `words`.
    """
    from storectl.completion.candidates import candidates  # noqa: PLC0415 - the scripts alone need it

    found = candidates(context.find_root().command, words)
    kinds = {"file": "files", "dir": "folders"}
    sys.stdout.write(next((f"{kinds[item.type]}\n" for item in found if item.type in kinds), "words\n"))
    plain = [item for item in found if item.type == "plain"]
    sys.stdout.writelines(f"{printable(item.value)}\t{printable(item.help or '')}\n" for item in plain)
