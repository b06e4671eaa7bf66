"""`storectl store`: what is in the store, and whether it is as it was unpacked."""

import os
import sys
from typing import Annotated, Any

import typer

from storectl.commands.output import count_text, print_json, print_lines, print_table, size_text
from storectl.commands.parameters import Json
from storectl.daemon_start import ensure_daemon
from storectl.errors import UnknownEntryError, printable

app = typer.Typer(no_args_is_help=True, help="What is in the store, and whether it is as it was unpacked.")

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
def verify(*, json: Json = False) -> None:
    """Hash every file of every entry against its manifest. Exits with 1 where one is not as it was unpacked."""
    findings: list[dict[str, Any]] = []
    checked = 0
    with ensure_daemon(os.environ) as daemon:
        for event in daemon.verify():
            if event["event"] == "finding":
                findings.append({key: event[key] for key in ("name", "version", "prefix", "path", "what")})
            elif event["event"] == "checked":
                checked += 1
                _show_progress(checked, event["name"])
    if json:
        print_json({"entries": checked, "findings": findings})
    else:
        print_lines(*(f"{f['name']} {f['version']} {f['prefix']}: {f['path']}: {f['what']}" for f in findings))
        entries = count_text(checked, "entry", "entries")
        print_lines(f"{entries}, {count_text(len(findings), 'finding')}" if findings else f"{entries}, all as unpacked")
    if findings:
        raise typer.Exit(1)


def _text(name: str, fact: Any) -> str:
    if isinstance(fact, list):
        return " ".join(map(str, fact))
    return size_text(fact) if name == "size" else str(fact)


def _show_progress(checked: int, name: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{checked}: {printable(name)}\r")
