"""``python -m benchmarks``: every row, or the ones named, on the loopback index; JSON, a Markdown table and a plot.

All rows take some 40 minutes on a quiet machine of two cores, without pip. A row that fails is named, and the rest goes on.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import clone, cold, commands, install, peers, scale, service, shapes, space, start, storm
from benchmarks.results import Result, as_json, as_markdown, as_svg, from_json, with_earlier
from benchmarks.world import World, download, download_tools, new_world

ROOT = Path(__file__).parent.parent
SMALL = ROOT / "tests/workloads/data-science"


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are measured together: the folder of their wheels, how many pairs unless told otherwise, and how."""

    wheels: str
    pairs: int
    measure: Callable[[World, int], Iterator[Result]]


def groups(*, pip: bool) -> dict[str, Group]:
    """Every group; ``pip`` is among the installers that take long, or not."""
    return {
        "start": Group("small", 15, _started),
        "options": Group("small", 15, shapes.options),
        "script": Group("small", 15, shapes.script),
        "member": Group("small", 15, shapes.member),
        "tool": Group("small", 15, shapes.tool),
        "storm": Group("small", 5, storm.storm),
        "clone": Group("small", 7, clone.clone),
        "pull": Group("small", 5, start.after_pull),
        "cold-small": Group("small", 9, cold.until_ready),
        "cold": Group("large", 5, cold.until_ready),
        "bytecode-small": Group("small", 3, partial(cold.until_compiled, pip=pip)),
        "bytecode": Group("large", 2, partial(cold.until_compiled, pip=pip)),
        "new": Group("large", 15, install.new_environment),
        "switch": Group("large", 15, install.branch_switch),
        "commands": Group("small", 15, commands.commands),
        "disk": Group("small", 1, lambda world, _pairs: space.disk(world)),
        "idle": Group("large", 1, lambda world, _pairs: service.idle(world)),
        "maps": Group("large", 1, lambda world, _pairs: service.map_requests(world)),
        "scale": Group("small", 15, scale.scale),
    }


def _started(world: World, pairs: int) -> Iterator[Result]:
    started = start.Started(world)
    yield from start.hello(started, pairs)
    yield from start.import_hot(started, pairs)
    yield from start.import_cold(started, pairs)


def main() -> int:
    options = _options()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    download(SMALL, options.wheels / "small")
    download(options.large or SMALL, options.wheels / "large")
    download_tools(options.wheels / "tools")
    facts, results, failed = _facts(), list[Result](), dict[str, str]()
    chosen = groups(pip=not options.no_pip)
    pairs = dict(options.pairs)
    for name in options.row or chosen:
        group = chosen[name]
        begun = time.monotonic()
        try:
            with new_world(options.wheels / group.wheels, options.wheels / "tools") as world:
                for result in group.measure(world, pairs.get(name) or pairs.get("") or group.pairs):
                    results.append(result)
                    print(
                        f"{result.row} | {result.what}: {result.value:.4g} {result.unit} (bar {result.bar})", flush=True
                    )
        except Exception as error:  # noqa: BLE001 - whatever it is, the other rows are measured
            failed[name] = f"{type(error).__name__}: {error}"
            print(f"row {name} FAILED: {failed[name]}", file=sys.stderr, flush=True)
        print(f"-- {name}: {time.monotonic() - begun:.0f} s", flush=True)
        facts["rows that failed"] = ", ".join(failed) or "none"
        if options.out is not None:
            _write(results, facts, options.out)  # after every row: what was measured is not lost with what comes later
    print(as_markdown(results, facts))
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = groups(pip=True)
    parser.add_argument("--row", action="append", metavar="NAME", choices=known, help=f"one of {', '.join(known)}")
    parser.add_argument(
        "--pairs", action="append", type=_pairs, default=[], metavar="[ROW=]N",
        help="how many pairs are measured, after a warm-up, of every row or of this one; may be repeated",
    )  # fmt: skip
    parser.add_argument("--no-pip", action="store_true", help="leave pip out of the cold installs, which take long")
    parser.add_argument(
        "--large", type=Path, metavar="DIR", help="a project of some 300 wheels; default: the small one"
    )
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR", default=Path(tempfile.gettempdir()) / "storectl-benchmark-wheels",
        help="where the wheel files are kept between runs",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="write benchmarks.json, .md and .svg there; rows that are there already and not run now stay",
    )  # fmt: skip
    return parser.parse_args()


def _pairs(text: str) -> tuple[str, int]:
    """The name of a row, empty for all of them, and how many pairs."""
    name, _, number = text.rpartition("=")
    if name and name not in groups(pip=True):
        raise argparse.ArgumentTypeError(f"{name}: there is no such row")
    return name, int(number)


def _facts() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load average at the begin": f"{os.getloadavg()[0]:.1f}",
        **peers.versions(),
    }


def _write(results: list[Result], facts: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "benchmarks.json").exists():
        earlier, known = from_json((folder / "benchmarks.json").read_text())
        results, facts = with_earlier(results, earlier), known | facts  # a peer may be here in some runs only
    (folder / "benchmarks.json").write_text(as_json(results, facts))
    (folder / "benchmarks.md").write_text(as_markdown(results, facts))
    (folder / "benchmarks.svg").write_text(as_svg(results))


if __name__ == "__main__":
    sys.exit(main())
