"""What the launcher checks before it takes the environment of a record: a file of shell commands, which it executes.

    [ -O uv.lock -a -O pyproject.toml ] &&                              they are this user's
    _storectl_same uv.lock uv.lock &&                                   as old as stamp.uv.lock: the launcher's function
    _storectl_same pyproject.toml pyproject.toml &&
    [ ! -e pylock.toml -a ! -e poetry.lock … ] &&                       the usual inputs that do not exist
    _storectl_same 1 '/home/me/work/lib/pyproject.toml' &&
    [ -e '/home/me/work/lib/src' ] &&
    [ ! -e '/home/me/work/lib/setup.py' -a ! -e '/home/me/work/lib/setup.cfg' ] &&
    [ -z "${CFLAGS+x}${CXXFLAGS+x}" ] &&                                these variables are not set
    _storectl_environment='/home/me/.local/share/storectl/environments/0123456789abcdef0123456789abcdef'

The current folder is the project's. The environment is named last: a file that is cut off names none.

A shell reads a file that it executes in blocks, but byte by byte what its ``read`` reads; quoted words give it no
trouble, and it checks only what this project has. To execute the file is no risk: a user who can write the record
decides already which Python runs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from storectl_shim.project_record import INPUTS, TELLING_NS, UNSET
from storectl_shim.shortcuts import quoted
from storectl_store.projects.input_state import InputState

MOST_CHECKED = 400
"""Most inputs that are checked. With more, the shell takes longer than the Python command line."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """``commands`` is the content of the file; ``stamps`` are times (ns) by the last part of a stamp's name."""

    commands: bytes
    stamps: Mapping[str, int]


def launcher_checks(
    environment: Path, project: Path, inputs: Mapping[Path, InputState | None], variables: Mapping[str, str]
) -> Checks | None:
    """The checks of these inputs and digests of variables; None if the launcher cannot do them, or not fast enough.

    The launcher cannot compute a digest, so every variable has to be unset. It does not get paths with characters that
    cannot be printed, nor times that prove nothing (``TELLING_NS``). Each usual input of the project (``INPUTS``) that
    is not given must not exist.
    """
    usual = {name: inputs.get(project / name) for name in INPUTS}
    others = {path: state for path, state in inputs.items() if path.parent != project or path.name not in usual}
    checkable = all(map(_is_plain, (environment, *others))) and all(map(_may_be_checked, variables.items()))
    checkable = checkable and all(map(_tells, inputs.values()))
    if not checkable or len(others) > MOST_CHECKED:
        return None
    own = {name: state.mtime_ns for name, state in usual.items() if state is not None}
    dated = {path: state for path, state in sorted(others.items()) if state is not None and state.kind != "place"}
    numbers = {path: str(number) for number, path in enumerate(dated, 1)}
    places = [path for path, state in sorted(others.items()) if state is not None and state.kind == "place"]
    commands = [
        *_test("-O {}", own),
        *(f"_storectl_same {name} {name}" for name in own),
        *_test("! -e {}", (name for name in usual if name not in own)),
        *(f"_storectl_same {number} {_quoted(path)}" for path, number in numbers.items()),
        *_test("-e {}", map(_quoted, places)),
        *_test("! -e {}", (_quoted(path) for path, state in sorted(others.items()) if state is None)),
        *([f'[ -z "{"".join(f"${{{name}+x}}" for name in sorted(variables))}" ]'] if variables else []),
        f"_storectl_environment={_quoted(environment)}",
    ]
    return Checks(
        commands=" &&\n".join([*commands, ""]).removesuffix(" &&\n").encode() + b"\n",
        stamps=own | {number: dated[path].mtime_ns for path, number in numbers.items()},
    )


def _tells(state: InputState | None) -> bool:
    """Whether the time of this input tells of a change; a program has its size besides, and few have its place."""
    return state is None or state.kind in ("place", "program") or state.mtime_ns > TELLING_NS


def _is_plain(path: Path) -> bool:
    return str(path).isprintable()


def _may_be_checked(variable: tuple[str, str]) -> bool:
    name, digest = variable
    return digest == UNSET and _NAME.fullmatch(name) is not None


def _quoted(path: Path) -> str:
    return quoted(str(path))


def _test(condition: str, words: Iterable[str]) -> Iterator[str]:
    """One command for all of these words: a shell needs longer for a command than for a condition."""
    if conditions := " -a ".join(condition.format(word) for word in words):
        yield f"[ {conditions} ]"
