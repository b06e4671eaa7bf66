"""`storectl env bisect`: which generation of a project, and which wheel of it, made a command fail."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from storectl.commands.bisect_text import Tried, attempt_text, document, outcome_text, result_lines
from storectl.commands.output import print_json, print_lines
from storectl.commands.parameters import as_json, options_of, own_variables, project_asked, target
from storectl.daemon.bisections import Attempt, Found, next_step
from storectl.daemon.progress import progress_line
from storectl.daemon.start import ensure_daemon
from storectl.errors import ClientError, DaemonGoneError, UsageError, printable
from storectl.matrix import INTERRUPTED, exit_code, interrupts_left_to_programs
from storectl.options import Options
from storectl.program import program_environ
from storectl.project import locate_member
from storectl.target import command_line
from storectl_shim.leases import take_lease

SKIP = 125
"""The exit code of a command that cannot judge, as for `git bisect run`."""

MOST_JUDGED = 127
"""A greater exit code is no judgement: the command died, and the search ends."""

UNDECIDED = 3
"""The exit code of this command if it could not come down to one change."""

_COMMAND = f"{__name__}.command"
_LEASE_TRIES = 3


class _BeforeCommand(click.Command):
    """A command whose arguments end at ``--``; what follows is another command's, as it is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = args[end + 1 :]
        return super().parse_args(ctx, args[:end])


class Search(NamedTuple):
    """What is searched: by which command with which variables, in which project."""

    project: str
    options: Options
    ends: tuple[int, ...]
    command: Sequence[str]
    environ: Mapping[str, str]
    json: bool


@click.command(cls=_BeforeCommand)
@click.argument("ends", metavar="[GOOD [BAD]] -- COMMAND…", nargs=-1, type=click.IntRange(min=1))
@target
@as_json
@click.pass_context
def bisect(context: click.Context, /, ends: tuple[int, ...], *, json: bool, **asked: Any) -> int:
    """Find the generation, and the wheel in it, that made a command fail.

    GOOD and BAD are numbers of `storectl env history`: by default the oldest and the last. The command is run in
    environments between the two, first in those that the project had, then in mixtures of two of them. Its exit code
    says how each is: 0 good, 125 cannot be judged, any other up to 127 bad; a greater one ends the search. Neither the
    lock file nor the checkout is touched.
    """
    command = context.meta[_COMMAND]
    if not command:
        raise UsageError("say what to run, after --", hint="for example storectl env bisect -- pytest -x")
    if len(ends) > 2:
        raise UsageError(f"two generations are enough: {ends[2]}", hint="see storectl env bisect --help")
    folder, _, options = locate_member([project_asked(context)], options_of(**asked), os.environ)
    search = Search(folder, options, ends, command, own_variables(context), json)
    tried: list[Tried] = []
    while isinstance(step := _asked(search, tried), Attempt):
        tried.append(_tried(search, step))
        if tried[-1].code == INTERRUPTED:
            return INTERRUPTED
        _say(f"{outcome_text(tried[-1])}: {attempt_text(step)}")
    if json:
        print_json(document(step, tried))
    else:
        print_lines(*result_lines(step))
    return 0 if len(step.suspects) == 1 or step.pythons else UNDECIDED


def _asked(search: Search, tried: Sequence[Tried]) -> Attempt | Found:
    """The next step, with a lease of the environment to try; it is kept until this process ends."""
    gone = None
    for _ in range(_LEASE_TRIES):
        step = _step(search, tried)
        if isinstance(step, Found) or step.environment is None or _is_leased(step.environment):
            return step
        gone = step.environment
    raise ClientError(f"{gone} was collected before the command could start", code="E_BISECT", hint="try again")


def _is_leased(environment: str) -> bool:
    """Take a lease. False if the environment is gone: the daemon makes it again when it is asked again."""
    try:
        take_lease(environment)
    except FileNotFoundError:
        return False
    return True


def _step(search: Search, tried: Sequence[Tried]) -> Attempt | Found:
    """The daemon's answer. If it dies meanwhile, it is started again, once."""
    asked: dict[str, Any] = dict(zip(("good", "bad"), search.ends, strict=False))
    if tried and (last := tried[0].attempt.generation) is not None:
        asked["bad"] = last.number  # another one may have come meanwhile
    asked |= {
        "outcomes": {each.attempt.outcome_of: each.outcome for each in tried},
    }
    line = progress_line(sys.stderr, os.environ)
    try:
        try:
            return next_step(ensure_daemon(os.environ), search.project, search.options, asked, line)
        except DaemonGoneError:
            return next_step(ensure_daemon(os.environ), search.project, search.options, asked, line)
    finally:
        line.close()


def _tried(search: Search, attempt: Attempt) -> Tried:
    if attempt.environment is None:
        return Tried(attempt, "skipped", None, 0.0)
    began = time.monotonic()
    code = _run(search, attempt.environment)
    if code > MOST_JUDGED and code != INTERRUPTED:
        raise ClientError(
            f"the command ended with exit code {code}, which says neither good nor bad: {attempt_text(attempt)}",
            code="E_BISECT",
            hint="1 to 127 are bad, 125 skips: sh -c 'COMMAND || exit 1' makes any failure a bad one",
        )
    outcome = "good" if code == 0 else "skipped" if code == SKIP else "bad"
    return Tried(attempt, outcome, code, time.monotonic() - began)


def _run(search: Search, environment: str) -> int:
    """Run the command as `storectl run` would; its exit code, as shells count it."""
    environ = program_environ(environment, search.environ)
    try:
        command = _command(search.command, os.path.join(environment, "bin", "python"), environ)
    except ClientError as error:  # there is no such command in this environment
        sys.stderr.write(error.report())
        return error.exit_code
    sys.stdout.flush()
    output = sys.stderr if search.json else None
    with interrupts_left_to_programs() as interrupted:
        code = exit_code(subprocess.run(command, env=environ, stdout=output, check=False).returncode)
    return INTERRUPTED if interrupted() else code


def _command(command: Sequence[str], python: str, environ: Mapping[str, str]) -> list[str]:
    name, *arguments = command
    if name.startswith("-"):  # -m, -c, or an option of Python
        return [python, *command]
    return command_line(name, tuple(arguments), (), python, environ)


def _say(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"storectl: {printable(text)}\n")
    sys.stderr.flush()
