"""`storectl store du`: what the store takes up on disk, and whose it is, as a table or a picture."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from storectl.commands.output import duration_text, print_json, print_lines, print_table, size_text
from storectl.commands.parameters import as_json
from storectl.daemon.start import ensure_daemon
from storectl.daemon.wire import path_from_wire
from storectl.errors import FileAccessError, UsageError, printable

Json = Mapping[str, Any]

_OWN_KINDS = ("project", "package", "age", "environment", "entry")
_USERS = ("user", "group")
_NOBODY = {"project": "no project", "age": "in no environment", "user": "nobody", "group": "nobody"}
_SHARES = (
    "What several have counts for each of them; the share divides it: all shares, and {beside} beside them, are the"
    " store."
)
_AGES = "From the bottom on, the first two columns add up to what would go if nothing that old were kept."


@click.command()
@click.option(
    "--by", type=click.Choice((*_OWN_KINDS, *_USERS)), help="Whose share each line is; without it, a project's."
)
@click.option("--inodes", is_flag=True, help="Count inodes, not bytes: the most first.")
@click.option("--exact", is_flag=True, help="Ask every file for its size; else entries are counted by their manifests.")
@click.option("--svg", metavar="FILE", help="Draw it: a box for each entry, with the project that alone needs it.")
@click.option("--store", metavar="DIR", help="Count this store, by its files alone: that of a node, or of a site.")
@as_json
def du(*, by: str | None, inodes: bool, exact: bool, svg: str | None, store: str | None, json: bool) -> None:
    """Print what the store takes up on disk. For each project: what would go with it, and what others need, too.

    By user or group, only a store of many users can be counted, by an account that may read it all.
    """
    if store is None and by in _USERS:
        raise UsageError(f"only a store of many users has shares by {by}", hint="--store DIR names it")
    if svg is not None and (by is not None or json):
        raise UsageError(f"--svg is a picture of its own, without {'--json' if json else '--by'}", hint="leave it out")
    usage = _asked(by or ("entry" if svg is not None else "project"), exact=exact, store=store)
    if inodes:
        usage = _by_inodes(usage)
    if svg is not None:
        _draw(usage, svg)
    elif json:
        print_json(usage)
    else:
        _print(usage, time.time(), inodes=inodes)


def _asked(by: str, *, exact: bool, store: str | None) -> dict[str, Any]:
    if store is None:
        return _decoded(ensure_daemon(os.environ).usage(by, exact=exact))
    from storectl.daemon.offline import count  # noqa: PLC0415 - it loads much

    return dict(count(store, by, exact=exact))


def _by_inodes(usage: Json) -> dict[str, Any]:
    """The same, with what has the most inodes first; by age it has an order of its own."""
    shares, entries = list(usage["shares"]), sorted(usage["entries"], key=lambda entry: -int(entry["inodes"]))
    if usage["by"] != "age":
        shares.sort(key=lambda share: (-int(share["own"]["inodes"]), -int(share["full"]["inodes"])))
    return {**usage, "shares": shares, "entries": entries}


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


def _print(usage: Json, now: float, *, inodes: bool) -> None:
    total, by = usage["total"], usage["by"]
    table = _Table(by=by, now=now, inodes=inodes, divided="beside" in usage)
    print_lines(f"{usage['store']}: {size_text(total['bytes'])}, {total['inodes']:,} inodes")
    print_table(
        ("part", *table.columns("size")), [(f"  {part['name']}", *table.texts(part)) for part in usage["parts"]]
    )
    print_lines("")
    print_table(table.heading(), table.rows(usage))
    if by == "age" and usage["shares"]:
        print_lines("", _AGES)
    elif by in ("project", "environment", *_USERS) and usage["shares"] and table.divided:
        print_lines("", _SHARES.format(beside=" ".join(table.texts(usage["beside"])[:1]) + " inodes" * inodes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The table of shares: sizes with their inodes, or inodes alone.

    ``divided``: each share is told with its part of what several have, which an older daemon does not tell.
    """

    by: str
    now: float
    inodes: bool
    divided: bool

    def columns(self, *sizes: str) -> tuple[str, ...]:
        return sizes if self.inodes else tuple(column for size in sizes for column in (size, "inodes"))

    def texts(self, size: Json) -> tuple[str, ...]:
        inodes = f"{size['inodes']:,}"
        return (inodes,) if self.inodes else (size_text(size["bytes"]), inodes)

    def heading(self) -> tuple[str, ...]:
        match self.by:
            case "entry":
                return ("entry", "version", "prefix", *self.columns("size"), "last used")
            case "package":
                return ("package", *self.columns("size"), "versions", "last used")
        more = {"project": ("linked (outside)",), "environment": ("projects",)}.get(self.by, ())
        return (self.by, *self.columns("only here", "shared", "all", *self._share()), "last used", *more)

    def rows(self, usage: Json) -> list[tuple[str, ...]]:
        if self.by == "entry":
            return [
                (each["name"], each["version"], each["prefix"], *self.texts(each), self._ago(each))
                for each in usage["entries"]
            ]
        if self.by == "package":
            return [
                (share["name"], *self.texts(share["full"]), ", ".join(share["versions"]), self._ago(share))
                for share in usage["shares"]
            ]
        return [
            (
                share["name"] or _NOBODY.get(self.by, ""),
                *(text for size in ("own", "shared", "full", *self._share()) for text in self.texts(share[size])),
                self._ago(share),
                *_more(share, self.by),
            )
            for share in usage["shares"]
        ]

    def _share(self) -> tuple[str, ...]:
        return ("share",) if self.divided and self.by != "age" else ()

    def _ago(self, used: Json) -> str:
        last_used = used["last_used"]
        return "never" if last_used is None else f"{duration_text(max(0.0, self.now - last_used))} ago"


def _more(share: Json, by: str) -> tuple[str, ...]:
    match by:
        case "project":
            return (size_text(share["linked"]["bytes"]) if share["linked"] else "",)
        case "environment":
            return (", ".join(share["projects"]),)
    return ()
