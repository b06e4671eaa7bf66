"""node.toml: what it means, who may have written it, and one line for whatever is wrong with it."""

import os
from pathlib import Path

import pytest

from storectl_daemon.network.address import Address
from storectl_daemon.node.network import is_public
from storectl_daemon.node.policy import NodePolicy, PolicyError

STORE = '[store]\npath = "/srv/storectl"\n'


def read(tmp_path: Path, text: str, *, credentials: Path | None = None) -> NodePolicy:
    file = tmp_path / "node.toml"
    file.write_text(text)
    file.chmod(0o640)
    return NodePolicy.read(file, credentials=credentials)


def test_a_short_policy_has_the_documented_defaults(tmp_path: Path) -> None:
    policy = read(tmp_path, STORE)
    assert policy.store == Path("/srv/storectl")
    assert (policy.origins, policy.interpreters, policy.group, policy.socket) == ((), (), None, None)
    assert (policy.limits.connections, policy.limits.requests, policy.limits.fetches) == (32, 20, 4)
    assert (policy.quota.own, policy.quota.fetched, policy.quota.high_water) == (None, None, 90)
    assert (policy.roles.readers, policy.roles.writers) == (None, None)


def test_all_that_can_be_said_is_read(tmp_path: Path) -> None:
    (tmp_path / "team").write_text("robot:hunter2\n")
    text = f"""
        socket = "/run/x.sock"
        interpreters = ["/usr/bin", "/opt"]
        proxy = "http://proxy.example:3128"
        {STORE}
        group = {os.getegid()}
        [roles]
        admins = ["root", 1000]
        [[origins]]
        url = "https://pypi.example/simple/"
        index = true
        private = true
        login = "team"
        [limits]
        largest_wheel = "1G"
        [quota]
        own = "20G"
        fetched = 1000
    """
    policy = read(tmp_path, text, credentials=tmp_path)
    assert policy.roles.readers == policy.roles.writers == frozenset({os.getegid()})
    assert policy.roles.admins == {0, 1000}
    (origin,) = policy.origins
    assert (origin.index, origin.private, origin.login and origin.login.user) == (True, True, "robot")
    assert (policy.limits.largest_wheel, policy.quota.own, policy.quota.fetched) == (10**9, 20 * 10**9, 1000)
    assert "hunter2" not in repr(policy)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[store]\n",
        '[store]\npath = "srv"\n',
        '[store]\npath = "/srv/../etc"\n',
        "store = 1\n",
        f"{STORE}[origin]\n",
        f"{STORE}[roles]\nreader = []\n",
        f'{STORE}[roles]\nreaders = ["no-such-group-anywhere"]\n',
        f'{STORE}[roles]\nadmins = ["no-such-account-anywhere"]\n',
        f'{STORE}[roles]\nadmins = "root"\n',
        f"{STORE}[roles]\nreaders = true\n",
        f'{STORE}[[origins]]\nurl = "file:///etc/"\n',
        f'{STORE}[[origins]]\nurl = "https://user:hunter2@pypi.example/"\n',
        f'{STORE}[[origins]]\nurl = "https://pypi.example/?token=hunter2"\n',
        f'{STORE}[[origins]]\nurl = "https://pypi.example/"\nindex = "yes"\n',
        f'{STORE}[[origins]]\nurl = "https://pypi.example:port/"\n',
        f'{STORE}[[origins]]\nurl = "https://pypi.example/"\nlogin = "team"\n',
        f"{STORE}[[origins]]\n",
        f"origins = 3\n{STORE}",
        f"{STORE}[limits]\nfetches = 0\n",
        f"{STORE}[limits]\nfetches = true\n",
        f'{STORE}[limits]\nlargest_wheel = "huge"\n',
        f"{STORE}[quota]\nown = -1\n",
        f"interpreters = [1]\n{STORE}",
        f'interpreters = "/usr"\n{STORE}',
        f'socket = "x"\n{STORE}',
        f'proxy = "proxy"\n{STORE}',
        "[store\n",
        "\x00",
    ],
)
def test_what_is_wrong_is_told_in_one_line_that_names_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "node.toml") in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert "hunter2" not in str(caught.value)


def test_a_login_counts_only_for_a_store_of_one_group(tmp_path: Path) -> None:
    (tmp_path / "team").write_text("robot:hunter2")
    origin = '[[origins]]\nurl = "https://pypi.example/"\nlogin = "team"\n'
    with pytest.raises(PolicyError, match="everybody could read"):
        read(tmp_path, STORE + origin, credentials=tmp_path)
    group = f"group = {os.getegid()}\n"
    assert read(tmp_path, STORE + group + origin, credentials=tmp_path).origins[0].login is not None
    for name, content in (("gone", None), ("team", "no colon"), ("../team", "a:b")):
        if content:
            (tmp_path / "team").write_text(content)
        with pytest.raises(PolicyError, match="credential"):
            read(tmp_path, STORE + group + origin.replace("team", name), credentials=tmp_path)


@pytest.mark.parametrize("mode", [0o660, 0o646, 0o666])
def test_a_policy_that_others_could_have_written_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "node.toml"
    file.write_text(STORE)
    file.chmod(mode)
    with pytest.raises(PolicyError, match="another account"):
        NodePolicy.read(file)


def test_a_policy_that_is_no_file_does_not_make_anybody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "node.toml", 0o600)
    with pytest.raises(PolicyError):
        NodePolicy.read(tmp_path / "node.toml")
    with pytest.raises(PolicyError):
        NodePolicy.read(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("url", "holds"),
    [
        ("https://pypi.example/simple/a.whl", True),
        ("https://pypi.example/simple/deep/a.whl", True),
        ("https://pypi.example/simplest/a.whl", False),
        ("https://pypi.example/files/a.whl", False),
        ("http://pypi.example/simple/a.whl", False),
        ("https://pypi.example:444/simple/a.whl", False),
        ("https://pypi.example.evil.example/simple/a.whl", False),
        ("https://pypi.example@evil.example/simple/a.whl", False),
        ("https://pypi.example/simple/../a.whl", False),
        ("https://pypi.example/simple/%2e%2E/a.whl", False),
        ("https://pypi.example/simple/%252e%252e/a.whl", False),
        ("https://pypi.example/simple/..%5c/a.whl", False),
        ("https://pypi.example/simple/..%2fa.whl", False),
    ],
)
def test_an_origin_holds_what_is_straight_below_it(tmp_path: Path, url: str, holds: bool) -> None:  # noqa: FBT001
    policy = read(tmp_path, f'{STORE}[[origins]]\nurl = "https://pypi.example/simple"\n')
    assert policy.origins[0].holds(Address(url)) == holds


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("151.101.0.223", True),
        ("2a04:4e42::223", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:151.101.0.223", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::a9fe:a9fe", False),
    ],
)
def test_a_private_address_is_told_in_every_form(address: str, public: bool) -> None:  # noqa: FBT001
    assert is_public(address) == public
