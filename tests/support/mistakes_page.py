"""docs/mistakes.md: what storectl and uv say to the same mistakes. `scripts/mistakes` runs this.

python -m support.mistakes_page [--write docs/mistakes.md]
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support.index import LoopbackIndex, serve_index
from support.machine import Machine, new_machine
from support.mistakes import MISTAKES, make, run_uv, write_demo

HEAD = """\
# Mistakes, and what is said to them

Each of these is made in one small project, and met by storectl and by uv {uv}. `scripts/mistakes --write docs/mistakes.md` makes this page;
`tests/end_to_end/test_mistakes.py` holds storectl to its side of it. Exit codes stand behind the commands. Folders are left out of paths.

Where uv says more: which project requires a package that cannot be had (66 to 69), and the line of a broken file itself (38 to 46), which storectl leaves
out because it may hold a password. uv goes on where storectl refuses: an upgrade while running (12), a script at an address (25), a package on top
that does not fit (61). What uv or pip says while it locks stands above storectl's own line (60 to 62, 71).
"""
_MOST_LINES = 8
"""What one tool says is cut off after this many lines."""

_FIRST_SYNC = ("Using CPython", "Creating virtual", "Installed", "Uninstalled", "Resolved", "Removed virtual")
"""How lines of uv begin that belong to the first sync of a folder, not to the mistake."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/mistakes", description="What storectl and uv say to mistakes.")
    parser.add_argument("--write", metavar="FILE", help="write it there; by default it is printed")
    arguments = parser.parse_args()
    with new_machine() as machine, serve_index() as index:
        demo = write_demo(machine.root / "demo", index, machine.environ)
        version = run_uv(demo, machine.environ, "--version").stdout.split()[1]
        text = "\n".join([HEAD.format(uv=version), *_sections(machine, index, demo)])
    if arguments.write:
        Path(arguments.write).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def _sections(machine: Machine, index: LoopbackIndex, demo: Path) -> Iterator[str]:
    for number, mistake in enumerate(MISTAKES, 1):
        with tempfile.TemporaryDirectory(dir=machine.root) as place:
            own, other = Path(place, "demo"), Path(place, "uv", "demo")
            other.parent.mkdir()
            make(mistake, demo, own, index)
            make(mistake, demo, other, index)
            variables = mistake.variables(index)
            ours = machine.run(*mistake.command, cwd=own, env=variables)
            run_uv(other, machine.environ, "sync", "--frozen", "--quiet")
            theirs = run_uv(other, {**machine.environ, **variables}, *mistake.uv_command)
            shown = {str(own): ".", str(other): ".", str(machine.root): "…", index.root: "http://index"}
            yield f"## {number}. {mistake.title[:1].upper()}{mistake.title[1:]}\n"
            yield _said("storectl", mistake.command, ours.returncode, ours.stderr, shown)
            yield _said("uv", mistake.uv_command, theirs.returncode, theirs.stderr, shown)


def _said(tool: str, command: tuple[str, ...], code: int, said: str, shown: dict[str, str]) -> str:
    for text, instead in shown.items():
        said = said.replace(text, instead)
    lines = [line.rstrip() for line in said.splitlines() if line.strip() and not line.startswith(_FIRST_SYNC)]
    cut = [*lines[:_MOST_LINES], f"… ({len(lines) - _MOST_LINES} more lines)"] if len(lines) > _MOST_LINES else lines
    words = " ".join(word if re.fullmatch(r"[\w./:=@,-]+", word) else repr(word) for word in command)
    return "\n".join(["```", f"$ {tool} {words}   # {code}", *cut, "```", ""])


if __name__ == "__main__":
    main()
