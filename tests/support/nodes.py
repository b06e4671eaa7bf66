"""A node daemon of a service account, and requests of other accounts to it.

    with node_of(made, index) as node, new_account(made) as alice:
        node.ok(alice, "POST", "ensure", {...})

The kernel tells the daemon who connects. A thread of the test process that has given up root connects as the account, so
that hundreds of connections need no hundreds of processes.
"""

import ctypes
import http.client
import json
import os
import platform
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.accounts import Account, Installed, new_account
from support.daemon import until
from support.index import LoopbackIndex
from support.machine import ENDING, wait_for_end
from support.wheels import WheelBytes

DEADLINE = 60.0
_CALLS = {"x86_64": (117, 119, 116), "aarch64": (147, 149, 159)}
"""The numbers of setresuid, setresgid and setgroups. glibc's functions would change every thread."""

BASE = "/v1/node/"


@dataclass(kw_only=True)
class Node:
    """The daemon; ``log`` is what it has written."""

    place: Path
    service: Account
    policy: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.place / "srv" / "store"

    @property
    def socket(self) -> Path:
        return self.place / "run" / "daemon.sock"

    @property
    def file(self) -> Path:
        return self.place / "node.toml"

    @property
    def log(self) -> str:
        return (self.place / "log").read_text()

    def start(self, *, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        self.file.write_text(self.policy)
        with (self.place / "log").open("ab") as log:
            process = subprocess.Popen(
                [self.service.installed.bin / "storectl-python", "daemon", "--node", self.file],
                env=self.service.environ | dict(env or {}),
                user=self.service.uid,
                group=self.service.gid,
                extra_groups=[],
                cwd="/",
                umask=0o077,
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        self.processes.append(process)
        until(lambda: process.poll() is not None or self._answers(), lambda: self.log)
        assert process.poll() is None, self.log
        return process

    def _answers(self) -> bool:
        try:
            return self.ask(self.service, "GET", "policy")[0] == 200
        except OSError:
            return False

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                for number in ENDING:
                    process.send_signal(number)
                    wait_for_end(process.pid)
            process.wait(DEADLINE)
        self.processes.clear()

    def ask(
        self, account: Account, method: str, path: str, body: Any = None, *, raw: bytes | None = None, at: str = BASE
    ) -> tuple[int, bytes]:
        """Status and body of the answer."""
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        with closing(Connection(connected(self.socket, account))) as connection:
            with suppress(BrokenPipeError):  # it is refused before all of it is sent
                connection.request(method, at + path, data, {"Content-Type": "application/json"} if data else {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def ok(self, account: Account, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The answer, which must be a success."""
        status, content = self.ask(account, method, path, body, **options)
        assert status == 200, (content, self.log)
        return json.loads(content)

    def code(self, account: Account, method: str, path: str, body: Any = None, **options: Any) -> str:
        """The code of a problem: the request must be refused, and not by a failure of the daemon's own."""
        status, content = self.ask(account, method, path, body, **options)
        assert 400 <= status < 500, (status, content, self.log)
        return str(json.loads(content)["code"])

    def ensure(self, account: Account, *wheels: dict[str, Any]) -> list[dict[str, Any]]:
        """The lines that say what became of these wheels; the last one is ``done``."""
        status, content = self.ask(account, "POST", "ensure", {"wheels": list(wheels)})
        assert status == 200, (content, self.log)
        lines = [json.loads(line) for line in content.splitlines()]
        assert lines[-1]["event"] == "done"
        return [line for line in lines if line["event"] != "working" and line.get("state") != "fetching"]

    def state(self, account: Account, wheel: dict[str, Any]) -> tuple[str, str | None]:
        """What became of one wheel, and the code if it was refused or failed."""
        line = self.ensure(account, wheel)[0]
        return line["state"], line["code"]


def wanted(index: LoopbackIndex, wheel: WheelBytes, **changed: Any) -> dict[str, Any]:
    """The wheel as a request names it."""
    return {
        "filename": wheel.filename,
        "digest": f"sha256:{wheel.hexdigest}",
        "url": index.file_url(wheel),
        "size": len(wheel.data),
    } | changed


class Connection(http.client.HTTPConnection):
    """HTTP over a socket that is connected already."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__("storectl", timeout=DEADLINE)
        connected.settimeout(DEADLINE)
        self.sock = connected

    def connect(self) -> None:
        raise ConnectionError("the connection was closed")


def connected(path: Path, account: Account, *, groups: Sequence[int] = ()) -> socket.socket:
    """A connection that the kernel knows as this account's."""
    outcome: list[socket.socket | OSError] = []

    def connect() -> None:
        connection = socket.socket(socket.AF_UNIX)
        try:
            become(account, groups)
            connection.connect(str(path))
            outcome.append(connection)
        except OSError as error:
            connection.close()
            outcome.append(error)

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]


def become(account: Account, groups: Sequence[int]) -> None:
    """Let this thread alone be the account."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    to_user, to_group, to_groups = _CALLS[platform.machine()]
    gids = (ctypes.c_uint32 * len(groups))(*groups)
    for arguments in (
        (to_groups, len(groups), gids),
        (to_group, account.gid, account.gid, account.gid),
        (to_user, account.uid, account.uid, account.uid),
    ):
        if call(*arguments) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def policy_text(place: Path, index: LoopbackIndex, interpreters: Path, more: str = "", top: str = "") -> str:
    """A policy with this index as its only origins."""
    return f"""
socket = "{place}/run/daemon.sock"
interpreters = ["{interpreters}"]
{top}
[store]
path = "{place}/srv/store"
[[origins]]
url = "{index.url}"
index = true
private = true
[[origins]]
url = "{index.root}/files/"
private = true
{more}
"""


@contextmanager
def node_of(
    made: Installed, index: LoopbackIndex, more: str = "", *, top: str = "", start: bool = True
) -> Iterator[Node]:
    """A node daemon of an account of its own, in a folder that everybody can enter."""
    place = Path(os.path.realpath(tempfile.mkdtemp(prefix="stn-")))
    place.chmod(0o755)
    try:
        with new_account(made) as service:
            for name in ("srv", "run"):
                (place / name).mkdir()
                (place / name).chmod(0o755)
                service.give(place / name)
            node = Node(place=place, service=service, policy=policy_text(place, index, made.root / "python", more, top))
            try:
                if start:
                    node.start()
                yield node
            finally:
                node.stop()
    finally:
        shutil.rmtree(place, ignore_errors=True)
