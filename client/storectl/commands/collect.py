"""`storectl store collect` takes away what nothing keeps any more; `storectl store why` tells what keeps the rest."""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from storectl.commands.output import count_text, duration_text, print_json, print_lines, size_text
from storectl.commands.parameters import as_json
from storectl.daemon.start import ensure_daemon
from storectl.errors import UsageError
from storectl.frozen import VARIABLE, check_not_frozen
from storectl.options import Options
from storectl.project import locate_project
from storectl_shim.sizes import parse_size

Json = Mapping[str, Any]

NOT_ENOUGH = 3
"""The exit code if the store was to become smaller, and nothing could go."""

SHARED_DAYS = 180.0
"""The days for which a store of many keeps what nobody says to need."""

_MOST_NAMES = 8
_MOST_REASONS = 3
_PREFIX = 12


class _Size(click.ParamType[int]):
    name = "size"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """The bytes that a text such as ``20G`` means."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except ValueError:
            self.fail(f"{value!r} is no size such as 20G or 500M", parameter, context)


@click.command()
@click.option("-n", "--dry-run", is_flag=True, help="Only print what would go.")
@click.option("--keep-days", metavar="N", type=click.FloatRange(0), help="Keep what was used within N days.")
@click.option(
    "--keep-generations", metavar="N", type=click.IntRange(0), help="Keep the last N environments of each project."
)
@click.option("--max-size", metavar="SIZE", type=_Size(), help="Make the store this small (20G) if that can be done.")
@click.option("--project", metavar="DIR", help="Only what this project had.")
@click.option("--store", metavar="DIR", help="Collect this store, which many use, without a daemon: as its owner.")
@click.option("--without-leases", is_flag=True, help="Also where nobody can tell whether a program runs.")
@as_json
def collect(
    *,
    dry_run: bool,
    keep_days: float | None,
    keep_generations: int | None,
    max_size: int | None,
    project: str | None,
    store: str | None,
    without_leases: bool,
    json: bool,
) -> None:
    """Take away what nothing keeps any more.

    Kept are what projects have now and had lately, pins, linked environments, and what programs run in. In a store that
    many use (--store), also what its users keep, and what was made or used within the days, which are 180 then. Exits
    with 3 if --max-size asks for more, and nothing could go.
    """
    if store is not None and project is not None:
        raise UsageError("--project is for this user's own store, not for --store", hint="leave one of them out")
    if store is not None:
        from storectl.daemon.offline import collect as collect_offline  # noqa: PLC0415 - it loads much

        if os.environ.get(VARIABLE):  # a store of one's own, which an administrator need not have, plays no part here
            check_not_frozen(f"collect {store}", os.environ)
        events = collect_offline(
            store,
            dry_run=dry_run,
            keep_days=SHARED_DAYS if keep_days is None else keep_days,
            keep_generations=keep_generations,
            max_size=max_size,
            without_leases=without_leases,
        )
    else:
        events = ensure_daemon(os.environ).collect(
            dry_run=dry_run,
            keep_days=keep_days,
            keep_generations=keep_generations,
            max_size=max_size,
            project=None if project is None else _project(project),
            without_leases=without_leases,
        )
    planned, collected = _follow(events, quiet=json)
    if json:
        print_json(_document(planned, collected, dry_run=dry_run))
    else:
        print_lines(*_lines(planned, collected, dry_run=dry_run))
    went = planned if dry_run else collected
    if max_size is not None and not collected["enough"] and not went["environments"] + went["entries"]:
        raise click.exceptions.Exit(NOT_ENOUGH)


@click.command()
@click.argument("entry", metavar="NAME|PREFIX|ENVIRONMENT")
@as_json
def why(entry: str, *, json: bool) -> None:
    """Print what keeps something in the store.

    That is each entry of a project, or an entry or an environment by the first digits of its prefix or id.
    """
    found = ensure_daemon(os.environ).why(entry)
    if json:
        print_json(found)
    else:
        print_lines(*(line for each in found for line in _why_lines(each)))


def _project(folder: str) -> str:
    """The project at or above the folder; one whose folder is gone is known by its path."""
    path = os.path.realpath(folder)
    return locate_project([path], Options(), os.environ)[0] if os.path.isdir(path) else path


def _follow(events: Iterable[Json], *, quiet: bool) -> tuple[Json, Json]:
    """What was planned, and what became of it."""
    planned: Json = {}
    collected: Json = {}
    for event in events:
        match event["event"]:
            case "planned":
                planned = event
            case "collected":
                collected = event
            case "sweeping" if not quiet and sys.stderr.isatty():
                sys.stderr.write(f"\r\x1b[K{event['what']}: {event['done']} of {event['total']}")
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    return planned, collected


def _document(planned: Json, collected: Json, *, dry_run: bool) -> dict[str, Any]:
    went = planned if dry_run else collected
    return {
        "dry_run": dry_run,
        **{name: went[name] for name in ("environments", "entries", "bytes", "inodes")},
        "leases": planned["leases"],
        "roots": planned["roots"],
        "groups": planned["groups"],
        "stayed": collected["stayed"],
        "notes": planned["notes"],
        "enough": collected["enough"],
    }


def _lines(planned: Json, collected: Json, *, dry_run: bool) -> Iterator[str]:
    went = planned if dry_run else collected
    kept = f"(kept: {count_text(planned['leases'], 'lease')}, {count_text(planned['roots'], 'root')})"
    if went["environments"] or went["entries"]:
        environments = count_text(went["environments"], "environment")
        entries = count_text(went["entries"], "entry", "entries")
        verb = "would free" if dry_run else "freed"
        yield f"{verb} {_size(went)}: {environments}, {entries}  {kept}"
    else:
        yield f"nothing {'would go' if dry_run else 'went'}  {kept}"
    yield from (f"  {line}" for line in map(_group_line, planned["groups"]))
    yield from (f"  stayed: {each['what']}: {each['why']}" for each in collected["stayed"])
    yield from (f"note: {note}" for note in planned["notes"])


def _size(went: Json) -> str:
    return f"{size_text(went['bytes'])}, {count_text(went['inodes'], 'inode')}"


def _group_line(group: Json) -> str:
    """What goes, by name, the largest first, and whose it was."""
    names = [f"{each['name']} {each['version']}" for each in group["entries"][:_MOST_NAMES]]
    more = len(group["entries"]) - _MOST_NAMES
    shown = ", ".join([*names, *([f"{more} more"] if more > 0 else [])])
    if not group["environments"]:
        return f"{shown} ({size_text(group['bytes'])}), which no environment shows"
    environments = count_text(len(group["environments"]), "environment")
    named = f"{shown} and {environments}" if shown else environments
    branch = f" branch {group['branch']} of" if group["branch"] else ""
    project = _tilde(group["project"]) if group["project"] else "no known project"
    age = duration_text(max(0.0, time.time() - group["last_used"]))
    return f"{named} ({size_text(group['bytes'])}) of{branch} {project}, last used {age} ago"


def _why_lines(each: Json) -> Iterator[str]:
    label = _label(each)
    if not each["reasons"]:
        yield f"{label}: {each['note'] or 'nothing keeps it'}"
        return
    yield f"{label}:"
    for project, words in _by_project(each["reasons"]).items():
        more = len(words) - _MOST_REASONS
        shown = "; ".join([*words[:_MOST_REASONS], *([f"{more} more"] if more > 0 else [])])
        yield f"  {_tilde(project)}: {shown}" if project else f"  {shown}"


def _label(each: Json) -> str:
    if each["what"] == "entry":
        return f"{each['name']} {each['version']} {each['prefix'][:_PREFIX]}…"
    words = [f"environment {each['prefix']}"]
    words += [f"of {_tilde(each['project'])}"] if each["project"] else []
    words += [f"branch {each['branch']}"] if each["branch"] else []
    return ", ".join(words)


def _by_project(reasons: Sequence[Json]) -> dict[str, list[str]]:
    """What keeps it, in words, by project; "" for what is no project's. Each is said once."""
    found: dict[str, dict[str, None]] = {}
    for reason in reasons:
        found.setdefault(reason["project"] or "", {})[reason["detail"]] = None
    return {project: list(words) for project, words in found.items()}


def _tilde(path: str) -> str:
    home = os.environ.get("HOME", "")
    return f"~{path[len(home) :]}" if home and f"{path}/".startswith(f"{home}/") else path
