"""`storectl store`: show what is in the store, and check that it is still what was unpacked."""

import os
import sys
from typing import Annotated, Any

import typer

from storectl.commands.output import print_json, print_lines, print_table, size_text
from storectl.commands.parameters import Json, Offline
from storectl.commands.verification import Report
from storectl.daemon.start import ensure_daemon
from storectl.errors import UnknownEntryError, printable

app = typer.Typer(no_args_is_help=True, help="What is in the store, and whether it is as it was unpacked.")

Repair = Annotated[bool, typer.Option("--repair", help="Make again what is damaged.")]
Entry = Annotated[str, typer.Argument(metavar="NAME|PREFIX", help="A project name, or the beginning of a prefix.")]


@app.command("list")
def list_entries(*, json: Json = False) -> None:
    """Print every entry: project, version, prefix, size."""
    with ensure_daemon(os.environ) as daemon:
        entries = daemon.entries()
    if json:
        print_json(entries)
    else:
        rows = [(e["name"], e["version"], e["prefix"], size_text(e["size"])) for e in entries]
        print_table(("project", "version", "prefix", "size"), rows)


@app.command()
def show(entry: Entry, *, json: Json = False) -> None:
    """Print all that is known of a project's entries, or of one entry."""
    wanted = entry.lower().replace("_", "-").replace(".", "-")
    with ensure_daemon(os.environ) as daemon:
        found = [e["prefix"] for e in daemon.entries() if e["name"] == wanted or e["prefix"].startswith(wanted)]
        entries = [daemon.entry(prefix) for prefix in found]
    if not entries:
        raise UnknownEntryError(
            f"no entry {entry} in the store", hint="storectl store list prints those that are there"
        )
    if json:
        print_json(entries)
    else:
        for value in entries:
            print_lines(*(f"{name}: {_text(name, fact)}" for name, fact in value.items()))


@app.command()
def verify(*, repair: Repair = False, offline: Offline = False, json: Json = False) -> None:
    """Compare everything below the store with what it was made from. Exits with 1 if something is not right.

    With --repair what is damaged is fetched, built or written again, and what was found goes to the quarantine; then it
    exits with 1 if something is left that could not be mended.
    """
    report = Report()
    with ensure_daemon(os.environ) as daemon:
        for event in daemon.verify(repair=repair, offline=offline):
            if report.note(event):
                _show_progress(report.entries, event["name"])
    if json:
        print_json(report.as_json(repair=repair))
    else:
        print_lines(*report.lines(repair=repair))
    if report.left if repair else report.findings:
        raise typer.Exit(1)


def _text(name: str, fact: Any) -> str:
    if isinstance(fact, list):
        return " ".join(map(str, fact))
    return size_text(fact) if name == "size" else str(fact)


def _show_progress(checked: int, name: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{checked}: {printable(name)}\r")
