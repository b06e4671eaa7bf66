"""`storectl doctor`: say whether all that storectl needs is there, one line for each check."""

import os
import sys

import click

from storectl.commands.examination import Finding, examine
from storectl.commands.output import print_json, print_lines
from storectl.commands.parameters import as_json


@click.command()
@as_json
def doctor(*, json: bool) -> None:
    """Check what storectl needs. That is the store, the daemon, interpreters, limits, and this folder's project."""
    findings = examine(os.environ, os.getcwd())
    if json:
        print_json([{"check": f.check, "ok": f.ok, "detail": f.detail, "hint": f.hint} for f in findings])
    else:
        print_lines(*(line for finding in findings for line in _lines(finding)))
    sys.stdout.flush()
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(1)


def _lines(finding: Finding) -> list[str]:
    lines = [f"{'ok   ' if finding.ok else 'WRONG'}  {finding.check}: {finding.detail}"]
    return lines if finding.ok or not finding.hint else [*lines, f"       hint: {finding.hint}"]
