"""Roots of a node store: what each user keeps alive."""

import os
from pathlib import Path

import pytest

from storectl_store.collecting.node_roots import (
    KEPT_UNSEEN,
    MOST_ENTRIES,
    NO_PROJECT,
    NodeRoot,
    decode_root,
    encode_root,
    is_expired,
    is_project_name,
    is_uid,
    read_root,
    read_roots,
    remove_root,
    renew_root,
    roots_of,
    write_root,
)
from storectl_store.collecting.pins import KeptEnvironment, read_pins, write_pin
from storectl_store.digest import Digest, EnvironmentId, digest_of_hex
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import StoreError, StoreFormatError
from support.golden import check_golden

ENVIRONMENT = EnvironmentId("0123456789abcdef" * 2)
OTHER = EnvironmentId("f" * 32)
NOW = 1_700_000_000
DAY = 24 * 3600


def digest(number: int) -> Digest:
    return digest_of_hex(f"{number:064x}")


def root(
    uid: int = 1000,
    environment: EnvironmentId = ENVIRONMENT,
    *,
    project: str = "site",
    seen: int = NOW,
    entries: int = 3,
) -> NodeRoot:
    return NodeRoot(
        uid=uid,
        environment=environment,
        project=project,
        seen=seen,
        digests=frozenset(map(digest, range(entries))),
    )


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    return StoreLayout(tmp_path)


def test_a_store_without_roots_has_none(layout: StoreLayout) -> None:
    assert read_roots(layout).roots == ()
    assert roots_of(layout, 1000).roots == ()
    assert read_root(layout, 1000, ENVIRONMENT) is None
    assert not remove_root(layout, 1000, ENVIRONMENT)


def test_what_was_written_is_read_again_by_uid_and_environment(layout: StoreLayout) -> None:
    written = (root(0), root(7, OTHER), root(1000, ENVIRONMENT, project="naïve söke"), root(1000, OTHER, entries=0))
    for each in reversed(written):
        write_root(layout, each)
    assert set(read_roots(layout).roots) == set(written)
    assert read_roots(layout).unreadable == ()
    assert roots_of(layout, 1000).roots == written[2:]
    assert read_root(layout, 7, OTHER) == written[1]
    assert remove_root(layout, 7, OTHER)
    assert read_root(layout, 7, OTHER) is None
    assert len(read_roots(layout).roots) == 3


def test_the_format(layout: StoreLayout) -> None:
    write_root(layout, root())
    check_golden("node-root.v1", layout.node_root(1000, ENVIRONMENT).read_bytes())


def test_the_largest_root_can_be_read_again(layout: StoreLayout) -> None:
    largest = root(project="é" * 100, entries=MOST_ENTRIES)
    write_root(layout, largest)
    assert read_root(layout, 1000, ENVIRONMENT) == largest


def test_nobody_but_the_account_of_the_store_may_look(layout: StoreLayout) -> None:
    before = os.umask(0)
    try:
        write_root(layout, root())
    finally:
        os.umask(before)
    modes = [os.stat(path).st_mode & 0o777 for path in (layout.roots, layout.node_roots_of(1000))]
    assert modes == [0o700, 0o700]
    assert os.stat(layout.node_root(1000, ENVIRONMENT)).st_mode & 0o777 == 0o600


def test_a_root_is_written_again_once_a_day_or_if_it_keeps_something_else(layout: StoreLayout) -> None:
    assert renew_root(layout, root())
    assert not renew_root(layout, root(seen=NOW + DAY - 1))
    assert renew_root(layout, root(seen=NOW + DAY))
    assert renew_root(layout, root(seen=NOW + DAY, entries=4))
    assert renew_root(layout, root(seen=NOW + DAY, entries=4, project=NO_PROJECT))
    assert renew_root(layout, root(seen=NOW))  # the clock was wrong
    layout.node_root(1000, ENVIRONMENT).write_bytes(b"torn")
    assert renew_root(layout, root(seen=NOW))
    assert roots_of(layout, 1000).roots == (root(seen=NOW),)


def test_a_root_counts_for_90_days() -> None:
    assert not is_expired(root(), NOW + KEPT_UNSEEN - 1)
    assert is_expired(root(), NOW + KEPT_UNSEEN)
    assert not is_expired(root(seen=NOW + 10 * DAY), NOW)


GOOD = encode_root(root())
FIRST, SECOND = f"digest {digest(0)}\n".encode(), f"digest {digest(1)}\n".encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"storectl-root 1\n",
        b"storectl-root 1",
        GOOD.replace(b"root 1", b"root 2"),
        GOOD[:-1],
        GOOD + b"\n",
        GOOD + b"digest sha256:0\n",
        GOOD.replace(b"project site\n", b""),
        GOOD.replace(b"project site", b"project ../../etc"),
        GOOD.replace(b"project site", b"project "),
        GOOD.replace(b"project site", b"project a\x1b[2J"),
        GOOD.replace(b"project site", b"project " + b"a" * 101),
        GOOD.replace(b"project site", b"project \xff"),
        GOOD.replace(b"seen 17", b"seen -17"),
        GOOD.replace(b"seen 17", b"seen 0017"),
        GOOD.replace(b"seen 17", "seen \u0661\u0667".encode()),
        GOOD.replace(b"seen 1700000000", b"seen " + b"9" * 5000),
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(FIRST + SECOND, SECOND + FIRST),
        GOOD.replace(FIRST, FIRST + FIRST),
        GOOD.replace(b"sha256:", b"SHA256:"),
        GOOD + b"storectl-root 1\n",
        GOOD + FIRST * 20_000,
    ],
)
def test_what_was_not_written_by_this_module_is_no_root(layout: StoreLayout, content: bytes) -> None:
    assert content != GOOD
    write_root(layout, root(1001))
    write_root(layout, root())
    layout.node_root(1000, ENVIRONMENT).write_bytes(content)
    with pytest.raises(StoreFormatError, match=ENVIRONMENT):
        read_root(layout, 1000, ENVIRONMENT)
    assert read_roots(layout).unreadable == (layout.node_root(1000, ENVIRONMENT),)
    assert read_roots(layout).roots == (root(1001),)


def test_a_link_a_folder_and_a_pipe_are_no_roots_and_nobody_waits_for_them(layout: StoreLayout, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(GOOD)
    folder = layout.node_roots_of(1000)
    folder.mkdir(parents=True)
    (folder / ("1" * 32)).symlink_to(outside)
    (folder / ("2" * 32)).mkdir()
    os.mkfifo(folder / ("3" * 32))
    (folder / "site").write_bytes(GOOD)
    (folder / ".tmp-0123").write_bytes(b"st")
    found = roots_of(layout, 1000)
    assert found.roots == ()
    assert sorted(path.name for path in found.unreadable) == ["1" * 32, "2" * 32, "3" * 32, "site"]


@pytest.mark.parametrize("name", ["01", "65534", "4294967295", "99999999999", "ann", "-1"])
def test_a_folder_of_no_user_is_not_passed_over(layout: StoreLayout, name: str) -> None:
    (layout.roots / name).mkdir(parents=True)
    assert read_roots(layout).unreadable == (layout.roots / name,)


def test_a_root_that_cannot_be_listed_is_an_error(layout: StoreLayout) -> None:
    layout.roots.write_bytes(b"")
    with pytest.raises(StoreError, match="roots"):
        read_roots(layout)


def test_pins_and_roots_stand_in_one_folder(layout: StoreLayout) -> None:
    pin = KeptEnvironment(name="1", environment=ENVIRONMENT, at_ns=1, project=Path("/p"))
    write_root(layout, root())
    write_pin(layout, pin)
    assert read_pins(layout) == (pin,)
    assert read_roots(layout).roots == (root(),)
    assert read_roots(layout).unreadable == ()


@pytest.mark.parametrize("uid", [-1, 65534, 2**32 - 1, 2**32])
def test_who_is_no_user(uid: int) -> None:
    assert not is_uid(uid)
    with pytest.raises(ValueError, match=str(uid)):
        root(uid)


@pytest.mark.parametrize("name", ["", " a", "a ", "a/b", ".", "..", ".git", "~ann", "a\nb", "a\u202eb", "a" * 101])
def test_what_is_no_name_of_a_project(name: str) -> None:
    assert not is_project_name(name)
    with pytest.raises(ValueError, match="project"):
        root(project=name)


def test_other_impossible_roots() -> None:
    with pytest.raises(ValueError, match="id of an environment"):
        root(environment=EnvironmentId("../x"))
    with pytest.raises(ValueError, match="time"):
        root(seen=-1)
    with pytest.raises(ValueError, match="at most"):
        root(entries=MOST_ENTRIES + 1)
    with pytest.raises(ValueError, match="lower case"):
        NodeRoot(uid=1, environment=OTHER, project="a", seen=1, digests=frozenset({Digest("SHA256:" + "A" * 64)}))


def test_decoding_is_the_reverse_of_encoding() -> None:
    for each in (root(), root(entries=0), root(project="a b.c-d_é")):
        assert decode_root(encode_root(each), each.uid, each.environment) == each
