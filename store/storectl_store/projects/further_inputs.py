"""What the launcher checks beyond a project's usual inputs: a file of calls of its own functions, which it executes.

    _storectl_same '/home/me/work/lib/pyproject.toml' 1 &&
    _storectl_there '/home/me/work/lib/src' &&
    _storectl_absent '/home/me/work/lib/setup.py' '/home/me/work/lib/setup.cfg' &&
    _storectl_unset CFLAGS CXXFLAGS

A shell reads a file that it executes in blocks, but byte by byte what its ``read`` reads; and quoted words give it no
trouble. To execute the file is no further risk: a user who can write the record decides already which Python runs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from storectl_shim.project_record import UNSET
from storectl_store.projects.input_state import InputState

MOST_CHECKED = 400
"""Most inputs that are checked. With more, the shell takes longer than the Python command line."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Further:
    """``calls`` is the content of the file, empty if there is nothing to check; ``stamps`` are times (ns) by number."""

    calls: bytes = b""
    stamps: Mapping[int, int] = field(default_factory=dict)


def further_inputs(inputs: Mapping[Path, InputState | None], variables: Mapping[str, str]) -> Further | None:
    """The checks of these inputs and digests of variables; None if the launcher cannot do them, or not fast enough.

    The launcher cannot compute a digest, so every variable has to be unset. It does not get paths with characters that
    cannot be printed.
    """
    checkable = all(_is_plain(path) for path in inputs) and all(map(_may_be_checked, variables.items()))
    if not checkable or len(inputs) > MOST_CHECKED:
        return None
    dated = {path: state for path, state in sorted(inputs.items()) if state is not None and state.kind != "place"}
    numbers = {path: number for number, path in enumerate(dated, 1)}
    places = [path for path, state in sorted(inputs.items()) if state is not None and state.kind == "place"]
    absent = [path for path, state in sorted(inputs.items()) if state is None]
    calls = [
        *(f"_storectl_same {_quoted(path)} {number}" for path, number in numbers.items()),
        *_call("_storectl_there", map(_quoted, places)),
        *_call("_storectl_absent", map(_quoted, absent)),
        *_call("_storectl_unset", sorted(variables)),
    ]
    return Further(
        calls=" &&\n".join([*calls, ""]).removesuffix(" &&\n").encode() + (b"\n" if calls else b""),
        stamps={number: dated[path].mtime_ns for path, number in numbers.items()},
    )


def _is_plain(path: Path) -> bool:
    return str(path).isprintable()


def _may_be_checked(variable: tuple[str, str]) -> bool:
    name, digest = variable
    return digest == UNSET and _NAME.fullmatch(name) is not None


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"


def _call(function: str, words: Iterable[str]) -> Iterator[str]:
    if given := " ".join(words):
        yield f"{function} {given}"
