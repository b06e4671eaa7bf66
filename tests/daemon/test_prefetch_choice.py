"""What of a fetch is made ready, from where, and when: values in, values out."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from storectl_daemon.network.address import Address
from storectl_daemon.prefetching.admission import (
    FREE_BYTES,
    UNPACKED,
    Allowance,
    Budget,
    Known,
    NotAdmittedError,
    known_to,
)
from storectl_daemon.prefetching.conditions import NotNowError, check_moment, is_battery_low, is_offline
from storectl_daemon.prefetching.inputs import outside_files
from storectl_daemon.prefetching.refs import Candidate, Ref, candidates, fetched_of, in_order, refs_of
from storectl_daemon.prefetching.settings import wanted_branches
from storectl_daemon.process.settings import SettingsError
from storectl_store.digest import digest_of_hex
from storectl_store.selection.pin import IndexPin, Pin, Selection, WheelFile
from support.wheels import make_wheel

DIGEST = digest_of_hex("0f" * 32)


def commit(number: int) -> str:
    return f"{number:040x}"


def ref(number: int, name: str, **more: object) -> Ref:
    return Ref(commit=commit(number), name=name, **more)  # type: ignore[arg-type]


REFS = [
    ref(1, "refs/heads/main", upstream="refs/remotes/origin/main", current=True),
    ref(2, "refs/heads/old", upstream="refs/remotes/origin/old"),
    ref(3, "refs/heads/alone"),
    ref(4, "refs/heads/gone", upstream="refs/remotes/origin/gone"),
    ref(11, "refs/remotes/origin/main"),
    ref(12, "refs/remotes/origin/old"),
    ref(13, "refs/remotes/origin/other"),
    ref(14, "refs/remotes/origin/trunk"),
    ref(14, "refs/remotes/origin/HEAD", leads_to="refs/remotes/origin/trunk"),
]


# --- which commits ----------------------------------------------------------------------------------------------------


def test_what_branches_follow_and_the_remote_s_head_come_by_themselves() -> None:
    found = candidates(REFS, [], "upstream")
    assert [(each.name, each.first) for each in found] == [
        ("origin/main", True), ("origin/old", False), ("origin/trunk", False),
    ]  # fmt: skip


def test_every_branch_of_a_remote_comes_only_if_all_are_wanted_and_nothing_if_none_is() -> None:
    assert [each.name for each in candidates(REFS, [], "all")] == [
        "origin/main", "origin/old", "origin/trunk", "origin/other",
    ]  # fmt: skip
    assert candidates(REFS, [Candidate(commit=commit(9), name="x", first=True)], "none") == []


def test_what_is_checked_out_is_left_out_and_a_commit_comes_once() -> None:
    refs = [
        ref(1, "refs/heads/main", upstream="refs/remotes/origin/main", current=True),
        ref(1, "refs/remotes/origin/main"),
    ]
    fetched = [Candidate(commit=commit(1), name="main", first=True), Candidate(commit=commit(2), name="a")]
    more = Candidate(commit=commit(2), name="b", first=True)
    assert candidates(refs, [*fetched, more], "all") == [more]


def test_fetch_head_is_read_line_by_line_and_addresses_in_it_are_not() -> None:
    text = (
        f"{commit(1)}\t\tbranch 'main' of https://me:secret@host/x\n"
        f"{commit(2)}\tnot-for-merge\tbranch 'it's a/b' of host\n"
        f"{commit(3)}\t\t'refs/pull/7/head' of host\n"
        f"{commit(4)}\t\thttps://me:secret@host/x\n"
        f"{commit(5)}\t\tbranch 'a\u202eb' of host\n"
        f"{'0f' * 32}\t\tbranch 'sha256' of host\n"
        "garbage\n\x00\n" + "9" * 40 + " \n"
    )
    assert fetched_of(text) == [
        Candidate(commit=commit(1), name="main", first=True),
        Candidate(commit=commit(2), name="it's a/b"),
        Candidate(commit=commit(3), name="refs/pull/7/head", first=True),
        Candidate(commit=commit(4), name="FETCH_HEAD", first=True),
        Candidate(commit=commit(5), name="a\\u202eb", first=True),
        Candidate(commit="0f" * 32, name="sha256", first=True),
    ]


def test_the_newest_come_first_behind_what_is_followed_and_what_is_too_old_not_at_all() -> None:
    found = [Candidate(commit=commit(number), name=str(number), first=number == 3) for number in range(1, 6)]
    assert [each.name for each in in_order(found, [commit(5), commit(4), commit(3), commit(1)])] == ["3", "5", "4", "1"]


def test_lines_of_another_shape_are_no_refs() -> None:
    assert refs_of([["a"], ["a", "b", "c", "d", "*", "f", "g"]]) == []
    lines = [[commit(1), "refs/heads/x", "", "", "*", "/here"], [commit(2), "refs/heads/y", "", "", " ", "/there"]]
    assert refs_of(lines) == [ref(1, "refs/heads/x", current=True), ref(2, "refs/heads/y", elsewhere=True)]


def test_what_is_followed_by_a_branch_of_another_worktree_is_made_ready_there() -> None:
    elsewhere = ref(2, "refs/heads/old", upstream="refs/remotes/origin/old", elsewhere=True)
    refs = [elsewhere, ref(12, "refs/remotes/origin/old")]
    fetched = [Candidate(commit=commit(12), name="old"), Candidate(commit=commit(13), name="new")]
    assert candidates(refs, fetched, "all") == fetched[1:]
    asked_for = Candidate(commit=commit(12), name="old", first=True)
    assert candidates(refs, [asked_for], "upstream") == [asked_for]


# --- from where -------------------------------------------------------------------------------------------------------


def wheel(url: str, size: int | None = 100) -> WheelFile:
    return WheelFile(filename="x-1-py3-none-any.whl", digest=DIGEST, url=url, size=size)


def pin(url: str) -> Pin:
    return Pin(name=NormalizedName("x"), version="1", wheel=wheel(url))


def index_pin(*indexes: str, **more: object) -> IndexPin:
    return IndexPin(name=NormalizedName("x"), version="1", digests=frozenset({DIGEST}), indexes=indexes, **more)  # type: ignore[arg-type]


KNOWN = known_to(
    Selection(pins=(pin("https://files.host/a/x.whl"),), index_pins=(index_pin("https://me:secret@own/simple"),)),
    [pin("http://cdn.host:8080/y.whl")],
    [Address("https://index.host/simple"), Address("/a/folder"), Address("http://[bad")],
    ["secret", "", "x"],
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://files.host/other.whl", True),
        ("https://FILES.host:443/other.whl", True),
        ("http://cdn.host:8080/z.whl", True),
        ("https://index.host/z.whl", True),
        ("https://own/z.whl", True),
        ("http://files.host/other.whl", False),
        ("https://files.host:444/other.whl", False),
        ("http://cdn.host/z.whl", False),
        ("https://files.host.evil/x.whl", False),
        ("https://files.host@evil/x.whl", False),
        ("https://evil/files.host/x.whl", False),
        ("https://files.host/x.whl?with=secret", False),
        ("https://secret.files.host/x.whl", False),
        ("file:///etc/passwd", False),
        ("ftp://files.host/x.whl", False),
        ("//files.host/x.whl", False),
        ("http://[bad", False),
    ],
)
def test_a_wheel_comes_from_servers_that_the_checkout_uses_with_scheme_and_port(url: str, *, expected: bool) -> None:
    assert KNOWN.wheel(wheel(url)) is expected


def test_an_index_counts_by_its_whole_address() -> None:
    assert KNOWN.index_pin(index_pin())
    assert KNOWN.index_pin(index_pin("https://me:secret@own/simple", "https://index.host/simple"))
    for other in (
        "https://own/simple",
        "https://me:secret@own/other",
        "https://index.host/secret",
        "https://evil/simple",
    ):
        assert not KNOWN.index_pin(index_pin("https://index.host/simple", other))
        assert not KNOWN.index_pin(index_pin(find_links=(other,)))


def test_nothing_is_admitted_before_it_is_known_what_is() -> None:
    budget = Budget(allowance=Allowance(free=lambda: 1 << 50))
    with pytest.raises(NotAdmittedError):
        budget.admit(Address("https://files.host/x.whl"))
    with pytest.raises(NotAdmittedError):
        budget.counted(wheel("https://files.host/x.whl"), lambda _: None)


# --- how much ---------------------------------------------------------------------------------------------------------


def budget(left: int = 1000, free: int = 1 << 50) -> Budget:
    return Budget(allowance=Allowance(free=lambda: free, left=left), known=KNOWN)


def counted(budget: Budget, size: int | None) -> Callable[[int], None]:
    return budget.counted(wheel("https://files.host/x.whl", size), lambda _: None)


def test_a_wheel_that_is_too_large_is_not_begun() -> None:
    with pytest.raises(NotAdmittedError, match="more than may be fetched"):
        counted(budget(), 1001)
    with pytest.raises(NotAdmittedError, match="disk"):
        counted(budget(free=FREE_BYTES + UNPACKED * 1000 - 1), 1000)
    counted(budget(free=FREE_BYTES + UNPACKED * 1000), 1000)


def test_what_a_wheel_says_that_it_unpacks_to_counts_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb, odd = tmp_path / "bomb.whl", tmp_path / "odd.whl"
    made = make_wheel("bomb", files={"bomb.py": "#" * 1_000_000})
    bomb.write_bytes(made.data)
    assert len(made.data) < 10_000
    with pytest.raises(NotAdmittedError, match="unpacks to 1000"):
        budget(free=FREE_BYTES + 2_000_000).check(wheel("https://files.host/x.whl"), bomb)
    budget(free=FREE_BYTES + 2_100_000).check(wheel("https://files.host/x.whl"), bomb)
    for content in (b"", b"no wheel"):
        odd.write_bytes(content)
        budget(free=FREE_BYTES).check(wheel("https://files.host/x.whl"), odd)


def test_there_is_an_end_to_the_number_of_wheels() -> None:
    one = budget()
    one.allowance.wheels = 1
    counted(one, 1)
    with pytest.raises(NotAdmittedError, match="one more wheel"):
        counted(one, 1)


def test_bytes_count_as_they_come_over_all_wheels_whatever_was_claimed() -> None:
    one = budget()
    first, second = counted(one, None), counted(one, 10)
    first(400)
    first(600)
    second(300)
    second(0)  # it begins anew
    assert one.allowance.left == 100
    with pytest.raises(NotAdmittedError, match="more than may be fetched"):
        second(200)


def test_the_user_s_settings_are_read_from_disk_and_the_project_s_from_the_commit() -> None:
    variables = {"HOME": "/home/me"}
    project, top = Path("/home/me/work/inner"), Path("/home/me/work")
    assert outside_files(project / "uv.lock", top, variables) == {Path("/home/me/.config/uv/uv.toml")}
    assert outside_files(project / "pylock.toml", top, variables) == set()


# --- when -------------------------------------------------------------------------------------------------------------


def supply(folder: Path, name: str, **values: str) -> None:
    (folder / name).mkdir(parents=True)
    for key, value in values.items():
        (folder / name / key).write_text(f"{value}\n")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"type": "Battery", "status": "Discharging", "capacity": "19"}, True),
        ({"type": "Battery", "status": "Discharging", "capacity": "20"}, False),
        ({"type": "Battery", "status": "Charging", "capacity": "5"}, False),
        ({"type": "Battery", "status": "Discharging", "capacity": "5", "scope": "Device"}, False),
        ({"type": "Mains", "online": "0"}, False),
        ({"type": "Battery", "status": "Discharging", "capacity": "?"}, False),
    ],
)
def test_nothing_is_fetched_on_a_battery_that_is_nearly_empty(
    tmp_path: Path, values: dict[str, str], *, expected: bool
) -> None:
    supply(tmp_path, "AC", type="Mains", online="0")
    supply(tmp_path, "BAT0", **values)
    assert is_battery_low(tmp_path) is expected
    with pytest.raises(NotNowError, match="battery") if expected else nullcontext():
        check_moment({}, tmp_path, power=tmp_path)


def test_a_machine_without_batteries_has_none_that_is_low(tmp_path: Path) -> None:
    assert not is_battery_low(tmp_path / "none")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False), ({"STORECTL_OFFLINE": "0"}, False), ({"STORECTL_OFFLINE": ""}, False), ({"UV_OFFLINE": "0"}, False),
        ({"STORECTL_OFFLINE": "1"}, True), ({"STORECTL_OFFLINE": "no"}, True), ({"UV_OFFLINE": "true"}, True),
    ],
)  # fmt: skip
def test_nothing_is_fetched_offline(tmp_path: Path, environ: dict[str, str], *, expected: bool) -> None:
    assert is_offline(environ) is expected
    with pytest.raises(NotNowError) if expected else nullcontext():
        check_moment(environ, tmp_path, power=tmp_path)


@pytest.mark.parametrize(
    ("said", "variable", "expected"),
    [
        ("", "", "upstream"),
        ('[prefetch]\nbranches = "none"\n', "", "none"),
        ("[prefetch]\nbranches = true\n", "", "all"),
        ('[prefetch]\nbranches = "none"\n', "all", "all"),
        ("[prefetch]\n", "0", "none"),
    ],
)
def test_the_variable_wins_over_the_file(tmp_path: Path, said: str, variable: str, expected: str) -> None:
    (tmp_path / "storectl").mkdir()
    (tmp_path / "storectl/config.toml").write_text(said)
    assert wanted_branches({"XDG_CONFIG_HOME": str(tmp_path), "STORECTL_PREFETCH": variable}) == expected


@pytest.mark.parametrize("said", ['prefetch = "none"', '[prefetch]\nbranch = "all"', '[prefetch]\nbranches = "some"'])
def test_a_setting_that_cannot_be_used_is_an_error(tmp_path: Path, said: str) -> None:
    (tmp_path / "storectl").mkdir()
    (tmp_path / "storectl/config.toml").write_text(said)
    with pytest.raises(SettingsError):
        wanted_branches({"XDG_CONFIG_HOME": str(tmp_path)})


def test_what_is_known_is_a_value() -> None:
    assert Known(origins=KNOWN.origins).server(Address("https://own/x"))
