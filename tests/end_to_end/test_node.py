"""A node daemon and the accounts that ask it: who gets what, and what a hostile account cannot do."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.accounts import Account, Installed, reason_to_skip
from support.daemon import until
from support.index import LoopbackIndex
from support.nodes import Connection, Node, connected, node_of, wanted
from support.wheels import WheelBytes, make_wheel

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(reason_to_skip() is not None, reason=reason_to_skip() or ""),
]

ALPHA = make_wheel("alpha", "1.0")
SECRET = "hunter2-of-bob"


@pytest.fixture
def node(made: Installed, index: LoopbackIndex) -> Iterator[Node]:
    index.add(ALPHA)
    with node_of(made, index) as node:
        yield node


def test_a_wheel_is_fetched_once_for_two_accounts(
    node: Node, index: LoopbackIndex, alice: Account, bob: Account
) -> None:
    for account in (alice, bob):
        assert node.ensure(account, wanted(index, ALPHA)) == [
            {"event": "wheel", "digest": f"sha256:{ALPHA.hexdigest}", "state": "ready"}
            | {"received": None, "code": None, "detail": None},
            {"event": "done", "ready": 1},
        ]
    assert index.file_requests == 1
    assert (node.store / f"meta/{ALPHA.hexdigest}.json").is_file()


def hostile_wheels(index: LoopbackIndex, secret: Path) -> dict[str, tuple[dict[str, Any], str]]:
    """Wheels that are refused or fail, each with its code; the address of one is given, or the digest, or the name."""
    other, beta = make_wheel("alpha", "6.6"), make_wheel("beta", "1.0")
    index.add(other, beta)
    good = index.file_url(beta)
    port = index.root.rpartition(":")[2]
    return {
        "a file of the daemon's machine": (wanted(index, beta, url=f"file://{secret}/{beta.filename}"), "E_REQUEST"),
        "a metadata service": (wanted(index, beta, url=f"http://169.254.169.254/files/{beta.filename}"), "E_ORIGIN"),
        "another server": (wanted(index, beta, url=f"https://evil.example/files/{beta.filename}"), "E_ORIGIN"),
        "another name of a server": (wanted(index, beta, url=good.replace("127.0.0.1", "localhost")), "E_ORIGIN"),
        "another port": (wanted(index, beta, url=good.replace(f":{port}", ":1")), "E_ORIGIN"),
        "a host in the login": (wanted(index, beta, url=good.replace("http://", "http://127.0.0.1:80@")), "E_ORIGIN"),
        "a login": (wanted(index, beta, url=good.replace("http://", f"http://user:{SECRET}@")), "E_ORIGIN"),
        "a token": (wanted(index, beta, url=f"{good}?token={SECRET}"), "E_ORIGIN"),
        "a step up": (wanted(index, beta, url=f"{index.root}/files/../admin/{beta.filename}"), "E_ORIGIN"),
        "an encoded step up": (wanted(index, beta, url=f"{index.root}/files/%252e%252e/{beta.filename}"), "E_ORIGIN"),
        "a scheme": (wanted(index, beta, url=f"gopher://127.0.0.1:{port}/files/{beta.filename}"), "E_REQUEST"),
        "another file's name": (wanted(index, beta, filename=other.filename), "E_ORIGIN"),
        "a name with steps": (wanted(index, beta, filename="../../beta-1.0-py3-none-any.whl"), "E_REQUEST"),
        "a name of no wheel": (wanted(index, beta, filename="beta.tar.gz"), "E_REQUEST"),
        "another digest": (wanted(index, beta, digest=f"sha256:{other.hexdigest}"), "E_HASH"),
        "a short digest": (wanted(index, beta, digest=f"sha256:{beta.hexdigest[:32]}"), "E_REQUEST"),
        "a field with a path": (wanted(index, beta, path="/etc/shadow"), "E_REQUEST"),
        "a lock file": (wanted(index, beta, lock_file="/home/alice/uv.lock"), "E_REQUEST"),
        "a size that is none": (wanted(index, beta, size="1"), "E_REQUEST"),
        "a page of the index": (wanted(index, beta, url=f"{index.url}{beta.filename}"), "E_HASH"),
    }


def test_an_account_is_refused_what_no_account_may_have(
    node: Node, index: LoopbackIndex, bob: Account, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    before = names_in(node.store)
    for what, (wheel, code) in hostile_wheels(index, tmp_path).items():
        status, content = node.ask(bob, "POST", "ensure", {"wheels": [wheel]})
        line = json.loads(content.splitlines()[-2 if status == 200 else 0])
        assert (status, line["code"]) in ((200, code), (422, code)), (what, line)
    assert names_in(node.store) == before
    assert SECRET not in node.log
    assert "Traceback" not in node.log
    assert node.ensure(bob, wanted(index, ALPHA))[0]["state"] == "ready"


def hostile_requests(node: Node, index: LoopbackIndex, home: Path) -> list[tuple[str, str, dict[str, Any], str]]:
    """Method, path, what is sent, and the code."""
    digest = f"sha256:{ALPHA.hexdigest}"
    root, python = {"digests": [digest]}, str(home / "python3.11")
    return [
        ("GET", "/v1/health", {}, "E_NO_ROUTE"),
        ("POST", "/v1/warm", {"body": {"start": str(home), "environ": {}}}, "E_NO_ROUTE"),
        ("GET", "/v1/projects", {}, "E_NO_ROUTE"),
        ("GET", f"/v1/environments/{'0' * 32}/import-map", {}, "E_NO_ROUTE"),
        ("GET", "/v1/node/../node/policy", {}, "E_NO_ROUTE"),
        ("GET", f"/v1/node/wheels/{ALPHA.hexdigest[:40]}", {}, "E_NO_ROUTE"),
        ("GET", f"/v1/node/wheels/{'0' * 64}", {}, "E_UNKNOWN_ENTRY"),
        ("GET", "/v1/node/entries", {}, "E_ROLE"),
        ("POST", "/v1/node/collect", {}, "E_ROLE"),
        ("POST", "/v1/node/verify", {}, "E_ROLE"),
        ("POST", "/v1/node/ensure", {"raw": b"{" * 100_000}, "E_REQUEST"),
        ("POST", "/v1/node/ensure", {"raw": b"\xff\xfe"}, "E_REQUEST"),
        ("POST", "/v1/node/ensure", {"body": {"wheels": []}}, "E_REQUEST"),
        ("POST", "/v1/node/ensure", {"body": {"wheels": [wanted(index, ALPHA)] * 2001}}, "E_REQUEST"),
        ("POST", "/v1/node/ensure", {"raw": b" " * (2 << 20)}, "E_REQUEST"),
        ("PUT", "/v1/node/roots/../../0/" + "0" * 32, {"body": root}, "E_NO_ROUTE"),
        ("PUT", f"/v1/node/roots/{'0' * 32}", {"body": root | {"project": "../../etc/passwd"}}, "E_REQUEST"),
        ("PUT", f"/v1/node/roots/{'0' * 32}", {"body": root | {"uid": 0}}, "E_REQUEST"),
        ("POST", "/v1/node/environments", {"body": root | {"interpreter": python}}, "E_TARGET"),
        ("POST", "/v1/node/environments", {"body": root | {"interpreter": "../../bin/python3"}}, "E_REQUEST"),
        ("POST", "/v1/node/environments", {"body": root | {"interpreter": "/proc/self/exe"}}, "E_TARGET"),
        ("POST", "/v1/node/bytecode", {"body": root | {"cache_tag": "cpython-999"}}, "E_TARGET"),
        ("POST", f"/v1/node/imports/{'0' * 32}", {"raw": b"../../x.py"}, "E_ROLE"),
        ("PUT", f"/v1/node/wheels/{ALPHA.hexdigest}?filename=../../a.whl", {"raw": b"x"}, "E_REQUEST"),
    ]


def test_a_request_that_nobody_may_make_is_refused_with_a_code(node: Node, index: LoopbackIndex, bob: Account) -> None:
    node.ensure(bob, wanted(index, ALPHA))
    shutil.copy("/bin/true", bob.home / "python3.11")
    bob.give(bob.home)
    before = names_in(node.store)
    for method, path, sent, code in hostile_requests(node, index, bob.home):
        assert node.code(bob, method, path, at="", **sent) == code, (method, path)
    assert names_in(node.store) == before
    assert "Traceback" not in node.log


def names_in(store: Path) -> set[str]:
    """Every name below the store that stays when nothing is being made."""
    return {
        os.path.relpath(os.path.join(folder, name), store)
        for folder, folders, files in os.walk(store)
        for name in [*folders, *files]
        if not os.path.relpath(folder, store).startswith(("tmp", "urls", "interpreters"))
        and not name.startswith("index.db-")
    }


def test_an_account_of_another_user_namespace_has_no_role(node: Node, index: LoopbackIndex, bob: Account) -> None:
    stranger = replace(bob, uid=65534, gid=65534)
    assert node.ok(stranger, "GET", "policy")["roles"] == []
    assert node.code(stranger, "POST", "ensure", {"wheels": [wanted(index, ALPHA)]}) == "E_ROLE"
    assert node.code(stranger, "GET", f"wheels/{ALPHA.hexdigest}") == "E_ROLE"
    assert index.file_requests == 0


def test_roles_are_of_the_groups_that_the_kernel_knows(
    made: Installed, index: LoopbackIndex, alice: Account, bob: Account
) -> None:
    index.add(ALPHA)
    roles = f"[roles]\nreaders = [{bob.gid}]\nwriters = [{alice.gid}]\nadmins = [{bob.uid}]\n"
    with node_of(made, index, roles) as node:
        assert node.ok(alice, "GET", "policy")["roles"] == ["reader", "writer"]
        assert node.ok(bob, "GET", "policy")["roles"] == ["reader", "writer", "admin"]
        stranger = replace(bob, uid=alice.uid + 1, gid=alice.uid + 1)
        assert node.ok(stranger, "GET", "policy")["roles"] == []
        with closing(Connection(connected(node.socket, stranger, groups=[bob.gid]))) as connection:
            connection.request("GET", "/v1/node/policy")
            assert json.loads(connection.getresponse().read())["roles"] == ["reader"]


def test_two_accounts_share_one_environment_and_each_keeps_it(
    node: Node, index: LoopbackIndex, alice: Account, bob: Account, made: Installed
) -> None:
    python = os.path.realpath(made.root / "python" / "bin" / "python")
    digests = [f"sha256:{ALPHA.hexdigest}"]
    node.ensure(alice, wanted(index, ALPHA))
    wanted_view = {"digests": digests, "interpreter": python}
    found = [node.ok(account, "POST", "environments", wanted_view) for account in (alice, bob)]
    assert found[0] == found[1]
    folder = Path(found[0]["path"])
    assert folder.parent == node.store / "environments"
    ran = bob.run([folder / "bin/python", "-c", "import alpha; print(alpha.__version__)"])
    assert (ran.returncode, ran.stdout) == (0, "1.0\n"), ran.stderr
    assert node.ask(bob, "GET", f"environments/{folder.name}/import-map")[0] == 200
    for account in (alice, bob):
        assert node.ok(account, "PUT", f"roots/{folder.name}", {"digests": digests, "project": "mine"})["count"] == 1
        assert [each["project"] for each in node.ok(account, "GET", "roots")["roots"]] == ["mine"]
    assert node.ok(alice, "DELETE", f"roots/{folder.name}")["count"] == 1
    assert node.ok(alice, "GET", "roots")["roots"] == []
    assert len(node.ok(bob, "GET", "roots")["roots"]) == 1
    assert bob.run(["cat", node.store / f"roots/{bob.uid}/{folder.name}"]).returncode != 0
    until(lambda: any((node.store / "meta").glob("*.pyc.json")), lambda: node.log)  # bytecode follows by itself
    node.stop()
    node.start()  # what is kept is known to the next daemon
    assert len(node.ok(bob, "GET", "roots")["roots"]) == 1


def test_a_wheel_that_is_brought_is_taken_only_if_an_index_lists_it(
    node: Node, index: LoopbackIndex, bob: Account
) -> None:
    private = make_wheel("secret-project", "1.0")

    def bring(wheel: WheelBytes, data: bytes, account: Account = bob) -> tuple[int, str | None]:
        path = f"wheels/{wheel.hexdigest}?filename={wheel.filename}"
        status, content = node.ask(account, "PUT", path, raw=data)
        return status, json.loads(content).get("code")

    assert bring(private, private.data) == (422, "E_PRIVATE")
    assert bring(ALPHA, ALPHA.data[:-1] + b"x") == (422, "E_HASH")
    assert not (node.store / f"meta/{ALPHA.hexdigest}.json").exists()
    assert bring(ALPHA, ALPHA.data) == (200, None)
    assert node.ok(bob, "GET", f"wheels/{ALPHA.hexdigest}") == {
        "digest": f"sha256:{ALPHA.hexdigest}", "filename": None, "unpacked_size": None,
    }  # fmt: skip
    assert index.file_requests == 0
    assert bring(private, private.data, node.service) == (200, None)
    assert node.ok(node.service, "GET", "entries")["entries"][1]["filename"] == private.filename


def test_a_quota_ends_what_one_account_may_have_and_no_other_s(
    made: Installed, index: LoopbackIndex, alice: Account, bob: Account
) -> None:
    wheels = [make_wheel(f"pkg{number}", "1.0", files={f"pkg{number}/data.bin": "x" * 4000}) for number in range(4)]
    index.add(*wheels)
    with node_of(made, index, "[quota]\nown = 9000\nhigh_water = 100\n") as node:
        states = [node.state(bob, wanted(index, wheel)) for wheel in wheels]
        assert states == [("ready", None), ("ready", None), ("refused", "E_QUOTA"), ("refused", "E_QUOTA")]
        assert node.state(alice, wanted(index, wheels[2])) == ("ready", None)
        assert node.state(bob, wanted(index, wheels[2])) == ("ready", None)  # it is there
