"""`storectl env export`: a plain virtual environment with files of its own, in a folder or a tar archive."""

import os
import sys
from typing import Any

import click

from storectl.commands.output import count_text, print_json, print_lines, size_text
from storectl.commands.parameters import as_json, options_of, project_asked, target
from storectl.daemon.progress import progress_line
from storectl.daemon.start import ensure_daemon
from storectl.daemon.warming import warm
from storectl.daemon.wire import path_from_wire, path_on_wire
from storectl.errors import UsageError, printable
from storectl.project import locate_member
from storectl_shim.locations import store_folder
from storectl_shim.project_record import read_rollback


@click.command()
@click.argument("folder", metavar="[DIR]", required=False)
@target
@click.option("--tar", metavar="FILE", help="Write a tar archive instead (.tar, .tar.gz); equal ones have equal bytes.")
@click.option("--copy", "method", flag_value="copy", help="Copy every file, also where blocks could be shared.")
@click.option(
    "--reflink",
    "method",
    flag_value="reflink",
    help="Share blocks with the store until a file is written; fail if the file system cannot.",
)
@click.option(
    "--hardlink",
    "method",
    flag_value="hardlink",
    help="Link to the store's own read-only files: what writes into them writes into the store.",
)
@click.option(
    "--relocatable/--no-relocatable", default=True, help="Whether scripts find their Python wherever the export is."
)
@as_json
@click.pass_context
def export(
    context: click.Context,
    /,
    folder: str | None,
    *,
    tar: str | None,
    method: str | None,
    relocatable: bool,
    json: bool,
    **asked: Any,
) -> None:
    """Write the environment as a plain, writable one that needs no storectl. It needs no store either."""
    if folder is None and (tar is None or not relocatable):
        raise UsageError("say where: a new folder, or --tar and a file", hint="see storectl env export --help")
    if tar is not None and method is not None:
        raise UsageError(f"--{method} is for a folder, and a tar archive has copies", hint="leave it out")
    options = options_of(**asked)
    root, _, options = locate_member([project_asked(context)], options, os.environ)
    environment = warm(root, options, os.environ, bytecode=True)
    if rollback := read_rollback(store_folder(os.environ), root, options.key):
        sys.stderr.write(f"storectl: warning: {printable(rollback)}\n")
    line = progress_line(sys.stderr, os.environ)
    try:
        order = _order(folder, tar) | {"method": method or "auto", "relocatable": relocatable}
        written = ensure_daemon(os.environ).export(environment.id, order, line)
    finally:
        line.close()
    _print(written, environment.version, json=json)


def _order(folder: str | None, tar: str | None) -> dict[str, Any]:
    """Where the export goes, and what of this process counts for it."""
    umask = os.umask(0o077)
    os.umask(umask)
    moment = os.environ.get("SOURCE_DATE_EPOCH", "")
    return {
        "folder": None if folder is None else path_on_wire(os.path.abspath(folder)),
        "archive": None if tar is None else path_on_wire(os.path.abspath(tar)),
        "umask": umask,
        **({"moment": int(moment)} if moment.isdecimal() else {}),
    }


def _print(written: Any, version: str, *, json: bool) -> None:
    path, local = path_from_wire(written["path"]), [path_from_wire(folder) for folder in written["local"]]
    if json:
        print_json({"path": path, "files": written["files"], "bytes": written["bytes"], "local": local})
        return
    amount = f"{count_text(written['files'], 'file')}, {size_text(written['bytes'])}"
    print_lines(f"exported: Python {version}, {amount}, in {path}")
    print_lines(*(f"not copied, imported from its folder: {folder}" for folder in local))
