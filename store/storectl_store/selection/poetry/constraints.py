"""Poetry's version constraints: ``^1.2``, ``~1.2``, ``1.*``, ``>=1,<2 || >=3``, ``*``, ``1.2.3``.

The comparison operators are those of PEP 440. ``^`` allows what keeps all digits up to the first one that is not zero.
``~`` allows what keeps the first two digits, or the only one. Alternatives stand on both sides of ``||`` or ``|``.
"""

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

_ALTERNATIVES = re.compile(r"\s*\|\|?\s*")
_PART = re.compile(r"(?P<operator>\^|~=|~|===|==|=|!=|<=|>=|<|>)?\s*(?P<version>[^\s,|]+)")
_SEPARATORS = re.compile(r"[\s,]*")


class Constraint:
    """Which versions are allowed. Raises ValueError if the text is no constraint."""

    def __init__(self, text: str) -> None:
        self._alternatives = [_specifiers(part) for part in _ALTERNATIVES.split(text.strip())]

    @property
    def specifier(self) -> str | None:
        """The allowed versions as PEP 440 writes them; None if they are several ranges."""
        return str(self._alternatives[0]) if len(self._alternatives) == 1 else None

    def allows(self, version: str) -> bool:
        """Whether this version is allowed. A pre-release counts like any other: a lock file has chosen it already."""
        return any(specifiers.contains(Version(version), prereleases=True) for specifiers in self._alternatives)


def _specifiers(text: str) -> SpecifierSet:
    texts: list[str] = []
    place = 0
    while place < len(text):
        place += len(match[0]) if (match := _SEPARATORS.match(text, place)) else 0
        part = _PART.match(text, place)
        if part is None:
            break
        texts += _pep440(part["operator"] or "", part["version"])
        place = part.end()
    try:
        return SpecifierSet(",".join(texts))
    except InvalidSpecifier as error:
        raise ValueError(f"{text[:80]!r} is not a version constraint") from error


def _pep440(operator: str, version: str) -> list[str]:
    if version in ("*", "x") and operator in ("", "=", "==", "^", "~", ">="):
        return []
    if operator in ("", "=") and version.endswith((".*", ".x")):
        return [f"=={version[:-2]}.*"]
    if operator in ("", "="):
        return [f"=={version}"]
    if operator in ("^", "~"):
        return [f">={version}", f"<{_upper(operator, version)}"]
    return [f"{operator}{version}"]


def _upper(operator: str, text: str) -> str:
    """The first version that a caret or tilde leaves out."""
    try:
        version = Version(text)
    except InvalidVersion as error:
        raise ValueError(f"{text[:80]!r} is not a version") from error
    release = version.release
    if operator == "~":
        place = min(1, len(release) - 1)
    else:
        place = next((number for number, value in enumerate(release) if value), len(release) - 1)
    raised = [*release[:place], release[place] + 1]
    epoch = f"{version.epoch}!" if version.epoch else ""
    # Written with a dev release, so that pre-releases of the first version left out are left out too.
    return f"{epoch}{'.'.join(map(str, raised))}.dev0"
