"""A launcher that notes each time that it hands over, to tell what it has started by itself."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from support.client_project import write_program
from support.machine import DEADLINE, STORECTL, Machine


class Traps:
    """A launcher beside a ``storectl-python`` that notes each time that it is started."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.folder = machine.home / "bin"
        self.log = machine.home / "handed-over"
        self.folder.mkdir()
        write_program(self.folder / "storectl", STORECTL.read_text())
        real = STORECTL.with_name("storectl-python")
        write_program(self.folder / "storectl-python", f'#!/bin/sh\necho "$*" >>{self.log}\nexec {real} "$@"\n')

    def start(self, *arguments: str, cwd: Path, **variables: str) -> tuple[subprocess.CompletedProcess[str], bool]:
        """The start, to its end, and whether Python was asked."""
        self.log.unlink(missing_ok=True)
        done = subprocess.run(
            [self.folder / "storectl", *arguments],
            cwd=cwd,
            env=self.machine.environ | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        return done, self.log.exists()

    def run(self, *arguments: str, cwd: Path, **variables: str) -> tuple[str, bool]:
        """What the program prints, and whether Python was asked."""
        done, asked = self.start(*arguments, cwd=cwd, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout, asked

    def runs_twice(self, *arguments: str, cwd: Path, **variables: str) -> str:
        """The first start asks Python; soon the launcher starts the same program in the same environment itself.

        Returns what the program prints.
        """
        expected, asked = self.run(*arguments, cwd=cwd, **variables)
        assert asked
        self.becomes_quick(*arguments, cwd=cwd, prints=expected.__eq__, **variables)
        return expected

    def becomes_quick(self, *arguments: str, cwd: Path, prints: Callable[[str], bool], **variables: str) -> None:
        """Soon the launcher starts the program itself; meanwhile too it prints what it should."""
        asked, end = True, time.monotonic() + DEADLINE
        while asked and time.monotonic() < end:
            printed, asked = self.run(*arguments, cwd=cwd, **variables)
            assert prints(printed), printed
            time.sleep(0.1)
        assert not asked, arguments
