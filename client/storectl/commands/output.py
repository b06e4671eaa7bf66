"""What commands print on stdout: tables for people, JSON for scripts."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from storectl.errors import printable


def print_json(value: Any) -> None:
    """The value as JSON, indented, keys in the order given. A byte of a path that is not UTF-8 is a lone surrogate (PEP 383)."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    sys.stdout.write(f"{text}\n")


def print_lines(*lines: str) -> None:
    """Each line, with what could steer a terminal escaped."""
    sys.stdout.writelines(f"{printable(line)}\n" for line in lines)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table: with rich on a terminal; elsewhere one line a row, columns aligned, no heading, for grep and awk."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(columns, rows)
        return
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(len(columns))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def size_text(size: int) -> str:
    """Bytes for a person: ``17 B``, ``1.2 MB``."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration_text(seconds: float) -> str:
    """Seconds for a person: ``42 s``, ``3 min``, ``5 h``, ``2 d``."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # Imported here: rich takes 60 ms, and scripts never see it.
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
