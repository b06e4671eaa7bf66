"""The isolated environment of a build: a venv of the interpreter that the wheel is for, with the build requirements.

pip resolves and installs them, with the indexes that its variables name: the one step of all where anything is resolved.
"""

import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from storectl_daemon.building.failure import BuildFailedError

_OURS_FROM = (3, 10)
"""The oldest Python that the pip which storectl depends on runs on; an older one has a pip of its own (ensurepip)."""
_NO_NETWORK = re.compile(
    r"(NewConnectionError|Name or service not known|Temporary failure in name|Connection refused|Max retries)"
)


class Isolation:
    """A new environment in this folder. ``python`` is its interpreter once it was made."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        self.python = str(folder / "bin" / "python")
        self._base = python

    def make(self) -> None:
        """Make the venv, empty but for pip where ours is too new for it."""
        without = ["--without-pip"] if self._runs_our_pip() else []
        done = subprocess.run(
            [self._base, "-I", "-m", "venv", *without, str(self.folder)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        if done.returncode:
            print(done.stdout, done.stderr, flush=True)
            raise BuildFailedError(
                f"{self._base} cannot make a virtual environment to build in",
                hint="install the venv module of that Python (Debian: python3-venv)",
            )

    def install(self, requirements: Iterable[str]) -> None:
        """Install what satisfies the requirements; BuildFailedError with pip's own words."""
        wanted = sorted(set(requirements))
        if not wanted:
            return
        pip = (
            [sys.executable, "-m", "pip", "--python", self.python]
            if self._runs_our_pip()
            else [self.python, "-m", "pip"]
        )
        options = [
            "--disable-pip-version-check",
            "--no-input",
            "--quiet",
            "--no-warn-script-location",
            "--prefer-binary",
        ]
        done = subprocess.run(
            [*pip, "install", *options, "--", *wanted],
            env=self.environ(), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        print("pip install", *wanted, done.stdout, done.stderr, sep="\n", flush=True)
        if done.returncode:
            raise self._failure(wanted, done.stderr)

    def installed(self) -> tuple[str, ...]:
        """What is there, as ``name==version``, sorted."""
        folders = [str(path) for path in self.folder.glob("lib/python*/site-packages")]
        found = importlib.metadata.distributions(path=folders)
        return tuple(sorted(f"{distribution.name}=={distribution.version}" for distribution in found))

    def environ(self) -> dict[str, str]:
        """The variables of whatever runs in the environment: nothing of another one reaches it."""
        kept = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER}
        path = f"{self.folder / 'bin'}:{kept.get('PATH', os.defpath)}"
        return kept | {"PATH": path, "VIRTUAL_ENV": str(self.folder), "PYTHONNOUSERSITE": "1"}

    def _runs_our_pip(self) -> bool:
        return _version_of(self._base) >= _OURS_FROM

    def _failure(self, wanted: list[str], words: str) -> BuildFailedError:
        lines = [line.removeprefix("ERROR: ") for line in words.splitlines() if line.startswith("ERROR: ")]
        reason = lines[0] if lines else "pip failed"
        offline = os.environ.get("PIP_NO_INDEX") == "1" or _NO_NETWORK.search(words) is not None
        return BuildFailedError(
            f"its build requirements ({', '.join(wanted)[:200]}) cannot be installed: {reason[:300]}",
            hint="connect to the index, and try again"
            if offline
            else "look at the build requirements of its pyproject.toml",
            code="E_OFFLINE" if offline else "E_BUILD",
        )


_OF_ANOTHER = frozenset(
    {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV",
     "PIP_CONSTRAINT", "PIP_REQUIRE_HASHES", "PYTHONSAFEPATH", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__"}
)  # fmt: skip


def _version_of(python: str) -> tuple[int, int]:
    program = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    major, minor = done.stdout.split()
    return int(major), int(minor)
