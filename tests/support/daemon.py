"""A real daemon process on a store of its own, and a client that speaks HTTP over its socket."""

import asyncio
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from storectl_shim.locations import socket_path
from support.machine import ENDING, remove_tree, wait_for_end

DEADLINE = 60.0
START = "import sys; from storectl_daemon.main import main; sys.exit(main(sys.argv[1:]))"


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("storectl", timeout=DEADLINE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(self._path))


class Daemon:
    """A daemon on a home of its own; `log` is what it wrote to stderr.

    ``variables`` are those of the commands that ask it, beside the usual ones: its own count for nothing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.store = self.home / ".local/share/storectl"
        self.log_file = root / "stderr"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.variables: dict[str, str] = {}
        self.home.mkdir()
        (root / "run").mkdir(mode=0o700)
        self.socket = Path(socket_path(self.environ))

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.root / "run"),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }

    @property
    def sent(self) -> dict[str, str]:
        """What a command sends of its variables."""
        return self.environ | self.variables

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", START, *arguments]

    def spawn(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                self.command(*arguments), env=self.environ | dict(env or {}), stderr=log, stdin=subprocess.DEVNULL
            )
        self.processes.append(process)
        return process

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start it, and wait until it answers."""
        process = self.spawn(*arguments, env=env)
        until(lambda: process.poll() is not None or self._answers())
        assert process.poll() is None, self.log
        return process

    def _answers(self) -> bool:
        try:
            return bool(self.get("/v1/health")["status"] == "ok")
        except OSError:
            return False

    def request(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer."""
        connection = UnixConnection(self.socket)
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        try:
            connection.request(method, path, data, {"Content-Type": "application/json"} if data is not None else {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        status, _, body = self.request("GET", path)
        assert status == 200, body
        return json.loads(body)

    def problem(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> dict[str, Any]:
        """The answer, which must be a problem document that fits its status."""
        status, headers, content = self.request(method, path, body, raw=raw)
        assert headers["content-type"] == "application/problem+json", (status, content)
        problem: dict[str, Any] = json.loads(content)
        assert problem["status"] == status
        assert problem.keys() == {"type", "title", "status", "code", "detail", "hint", "missing_python"}
        return problem

    def warm(self, start: Path, **options: Any) -> list[dict[str, Any]]:
        """The events of a warm, to the last."""
        status, _, body = self.request("POST", "/v1/warm", {"start": str(start), "environ": self.sent, **options})
        assert status == 200, body
        return [json.loads(line) for line in body.splitlines()]

    def ready(self, start: Path, **options: Any) -> dict[str, Any]:
        """The environment of a warm that must succeed."""
        last = self.warm(start, **options)[-1]
        assert last["event"] == "ready", (last, self.log)
        environment: dict[str, Any] = last["environment"]
        return environment

    def failed(self, start: Path, **options: Any) -> dict[str, Any]:
        """The problem of a warm that must fail."""
        last = self.warm(start, **options)[-1]
        assert last["event"] == "failed", last
        problem: dict[str, Any] = last["problem"]
        return problem

    def state(self, folder: Path) -> dict[str, Any]:
        state: dict[str, Any] = self.get(f"/v1/projects/state?path={quote(str(folder))}")
        return state

    def record(self, project: Path) -> Path:
        """The folder with the project's record."""
        return self.store / "projects" / str(project).lstrip("/") / "@storectl"

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                for number in ENDING:
                    process.send_signal(number)
                    wait_for_end(process.pid)
            process.wait(DEADLINE)


def until(happened: Callable[[], bool], told: Callable[[], str] = str) -> None:
    """Wait for something that no event tells. ``told`` is what a failure has to say."""
    end = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < end, f"it did not happen: {told()}"
        time.sleep(0.01)


async def turns_until(happened: Callable[[], bool]) -> None:
    """The same on an event loop, which goes on meanwhile."""
    async with asyncio.timeout(DEADLINE):
        while not happened():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)


@contextmanager
def new_daemon(kind: type[Daemon] = Daemon) -> Iterator[Daemon]:
    """A daemon that is not started yet, in a short folder: socket paths are limited."""
    root = Path(os.path.realpath(tempfile.mkdtemp(prefix="std-")))
    daemon = kind(root)
    try:
        yield daemon
    finally:
        daemon.stop()
        remove_tree(root)
