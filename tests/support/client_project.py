"""A project with a record, as the daemon leaves it, and the command line run on it as a process."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import storectl
import storectl_shim
from storectl.isolation import FLAGS
from storectl_shim.locations import socket_path
from storectl_shim.project_record import INPUTS, record_folder
from storectl_shim.store_daemon import daemon_file, launcher_file, this_daemon
from storectl_store.projects.input_state import read_state
from storectl_store.projects.launcher_checks import launcher_checks

LAUNCHER = Path(__file__).resolve().parents[2] / "client" / "launcher" / "storectl"

HOUR_NS = 3_600_000_000_000

DEFAULT_PATH = "/usr/bin:/bin"


@dataclass(frozen=True, kw_only=True)
class ClientHome:
    """A home folder of its own: nothing of this machine's user is read or written. ``bin`` holds the launcher."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def project(self) -> Path:
        return self.home / "project"

    @property
    def environment(self) -> Path:
        return self.root / "environment"

    @property
    def store(self) -> Path:
        return self.home / ".local" / "share" / "storectl"

    @property
    def socket(self) -> Path:
        return Path(socket_path(self.environ()))

    @property
    def record(self) -> Path:
        return Path(record_folder(str(self.store), str(self.project)))

    @property
    def fast(self) -> Path:
        """What the launcher looks at in the record."""
        return self.record / "fast.default"

    def environ(self, **more: str) -> dict[str, str]:
        """The variables of a process here; its storectl is the one under test."""
        packages = [os.path.dirname(os.path.dirname(package.__file__ or "")) for package in (storectl, storectl_shim)]
        return {
            "HOME": str(self.home),
            "PATH": DEFAULT_PATH,
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(packages)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_RUNTIME_DIR": str(self.root / "run"),
            **more,
        }

    def program_environ(self, **more: str) -> dict[str, str]:
        """Those of a process that storectl is no part of."""
        return {name: value for name, value in self.environ(**more).items() if not name.startswith("PYTHON")}

    def write_input(self, name: str, text: str) -> Path:
        """An input of the project, an hour old."""
        path = self.project / name
        path.write_text(text)
        age(path)
        return path

    def write_daemon_file(self, socket: str | None = None) -> None:
        """What the store says of its daemon: this process, on the socket of the tests' fake one."""
        self.store.mkdir(parents=True, exist_ok=True)
        daemon = this_daemon(socket or str(self.socket))
        Path(daemon_file(str(self.store))).write_bytes(daemon.text())
        Path(launcher_file(str(self.store))).write_bytes(daemon.text_for_launcher())

    def write_record(self, key: str = "default", *, environment: Path | None = None) -> None:
        """The record of the inputs as they are, for the launcher too."""
        self.record.mkdir(parents=True, exist_ok=True)
        (self.store / "VERSION").write_text("storectl store 1\n")
        lines = [
            "storectl-record 2",
            f"environment {environment or self.environment}",
            f"lock {self.project / 'uv.lock'}",
        ]
        inputs = [self.project / name for name in INPUTS]
        lines.append(f"written {max(p.stat().st_mtime_ns for p in inputs if p.exists()) + HOUR_NS}")
        lines += [_input_line(path) for path in inputs]
        (self.record / f"ready.{key}").write_text("\n".join([*lines, ""]))
        fast = self.record / f"fast.{key}"
        shutil.rmtree(fast, ignore_errors=True)
        fast.mkdir()
        states = {path: read_state(path) for path in inputs}
        checks = launcher_checks(environment or self.environment, self.project, states, {})
        assert checks is not None
        for name, mtime_ns in checks.stamps.items():
            (fast / f"stamp.{name}").touch()
            os.utime(fast / f"stamp.{name}", ns=(mtime_ns, mtime_ns))
        (fast / "environment").write_bytes(checks.commands)

    def storectl(
        self, *arguments: str, cwd: Path | None = None, stdin: str | None = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """`storectl-python` with these arguments, to its end."""
        return subprocess.run(
            [sys.executable, *FLAGS, "-m", "storectl", *arguments],
            cwd=cwd or self.project,
            env=self.environ(**variables),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@contextmanager
def client_home() -> Iterator[ClientHome]:
    """A home with a warmed project: a lock file, a record, an environment with the command ``greet``.

    It is in a short temporary folder: the path of a socket may have 107 bytes only.
    """
    root = Path(os.path.realpath(tempfile.mkdtemp(prefix="storectl-")))
    home = ClientHome(root=root)
    try:
        home.project.mkdir(parents=True)
        home.bin.mkdir()
        make_environment(home.environment)
        write_program(home.environment / "bin" / "greet", '#!/bin/sh\necho "greet $*"\n')
        home.write_input("uv.lock", "version = 1\n")
        home.write_input("pyproject.toml", '[project]\nname = "sample"\n')
        home.write_record()
        yield home
    finally:
        shutil.rmtree(root)


def make_environment(folder: Path) -> Path:
    """An empty virtual environment for the interpreter of the tests."""
    interpreter = os.path.realpath(sys.executable)
    library = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (folder / "bin").mkdir(parents=True)
    (folder / "lib" / library / "site-packages").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(interpreter)
    (folder / "pyvenv.cfg").write_text(f"home = {os.path.dirname(interpreter)}\ninclude-system-site-packages = false\n")
    return folder


def write_program(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def age(path: Path, by_ns: int = HOUR_NS) -> None:
    """Make a file this much older."""
    stamp = path.stat().st_mtime_ns - by_ns
    os.utime(path, ns=(stamp, stamp))


def _input_line(path: Path) -> str:
    if not path.exists():
        return f"absent {path}"
    data, status = path.read_bytes(), path.stat()
    return f"input {hashlib.sha256(data).hexdigest()} {status.st_mtime_ns} {status.st_size} {path}"
