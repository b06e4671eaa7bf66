"""A request for an interpreter: a version, a range of versions, or a path.

3.12  3.12.1  3  3.13t  python3.12  cpython-3.12  cpython@3.12  cpython-3.12.1-linux-x86_64-gnu  >=3.11,<3.13
/path/to/python
"""

import os
import re
from dataclasses import dataclass, replace

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from storectl_store.errors import TargetError
from storectl_store.selection.python_version import release_of
from storectl_store.selection.target import Interpreter

_VERSION = re.compile(
    r"(?:(?:cpython|python)[-@]?)?(?P<version>3(?:\.\d+){0,2}(?:(?:a|b|rc)\d+)?)(?P<threaded>t)?(?:-.*)?", re.IGNORECASE
)
_OTHERS = re.compile(r"(pypy|graalpy|graalpython|pyston|pyodide|jython|micropython)", re.IGNORECASE)

_MINORS, _MICROS = 100, 40
"""More minor and micro versions than exist, to test whether two ranges have a version in common."""

OLDEST = "3.9"
"""The oldest CPython that environments are made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterRequest:
    """A request that was parsed. Either ``path`` or ``versions`` is set; ``exact`` is a pre-release asked for by name.

    Free-threaded builds are taken only if they are asked for, because they need wheels of their own.
    """

    said: str
    path: str | None = None
    versions: SpecifierSet | None = None
    exact: str | None = None
    free_threaded: bool = False

    def allows(self, interpreter: Interpreter) -> bool:
        """Whether this interpreter fits the request. A path allows any."""
        if self.versions is None:
            return True
        if self.free_threaded != ("t" in interpreter.abiflags):
            return False
        if self.exact is not None:
            return interpreter.version == self.exact
        return self.versions.contains(release_of(interpreter.version), prereleases=True)

    @property
    def wanted(self) -> str | None:
        """The request in the words of uv and pyenv, without a path: ``3.12``, ``3.13t``, ``>=3.11``. None for any."""
        said = self.exact or str(self.versions or "")
        one = said.removeprefix("==").removesuffix(".*")
        return f"{said if ',' in said else one}{'t' if self.free_threaded else ''}" or None

    def can_satisfy(self, requires_python: str) -> bool:
        """Whether ``requires_python`` allows some version that is asked for, installed or not."""
        if self.versions is None:
            return True
        required = SpecifierSet(requires_python)
        if self.exact is not None:
            return required.contains(release_of(self.exact), prereleases=True)
        releases = [f"3.{minor}.{micro}" for minor in range(_MINORS) for micro in range(_MICROS)]
        return any(self.versions.contains(release) and required.contains(release) for release in releases)


ANY = InterpreterRequest(said="any Python", versions=SpecifierSet())
"""The request that counts if nothing is asked for."""


def parse_request(text: str) -> InterpreterRequest:
    """The request that this text is. Raises TargetError if it is none."""
    text = text.strip()
    if os.sep in text:
        return InterpreterRequest(said=text, path=os.path.expanduser(text))
    if text.lower() in ("python", "cpython"):
        return replace(ANY, said=text)
    if match := _VERSION.fullmatch(text):
        return _of_version(text, match["version"], free_threaded=match["threaded"] is not None)
    if _OTHERS.match(text):
        raise TargetError(f"{text[:80]!r}: only CPython is supported", hint="ask for a version, such as 3.12")
    try:
        return InterpreterRequest(said=text, versions=SpecifierSet(text))
    except InvalidSpecifier as error:
        raise TargetError(
            f"{text[:80]!r} is not a version of Python",
            hint="use 3.12, 3.12.1, >=3.11,<3.13, or the path of an interpreter",
        ) from error


def pinned_request(text: str) -> str | None:
    """The request in a ``.python-version`` file: its first line that is no comment; None if there is none."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return next((line for line in lines if line), None)


def _of_version(said: str, version: str, *, free_threaded: bool) -> InterpreterRequest:
    exact = version if re.search(r"[a-z]", version) else None
    is_full = exact is not None or version.count(".") == 2
    versions = SpecifierSet(f"=={version}" if is_full else f"=={version}.*")
    return InterpreterRequest(said=said, versions=versions, exact=exact, free_threaded=free_threaded)
