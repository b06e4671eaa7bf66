"""The suites that are run in both environments, and what came of their tests, compared."""

import tomllib
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

SUITES = Path(__file__).with_name("suites.toml")

Outcome = Literal["passed", "failed", "skipped"]
Outcomes = Mapping[str, Outcome]
"""What came of each test, by its class and name. A test with an error in its set-up or clean-up is a failed one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One project's tests, as ``suites.toml`` describes them. ``program``: a folder and a script in it, none for pytest.

    ``repository``: where the tests are, "" for the source distribution.
    """

    name: str
    requirements: tuple[str, ...]
    arguments: tuple[str, ...]
    remove: tuple[str, ...]
    program: tuple[str, ...]
    files: Mapping[str, str]
    repository: str
    installed: bool
    ci: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A test that came out differently, in every run of either side."""

    test: str
    venv: tuple[str, ...]
    storectl: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.test}: venv {' '.join(self.venv)}, storectl {' '.join(self.storectl)}"


def read_suites(file: Path = SUITES) -> dict[str, Suite]:
    """The suites by name, in the order of the file."""
    return {table["name"]: _suite(table) for table in tomllib.loads(file.read_text())["suite"]}


def _suite(table: Mapping[str, Any]) -> Suite:
    return Suite(
        name=table["name"],
        requirements=tuple(table.get("requirements", ())),
        arguments=tuple(table.get("arguments", ())),
        remove=tuple(table.get("remove", ["src"])),
        program=tuple(table.get("program", ())),
        files=table.get("files", {}),
        repository=table.get("repository", ""),
        installed=table.get("installed", False),
        ci=table.get("ci", False),
    )


def outcomes_of(report: Path, names: Mapping[str, str]) -> dict[str, Outcome]:
    """What a JUnit XML file tells; ``names`` are texts in the tests' names that differ by side, with what stands for them."""
    found: dict[str, Outcome] = {}
    for case in ET.parse(report).iter("testcase"):
        test = f"{case.get('classname')}::{case.get('name')}"
        for text, stand_in in names.items():
            test = test.replace(text, stand_in)
        found[test] = _worse(found.get(test, "skipped"), _outcome(case))
    return found


def _outcome(case: ET.Element) -> Outcome:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def _worse(one: Outcome, other: Outcome) -> Outcome:
    """Of a test that is reported twice: set-up and clean-up, or two with one name."""
    return next(outcome for outcome in ("failed", "passed", "skipped") if outcome in (one, other))


def disagreements(venv: Iterable[Outcomes], storectl: Iterable[Outcomes]) -> list[Disagreement]:
    """The tests whose outcomes in some runs of one side are none of those in as many runs of the other."""
    theirs, ours = _all_outcomes(venv), _all_outcomes(storectl)
    return [
        Disagreement(test=test, venv=tuple(sorted(theirs[test])), storectl=tuple(sorted(ours[test])))
        for test in sorted({*theirs, *ours})
        if not theirs[test] & ours[test]
    ]


class _Absent(dict[str, set[str]]):
    def __missing__(self, test: str) -> set[str]:
        return {"absent"}


def _all_outcomes(runs: Iterable[Outcomes]) -> _Absent:
    found = _Absent()
    for run in runs:
        for test, outcome in run.items():
            found.setdefault(test, set()).add(outcome)
    return found


def counts(outcomes: Outcomes) -> str:
    """``passed / failed / skipped``."""
    count = Counter(outcomes.values())
    return f"{count['passed']} / {count['failed']} / {count['skipped']}"
