"""A machine of its own for a test: an empty HOME, a store, a runtime folder, and the real `storectl` command."""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storectl_shim.project_record import record_folder

STORECTL = Path(sys.executable).with_name("storectl")
PASSED_ON = (
    "PATH",
    "LANG",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PYENV_ROOT",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
)
DEADLINE = 120.0
ENDING = (signal.SIGTERM, signal.SIGKILL) if "coverage" in sys.modules else (signal.SIGKILL,)
"""How a test ends its daemon: a measured one has to write down what it ran (``scripts/test --coverage``)."""


class Machine:
    """Runs `storectl` with nothing of the real user in reach; `environ` is what its commands see."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.store = root / "home/.local/share/storectl"
        self.home.mkdir()
        (root / "run").mkdir(mode=0o700)
        self.environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(root / "run"),
            "UV_CACHE_DIR": str(root / "uv-cache"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "TERM": "dumb",
        }

    def guest(self) -> "Machine":
        """A user's home of its own on this machine: its store and its daemon are this one's."""
        guest = copy.copy(self)
        guest.home = Path(tempfile.mkdtemp(prefix="home-", dir=self.root))
        guest.environ = self.environ | {"HOME": str(guest.home), "STORECTL_STORE": str(self.store)}
        return guest

    def run(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        timeout: float = DEADLINE,
    ) -> subprocess.CompletedProcess[str]:
        """`storectl` with these arguments, to its end."""
        return subprocess.run(
            [STORECTL, *map(str, arguments)],
            cwd=cwd or self.home,
            env=self.environ | dict(env or {}),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ok(self, *arguments: str | Path, **options: Any) -> str:
        """The standard output of a `storectl` command that must succeed."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, f"storectl {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str | Path, **options: Any) -> Any:
        return json.loads(self.ok(*arguments, **options))

    def record(self, project: Path) -> Path:
        """The folder with the project's record."""
        return Path(record_folder(str(self.store), str(project)))

    def start_daemon(self) -> int:
        """Start the daemon and return its process id."""
        self.ok("daemon", "start")
        return self.daemon_pid()

    def daemon_pid(self) -> int:
        return int(self.json("daemon", "status", "--json")["pid"])

    def daemon_processes(self) -> list[int]:
        """The process ids of daemons that serve this machine's store, by their environment."""
        found = []
        for proc in Path("/proc").glob("[0-9]*"):
            try:
                command = (proc / "cmdline").read_bytes().split(b"\0")
                environ = (proc / "environ").read_bytes()
            except OSError:
                continue
            if b"daemon" in command and b"storectl" in b" ".join(command) and os.fsencode(self.root) in environ:
                found.append(int(proc.name))
        return found

    def stop(self) -> None:
        """End whatever daemon there is, by process id, stopped ones too."""
        for pid in self.daemon_processes():
            for number in (signal.SIGCONT, *ENDING):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    break
                if number == signal.SIGTERM:
                    wait_for_end(pid)

    def wait_for_state(self, project: Path, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Poll `env show` until its answer satisfies `wanted`; fail with the last answer after the deadline."""
        end = time.monotonic() + DEADLINE
        state: dict[str, Any] = {}
        while time.monotonic() < end:
            state = self.json("env", "show", project, "--json")
            if wanted(state):
                return state
            time.sleep(0.05)
        raise AssertionError(f"not reached within {DEADLINE} s: {state}")


@contextmanager
def new_machine() -> Iterator[Machine]:
    """A machine in a short temporary folder (socket paths are limited to 107 bytes), removed with its daemon."""
    root = Path(tempfile.mkdtemp(prefix="stl-"))
    machine = Machine(root)
    try:
        yield machine
    finally:
        machine.stop()
        remove_tree(root)


def remove_tree(root: Path) -> None:
    """Remove a folder with read-only folders in it, which stop all but root."""
    if os.geteuid() != 0:
        for folder, _, _ in os.walk(root):
            os.chmod(folder, 0o700)
    shutil.rmtree(root, ignore_errors=True)


def wait_for_end(pid: int) -> None:
    """Wait ten seconds at most until there is no such process, or it is a zombie."""
    for _ in range(1000):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        time.sleep(0.01)


def base_python() -> str:
    """The interpreter below the virtual environment that runs the tests."""
    return os.path.realpath(sys.executable)


def pyenv_python(version: str) -> str | None:
    """The newest CPython of this feature version that pyenv has, if any."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(root.glob(f"{version}.*/bin/python{version}"))
    return str(found[-1]) if found else None
