"""What commands print on stdout: tables for people, JSON for scripts."""

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from storectl.errors import printable

if TYPE_CHECKING:
    from storectl.daemon.made_ahead import AheadAccount

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def print_json(value: Any) -> None:
    """Print the value as indented JSON, keys in the given order.

    A byte of a path that is not UTF-8 is a lone surrogate in it (PEP 383).
    """
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    sys.stdout.write(f"{text}\n")


def print_lines(*lines: str) -> None:
    """Print each line, with every character escaped that could steer a terminal."""
    sys.stdout.writelines(f"{printable(line)}\n" for line in lines)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: one line for each row, columns aligned, nothing cut off.

    On a terminal it has a heading; elsewhere it has none, for grep and awk.
    """
    lines = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        lines.insert(0, list(columns))
    widths = [max((len(line[i]) for line in lines), default=0) for i in range(len(columns))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def count_text(count: int, one: str, many: str | None = None) -> str:
    """``1 wheel``, ``2 wheels``; ``many`` is the plural if it does not end in s."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


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


def moment_text(at: float, now: float | None = None) -> str:
    """A time of the system clock for a person: ``today 09:14``, ``yesterday 18:02``, ``28 Nov 09:14``."""
    now = time.time() if now is None else now
    then, today = time.localtime(at), time.localtime(now)
    clock = f"{then.tm_hour:02}:{then.tm_min:02}"
    if then[:3] == today[:3]:
        return f"today {clock}"
    if then[:3] == time.localtime(now - 24 * 3600)[:3]:
        return f"yesterday {clock}"
    year = "" if then.tm_year == today.tm_year else f" {then.tm_year}"
    return f"{then.tm_mday} {_MONTHS[then.tm_mon - 1]}{year} {clock}"


def print_ahead(account: "AheadAccount | None") -> None:
    """Print what was made ahead, in one line; nothing if there is nothing of the last week."""
    if account is not None and account.last is not None:
        from storectl.commands.ahead import ahead_text  # noqa: PLC0415 - only if there is something

        print_lines(ahead_text(account, account.last))
