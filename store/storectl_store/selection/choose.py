"""Which of several wheels an interpreter takes: the one with the best tag, then with the highest build number."""

import re
from collections.abc import Iterable
from functools import lru_cache

from packaging.tags import Tag
from packaging.utils import BuildTag, InvalidWheelFilename, NormalizedName, parse_wheel_filename
from packaging.version import Version

from storectl_store.errors import NoWheelError
from storectl_store.selection.pin import WheelFile
from storectl_store.selection.target import Interpreter

_MAX_FILENAME = 255
_SAFE = re.compile(r"[A-Za-z0-9_.+!-]+\.whl")
_MOST_NAMED = 6


def choose_wheel(candidates: Iterable[WheelFile], interpreter: Interpreter) -> WheelFile | None:
    """The wheel this interpreter prefers; None if none fits. A file whose name is no wheel's is skipped."""
    fitting = [(order, wheel) for wheel in candidates if (order := _order(wheel.filename, interpreter)) is not None]
    if not fitting:
        return None
    best = max(order for order, _ in fitting)
    # Several files of one rank: a lock file lists a wheel twice, or under two spellings.
    return min((wheel for order, wheel in fitting if order == best), key=lambda w: (w.filename, w.digest, w.url))


def may_fit(filename: str, interpreter: Interpreter) -> bool:
    """Whether the name ends in a tag of the interpreter: a quick look that spares most names a thorough one.

    Lock files list dozens of wheels for each one that is chosen. Every wheel that fits passes, and so does much that is
    no wheel's name.
    """
    *_, pythons, abis, platforms = ("", "", *filename.rsplit("-", 3))
    return _is_one_of(pythons, abis, platforms, interpreter.tag_texts)


@lru_cache(maxsize=4096)  # The same few tags, over and over.
def _is_one_of(pythons: str, abis: str, platforms: str, known: frozenset[str]) -> bool:
    return any(
        f"{python}-{abi}-{platform}" in known
        for platform in platforms.lower().removesuffix(".whl").split(".")
        for python in pythons.lower().split(".")
        for abi in abis.lower().split(".")
    )


def no_wheel_error(
    name: NormalizedName, version: str, filenames: Iterable[str], interpreter: Interpreter, *, has_sdist: bool
) -> NoWheelError:
    """The error for a version without a wheel that fits: it says what there is and what would have been needed."""
    tags = [tag for filename in filenames if (parsed := parsed_filename(filename)) for tag in parsed[3]]
    accepted = {(tag.interpreter, tag.abi) for tag in interpreter.tag_rank}
    if right_python := [tag for tag in tags if (tag.interpreter, tag.abi) in accepted]:
        exists = _listed({tag.platform for tag in right_python})
        needed = f"this platform is {_platform(interpreter)}"
    elif tags:
        exists = _listed(_pythons(tags, interpreter))
        needed = f"Python is {interpreter.feature_version}"
    else:
        exists, needed = "nothing that is a wheel by its name", f"Python is {interpreter.feature_version}"
    hint = "lock another version, or use another Python (-p)"
    if has_sdist:
        hint = f"there is a source distribution, but storectl takes wheels only: {hint}"
    return NoWheelError(
        f"`{name}` {version} has wheels for {exists} only; {needed}",
        hint=hint,
        name=name,
        version=version,
    )


@lru_cache(maxsize=4096)
def parsed_filename(filename: str) -> tuple[NormalizedName, Version, BuildTag, frozenset[Tag]] | None:
    """Name, version, build and tags of a wheel's file name; None if it is no safe wheel file name."""
    if len(filename) > _MAX_FILENAME or not _SAFE.fullmatch(filename):
        return None
    try:
        return parse_wheel_filename(filename)
    except (InvalidWheelFilename, ValueError):
        return None


def _order(filename: str, interpreter: Interpreter) -> tuple[int, BuildTag] | None:
    """The rank of a wheel, greater is better; None if the wheel does not fit."""
    parsed = parsed_filename(filename)
    if parsed is None:
        return None
    ranks = interpreter.tag_rank
    rank = min((ranks[tag] for tag in parsed[3] if tag in ranks), default=None)
    return None if rank is None else (-rank, parsed[2])


def _pythons(tags: Iterable[Tag], interpreter: Interpreter) -> set[str]:
    """The Python tags that exist, such as ``cp313``.

    A tag of the interpreter's own Python gets its ABI: ``cp313-cp313t``.
    """
    own = next((tag.interpreter for tag in interpreter.tag_rank), "")
    return {f"{tag.interpreter}-{tag.abi}" if tag.interpreter == own else tag.interpreter for tag in tags}


def _platform(interpreter: Interpreter) -> str:
    """The platform as a wheel would best name it: ``manylinux_2_36_x86_64`` says more than ``linux_x86_64``."""
    platforms = [tag.platform for tag in interpreter.tag_rank if tag.platform != "any"]
    return next((p for p in platforms if not p.startswith("linux_")), next(iter(platforms), "unknown"))


def _listed(values: Iterable[str]) -> str:
    """A few of the values, in natural order: cp39 before cp310."""
    ordered = sorted(values, key=lambda value: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", value)])
    more = len(ordered) - _MOST_NAMED
    return ", ".join(ordered[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
