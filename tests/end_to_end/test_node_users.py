"""Users of a machine with a node daemon: what the second one is spared, and what happens when the daemon is no help."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import quantiles

import pytest

from support.accounts import Account, Installed, reason_to_skip
from support.index import LoopbackIndex, serve_index
from support.nodes import Connection, Node, become, connected, node_of, wanted
from support.project import write_project
from support.wheels import WheelBytes, make_wheel

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(reason_to_skip() is not None, reason=reason_to_skip() or ""),
]

WHEELS = [make_wheel(name, "1.0", files={f"{name}/__init__.py": "x = 1\n"}) for name in ("alpha", "beta", "gamma")]
SHOW = "import alpha, beta, gamma; print(alpha.__file__)"


@pytest.fixture
def node(made: Installed, index: LoopbackIndex) -> Iterator[Node]:
    index.add(*WHEELS)
    with node_of(made, index) as node:
        yield node


def use(account: Account, node: Node, *, owner: int | None = None, path: Path | None = None) -> None:
    """Let the account's settings name the store of the node daemon."""
    folder = account.home / ".config" / "storectl"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(
        f'[[layers]]\npath = "{path or node.store}"\nsocket = "{node.socket}"\nowner = {owner or node.service.uid}\n'
    )
    account.give(account.home / ".config")


def project_of(account: Account, index: LoopbackIndex, *wheels: WheelBytes) -> Path:
    folder = write_project(account.home / "project", index, list(wheels or WHEELS))
    account.give(folder)
    return folder


def own_entries(account: Account) -> list[str]:
    """The names of what is unpacked in the account's own store."""
    return sorted(path.name for path in (account.home / ".local/share/storectl/store").glob("*"))


def own_environments(account: Account) -> list[str]:
    return os.listdir(account.home / ".local/share/storectl/environments")


def test_the_second_user_of_a_lock_file_fetches_and_unpacks_nothing_and_gets_the_same_environment(
    node: Node, index: LoopbackIndex, alice: Account, bob: Account
) -> None:
    shown = []
    for account in (alice, bob):
        use(account, node)
        shown.append(account.ok("run", "-c", SHOW, cwd=project_of(account, index)))
        assert own_entries(account) == own_environments(account) == []
        assert len(WHEELS) == index.file_requests
    assert shown[0] == shown[1]
    assert shown[0].startswith(f"{node.store}/environments/")
    for account in (alice, bob):
        (root,) = node.ok(account, "GET", "roots")["roots"]
        assert (root["project"], root["entries"]) == ("project", len(WHEELS))


def test_what_the_node_daemon_must_not_have_goes_to_the_own_store(
    node: Node, index: LoopbackIndex, alice: Account, bob: Account
) -> None:
    private = make_wheel("secret-project", "1.0", files={"secret_project/__init__.py": ""})
    with serve_index(private) as other:
        use(alice, node)
        lock = project_of(alice, index, *WHEELS, private) / "uv.lock"
        lock.write_text(lock.read_text().replace(index.file_url(private), other.file_url(private)))
        alice.ok("run", "-c", f"{SHOW}; import secret_project", cwd=lock.parent)
        assert other.file_requests == 1
    assert own_entries(alice) == ["secret-project"]
    assert node.code(bob, "GET", f"wheels/{private.hexdigest}") == "E_UNKNOWN_ENTRY"
    assert bob.run(["ls", alice.home / ".local/share/storectl"]).returncode != 0
    for folder in (node.store / "store", node.store / "meta"):
        assert not any("secret" in name or private.hexdigest in name for name in os.listdir(folder))
    assert "secret" not in node.log


@pytest.mark.parametrize("trouble", ["down", "somebody else's", "full", "strict", "silent"])
def test_a_node_daemon_that_is_no_help_costs_a_line_and_no_run(
    made: Installed, index: LoopbackIndex, alice: Account, bob: Account, trouble: str
) -> None:
    index.add(*WHEELS)
    more = {"full": "[quota]\nown = 1\n", "strict": f"[roles]\nwriters = [{bob.gid}]\n"}.get(trouble, "")
    with node_of(made, index, more) as node, ExitStack() as stack:
        use(alice, node)
        if trouble in {"down", "somebody else's", "silent"}:
            node.stop()
        if trouble == "somebody else's":
            stack.enter_context(closing(listening(node.socket, bob)))
        elif trouble == "silent":
            stack.enter_context(closing(listening(node.socket, node.service)))
        done = alice.storectl("run", "-c", SHOW, cwd=project_of(alice, index))
        assert done.returncode == 0, done.stderr
        assert own_entries(alice) == ["alpha", "beta", "gamma"]
        told = [line for line in done.stderr.splitlines() if "E_NODE" in line]
        assert len(told) == (1 if trouble in {"down", "somebody else's", "silent"} else 0), done.stderr


def listening(path: Path, account: Account) -> socket.socket:
    """A socket at this path that the account listens on, and that never answers."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    path.chmod(0o666)

    def listen() -> None:
        become(account, ())  # the kernel takes the uid of who calls listen
        listening.listen(64)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    return listening


def test_an_account_that_floods_the_daemon_keeps_no_other_waiting(
    node: Node, index: LoopbackIndex, alice: Account, bob: Account
) -> None:
    def ask() -> float:
        begin = time.perf_counter()
        with closing(Connection(connected(node.socket, alice))) as connection:
            connection.request("GET", "/v1/node/roots")
            answer = connection.getresponse()
            assert answer.status == 200
            json.loads(answer.read())
        return time.perf_counter() - begin

    def measured(count: int) -> float:
        """The 99th percentile of so many requests, ten a second, all of which have to be answered."""
        times = []
        for _ in range(count):
            times.append(ask())
            time.sleep(0.1)
        return quantiles(times, n=100)[98]

    idle = measured(60)
    stop = threading.Event()
    refused = 0

    def flood() -> None:
        nonlocal refused
        while not stop.is_set():
            try:
                with closing(Connection(connected(node.socket, bob))) as connection:
                    connection.request("GET", "/v1/node/roots")
                    refused += connection.getresponse().status != 200
            except OSError:
                refused += 1
            time.sleep(0.001)

    with ExitStack() as stack:
        for _ in range(500):
            try:
                half_open = stack.enter_context(closing(connected(node.socket, bob)))
                half_open.send(b"GET /v1/node/policy HTTP/1.1\r\n")
            except OSError:
                pass  # it was closed already
        threads = stack.enter_context(ThreadPoolExecutor(1))
        threads.submit(flood)
        try:
            busy = measured(60)
        finally:
            stop.set()
    assert refused > 100
    print(f"99 of 100 answers within {idle * 1000:.1f} ms, and {busy * 1000:.1f} ms beside the flood")  # with -rP
    assert node.ensure(alice, wanted(index, WHEELS[0]))[0]["state"] == "ready"
    assert "Traceback" not in node.log
