"""What storectl imports is declared; what its tests run with is locked, by a lock file that storectl reads itself."""

import re
import sys
import tomllib
from datetime import UTC, datetime
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from support.targets import make_target

ROOT = Path(__file__).parent.parent
LOCKED = ROOT / "requirements/test.txt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


OWN = ("storectl", "storectl_shim", "storectl_store", "storectl_daemon")
OF_OTHERS = {"_manylinux", "ipykernel"}  # imported by interpreters of projects, which have it or not
RUN = {"pip"}


def test_every_dependency_is_imported_or_run_and_every_import_is_a_dependency() -> None:
    modules = grimp.build_graph(*OWN, include_external_packages=True, cache_dir=None).modules
    names = {name.partition(".")[0] for name in modules} - {*OWN, *OF_OTHERS} - sys.stdlib_module_names
    projects = packages_distributions()
    used = {canonicalize_name(project) for name in names for project in projects.get(name, [name])} | RUN
    assert used == {canonicalize_name(Requirement(text).name) for text in PROJECT["project"]["dependencies"]}


@pytest.mark.parametrize("python", ["3.11.7", "3.12.1", "3.13.0", "3.14.0"])
def test_everything_that_the_project_and_its_tests_require_is_locked_in_a_version_that_fits(python: str) -> None:
    target = make_target(python)
    pins = {pin.name: pin for pin in select(read_lock_file(LOCKED), target).index_pins}
    required = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    requirements = [Requirement(text) for text in [*required, *PROJECT["build-system"]["requires"]]]
    for requirement in requirements:
        if requirement.marker is None or requirement.marker.evaluate(dict(target.interpreter.markers)):
            pin = pins[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(pin.version), requirement
            assert pin.digests, requirement


def test_the_lock_file_names_no_addresses() -> None:
    assert re.findall(r"://|--index-url|--find-links", LOCKED.read_text()) == []


def test_the_locked_day_is_a_moment_that_has_been() -> None:
    assert datetime.fromisoformat((ROOT / "requirements/day.txt").read_text().strip()) < datetime.now(UTC)
