"""Whether an interpreter's version is one that a lock file is for."""

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from storectl_store.errors import LockFileError, TargetError
from storectl_store.selection.target import Interpreter


def check_requires_python(requires_python: str | None, interpreter: Interpreter, file: str) -> None:
    """Raise TargetError if the lock file is not for this interpreter's version.

    Raises LockFileError if ``requires_python`` is no list of version specifiers.

    A pre-release counts as the release that it leads to, as it does for installers: 3.14.0rc1 satisfies ``>=3.14``.
    """
    if requires_python is None:
        return
    try:
        allowed = SpecifierSet(requires_python).contains(release_of(interpreter.version), prereleases=True)
    except InvalidSpecifier as error:
        raise LockFileError(
            f"{file}: `requires-python`: {requires_python[:80]!r} is no list of version specifiers", path=file
        ) from error
    if not allowed:
        raise TargetError(
            f"{file} is for Python {requires_python}; this is Python {interpreter.version}",
            hint="choose another Python with -p",
            path=file,
            requires_python=requires_python,
            version=interpreter.version,
        )


def release_of(version: str) -> str:
    """The release of a version: ``3.14.0`` for ``3.14.0rc1``, and for ``3.14.0+`` (a build between two releases).

    Raises TargetError if it is no version.
    """
    try:
        return Version(version.removesuffix("+")).base_version
    except InvalidVersion as error:
        raise TargetError(f"{version[:80]!r} is not a version of Python") from error
