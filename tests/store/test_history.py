"""The history of a project's environments: which grants it tells, what it keeps, what a crash leaves of it."""

import gzip
import os
import stat
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from storectl_store.digest import EnvironmentId, digest_of_hex
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import StoreFormatError
from storectl_store.projects.history import (
    MOST_LINES,
    Generation,
    append_generation,
    history_file,
    history_problems,
    is_told,
    known_lines,
    latest_of_inputs,
    mend_history,
    read_history,
    recent_generations,
)
from storectl_store.projects.kept_inputs import (
    KeptInputs,
    KeptWheel,
    kept_problem,
    read_kept,
    read_kept_head,
    write_kept,
)
from storectl_store.projects.project_record import forget_record, record_problem, write_record
from storectl_store.selection.uv.workspace import matching_among
from support.golden import check_golden

PROJECT = Path("/home/ann/site")
DAY_NS = 24 * 3600 * 1_000_000_000


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    return StoreLayout(tmp_path)


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def grant(environment: str, inputs: str | None = None, *, key: str = "default", at_ns: int = 0) -> Generation:
    """A grant of an environment of this name, made from inputs of the same name if they have none of their own."""
    return Generation(
        number=0,
        at_ns=at_ns,
        key=key,
        environment=EnvironmentId(digest(environment)[:32]),
        inputs=digest(inputs or environment),
        branch="main",
        commit="a" * 40,
        snapshot=digest(f"kept {environment}"),
    )


def numbers(layout: StoreLayout, key: str = "default") -> list[int]:
    return [generation.number for generation in read_history(layout, PROJECT, key)]


def test_a_project_without_a_history_has_no_generations(layout: StoreLayout) -> None:
    assert read_history(layout, PROJECT) == ()
    assert known_lines(layout, PROJECT, "default") == []


def test_what_is_written_is_read(layout: StoreLayout) -> None:
    granted = replace(
        grant("one"),
        branch="späte feature/ü %",
        commit=None,
        notices=("uv.lock is older than\tpyproject.toml = 100 %",),
        variables={"CC": "b" * 64, "CFLAGS": "-"},
    )
    append_generation(layout, PROJECT, granted)
    assert read_history(layout, PROJECT) == (replace(granted, number=1),)


def test_a_branch_whose_name_is_not_utf8_is_read_as_it_was(layout: StoreLayout) -> None:
    name = os.fsdecode(b"f\xffeature")
    append_generation(layout, PROJECT, replace(grant("one"), branch=name))
    assert read_history(layout, PROJECT)[0].branch == name


def test_another_environment_is_another_generation(layout: StoreLayout) -> None:
    for name in ("one", "two", "one"):
        append_generation(layout, PROJECT, grant(name))
    assert numbers(layout) == [1, 2, 3]


def test_the_same_again_writes_nothing(layout: StoreLayout) -> None:
    append_generation(layout, PROJECT, grant("one"))
    written = history_file(layout, PROJECT).read_bytes()
    append_generation(layout, PROJECT, grant("one", at_ns=5))
    assert history_file(layout, PROJECT).read_bytes() == written


def test_other_inputs_of_the_same_environment_are_the_same_generation(layout: StoreLayout) -> None:
    append_generation(layout, PROJECT, grant("one"))
    append_generation(layout, PROJECT, grant("one", "another pyproject.toml"))
    assert numbers(layout) == [1]
    assert read_history(layout, PROJECT)[0].inputs == digest("one")
    for inputs in ("one", "another pyproject.toml"):
        found = latest_of_inputs(layout, PROJECT, "default", digest(inputs))
        assert found is not None
        assert found.environment == grant("one").environment
    assert latest_of_inputs(layout, PROJECT, "default", digest("never seen")) is None
    assert latest_of_inputs(layout, PROJECT, "other", digest("one")) is None


def test_another_notice_or_variable_is_told(layout: StoreLayout) -> None:
    append_generation(layout, PROJECT, grant("one"))
    lines = known_lines(layout, PROJECT, "default")
    assert is_told(lines, grant("one"))
    assert not is_told(lines, replace(grant("one"), notices=("told",)))
    assert not is_told(lines, replace(grant("one"), variables={"CC": "-"}))


def test_each_set_of_options_counts_for_itself(layout: StoreLayout) -> None:
    append_generation(layout, PROJECT, grant("one"))
    append_generation(layout, PROJECT, grant("one", key="other"))
    append_generation(layout, PROJECT, grant("two", key="other"))
    assert numbers(layout) == [1]
    assert numbers(layout, "other") == [1, 2]
    assert len(read_history(layout, PROJECT)) == 3


def test_a_torn_last_line_does_not_count_and_the_next_writer_removes_it(layout: StoreLayout) -> None:
    append_generation(layout, PROJECT, grant("one"))
    file = history_file(layout, PROJECT)
    whole = file.read_bytes()
    file.write_bytes(whole + whole.replace(b"1 1 ", b"1 2 ")[:60])
    assert numbers(layout) == [1]
    assert history_problems(file.parent) == ["its last line has no end"]
    append_generation(layout, PROJECT, grant("two"))
    assert numbers(layout) == [1, 2]
    assert file.read_bytes().startswith(whole)


@pytest.mark.parametrize("damaged", [b"\n", b"1 one\n", b"9 of a later version\n", b"\x00" * 200 + b"\n"])
def test_who_asks_what_to_keep_hears_of_a_damaged_line_and_a_grant_goes_on(layout: StoreLayout, damaged: bytes) -> None:
    append_generation(layout, PROJECT, grant("one"))
    file = history_file(layout, PROJECT)
    file.write_bytes(damaged + file.read_bytes())
    with pytest.raises(StoreFormatError, match="cannot be read"):
        read_history(layout, PROJECT)
    assert history_problems(file.parent) == ["line 1 cannot be read"]
    append_generation(layout, PROJECT, grant("two"))
    assert [line.number for line in known_lines(layout, PROJECT, "default")] == [1, 2]
    mend_history(file.parent, file.read_bytes(), lost=())
    assert numbers(layout) == [1, 2]
    assert history_problems(file.parent) == []


def test_each_bit_of_a_history_counts(layout: StoreLayout) -> None:
    append_generation(layout, PROJECT, replace(grant("one"), notices=("told",), variables={"CC": "-"}))
    file = history_file(layout, PROJECT)
    whole = file.read_bytes()
    for bit in range(8 * len(whole)):
        file.write_bytes(whole[: bit // 8] + bytes([whole[bit // 8] ^ 1 << bit % 8]) + whole[bit // 8 + 1 :])
        assert history_problems(file.parent), bit


def test_a_history_that_is_gone_is_missed_as_long_as_what_it_kept_is_there(layout: StoreLayout) -> None:
    append_generation(layout, PROJECT, replace(grant("one"), snapshot=write_kept(layout, PROJECT, kept())))
    file = history_file(layout, PROJECT)
    file.unlink()
    assert history_problems(file.parent) == ["it is gone, and what it kept is there"]
    mend_history(file.parent, b"", lost=())
    assert history_problems(file.parent) == []


def test_fifty_lines_are_kept_and_no_number_is_given_twice(layout: StoreLayout) -> None:
    for number in range(1, 3 * MOST_LINES):
        append_generation(layout, PROJECT, grant(str(number)))
    kept = numbers(layout)
    assert kept[-1] == 3 * MOST_LINES - 1
    assert kept == list(range(kept[0], kept[-1] + 1))
    assert MOST_LINES <= len(kept) < MOST_LINES + 10


def test_going_back_and_forth_between_two_branches_does_not_push_out_the_others(layout: StoreLayout) -> None:
    for name in ("last month", "last week"):
        append_generation(layout, PROJECT, grant(name))
    for _ in range(2 * MOST_LINES):
        append_generation(layout, PROJECT, grant("main"))
        append_generation(layout, PROJECT, grant("feature"))
    assert {generation.environment for generation in read_history(layout, PROJECT)} == {
        grant(name).environment for name in ("last month", "last week", "main", "feature")
    }


def test_the_options_that_were_used_last_are_kept(layout: StoreLayout) -> None:
    for number in range(40):
        append_generation(layout, PROJECT, grant("one", key=f"key{number}"))
    keys = [generation.key for generation in read_history(layout, PROJECT)]
    assert keys[-16:] == [f"key{number}" for number in range(24, 40)]
    assert len(keys) < 26


def test_the_last_ten_environments_and_those_of_thirty_days_are_to_stay(layout: StoreLayout) -> None:
    now = 1000 * DAY_NS
    old = [grant(f"old {number}", at_ns=number) for number in range(12)]
    new = [grant(name, at_ns=now - 29 * DAY_NS) for name in ("main", "feature") * 3]
    for granted in (*old, *new):
        append_generation(layout, PROJECT, granted)
    stay = recent_generations(read_history(layout, PROJECT), now_ns=now, number=10, days=30)
    assert [generation.number for generation in stay] == [*range(5, 13), *range(13, 19)]
    few = recent_generations(read_history(layout, PROJECT), now_ns=now, number=1, days=30)
    assert [generation.number for generation in few] == list(range(13, 19))


def test_the_history_is_the_users_alone(layout: StoreLayout) -> None:
    snapshot = write_kept(layout, PROJECT, kept())
    append_generation(layout, PROJECT, replace(grant("one"), snapshot=snapshot))
    file = history_file(layout, PROJECT)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((file.parent / "history.d").stat().st_mode) == 0o700
    assert stat.S_IMODE((file.parent / "history.d" / f"{snapshot}.gz").stat().st_mode) == 0o600


def test_the_record_and_its_sums_do_not_know_the_history(layout: StoreLayout) -> None:
    write_record(
        layout, PROJECT, key="default", environment=Path("/env"), lock_file=PROJECT / "uv.lock", inputs={}, now_ns=1
    )
    append_generation(layout, PROJECT, replace(grant("one"), snapshot=write_kept(layout, PROJECT, kept())))
    assert record_problem(layout.project_record(PROJECT)) is None


def test_the_history_of_a_forgotten_project_is_gone(layout: StoreLayout) -> None:
    append_generation(layout, PROJECT, replace(grant("one"), snapshot=write_kept(layout, PROJECT, kept())))
    forget_record(layout, PROJECT)
    assert not layout.project_record(PROJECT).exists()


def test_the_format_is_the_golden_one(layout: StoreLayout) -> None:
    told = replace(grant("two", "other"), branch="späte idee", commit=None, snapshot="", notices=("50 % is old",))
    for granted in (grant("one", at_ns=1), grant("one", "other", at_ns=2), replace(told, variables={"CC": "-"})):
        append_generation(layout, PROJECT, granted)
    check_golden("history.v1", history_file(layout, PROJECT).read_bytes())


# --- what is kept of the inputs ---------------------------------------------------------------------------------------


def kept(text: bytes = b"version = 1\n") -> KeptInputs:
    return KeptInputs(
        lock_file=PROJECT / "uv.lock",
        executable="/usr/bin/python3.12",
        version="3.12.1",
        interpreter_identity="c" * 64,
        wheels=(
            KeptWheel(name=NormalizedName("idna"), version="3.4", digest=digest_of_hex(digest("idna")), size=12),
            KeptWheel(name=NormalizedName("zope"), version="1.0", digest=digest_of_hex(digest("zope"))),
        ),
        direct_urls={NormalizedName("zope"): '{"url": "file:///zope"}'},
        files={PROJECT / "uv.lock": text, PROJECT / "pyproject.toml": b"\xff\x00\n", PROJECT / "empty.txt": b""},
    )


def test_what_is_kept_is_what_it_was(layout: StoreLayout) -> None:
    snapshot = write_kept(layout, PROJECT, kept())
    assert read_kept(layout, PROJECT, snapshot) == kept()
    assert read_kept_head(layout, PROJECT, snapshot) == replace(kept(), files={})


def test_the_format_of_what_is_kept_is_the_golden_one(layout: StoreLayout) -> None:
    snapshot = write_kept(layout, PROJECT, kept())
    file = layout.project_record(PROJECT) / "history.d" / f"{snapshot}.gz"
    check_golden("kept-inputs.v1", gzip.decompress(file.read_bytes()))


def test_a_file_that_was_not_there_is_not_there(layout: StoreLayout) -> None:
    read = read_kept(layout, PROJECT, write_kept(layout, PROJECT, kept())).read
    assert read(PROJECT / "uv.lock") == b"version = 1\n"
    assert read(PROJECT / "empty.txt") == b""
    assert read(PROJECT / "uv.toml") is None


def test_a_login_in_a_file_is_not_kept_and_the_file_is_said_to_lack_it(layout: StoreLayout) -> None:
    secret = b"--index-url https://ann:s3cret-word@files.example/simple\n# s3cret-word\nidna==3.4\n"
    variable = b"--index-url https://ann:${TOKEN}@files.example/\nx @ git+ssh://git@host.example/x\n"
    files = {PROJECT / "a.txt": secret, PROJECT / "b.txt": variable, PROJECT / "c.txt": b"\xff@ s3cret-word"}
    found = read_kept(layout, PROJECT, write_kept(layout, PROJECT, replace(kept(), files=files)))
    assert found.files == {
        PROJECT / "a.txt": b"--index-url https://files.example/simple\n# \nidna==3.4\n",
        PROJECT / "b.txt": variable,
        PROJECT / "c.txt": b"\xff@ ",
    }
    assert found.without_logins == {PROJECT / "a.txt", PROJECT / "c.txt"}


def test_the_same_is_kept_once(layout: StoreLayout) -> None:
    assert write_kept(layout, PROJECT, kept()) == write_kept(layout, PROJECT, kept())
    assert write_kept(layout, PROJECT, kept(b"another")) != write_kept(layout, PROJECT, kept())
    assert len(list((layout.project_record(PROJECT) / "history.d").iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"no gzip", b"{}\n", b"[1]\n"])
def test_a_damaged_snapshot_is_refused_found_and_taken_note_of(layout: StoreLayout, damage: bytes) -> None:
    snapshot = write_kept(layout, PROJECT, kept())
    append_generation(layout, PROJECT, replace(grant("one"), snapshot=snapshot))
    folder = layout.project_record(PROJECT)
    damage = gzip.compress(damage) if damage.endswith(b"\n") else damage
    (folder / "history.d" / f"{snapshot}.gz").write_bytes(damage)
    for reader in (read_kept, read_kept_head):
        with pytest.raises(StoreFormatError):
            reader(layout, PROJECT, snapshot)
    assert kept_problem(folder, snapshot)
    mend_history(folder, history_file(layout, PROJECT).read_bytes(), lost=[snapshot])
    assert [generation.snapshot for generation in read_history(layout, PROJECT)] == [""]
    assert list((folder / "history.d").iterdir()) == []


def test_a_snapshot_that_is_gone_is_said_to_be(layout: StoreLayout) -> None:
    with pytest.raises(StoreFormatError, match="is gone"):
        read_kept(layout, PROJECT, "a" * 64)
    assert kept_problem(layout.project_record(PROJECT), "a" * 64) == "it is gone"


def test_what_a_power_cut_left_empty_is_written_again(layout: StoreLayout) -> None:
    snapshot = write_kept(layout, PROJECT, kept())
    (layout.project_record(PROJECT) / "history.d" / f"{snapshot}.gz").write_bytes(b"")
    write_kept(layout, PROJECT, kept())
    assert read_kept(layout, PROJECT, snapshot) == kept()


def test_snapshots_that_no_line_names_any_more_go_with_the_lines(layout: StoreLayout) -> None:
    for number in range(2 * MOST_LINES):
        snapshot = write_kept(layout, PROJECT, kept(str(number).encode()))
        append_generation(layout, PROJECT, replace(grant(str(number)), snapshot=snapshot))
    named = {generation.snapshot for generation in read_history(layout, PROJECT)}
    assert {file.stem for file in (layout.project_record(PROJECT) / "history.d").iterdir()} == named


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("packages/*", ["packages/a"]),
        ("./packages/*/", ["packages/a"]),
        ("packages/**", ["packages/a", "packages/a/inner"]),
        ("../lib", ["../lib"]),
        ("packages/b", []),
    ],
)
def test_members_are_found_among_what_is_kept(pattern: str, found: list[str]) -> None:
    folders = (".", "packages/a", "packages/a/inner", "../lib")
    files = [Path(os.path.normpath(PROJECT / folder / "pyproject.toml")) for folder in folders]
    matching = matching_among([*files, PROJECT / "packages/b/setup.py"])
    assert sorted(matching(str(PROJECT), pattern)) == found
