"""Run one program under several Pythons: in turn, or side by side with the version before each line.

All of them run, even if one fails. The exit code is 0 if all succeed, else that of the first that failed.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading

from storectl.errors import OutputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import IO

INTERRUPTED = 130


class Prepared:
    """One run: the version asked for, the whole command line, and its variables. Not to be changed."""

    __slots__ = ("command", "environ", "python")

    def __init__(self, *, python: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self.python = python
        self.command = list(command)
        self.environ = dict(environ)


def run_in_turn(runs: Iterable[Prepared]) -> int:
    """Run one after the other, each with the terminal to itself. Ctrl-C ends the one that runs, and starts no other."""
    codes = []
    for run in runs:
        _say(f"python {run.python}")
        with interrupts_left_to_programs() as interrupted:
            code = exit_code(subprocess.run(run.command, env=run.environ, check=False).returncode)
        codes.append(code)
        if interrupted():
            return INTERRUPTED
    return _first_failure(codes)


def run_side_by_side(runs: Sequence[Prepared]) -> int:
    """Run all at once, without a standard input. Each line that they print has the version before it."""
    width = max(len(run.python) for run in runs)
    with interrupts_left_to_programs() as interrupted:
        started = [_Started(run, f"{run.python:{width}} | ") for run in runs]
        codes = [process.wait() for process in started]
    for run, code in zip(runs, codes, strict=True):
        _say(f"python {run.python}: {'ok' if code == 0 else f'exit code {code}'}")
    return INTERRUPTED if interrupted() else _first_failure(codes)


class _Started:
    """One program that runs, and the two threads that pass on its output."""

    def __init__(self, run: Prepared, label: str) -> None:
        self._process = subprocess.Popen(
            run.command, env=run.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        pairs = ((self._process.stdout, sys.stdout), (self._process.stderr, sys.stderr))
        self._threads = [
            threading.Thread(target=_pass_on, args=(source, out.buffer, label.encode())) for source, out in pairs
        ]
        for thread in self._threads:
            thread.start()

    def wait(self) -> int:
        code = self._process.wait()
        for thread in self._threads:
            thread.join()
        return exit_code(code)


_writing = threading.Lock()


def _pass_on(source: IO[bytes], out: IO[bytes], label: bytes) -> None:
    """Pass on whole lines, so that those of several programs are never mixed."""
    for line in source:
        with _writing, contextlib.suppress(OutputError):
            out.write(label + line + (b"" if line.endswith(b"\n") else b"\n"))
            out.flush()


@contextlib.contextmanager
def interrupts_left_to_programs() -> Iterator[Callable[[], bool]]:
    """Only remember Ctrl-C: the terminal sends it to the programs too, as they are in our process group."""
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: seen.append(number))
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)


def exit_code(code: int) -> int:
    """The exit code as shells count it: for a program that a signal ended, 128 and the signal's number."""
    return 128 - code if code < 0 else code


def _first_failure(codes: Iterable[int]) -> int:
    return next((code for code in codes if code), 0)


def _say(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"storectl: {text}\n")
    sys.stderr.flush()
