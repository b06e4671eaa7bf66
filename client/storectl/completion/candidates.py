"""What may come next on a command line. The grammar of the commands is click's; `run` has one of its own."""

from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem, _resolve_context, _resolve_incomplete

from storectl.completion.values import FILES, NAMES, values_of
from storectl.errors import ClientError
from storectl.run_options import BY_NAME, OPTIONS, Option

Candidates = list[CompletionItem[str]]


def candidates(root: click.Command, words: Sequence[str]) -> Candidates:
    """What the last of the words may become; it may be empty. Before them stands the name of the program.

    Nothing if what stands before it is no command line.
    """
    *before, current = _joined(words) or [""]
    try:
        if before[:1] == ["run"]:
            return _of_run(before[1:], current)
        context = _resolve_context(root, {}, "storectl", before)
        found, current = _resolve_incomplete(context, before, current)
        if not isinstance(found, click.Parameter) or isinstance(found.type, click.Choice):
            return found.shell_complete(context, current)
        name = NAMES.get((context.command_path, found.name), found.name)
        return values_of(name or "", found.make_metavar(context), context.params, current)
    except (click.ClickException, ClientError):
        return []


def _joined(words: Sequence[str]) -> list[str]:
    """The words as they stand on the line: bash makes three of ``--extra=name``."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1].startswith("--") and (word == "=" or joined[-1].endswith("=")):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _of_run(before: Sequence[str], current: str) -> Candidates:
    asked, waiting, program = _so_far(before)
    name, equals, value = current.partition("=")
    if waiting is None and equals and not program:
        waiting, current = BY_NAME.get(name), value
    if waiting is not None:
        return values_of(waiting.sets, waiting.takes or "", asked, current)
    if program:
        return [CompletionItem("", type=FILES)]  # the program's own arguments
    if "module" in asked:
        return values_of("module", "", asked, current)
    if current.startswith("-"):
        names = [(name, option.help) for option in OPTIONS if option.help for name in option.names if name[:3] != "-qq"]
        return [CompletionItem(name, help=text) for name, text in names if name.startswith(current)]
    return [*values_of("command", "", asked, current), CompletionItem("", type=FILES)]


def _so_far(before: Sequence[str]) -> tuple[dict[str, str], Option | None, bool]:
    """What the words before ask for, the option whose value comes next, and whether the program has been named."""
    asked: dict[str, str] = {}
    waiting: Option | None = None
    for word in before:
        name, _, value = word.partition("=")
        option = BY_NAME.get(name)
        if waiting is not None:
            asked[waiting.sets], waiting = word, None
        elif option is not None and (option.takes is None or value):
            asked[option.sets] = value
        elif option is not None:
            waiting = option
        elif word == "-c" or not word.startswith("-"):
            return asked, None, True
    return asked, waiting, False
