"""`storectl store`: show what is in the store, and check that it is still what was unpacked."""

import os
import sys
from typing import Any

import click

from storectl.commands.output import print_json, print_lines, print_table, size_text
from storectl.commands.parameters import Group, as_json, offline
from storectl.commands.verification import Report
from storectl.daemon.start import ensure_daemon
from storectl.errors import UnknownEntryError, printable

LAZY = {
    "collect": ("collect:collect", "Take away what nothing keeps any more."),
    "why": ("collect:why", "Print what keeps something in the store."),
    "du": ("usage:du", "Print what the store takes up on disk."),
}


@click.group(cls=Group, no_args_is_help=True, lazy=LAZY)
def store() -> None:
    """What is in the store, and whether it is as it was unpacked."""


@store.command("list")
@as_json
def list_entries(*, json: bool) -> None:
    """Print every entry: project, version, prefix, size."""
    daemon = ensure_daemon(os.environ)
    entries = daemon.entries()
    if json:
        print_json(entries)
    else:
        rows = [(e["name"], e["version"], e["prefix"], size_text(e["size"])) for e in entries]
        print_table(("project", "version", "prefix", "size"), rows)


@store.command()
@click.argument("entry", metavar="NAME|PREFIX")
@as_json
def show(entry: str, *, json: bool) -> None:
    """Print all that is known of a project's entries, or of one entry, by the beginning of its prefix."""
    wanted = entry.lower().replace("_", "-").replace(".", "-")
    daemon = ensure_daemon(os.environ)
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


@store.command()
@click.option("--repair", is_flag=True, help="Make again what is damaged.")
@offline
@as_json
def verify(*, repair: bool, offline: bool, json: bool) -> None:
    """Compare everything below the store with what it was made from. Exits with 1 if something is not right.

    With --repair what is damaged is fetched, built or written again, and what was found goes to the quarantine; then it
    exits with 1 if something is left that could not be mended.
    """
    report = Report()
    daemon = ensure_daemon(os.environ)
    for event in daemon.verify(repair=repair, offline=offline):
        if report.note(event):
            _show_progress(report.entries, event["name"])
    if json:
        print_json(report.as_json(repair=repair))
    else:
        print_lines(*report.lines(repair=repair))
    if report.left if repair else report.findings:
        raise click.exceptions.Exit(1)


def _text(name: str, fact: Any) -> str:
    if isinstance(fact, list):
        return " ".join(map(str, fact))
    return size_text(fact) if name == "size" else str(fact)


def _show_progress(checked: int, name: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{checked}: {printable(name)}\r")
