"""`storectl env history`, `diff` and `rollback`: the environments that a project had, and the way back to one."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from storectl.commands.history_text import (
    change_row,
    difference_json,
    generation_row,
    history_json,
    side_text,
    summary_text,
)
from storectl.commands.output import count_text, print_json, print_lines, print_table
from storectl.commands.parameters import as_json, folder, options_of, project_asked, target_of_project
from storectl.daemon.generations import Generation, compare, lock_file_then, roll_back
from storectl.daemon.generations import history as asked_history
from storectl.daemon.progress import progress_line
from storectl.daemon.start import ensure_daemon
from storectl.daemon.wire import path_on_wire
from storectl.errors import FileAccessError, UsageError, printable
from storectl.locks.named import named_project
from storectl.options import Options
from storectl.project import locate_member
from storectl_shim.locations import store_folder
from storectl_shim.project_record import absolute_lock_file, read_rollback

if TYPE_CHECKING:
    from storectl.daemon.answers import EnvironmentInfo

_environment = click.option("-e", "--env", "name", metavar="NAME", help="Of this named environment.")


@click.command()
@folder
@target_of_project
@_environment
@as_json
def history(folder: str, *, name: str | None, json: bool, **asked: Any) -> None:
    """Print the environments that a project had, and what changed between them. The newest is the first."""
    project, options = _project(folder, name, options_of(**asked))
    found = asked_history(ensure_daemon(os.environ), project, options.key)
    if json:
        print_json(history_json(project, found))
        return
    now = time.time()
    rows = [generation_row(found, place, now) for place in reversed(range(len(found.generations)))]
    print_table(("", "no.", "when", "branch", "commit", "what changed"), rows)


@click.command()
@click.argument("before", metavar="[A]", required=False)
@click.argument("after", metavar="[B]", required=False)
@target_of_project
@_environment
@as_json
@click.pass_context
def diff(
    context: click.Context, /, before: str | None, after: str | None, *, name: str | None, json: bool, **asked: Any
) -> None:
    """Print what changed between two environments of a project.

    A and B are generations, refs of git, or lock files. Without B it is the present one, without A the one before.
    """
    project, options = _project(project_asked(context), name, options_of(**asked))
    found = compare(ensure_daemon(os.environ), project, options, _meant(before), _meant(after))
    if json:
        print_json(difference_json(found))
        return
    now = time.time()
    print_lines(f"from {side_text(found.before, now)}", f"to   {side_text(found.after, now)}")
    print_table(("", "project", "version", "size"), [change_row(change) for change in found.changes])
    print_lines(summary_text(found))


@click.command()
@click.argument("number", metavar="[N]", required=False, type=click.IntRange(min=0))
@target_of_project
@_environment
@click.option("--off", is_flag=True, help="End it: programs run in what the lock file says.")
@click.option("--lock", is_flag=True, help="Write the lock file of generation N into the project instead.")
@click.pass_context
def rollback(
    context: click.Context, /, number: int | None, *, name: str | None, off: bool, lock: bool, **asked: Any
) -> None:
    """Run programs in an earlier environment until an input changes. Without N it is the one before."""
    if off and (lock or number is not None):
        raise UsageError("--off ends a rollback, and takes nothing else", hint="storectl env rollback --off")
    project, options = _project(project_asked(context), name, options_of(**asked))
    if lock:
        _write_lock_file(project, options, number)
    environment = _rolled_back(project, options, None if lock else number, off=off or lock)
    wheels = f"{count_text(environment.wheels, 'wheel')} for Python {environment.version} in {environment.path}"
    print_lines(f"ready: {wheels}")
    said = read_rollback(store_folder(os.environ), project, options.key)
    print_lines(*([said] if said else []))


def _project(folder: str, name: str | None, options: Options) -> tuple[str, Options]:
    """The folder of the project or of the named environment, and the options for it."""
    if name is not None:
        return named_project(name, options, os.environ)
    project, _, options = locate_member([folder], options, os.environ)
    return project, options


def _rolled_back(project: str, options: Options, number: int | None, *, off: bool) -> "EnvironmentInfo":
    line = progress_line(sys.stderr, os.environ)
    try:
        return roll_back(ensure_daemon(os.environ), project, options, number, line, off=off)
    finally:
        line.close()


def _meant(side: str | None) -> dict[str, Any] | None:
    """What an argument of `diff` means: the number of a generation, a file that is there, or a ref of git."""
    if side is None:
        return None
    if side.isdecimal():
        return {"generation": int(side)}
    if os.path.isfile(side):
        return {"lock_file": path_on_wire(absolute_lock_file(side))}
    return {"ref": path_on_wire(side)}


def _write_lock_file(project: str, options: Options, number: int | None) -> None:
    """Put the lock file of this generation, or of the one before the present, in the place of the project's."""
    daemon = ensure_daemon(os.environ)
    if number is None:
        number = _number_before(asked_history(daemon, project, options.key).generations, project)
    then = lock_file_then(daemon, project, options.key, number)
    if os.path.dirname(then.path) != project:
        raise FileAccessError(
            f"the lock file of generation {number} is no file of the project: {then.path}",
            hint="without --lock programs run in that generation",
        )
    _replace(os.path.realpath(then.path), then.content)
    print_lines(f"{then.path}: as in generation {number}")
    for path in then.differing:
        sys.stderr.write(f"storectl: warning: {printable(path)} is another one now than in generation {number}\n")


def _number_before(generations: Sequence[Generation], project: str) -> int:
    """The number of the last generation with another environment than the latest one."""
    before = (each for each in reversed(generations) if each.environment != generations[-1].environment)
    found = next(before, None)
    if found is None:
        raise UsageError(f"{project} had no other environment before this one", hint="storectl env history shows all")
    return found.number


def _replace(path: str, content: bytes) -> None:
    """Replace the content of the file in one step; it keeps its mode, if it was there."""
    folder, name = os.path.split(path)
    stage = os.path.join(folder, f".{name}.{os.getpid()}")
    try:
        mode = _mode_of(path)
        with open(os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
            stream.write(content)
            os.fchmod(stream.fileno(), mode)
        os.replace(stage, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(stage)
        raise FileAccessError(f"cannot write {path}: {error.strerror}") from None


def _mode_of(path: str) -> int:
    """The mode of the file; without one, that of a new file."""
    with suppress(OSError):
        return os.stat(path).st_mode & 0o7777
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask
