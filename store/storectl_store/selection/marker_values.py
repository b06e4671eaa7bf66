"""Markers evaluated for one target; every way in which they can be wrong becomes one error.

uv writes the extras, groups and projects of a conflict as fake extras: ``extra == 'extra-3-foo-x1'``. Several of them
can be active at once, which the variable ``extra`` cannot say. The variable ``extras`` of lock files (PEP 751) can, so
such a comparison is read as ``'extra-3-foo-x1' in extras``.
"""

import re
from collections.abc import Mapping
from typing import cast

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.specifiers import InvalidSpecifier
from packaging.version import InvalidVersion

MAX_MARKER = 8 * 1024
"""Longest marker that is evaluated, in characters."""

_COMPARISON_OR_STRING = re.compile(r"""\bextra\s*(==|!=)\s*("[^"]*"|'[^']*')|"[^"]*"|'[^']*'""")
_WRONG = (
    InvalidMarker,
    InvalidSpecifier,
    InvalidVersion,
    UndefinedComparison,
    UndefinedEnvironmentName,
    RecursionError,
)


class MarkerValues:
    """The marker values of one interpreter.

    `hold` remembers its answers, because lock files repeat their markers a lot.
    """

    def __init__(self, values: Mapping[str, str], *, groups: frozenset[str] = frozenset()) -> None:
        """``groups`` are the members of the variable ``dependency_groups``."""
        self._values = dict(values)
        self._groups = groups
        self._known: dict[tuple[str, frozenset[str]], bool] = {}

    def value(self, name: str) -> str:
        """The value of one variable, such as ``sys_platform``; empty if there is no such variable."""
        return self._values.get(name, "")

    def hold(self, marker: str | None, active: frozenset[str] = frozenset()) -> bool:
        """Whether the marker is true with these extras active; no marker is always true.

        Raises ValueError if it is no marker.
        """
        if marker is None:
            return True
        key = (marker, active)
        if key not in self._known:
            self._known[key] = self._evaluate(marker, active)
        return self._known[key]

    def _evaluate(self, marker: str, active: frozenset[str]) -> bool:
        if len(marker) > MAX_MARKER:
            raise ValueError(f"a marker of {len(marker)} characters, more than {MAX_MARKER}")
        environment = cast("dict[str, str]", {**self._values, "extras": active, "dependency_groups": self._groups})
        try:
            return Marker(_with_sets(marker)).evaluate(environment, context="lock_file")
        except _WRONG as error:
            raise ValueError(f"marker {marker[:200]!r} cannot be evaluated") from error


def _with_sets(marker: str) -> str:
    return _COMPARISON_OR_STRING.sub(_as_membership, marker) if "extra" in marker else marker


def _as_membership(match: re.Match[str]) -> str:
    operator, value = match.groups()
    if operator is None:
        return match.group()
    return f"{value} {'in' if operator == '==' else 'not in'} extras"
