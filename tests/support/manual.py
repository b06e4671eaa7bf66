"""The manual page, made of what `--help` prints."""

import click

from storectl import __version__
from storectl.run_options import OPTIONS, Option

RUN = "storectl run [OPTIONS] [PYTHON OPTIONS] script.py | -m module | -c code | command | - [ARGUMENTS]"
RUN_TEXT = """\
Run a program in the environment of its project's lock file. The project is the nearest folder upward from the script's,
else from the current one, that holds a lock file. Without a program: the interactive interpreter.

Python's own options (-X dev, -W error, -I, -O, -u, -i, …) may stand there too; what follows the program is its own.
"""
FOOT = """\
.SH EXIT STATUS
Of
.BR "storectl run" ,
the program's; 125 to 127 are storectl's.
Of the others 0 if all is well, 1 if not, 2 if the command was not understood, 3 of
.B daemon status
if no daemon runs, 130 after Ctrl-C.
.SH FILES
.TP
.I ~/.local/share/storectl
The store: wheels and environments. STORECTL_STORE is another place.
.TP
.I ~/.local/state/storectl
The daemon's log.
.SH SEE ALSO
The documentation: docs/usage.md, docs/exit-codes.md, docs/variables.md, docs/json.md.
"""


def manual(root: click.Group) -> str:
    """The page in roff, section 1: every command with its options."""
    with click.Context(root, info_name="storectl") as context:
        sections = [text for name in root.list_commands(context) for text in _command(root, context, name)]
    head = [
        f'.TH STORECTL 1 "" "storectl {__version__}" "User Commands"',
        ".SH NAME",
        f"storectl \\- {_roff(root.help or '')}",
        ".SH SYNOPSIS",
        ".B storectl",
        ".I COMMAND",
        "[OPTIONS] [ARGUMENTS]",
        ".SH COMMANDS",
    ]
    return "\n".join([*head, *sections, FOOT])


def _command(group: click.Group, parent: click.Context, name: str) -> list[str]:
    command = group.get_command(parent, name)
    if command is None or command.hidden:
        return []
    with click.Context(command, info_name=name, parent=parent) as context:
        if context.command_path == "storectl run":
            texts = [f'.SS "{_roff(RUN)}"', *_paragraphs(RUN_TEXT)]
            return texts + [text for option in OPTIONS for text in _option_of_run(option)]
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        texts = [f'.SS "{_roff(usage)}"', *_paragraphs(command.help or "")]
        for parameter in command.get_params(context):
            record = parameter.get_help_record(context)
            if record is not None:
                texts += [".TP", f".B {_roff(record[0])}", _roff(record[1])]
        if isinstance(command, click.Group):
            texts += [text for each in command.list_commands(context) for text in _command(command, context, each)]
    return texts


def _option_of_run(option: Option) -> list[str]:
    names = ", ".join(option.names) + (f" {option.takes}" if option.takes else "")
    variables = f" (or {' or '.join(option.variables)})" if option.variables else ""
    meaning = option.help or ("with uv's meaning" if option.sets else "taken, and so in any case")
    return [".TP", f".B {_roff(names)}", _roff(f"{meaning}{variables}")]


def _paragraphs(text: str) -> list[str]:
    """The paragraphs of a docstring, as click shows them."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return [line for paragraph in paragraphs for line in (_roff(paragraph), ".PP")][:-1]


def _roff(text: str) -> str:
    """The text with nothing in it that roff would take for a command of its own."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    escaped = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in escaped)
    return "\n".join(f"\\&{line}" if line[:1] in {".", "'"} else line for line in escaped.split("\n"))
