"""Whose files decide what runs: the rule, the lists, and the command that writes them. Accounts: end_to_end/test_accounts."""

import os
import pwd
from pathlib import Path

import pytest

from storectl_shim import trust
from storectl_shim.project_record import find_project
from storectl_shim.trust import ForeignFileError, check_owner, foreign_owner, is_trusted, read_list
from support.client_project import ClientHome

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")

SOMEBODY = 54321


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(trust, "SYSTEM_LIST", str(tmp_path / "etc-trusted"))
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home")}


def write_list(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]))
    return path


def own_list(environ: dict[str, str]) -> Path:
    return Path(environ["HOME"], ".config", "storectl", "trusted")


def project(folder: Path, owner: int = -1) -> Path:
    folder.mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "uv.lock").write_text("")
    for path in (folder, folder / "uv.lock"):
        os.chown(path, owner, owner)
    return folder


def test_what_is_this_user_s_counts(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = project(tmp_path / "project")
    assert foreign_owner(str(folder), environ) is None
    assert find_project(str(folder), None, environ) == (str(folder), f"{folder}/uv.lock")


def test_nothing_there_is_nobody_s(tmp_path: Path, environ: dict[str, str]) -> None:
    check_owner(str(tmp_path / "nothing"), environ)


@root
@pytest.mark.parametrize("foreign", ["", "uv.lock", "pyproject.toml", ".python-version"])
def test_one_file_of_another_user_is_enough_to_stop(tmp_path: Path, environ: dict[str, str], foreign: str) -> None:
    folder = project(tmp_path / "project")
    (folder / foreign).touch()
    os.chown(folder / foreign, SOMEBODY, SOMEBODY)
    with pytest.raises(ForeignFileError, match=f"belongs to user {SOMEBODY}") as caught:
        find_project(str(folder), None, environ)
    assert (caught.value.path, caught.value.uid) == (str(folder / foreign), SOMEBODY)
    assert caught.value.hint.endswith(f"storectl trust {folder}")


@root
def test_a_project_of_another_user_is_not_taken_for_a_part_of_the_next_one_up(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    (tmp_path / "uv.lock").write_text("")
    folder = project(tmp_path / "project", SOMEBODY)
    with pytest.raises(ForeignFileError):
        find_project(str(folder), None, environ)


@root
def test_a_link_of_another_user_to_a_file_of_one_s_own_decides_nothing(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = project(tmp_path / "project")
    (folder / "uv.lock").rename(tmp_path / "mine")
    (folder / "uv.lock").symlink_to(tmp_path / "mine")
    assert find_project(str(folder), None, environ)
    os.chown(folder / "uv.lock", SOMEBODY, SOMEBODY, follow_symlinks=False)
    with pytest.raises(ForeignFileError):
        find_project(str(folder), None, environ)


@root
def test_a_lock_file_where_all_may_write_does_not_hide_the_project_above(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    (tmp_path / "uv.lock").write_text("")
    (tmp_path / ".git").mkdir()
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o1777)
    (open_to_all / "uv.lock").touch()
    os.chown(open_to_all / "uv.lock", SOMEBODY, SOMEBODY)
    assert find_project(str(open_to_all), None, environ) == (str(tmp_path), f"{tmp_path}/uv.lock")
    (tmp_path / "uv.lock").unlink()
    with pytest.raises(ForeignFileError) as caught:
        find_project(str(open_to_all), None, environ)
    assert "storectl trust" not in caught.value.hint


@root
@pytest.mark.parametrize("line", ["{folder}", "{parent}", "{parent}/", "*"])
@pytest.mark.parametrize("whole_machine", [False, True])
def test_a_listed_folder_is_trusted_with_all_in_it(
    tmp_path: Path, environ: dict[str, str], line: str, *, whole_machine: bool
) -> None:
    folder = project(tmp_path / "theirs" / "project", SOMEBODY)
    path = tmp_path / "etc-trusted" if whole_machine else own_list(environ)
    write_list(path, "# a comment", line.format(folder=folder, parent=folder.parent))
    assert find_project(str(folder), None, environ) == (str(folder), f"{folder}/uv.lock")


def test_a_folder_whose_name_begins_the_same_is_not_in_it(tmp_path: Path, environ: dict[str, str]) -> None:
    write_list(own_list(environ), str(tmp_path / "a"), "relative", "")
    assert is_trusted(str(tmp_path / "a" / "b"), environ)
    assert not is_trusted(str(tmp_path / "ab"), environ)


def test_what_leads_out_of_a_trusted_folder_by_a_link_is_not_trusted(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "link").symlink_to(tmp_path / "b")
    write_list(own_list(environ), str(tmp_path / "a"))
    assert not is_trusted(str(tmp_path / "a" / "link"), environ)


def test_a_list_that_others_could_have_written_does_not_count(tmp_path: Path, environ: dict[str, str]) -> None:
    path = write_list(own_list(environ), "/a")
    assert read_list(str(path)) == ["/a"]
    path.chmod(0o666)
    assert read_list(str(path)) == []
    if os.geteuid() == 0:
        path.chmod(0o600)
        os.chown(path, SOMEBODY, SOMEBODY)
        assert read_list(str(path)) == []


def test_without_a_home_the_machine_s_list_counts(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    write_list(tmp_path / "etc-trusted", str(tmp_path))
    assert is_trusted(str(tmp_path), {})


def test_the_command_adds_prints_and_removes(home: ClientHome) -> None:
    theirs = home.root / "theirs"
    theirs.mkdir()
    real = os.path.realpath(theirs)
    (home.root / "link").symlink_to(theirs)
    for folder in (theirs, home.root / "link", theirs):
        assert home.storectl("trust", str(folder)).stdout == f"trusted: {real}\n"
    assert home.storectl("trust").stdout == f"{real}\n"
    kept = home.home / ".config" / "storectl" / "trusted"
    assert kept.read_text() == f"{real}\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert home.storectl("trust", "--remove", ".", cwd=theirs).stdout == f"no longer trusted: {real}\n"
    assert home.storectl("trust").stdout == ""
    assert os.listdir(kept.parent) == ["trusted"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("--remove",), 2), (("/nowhere/at/all",), 1), (("--remove", "/never/added"), 1)],
)
def test_what_makes_no_sense_is_said_in_one_line(home: ClientHome, arguments: tuple[str, ...], code: int) -> None:
    done = home.storectl("trust", *arguments)
    assert done.returncode == code
    assert done.stderr.startswith("storectl: E_")
    assert done.stderr.count("\n") == 2


def test_a_list_that_cannot_be_written_is_said(home: ClientHome) -> None:
    (home.home / ".config").touch()
    done = home.storectl("trust", str(home.root))
    assert done.returncode == 1
    assert done.stderr.startswith("storectl: E_TRUST: cannot write ")
