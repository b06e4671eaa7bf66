"""Interpreters: found, asked once for their facts, and chosen for a request.

The answer of an interpreter is kept as JSON in the store:

    interpreters/<key>.json     {"format": 3, "facts": {…}, "of": {…}}, sealed; the keys of facts are those of `probe`

The key is a digest of the interpreter's file (its real path, size, time and inode) and of the kernel and C library, on
which markers and tags depend. Tags are not kept: each daemon works them out from the facts (`tags`).

``of`` has the parts of the key that are alike on every machine of a cluster: ``path``, ``size``, ``mtime_ns``,
``machine`` and ``libc``. Who must not run an interpreter (``asks=False``) takes a
record whose key or whose ``of`` is right, and puts this machine's kernel into the markers.
"""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.version import Version

from storectl_store.disk.whole_files import replace_file
from storectl_store.entries.sealed import opened, sealed
from storectl_store.errors import TargetError
from storectl_store.interpreters import probe
from storectl_store.interpreters.facts import interpreter_of
from storectl_store.interpreters.request import ANY, OLDEST, InterpreterRequest, parse_request, pinned_request
from storectl_store.interpreters.search import find_interpreters, path_interpreters, program_of, pyenv_interpreter
from storectl_store.selection.python_version import check_requires_python, release_of
from storectl_store.selection.target import Interpreter
from storectl_store.system_errors import refusal_of

PROBE_TIMEOUT = 10.0
"""Seconds that an interpreter has for its answer."""

_FORMAT = 3
_ANOTHER = "choose another Python with -p"
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
"""What parsing facts raises if they are not those of `probe`."""
_MAX_ANSWER = 1024 * 1024
_MOST_LISTED = 8


class InterpreterBook:
    """The answers of interpreters, kept below one folder. Safe to use from several threads.

    ``others`` are folders of other stores, whose answers are taken too. With ``asks=False`` no interpreter is run, and
    nothing is written: one whose answer is in no folder counts as one that does not answer.
    """

    def __init__(
        self, folder: Path, *, others: Sequence[Path] = (), asks: bool = True, timeout: float = PROBE_TIMEOUT
    ) -> None:
        self._folder = folder
        self._others = tuple(others)
        self._asks = asks
        self._timeout = timeout
        # One object for each interpreter, so that what follows from its thousand tags is worked out only once.
        self._known: dict[str, Interpreter] = {}

    def inspect(self, path: str) -> Interpreter:
        """The base interpreter behind this path, which may be the python of a virtual environment.

        Raises TargetError if it does not answer, or if environments cannot be made for it.
        """
        interpreter = self._asked(path)
        # A virtual environment may hold a copy that outlives its base. The base counts, as it is now.
        if interpreter.executable != os.path.realpath(path):
            interpreter = self._asked(interpreter.executable)
        _check_supported(path, interpreter)
        return interpreter

    def choose(
        self,
        request: str | None,
        *,
        requires_python: str | None,
        pinned: str | None,
        environ: Mapping[str, str],
    ) -> Interpreter:
        """The interpreter for a project.

        ``request`` is what the user asks for. Without it ``pinned`` counts, the content of ``.python-version``. Of the
        interpreters that fit, the first on PATH is taken; if none of these fits, the newest that is found elsewhere.
        Raises TargetError if none fits, or if ``requires_python`` does not allow the one asked for.
        """
        asked = _asked_for(request, pinned, environ)
        if asked.path is not None:
            interpreter = self.inspect(_program(asked.path, environ))
            check_requires_python(requires_python, interpreter, "the project")
            return interpreter
        return self._searched(asked, requires_python, environ)

    def _searched(
        self, asked: InterpreterRequest, requires_python: str | None, environ: Mapping[str, str]
    ) -> Interpreter:
        found: list[Interpreter] = []
        for interpreter in self._answering(path_interpreters(environ)):
            if asked.allows(interpreter) and _satisfies(requires_python, interpreter):
                return interpreter
            found.append(interpreter)
        found += self._answering(find_interpreters(environ))
        fitting = [i for i in found if asked.allows(i) and _satisfies(requires_python, i)]
        if fitting:
            # The first of the newest: if two have the same version, the one from the preferred place is taken.
            return max(fitting, key=lambda interpreter: Version(release_of(interpreter.version)))
        raise _none_found(asked, requires_python, found)

    def _answering(self, paths: Iterable[str]) -> Iterator[Interpreter]:
        """The interpreters among these paths. A broken or foreign program is left out, as no error of the search."""
        for path in paths:
            try:
                yield self.inspect(path)
            except TargetError:
                continue

    def _asked(self, path: str) -> Interpreter:
        """The answer of the interpreter, now or earlier. If its file has changed, the key is another one."""
        try:
            real = os.path.realpath(path)
            record = self._folder / f"{_key(real)}.json"
        except (OSError, ValueError) as error:
            raise TargetError(
                f"{path}: no such interpreter", hint="give a version, such as 3.12, or the path of a python", path=path
            ) from error
        known = self._known.get(record.name)
        if known is not None and os.path.isfile(known.executable):
            return known
        known = self._known[record.name] = self._remembered(real, record) or self._probed(path, real, record)
        return known

    def _remembered(self, real: str, record: Path) -> Interpreter | None:
        """The interpreter of an earlier answer; None if there is none that can be used."""
        for folder in (record.parent, *self._others):
            with suppress(OSError, *_MALFORMED):  # not there, damaged, or written by another version
                interpreter = interpreter_of(_remembered(folder / record.name)["facts"])
                if os.path.isfile(interpreter.executable):
                    return interpreter
        return None if self._asks else self._answered_elsewhere(real)

    def _answered_elsewhere(self, real: str) -> Interpreter | None:
        """The interpreter by what an equal one has answered on another machine, whose kernel may be another one."""
        wanted = _of(real)
        for folder in (self._folder, *self._others):
            for record in sorted(folder.glob("*.json")):
                with suppress(OSError, *_MALFORMED):
                    value = _remembered(record)
                    if value["of"] == wanted and os.path.isfile(value["facts"]["executable"]):
                        return interpreter_of({**value["facts"], "markers": _here(value["facts"]["markers"])})
        return None

    def _probed(self, path: str, real: str, record: Path) -> Interpreter:
        if not self._asks:
            raise TargetError(f"{path}: no store knows this interpreter", hint=_ANOTHER, path=path)
        answer = _probe(real, self._timeout)
        try:
            facts = json.loads(answer)
            interpreter = interpreter_of(facts)
        except _MALFORMED as error:
            raise TargetError(f"{path} did not say what it is", hint=_ANOTHER, path=path) from error
        _remember(record, facts, _of(real))
        return interpreter


def _asked_for(request: str | None, pinned: str | None, environ: Mapping[str, str]) -> InterpreterRequest:
    if request:
        return _parsed(request, environ)
    if said := pinned_request(pinned or ""):
        return replace(_parsed(said, environ), said=f"{said} (of .python-version)")
    return ANY


def _parsed(said: str, environ: Mapping[str, str]) -> InterpreterRequest:
    """The request. A name that is no version may be that of a version or virtual environment of pyenv."""
    if os.sep not in said and not re.fullmatch(r"[\d.]+", said) and (python := pyenv_interpreter(environ, said)):
        return InterpreterRequest(said=said, path=python)
    return parse_request(said)


def _program(path: str, environ: Mapping[str, str]) -> str:
    """The program that a path means: for a folder the environment's or installation's, for a shim the one it runs."""
    if os.path.isdir(path):
        path = os.path.join(path, "bin", "python")
    program = program_of(environ, path)
    if program is None:
        raise TargetError(f"{path} is a shim of pyenv, and no version of pyenv has it", hint=_ANOTHER, path=path)
    return program


def _check_supported(path: str, interpreter: Interpreter) -> None:
    """Raise TargetError, with the true reason, if environments cannot be made for this interpreter."""
    said = f"{path} is {interpreter.implementation} {interpreter.version}"
    if interpreter.implementation != "cpython":
        raise TargetError(f"{said}; only CPython is supported", hint=_ANOTHER, path=path)
    if Version(release_of(interpreter.version)) < Version(OLDEST):
        raise TargetError(
            f"{said}, which is too old: CPython {OLDEST} is the oldest that is supported",
            hint="choose a newer Python with -p",
            path=path,
        )


def _satisfies(requires_python: str | None, interpreter: Interpreter) -> bool:
    try:
        check_requires_python(requires_python, interpreter, "the project")
    except TargetError:
        return False
    return True


def _none_found(asked: InterpreterRequest, requires_python: str | None, found: list[Interpreter]) -> TargetError:
    listed = sorted({(i.version, i.executable) for i in found}, key=lambda pair: Version(release_of(pair[0])))
    names = ", ".join(f"{version} ({executable})" for version, executable in listed[-_MOST_LISTED:]) or "none"
    if not asked.can_satisfy(f">={OLDEST}"):
        return TargetError(
            f"{asked.said} is too old: CPython {OLDEST} is the oldest that is supported",
            hint="ask for a newer Python with -p, or correct what asks for this one",
            asked=asked.said,
        )
    if requires_python and str(asked.versions) and not asked.can_satisfy(requires_python):
        return TargetError(
            f"the project is for Python {requires_python}, and {asked.said} is not that",
            hint="ask for another Python with -p, or correct what asks for this one",
            requires_python=requires_python,
            asked=asked.said,
        )
    wanted = f"{asked.said}" + (f" that satisfies requires-python {requires_python}" if requires_python else "")
    missing = asked.wanted or requires_python or "3"
    quoted = missing if re.fullmatch(r"[\w.]+", missing) else f"'{missing}'"
    return TargetError(
        f"no interpreter found for {wanted}; found: {names}",
        hint=f"`uv python install {quoted}` installs one (pyenv install too), or give the path of one with -p",
        found=[executable for _, executable in listed],
        missing_python=missing,
    )


def drop_old_answers(folder: Path, before: float) -> int:
    """Delete answers of interpreters that are gone, and those from before this time, in seconds. Returns how many.

    The key of an answer cannot be told from the answer. So an old one may be of a file, or a kernel, that has changed
    since; if not, the interpreter is asked once more.
    """
    dropped = 0
    for record in folder.glob("*.json"):
        with suppress(FileNotFoundError):
            if record.stat().st_mtime < before or not _is_there(record):
                record.unlink()
                dropped += 1
    return dropped


def _is_there(record: Path) -> bool:
    """Whether the interpreter of this answer is there; true if the answer cannot be read, which ``verify`` tells."""
    try:
        return os.path.isfile(interpreter_of(_remembered(record)["facts"]).executable)
    except _MALFORMED:
        return True


def _key(real: str) -> str:
    status = os.stat(real)
    system = os.uname()
    facts = [
        _FORMAT, real, status.st_size, status.st_mtime_ns, status.st_ino,
        system.sysname, system.release, system.version, system.machine, probe.libc(),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _of(real: str) -> dict[str, Any]:
    """What tells this interpreter on every machine that has the same file."""
    status = os.stat(real)
    machine, libc = os.uname().machine, probe.libc()
    return {"path": real, "size": status.st_size, "mtime_ns": status.st_mtime_ns, "machine": machine, "libc": libc}


def _here(markers: Mapping[str, str]) -> dict[str, str]:
    """The markers with those of this machine's kernel."""
    system = os.uname()
    return {**markers, "platform_release": system.release, "platform_version": system.version}


def _remembered(record: Path) -> Any:
    """The content of a record, as it was written. Raises OSError, or one of the errors of what is malformed."""
    value = json.loads(opened(record.read_bytes())[0])
    if value["format"] != _FORMAT:
        raise ValueError(f"{record} has another format")
    return value


def _remember(record: Path, facts: dict[str, Any], of: dict[str, Any]) -> None:
    """Write the record by rename. If it cannot be written, the only cost is time at the next start."""
    data = sealed(json.dumps({"format": _FORMAT, "facts": facts, "of": of}, sort_keys=True).encode() + b"\n")
    try:
        record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(record, data)
    except OSError:
        return


def _probe(real: str, timeout: float) -> bytes:
    """What the interpreter says of itself. Raises TargetError if it does not say anything in time."""
    command = [real, "-I", "-S", probe.__file__]
    # Without this variable, macOS calls itself 10.16 to a Python that was built on an old macOS.
    environ = {**os.environ, "SYSTEM_VERSION_COMPAT": "0"}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False, cwd="/", env=environ
        )
    except subprocess.TimeoutExpired as error:
        raise TargetError(f"{real} did not say what it is within {timeout:g} s", hint=_ANOTHER, path=real) from error
    except OSError as error:
        refusal = refusal_of(error, f"run {real}")
        if refusal is not None:
            raise refusal from error
        raise TargetError(f"{real} cannot be run: {error.strerror}", hint=_ANOTHER, path=real) from error
    if done.returncode != 0 or len(done.stdout) > _MAX_ANSWER:
        said = _reason(done.stderr.decode(errors="replace").splitlines()) or f"exit code {done.returncode}"
        raise TargetError(f"{real} is no working Python 3: {said}", hint=_ANOTHER, path=real)
    return done.stdout


def _reason(lines: list[str]) -> str:
    """The line that says what went wrong: the last one, as in a traceback, but nothing after a usage error."""
    told = [line for line in lines if line.strip()]
    if told and told[0].startswith("Unknown option"):
        return told[0][:200]
    return told[-1].strip()[:200] if told else ""
