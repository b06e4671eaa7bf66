"""One process of an interpreter that compiles modules: ``worker.py``, whose docstring describes the protocol.

It can give way: then it gets the processor time that nothing else wants, and none from programs that a person waits
for. A process cannot take that back by itself, so what is in a hurry needs another one.
"""

import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from storectl_shim import reach
from storectl_store.entries.bytecode_files import CompiledFile
from storectl_store.errors import ProblemError
from storectl_store.selection.target import Interpreter
from storectl_store.system_errors import refusal_of

_WORKER = Path(__file__).with_name("worker.py")
_START_LIMIT = 30.0  # seconds for an interpreter to start
_JOB_LIMIT = 300.0  # seconds for a job: source can be made to compile for ever
_PATIENT_LIMIT = 86400.0  # seconds for a job that gives way. The process ends itself after 300 of processor time.
_PIECE = 1 << 16  # bytes of an answer that are read at once

Files = dict[str, CompiledFile]
"""Bytecode files, by their path in the folder of the request."""


class InterpreterError(ProblemError):
    """The interpreter does not run, or is no longer the one it was. ``facts['executable']`` is its path."""

    default_code = "E_INTERPRETER"


class CompilerProcess:
    """The process. ``gives_way`` is whether it runs only when nothing else wants to.

    Raises InterpreterError if it does not start.
    """

    def __init__(self, interpreter: Interpreter, *, gives_way: bool = False) -> None:
        self.gives_way = gives_way
        way = ["gives-way"] if gives_way else []
        try:
            self._process = subprocess.Popen(
                [interpreter.executable, "-I", "-S", "-X", "utf8", os.fspath(_WORKER), *way],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=gives_way,  # whose weight the process may change: kernels share by session
            )
        except OSError as error:
            if (refusal := refusal_of(error, f"run {interpreter.executable}")) is not None:
                raise refusal from error
            raise _does_not_run(interpreter, error.strerror or str(error)) from error
        cache_tag = self._receive(_START_LIMIT)
        if cache_tag != interpreter.cache_tag:
            self.close()
            status = self._process.returncode
            raise _does_not_run(interpreter, f"exit code {status}" if cache_tag is None else f"it is {cache_tag} now")

    def compile(self, request: bytes) -> Files | None:
        """The bytecode files of this request (``compile_request``) by their path in its folder.

        None if the process died or took too long; then only ``close`` is left to do.
        """
        result = self._answer(request)
        if result is None:
            return None
        return {path: CompiledFile(staged=staged, sha256=sha256) for path, (staged, sha256) in result["staged"].items()}

    def reached(self, folder: Path, roots: Sequence[str]) -> dict[str, list[str]] | None:
        """What ``storectl_shim.reach.reached`` says; None as above."""
        value = {"folder": os.fspath(folder), "roots": list(roots), "reach": reach.__file__}
        imports: dict[str, list[str]] | None = self._answer(json.dumps(value).encode() + b"\n")
        return imports

    def _answer(self, request: bytes) -> Any:
        try:
            self._pipe_in.write(request)
            self._pipe_in.flush()
        except OSError:
            return None
        return self._receive(_PATIENT_LIMIT if self.gives_way else _JOB_LIMIT)

    def kill(self) -> None:
        """Kill the process from another thread. The thread that waits for its answer then closes it."""
        self._process.kill()

    def close(self) -> None:
        """End the process: it has answered, or never will."""
        self._process.kill()
        with suppress(OSError):  # what was not sent to a dead worker is still in the pipe's buffer
            self._pipe_in.close()
        self._pipe_out.close()
        self._process.wait()

    def _receive(self, limit: float) -> Any:
        """The next line, as JSON; None if there is none. If it takes longer than ``limit`` the process is killed."""
        deadline = time.monotonic() + limit
        waiting = select.poll()
        waiting.register(self._pipe_out, select.POLLIN)
        line = b""
        while not line.endswith(b"\n"):
            if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
                self._process.kill()
                return None
            piece = os.read(self._pipe_out.fileno(), _PIECE)
            if not piece:
                return None
            line += piece
        return json.loads(line)

    @property
    def _pipe_in(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _pipe_out(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout


def bytecode_path(source: str, cache_tag: str) -> str:
    """Where the bytecode of a module is, from the same folder as the path of its source."""
    folder, _, name = source.rpartition("/")
    return f"{folder}{'/' if folder else ''}__pycache__/{name.removesuffix('.py')}.{cache_tag}.pyc"


def compile_request(folder: Path, files: Sequence[str], tmp: Path, *, place: Path | None = None) -> bytes:
    """The line that asks for the bytecode of these files in the folder, in files below ``tmp``.

    With ``place`` each is put there, at its path in the folder, as soon as it is made.
    """
    value: dict[str, Any] = {"folder": os.fspath(folder), "files": files, "tmp": os.fspath(tmp), "optimize": [0]}
    if place is not None:
        value["place"] = os.fspath(place)
    return json.dumps(value).encode() + b"\n"


def _does_not_run(interpreter: Interpreter, reason: str) -> InterpreterError:
    return InterpreterError(
        f"{interpreter.executable} does not run as {interpreter.cache_tag}: {reason}",
        hint="choose another interpreter with -p, or install this one again",
        executable=interpreter.executable,
    )
