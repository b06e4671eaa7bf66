"""`storectl store du`: what the store takes up on disk, and whose it is, as a table or a picture."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from storectl.commands.output import duration_text, print_json, print_lines, print_table, size_text
from storectl.commands.parameters import as_json
from storectl.daemon.start import ensure_daemon
from storectl.daemon.wire import path_from_wire
from storectl.errors import FileAccessError, UsageError, printable

Json = Mapping[str, Any]

_KINDS = ("project", "package", "age", "environment", "entry")
_NOBODY = {"project": "no project", "age": "in no environment"}
_SHARES = "What several have counts for each of them: only the first two columns may be added up."
_AGES = "From the bottom on, the first two columns add up to what would go if nothing that old were kept."


@click.command()
@click.option("--by", type=click.Choice(_KINDS), help="Whose share each line is; without it, a project's.")
@click.option("--exact", is_flag=True, help="Ask every file for its size; else entries are counted by their manifests.")
@click.option("--svg", metavar="FILE", help="Draw it: a box for each entry, with the project that alone needs it.")
@as_json
def du(*, by: str | None, exact: bool, svg: str | None, json: bool) -> None:
    """Print what the store takes up on disk. For each project: what would go with it, and what others need, too."""
    if svg is not None and (by is not None or json):
        raise UsageError(f"--svg is a picture of its own, without {'--json' if json else '--by'}", hint="leave it out")
    daemon = ensure_daemon(os.environ)
    usage = _decoded(daemon.usage(by or ("entry" if svg is not None else "project"), exact=exact))
    if svg is not None:
        _draw(usage, svg)
    elif json:
        print_json(usage)
    else:
        _print(usage, time.time())


def _decoded(usage: Json) -> dict[str, Any]:
    """The answer with its paths as this system writes them."""
    own = {name: value for name, value in usage.items() if name not in {"event", "shares"}}
    shares = [
        {**share, "name": path_from_wire(share["name"]), "projects": _paths(share["projects"])}
        for share in usage["shares"]
    ]
    return {**own, "store": path_from_wire(usage["store"]), "projects": _paths(usage["projects"]), "shares": shares}


def _paths(paths: Sequence[str]) -> list[str]:
    return [path_from_wire(path) for path in paths]


def _draw(usage: Json, file: str) -> None:
    from storectl.commands.usage_picture import usage_picture  # noqa: PLC0415 - only a picture needs it

    picture = usage_picture(usage, now=time.time(), home=os.environ.get("HOME"))
    if file == "-":
        sys.stdout.write(picture)
        return
    try:
        with open(file, "w", encoding="utf-8") as target:
            target.write(picture)
    except OSError as error:
        hint = "--svg takes the path of a file to write, or - for standard output"
        raise FileAccessError(f"cannot write {printable(file)}: {error.strerror}", hint=hint) from None
    print_lines(f"drawn: {file}; a browser shows it")


def _print(usage: Json, now: float) -> None:
    total = usage["total"]
    print_lines(f"{usage['store']}: {size_text(total['bytes'])}, {total['inodes']:,} inodes")
    print_table(
        ("part", "size", "inodes"),
        [(f"  {part['name']}", size_text(part["bytes"]), f"{part['inodes']:,}") for part in usage["parts"]],
    )
    rows: Mapping[str, Callable[[Json, float], Sequence[Sequence[str]]]] = {"entry": _entries, "package": _packages}
    by = usage["by"]
    print_lines("")
    print_table(_columns(by), rows.get(by, _shares)(usage, now))
    if by in ("project", "environment", "age") and usage["shares"]:
        print_lines("", _AGES if by == "age" else _SHARES)


def _columns(by: str) -> tuple[str, ...]:
    match by:
        case "entry":
            return ("entry", "version", "prefix", "size", "inodes", "last used")
        case "package":
            return ("package", "size", "inodes", "versions", "last used")
    more = {"project": ("linked (outside)",), "environment": ("projects",)}.get(by, ())
    return (by, "only here", "inodes", "shared", "inodes", "all", "inodes", "last used", *more)


def _shares(usage: Json, now: float) -> list[tuple[str, ...]]:
    return [
        (
            share["name"] or _NOBODY.get(usage["by"], ""),
            *(text for size in ("own", "shared", "full") for text in _texts(share[size])),
            _ago(share["last_used"], now),
            *_more(share, usage["by"]),
        )
        for share in usage["shares"]
    ]


def _more(share: Json, by: str) -> tuple[str, ...]:
    match by:
        case "project":
            return (size_text(share["linked"]["bytes"]) if share["linked"] else "",)
        case "environment":
            return (", ".join(share["projects"]),)
    return ()


def _packages(usage: Json, now: float) -> list[tuple[str, ...]]:
    return [
        (share["name"], *_texts(share["full"]), ", ".join(share["versions"]), _ago(share["last_used"], now))
        for share in usage["shares"]
    ]


def _entries(usage: Json, now: float) -> list[tuple[str, ...]]:
    return [
        (entry["name"], entry["version"], entry["prefix"], *_texts(entry), _ago(entry["last_used"], now))
        for entry in usage["entries"]
    ]


def _texts(size: Json) -> tuple[str, str]:
    return size_text(size["bytes"]), f"{size['inodes']:,}"


def _ago(last_used: float | None, now: float) -> str:
    return "never" if last_used is None else f"{duration_text(max(0.0, now - last_used))} ago"
