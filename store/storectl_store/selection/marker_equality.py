"""Whether two markers mean the same: uv writes them in its own words.

``platform_system == 'Windows'`` becomes ``sys_platform == 'win32'``, ``python_version >= '3.11'`` becomes
``python_full_version >= '3.11'``. So both markers are evaluated for every kind of machine that their values can tell
apart.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName

MAX_MACHINES = 4000
"""Most machines for which markers are evaluated; with more, markers count as equal."""

_VERSION = re.compile(r"""['"\s,]v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.\*|(?:a|b|rc)\d+)?(?=['"\s,])""")
_TEXT = re.compile(r"""["']([^"']*)["']""")
_PLATFORMS = (
    ("linux", "posix", "Linux"),
    ("darwin", "posix", "Darwin"),
    ("win32", "nt", "Windows"),
    ("cygwin", "posix", "CYGWIN_NT-10.0"),
    ("emscripten", "posix", "Emscripten"),
    ("freebsd14", "posix", "FreeBSD"),
    ("android", "posix", "Android"),
    ("ios", "posix", "iOS"),
)
_MACHINES = ("x86_64", "AMD64", "aarch64", "arm64")
_IMPLEMENTATIONS = (("cpython", "CPython"), ("pypy", "PyPy"))

Environment = Mapping[str, str]


def mean_the_same(first: Sequence[str | None], second: Sequence[str | None]) -> bool:
    """Whether the first markers and the second ones hold on the same machines.

    A list of markers holds as soon as one of them does.

    No marker (None) always holds. Also true if they cannot be compared: a marker is malformed, or they name too many
    values.
    """
    if _normal(first) == _normal(second):
        return True
    try:
        return _equal_everywhere(tuple(first), tuple(second))
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName, RecursionError):
        return True


def machines_of(markers: Iterable[str | None]) -> list[Environment] | None:
    """Every kind of machine that the values in these markers can tell apart; None if there are too many."""
    text = " ".join(marker for marker in markers if marker)
    machines = list(itertools.islice(_environments(text), MAX_MACHINES + 1))
    return machines if len(machines) <= MAX_MACHINES else None


def specifiers_allow_the_same(first: str, second: str) -> bool:
    """Whether two lists of version specifiers of Python allow the same versions."""
    as_markers = [
        " and ".join(f"python_full_version {part}" for part in _quoted(specifiers)) or None
        for specifiers in (first, second)
    ]
    return mean_the_same(as_markers[:1], as_markers[1:])


def _quoted(specifiers: str) -> Iterator[str]:
    for part in filter(None, (part.strip() for part in specifiers.split(","))):
        operator = re.match(r"[=<>!~]*", part)
        assert operator is not None, "the pattern matches anything"
        yield f"{operator[0]} '{part[operator.end() :].strip()}'"


def _normal(markers: Iterable[str | None]) -> set[str | None]:
    return {marker.replace('"', "'") if marker else None for marker in markers}


@lru_cache(maxsize=2048)
def _equal_everywhere(first: tuple[str | None, ...], second: tuple[str | None, ...]) -> bool:
    """Evaluate both for every machine. Remembered: the same few markers come again with every change of a project."""
    ours, theirs = (_parsed(markers) for markers in (first, second))
    machines = machines_of((*first, *second))
    if machines is None:
        return True
    return all(_hold(ours, machine) == _hold(theirs, machine) for machine in machines)


def _parsed(markers: Iterable[str | None]) -> list[Marker | None]:
    return [Marker(marker) if marker else None for marker in markers]


def _hold(markers: Iterable[Marker | None], environment: Environment) -> bool:
    return any(marker is None or marker.evaluate(dict(environment)) for marker in markers)


def _environments(text: str) -> Iterator[Environment]:
    """Every combination of the values that the text of the markers asks about; all other variables keep one value."""
    texts = sorted(set(_TEXT.findall(text)))
    asks_platform = any(name in text for name in ("sys_platform", "os_name", "platform_system"))
    versions = _versions(text) if "python" in text or "implementation_version" in text else ["3.12.0"]
    others = [(text, "posix", text) for text in texts if not any(text in platform for platform in _PLATFORMS)]
    platforms = [*_PLATFORMS, *others] if asks_platform else _PLATFORMS[:1]
    machines = dict.fromkeys((*_MACHINES, *texts)) if "platform_machine" in text else _MACHINES[:1]
    implementations = _IMPLEMENTATIONS if "implementation" in text else _IMPLEMENTATIONS[:1]
    extras = ["", *texts] if "extra" in text else [""]
    for version, platform, machine, implementation, extra in itertools.product(
        versions, platforms, machines, implementations, extras
    ):
        yield {
            "python_full_version": version,
            "python_version": ".".join(version.split(".")[:2]),
            "implementation_version": version,
            "sys_platform": platform[0],
            "os_name": platform[1],
            "platform_system": platform[2],
            "platform_machine": machine,
            "implementation_name": implementation[0],
            "platform_python_implementation": implementation[1],
            "platform_release": "6.1",
            "platform_version": "#1",
            "extra": extra,
        }


def _versions(text: str) -> list[str]:
    """Each version that the text names, with those right before and after it."""
    found = {(3, 8, 0), (3, 99, 0)}
    for match in _VERSION.finditer(text):
        major, minor, micro = (int(part or 0) for part in match.groups())
        found |= {
            (major, minor, micro),
            (major, minor, micro + 1),
            (major, minor + 1, 0),
            (major + 1, 0, 0),
            (major, minor, micro - 1) if micro else (major, minor - 1, 99),
        }
    return [".".join(map(str, version)) for version in sorted(found) if min(version) >= 0]
