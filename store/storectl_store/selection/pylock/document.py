"""A ``pylock.toml`` as packaging reads it, and the position of each thing in the file.

packaging checks every file of every package, though one file of each is taken. So it gets only those wheels whose names
fit the interpreter; if a package has none, it gets all its files. Faults of the other files are not looked for.
"""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    Pylock,
    PylockValidationError,
)
from packaging.specifiers import InvalidSpecifier
from packaging.utils import canonicalize_name, is_normalized_name
from packaging.version import InvalidVersion

from storectl_store.errors import LockFileError
from storectl_store.selection.addresses import filename_of
from storectl_store.selection.choose import may_fit
from storectl_store.selection.limits import check_count, check_markers
from storectl_store.selection.tables.positions import KeyPath
from storectl_store.selection.tables.toml_table import Table
from storectl_store.selection.target import Interpreter

Source = PackageVcs | PackageDirectory | PackageArchive | PackageWheel | PackageSdist
PLACE = re.compile(r"packages\[(\d+)\]")
"""The form in which packaging's errors name a package."""

UNDEFINED = (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion, InvalidSpecifier, RecursionError)
"""The exceptions that the evaluation of a marker may raise."""

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PylockDocument:
    """The lock file twice: as packaging reads it (``pylock``), and as it is (``top``).

    The packages of ``pylock`` are in the order of the file.
    """

    pylock: Pylock
    top: Table

    @property
    def folder(self) -> Path:
        """The folder that paths in the file are relative to."""
        return Path(self.top.file).parent

    @property
    def maker(self) -> str:
        """The first word of the file's ``created-by``, in small letters: ``pipenv``, ``uv``, ``pip``."""
        match = re.match(r"[a-z]*", self.pylock.created_by.lower())
        return match[0] if match else ""

    def error(
        self, package: Package, what: str, *, file: Source | None = None, hint: str | None = None
    ) -> LockFileError:
        """The error that says this of the package, or of one of its files. Its position is looked up only now."""
        number = next(number for number, other in enumerate(self.pylock.packages) if other is package)
        table = self.top.table_in("packages", number).at(f"`{package.name}`")
        return table.error(what, key=_key_of(table, file), hint=hint, name=package.name)


def read_pylock(top: Table, interpreter: Interpreter) -> PylockDocument:
    """The lock file, as far as this interpreter can use it. Raises LockFileError if it is not valid.

    The top ``requires-python`` is left to `check_requires_python`, which takes a pre-release for its release.
    """
    packages = top.tables("packages")
    check_count(packages)
    check_markers(packages)
    values = {key: value for key, value in top.values.items() if key != "requires-python"}
    if values.get("environments") == []:
        del values["environments"]  # Pipenv means that it says nothing of them; to packaging, none would do.
    values["packages"] = [_as_needed(_named(table), interpreter) for table in packages]
    try:
        return PylockDocument(pylock=Pylock.from_dict(values), top=top)
    except PylockValidationError:
        raise _invalid(top, packages) from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise top.error(f"not a valid pylock file: {error}") from error


def wrong_marker(pylock: Pylock, values: Mapping[str, str | AbstractSet[str]]) -> KeyPath:
    """The path of the first marker that cannot be evaluated with these values; () if there is none."""
    for number, marker in enumerate(pylock.environments or ()):
        if not _is_defined(marker, values, "requirement"):
            return ("environments", number)
    for number, package in enumerate(pylock.packages):
        if package.marker and not _is_defined(package.marker, values, "lock_file"):
            return ("packages", number, "marker")
    return ()


def _named(package: Table) -> Mapping[str, object]:
    """The package with its name normalised: PEP 751 wants that, and Pipenv did not write it.

    An invalid name is left as it is.
    """
    name = package.values.get("name")
    if not isinstance(name, str) or not is_normalized_name(normal := canonicalize_name(name)):
        return package.values
    return {**package.values, "name": normal}


def _as_needed(package: Mapping[str, object], interpreter: Interpreter) -> Mapping[str, object]:
    """The package with only those wheels that fit, under their names; unchanged if none fits."""
    wheels = package.get("wheels")
    if not isinstance(wheels, list) or not all(isinstance(wheel, dict) for wheel in wheels):
        return package
    named = [{**wheel, "name": name} for wheel in wheels if may_fit(name := _filename(wheel), interpreter)]
    if not named:
        return package
    return {**{key: value for key, value in package.items() if key != "sdist"}, "wheels": named}


def _filename(wheel: Mapping[str, object]) -> str:
    """The file name of a wheel, found as PEP 751 says; empty if there is none."""
    if name := wheel.get("name"):
        return name if isinstance(name, str) else ""
    address = wheel.get("path") or wheel.get("url")
    return filename_of(address.replace("\\", "/")) if isinstance(address, str) else ""


def _invalid(top: Table, packages: tuple[Table, ...]) -> LockFileError:
    """What is wrong with the whole file. packaging names a package by its number, this error by its name."""
    try:
        Pylock.from_dict({**top.values, "packages": [_named(table) for table in packages]})
    except PylockValidationError as error:
        context = error.context or ""
        return top.at(_package_name(packages, context)).error(str(error), key=_path(context))
    raise AssertionError("a part of a valid file is valid")


def _path(context: str) -> KeyPath:
    """Turn ``packages[3].wheels[1]`` into ``("packages", 3, "wheels", 1)``."""
    return tuple(int(number) if number else key for number, key in _STEP.findall(context))


def _package_name(packages: tuple[Table, ...], context: str) -> str:
    match = PLACE.match(context)
    name = packages[int(match.group(1))].values.get("name") if match else None
    return f"`{name[:80]}`" if isinstance(name, str) else ""


def _is_defined(
    marker: Marker, values: Mapping[str, str | AbstractSet[str]], context: Literal["requirement", "lock_file"]
) -> bool:
    try:
        marker.evaluate(dict(values), context=context)
    except UNDEFINED:
        return False
    return True


def _key_of(package: Table, file: Source | None) -> KeyPath:
    if file is None:
        return ()
    if isinstance(file, PackageWheel):
        return ("wheels", _number_of(package.array("wheels"), file))
    return (type(file).__name__.removeprefix("Package").lower(),)


def _number_of(wheels: Iterable[Any], file: PackageWheel) -> int:
    found = (
        number for number, wheel in enumerate(wheels) if (wheel.get("url"), wheel.get("path")) == (file.url, file.path)
    )
    return next(found)
