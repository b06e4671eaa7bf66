"""Options and the summary that all tests share."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from support.workloads import own_workloads

COMPARED = "compared"
"""The name of the property under which a test counts what it compared: a pair of a subject and a number."""


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell's job in the background: what is ignored would stay so in every program that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--workloads",
        metavar="DIR",
        default=os.environ.get("STORECTL_WORKLOADS"),
        help="run the oracles on every project below this folder too (or STORECTL_WORKLOADS)",
    )
    parser.addoption("--all", action="store_true", help="run what the gate leaves out, too: docs/tests.md")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the random order that they have, but the longest tests first: at the end no process waits for another."""
    if not config.getoption("--all"):
        left_out = [item for item in items if item.get_closest_marker("whole")]
        items[:] = [item for item in items if not item.get_closest_marker("whole")]
        config.hook.pytest_deselected(items=left_out)
    items.sort(key=lambda item: item.get_closest_marker("network") is None)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this run, which all its processes share; under xdist the own folder of each is below it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with an argument ``workload`` runs once for the folder of each pinned project."""
    if "workload" in metafunc.fixturenames:
        named = metafunc.config.getoption("--workloads")
        others = sorted(path.parent for path in Path(named).glob("*/pyproject.toml")) if named else []
        folders = {path.name: path for path in (*others, *own_workloads())}
        metafunc.parametrize("workload", [pytest.param(path, id=name) for name, path in sorted(folders.items())])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many lock file x target combinations were compared with the tools that made the lock files."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == COMPARED:
                subject, number = value
                counts[subject] += number
    if counts:
        terminalreporter.section("lock file x target combinations, equal to the tool's own")
        for subject, number in sorted(counts.items()):
            terminalreporter.line(f"{subject:24} {number:6}")
        terminalreporter.line(f"{'together':24} {counts.total():6}")
