"""A command whose standard error is a terminal."""

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def on_terminal(command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str]) -> tuple[str, str]:
    """What a command that must succeed prints on standard output, and what on standard error, which is a terminal."""
    leader, follower = pty.openpty()
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=follower,
            check=True, text=True,
        )  # fmt: skip
        os.close(follower)
        return done.stdout, _all_of(leader)
    finally:
        os.close(leader)


def _all_of(leader: int) -> str:
    told = b""
    try:
        while piece := os.read(leader, 4096):
            told += piece
    except OSError:  # what the other side has written is read, and it is closed
        pass
    return told.decode()
