"""``python -m benchmarks``: every row, or the ones named, on the loopback index; JSON, a Markdown table and a plot."""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import clone, commands, install, peers, scale, service, space, start
from benchmarks.results import Result, as_json, as_markdown, as_svg, from_json, with_earlier
from benchmarks.world import World, download, new_world

ROOT = Path(__file__).parent.parent
SMALL = ROOT / "tests/workloads/data-science"


def _started(world: World, pairs: int) -> Iterator[Result]:
    started = start.Started(world)
    yield from start.hello(started, pairs)
    yield from start.import_hot(started, pairs)
    yield from start.import_cold(started, pairs)


def rows(small: Path, large: Path) -> dict[str, tuple[Path, Callable[[World, int, bool], Iterator[Result]]]]:
    """Every row group: the wheels it runs on, and what it does."""
    return {
        "start": (small, lambda world, pairs, _: _started(world, pairs)),
        "clone": (small, lambda world, pairs, _: clone.clone(world, pairs)),
        "pull": (small, lambda world, pairs, _: start.after_pull(world, pairs)),
        "new": (large, lambda world, pairs, _: install.new_environment(world, pairs)),
        "switch": (large, lambda world, pairs, _: install.branch_switch(world, pairs)),
        "cold-small": (small, lambda world, pairs, pip: install.cold_install(world, pairs, pip=pip)),
        "cold": (large, lambda world, pairs, pip: install.cold_install(world, pairs, pip=pip)),
        "commands": (small, lambda world, pairs, _: commands.commands(world, pairs)),
        "disk": (small, lambda world, _pairs, _: space.disk(world)),
        "idle": (large, lambda world, _pairs, _: service.idle(world)),
        "maps": (large, lambda world, _pairs, _: service.map_requests(world)),
        "scale": (small, lambda world, pairs, _: scale.scale(world, pairs)),
    }


def main() -> int:
    options = _options()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    results: list[Result] = []
    small, large = (options.wheels / name for name in ("small", "large"))
    download(SMALL, small)
    download(options.large or SMALL, large)
    groups = rows(small, large)
    for name in options.row or groups:
        wheels, measure = groups[name]
        with new_world(wheels) as world:
            for result in measure(world, options.pairs, not options.no_pip):
                results.append(result)
                print(f"{result.row} | {result.what}: {result.value:.4g} {result.unit} (bar {result.bar})", flush=True)
            if options.out is not None:
                _write(results, options.out)  # after every row: what was measured is not lost with what comes later
    print(as_markdown(results, _facts()))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--row", action="append", metavar="NAME", help=f"one of {', '.join(rows(Path(), Path()))}")
    parser.add_argument("--pairs", type=int, default=15, help="how many pairs are measured, after a warm-up")
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


def _facts() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        **peers.versions(),
    }


def _write(results: list[Result], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    facts = _facts()
    if (folder / "benchmarks.json").exists():
        earlier, known = from_json((folder / "benchmarks.json").read_text())
        results, facts = with_earlier(results, earlier), known | facts  # a peer may be here in some runs only
    (folder / "benchmarks.json").write_text(as_json(results, facts))
    (folder / "benchmarks.md").write_text(as_markdown(results, facts))
    (folder / "benchmarks.svg").write_text(as_svg(results))


if __name__ == "__main__":
    sys.exit(main())
