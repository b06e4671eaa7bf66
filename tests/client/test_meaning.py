"""Shortcuts as the command line leaves them for the launcher: where they are, and what they say of a command line."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from storectl.locks.overlay import SETTINGS
from storectl_shim.project_record import options_key, record_folder
from storectl_shim.shortcuts import LIMIT, shortcut_path, target_of
from support.client_project import ClientHome, age, client_home, write_program

BLOCK = "# /// script\n# dependencies = []\n# ///\n"
SHOW = "import sys; print(sys.prefix)\n"


@pytest.fixture
def home() -> Iterator[ClientHome]:
    with client_home() as home:
        for key in ({"extras": ["a"]}, {"python": "3.11"}, {"member": str(home.project / "member")}):
            home.write_record(options_key(**key))
        home.write_input("show.py", SHOW)
        yield home


def ran(home: ClientHome, *arguments: str, cwd: Path | None = None, **variables: str) -> None:
    done = home.storectl("run", *arguments, cwd=cwd, **variables)
    assert (done.stdout, done.stderr) == (f"{home.environment}\n", "")


def shortcut(home: ClientHome, start: Path, spelling: str) -> Path:
    return Path(shortcut_path(str(home.store), str(start), spelling))


def calls(path: Path) -> list[str]:
    """The calls of a shortcut, without the last one."""
    first, *lines = path.read_text().splitlines()
    assert first.startswith("# storectl-shortcut 1 ")
    return [line.removesuffix(" &&") for line in lines[:-1]]


def shortcuts(home: ClientHome) -> list[Path]:
    return [path for path in (home.store / "shortcuts").rglob("*") if path.is_file()]


def test_options_of_a_project_lead_to_their_record(home: ClientHome) -> None:
    ran(home, "--extra", "a", "show.py")
    path = shortcut(home, home.project, "extras=a")
    assert target_of(path.read_bytes()) == (str(home.project), options_key(extras=["a"]))
    assert calls(path) == []
    assert shortcuts(home) == [path]


def test_a_plain_start_in_a_project_needs_none(home: ClientHome) -> None:
    ran(home, "show.py")
    ran(home, "--offline", "--frozen", "-q", "show.py")
    assert shortcuts(home) == []


@pytest.mark.parametrize("arguments", ["-v", "--project .", "--no-env-file"])
def test_what_the_launcher_does_not_read_leaves_none(home: ClientHome, arguments: str) -> None:
    home.storectl("run", *arguments.split(), "--extra", "a", "show.py")
    assert shortcuts(home) == []


def test_an_equal_one_is_left_as_it_is(home: ClientHome) -> None:
    ran(home, "--extra", "a", "show.py")
    path = shortcut(home, home.project, "extras=a")
    before = path.stat()
    ran(home, "--extra", "a", "show.py")
    assert path.stat().st_ino == before.st_ino
    path.write_bytes(b"")  # after a power cut
    ran(home, "--extra", "a", "show.py")
    assert target_of(path.read_bytes()) is not None


def test_a_store_that_cannot_be_written_is_no_error(home: ClientHome) -> None:
    (home.store / "shortcuts").write_text("in the way")
    ran(home, "--extra", "a", "show.py")


def test_a_member_has_its_own(home: ClientHome) -> None:
    member = home.project / "member"
    (member / "src").mkdir(parents=True)
    age(member)
    (member / "pyproject.toml").write_text('[project]\nname = "member"\n')
    ran(home, "-c", SHOW, cwd=member / "src")
    path = shortcut(home, member, "plain")
    assert target_of(path.read_bytes()) == (str(home.project), options_key(member=str(member)))
    assert shortcuts(home) == [path]


def test_a_member_by_name_is_where_the_lock_file_says(home: ClientHome) -> None:
    (home.project / "member").mkdir()
    lock = '[[package]]\nname = "sample"\nsource = { virtual = "." }\n'
    lock += '[[package]]\nname = "lib"\nversion = "1"\nsource = { editable = "member" }\n'
    home.write_input("uv.lock", f'[manifest]\nmembers = ["lib", "sample"]\n{lock}')
    home.write_record(options_key(member=str(home.project / "member")))
    ran(home, "--package", "lib", "show.py")
    path = shortcut(home, home.project, "package=lib")
    mtime_ns = (home.project / "uv.lock").stat().st_mtime_ns
    assert calls(path) == [f"_storectl_as_before '{home.project}/uv.lock' +{mtime_ns}"]
    assert path.with_name(f"package=lib.+{mtime_ns}").stat().st_mtime_ns == mtime_ns


def test_a_search_that_the_launcher_does_not_understand_leaves_none(home: ClientHome) -> None:
    below = home.project / "below"
    below.mkdir()
    (below / "requirements.txt").write_text("idna\n")  # no lock file: it has no hashes
    ran(home, "--extra", "a", "-c", SHOW, cwd=below)
    assert shortcuts(home) == []


def test_requirements_depend_on_the_environment_below_and_on_settings(home: ClientHome) -> None:
    from storectl.locks.remembered import remembered_folder  # noqa: PLC0415 - only this test looks into it

    home.write_record(options_key(dev=True))
    fast = home.record / f"fast.{options_key(dev=True)}/environment"
    age(fast)
    folder = Path(remembered_folder("overlays", [home.environment.name, "idna==3.10"], home.environ()))
    folder.mkdir(parents=True)
    (folder / "pylock.toml").write_text("")
    home.write_record(options_key(dev=True, overlay=str(folder / "pylock.toml")))
    ran(home, "--dev", "--with", "idna==3.10", "show.py")
    path = shortcut(home, home.project, "dev+requirements=idna==3.10")
    assert calls(path) == [
        f"_storectl_as_before '{fast}' +{fast.stat().st_mtime_ns}",
        *(f"_storectl_value {name} '{value}'" for name, value in (("HOME", home.home), ("XDG_STATE_HOME", ""))),
        *(f"_storectl_value {name} ''" for name in SETTINGS),
    ]
    assert target_of(path.read_bytes()) == (
        str(home.project),
        options_key(dev=True, overlay=str(folder / "pylock.toml")),
    )


def script_with_lock_file(home: ClientHome, name: str = "tool.py.lock") -> Path:
    script = home.write_input("tool.py", BLOCK + SHOW)
    lock_file = home.write_input(name, "version = 1\n")
    home.write_record(options_key(lock_file=str(lock_file)))
    return script


def test_a_script_depends_on_itself_and_the_lock_file_beside_it(home: ClientHome) -> None:
    script = script_with_lock_file(home, "pylock.tool.toml")
    ran(home, "tool.py")
    path = shortcut(home, script, "plain")
    key = options_key(lock_file=str(home.project / "pylock.tool.toml"))
    assert target_of(path.read_bytes()) == (str(home.project), key)
    assert calls(path) == [
        f"_storectl_as_before '{script}' +{script.stat().st_mtime_ns}",
        f"_storectl_absent '{script}.lock'",
        f"_storectl_there '{home.project}/pylock.tool.toml'",
    ]


def test_of_a_script_that_has_just_changed_nothing_is_known(home: ClientHome) -> None:
    script = script_with_lock_file(home)
    script.write_text(f"{BLOCK}{SHOW}# more\n")
    ran(home, "tool.py")
    assert shortcuts(home) == []


def test_of_a_script_with_the_time_of_an_archive_nothing_is_known(home: ClientHome) -> None:
    os.utime(script_with_lock_file(home), ns=(1, 1))
    ran(home, "tool.py")
    assert shortcuts(home) == []


def test_a_change_of_the_script_leaves_one_stamp(home: ClientHome) -> None:
    script = script_with_lock_file(home)
    ran(home, "tool.py")
    age(script)
    ran(home, "tool.py")
    path = shortcut(home, script, "plain")
    assert sorted(shortcuts(home)) == [path, path.with_name(f"plain.+{script.stat().st_mtime_ns}")]


def test_a_script_without_its_block_belongs_to_the_project_again(home: ClientHome) -> None:
    script = script_with_lock_file(home)
    ran(home, "tool.py")
    script.write_text(SHOW)
    ran(home, "tool.py")
    assert not (home.store / "shortcuts" / str(script)[1:]).exists()


def remembered_script(home: ClientHome) -> Path:
    """A script with a lock that is remembered, for the first Python on PATH or that of a .python-version."""
    from storectl.locks.remembered import remembered_folder  # noqa: PLC0415 - only these tests look into it

    script = home.write_input("tool.py", BLOCK + SHOW)
    for python in (os.path.realpath("/usr/bin/python3"), "3.12\n"):
        parts = [str(script), "# dependencies = []\n", python]
        folder = Path(remembered_folder("scripts", parts, home.environ()))
        folder.mkdir(parents=True)
        (folder / "pylock.toml").write_text("")
        (folder / ".python-version").write_text(f"{home.environment}/bin/python\n")
        write_ready(home, folder, options_key(lock_file=str(folder / "pylock.toml")))
    return script


def write_ready(home: ClientHome, project: Path, key: str) -> None:
    record = Path(record_folder(str(home.store), str(project)))
    record.mkdir(parents=True)
    lines = ["storectl-record 2", f"environment {home.environment}", "lock /x", "written 0", "absent /nowhere", ""]
    (record / f"ready.{key}").write_text("\n".join(lines))


@pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="no /usr/bin/python3 is here")
def test_a_script_without_a_lock_file_depends_on_the_first_python(home: ClientHome) -> None:
    script = remembered_script(home)
    (home.root / "empty").mkdir()
    ran(home, "tool.py", PATH=f"{home.root}/empty:/usr/bin")
    said = calls(shortcut(home, script, "plain"))
    assert f"_storectl_value HOME '{home.home}'" in said
    assert "_storectl_value XDG_STATE_HOME ''" in said
    assert f"_storectl_value PATH '{home.root}/empty:/usr/bin'" in said
    assert f"_storectl_absent '{home.root}/empty/python3' '{home.root}/empty/python'" in said
    assert f"_storectl_leads_to '/usr/bin/python3' '{os.path.realpath('/usr/bin/python3')}'" in said
    assert f"_storectl_absent '{home.project}/.python-version' '{home.home}/.python-version'" in said
    assert f"_storectl_there '{home.environment}/bin/python'" in said


def test_a_script_without_a_lock_file_depends_on_the_nearest_pin(home: ClientHome) -> None:
    script = remembered_script(home)
    pin = home.home / ".python-version"
    pin.write_text("3.12\n")
    age(pin)
    ran(home, "tool.py")
    said = calls(shortcut(home, script, "plain"))
    assert f"_storectl_as_before '{pin}' +{pin.stat().st_mtime_ns}" in said
    assert f"_storectl_absent '{home.project}/.python-version'" in said
    assert not [call for call in said if "PATH" in call]


def test_a_path_with_relative_folders_leaves_none(home: ClientHome) -> None:
    remembered_script(home)
    ran(home, "tool.py", PATH=".:/usr/bin")
    assert shortcuts(home) == []


def test_what_is_too_long_leaves_none(home: ClientHome) -> None:
    remembered_script(home)
    ran(home, "tool.py", PATH=f"/usr/bin:{'/' + 'x' * LIMIT}")
    assert shortcuts(home) == []


def named(home: ClientHome, *lines: str) -> Path:
    folder = home.home / ".local/state/storectl/named/data"
    folder.mkdir(parents=True)
    (folder / "asked").write_text("\n".join(["storectl-named 1", *lines, ""]))
    age(folder / "asked")
    return folder


def test_a_named_environment_depends_on_what_was_asked_for(home: ClientHome) -> None:
    folder = named(home, "requirement idna")
    write_ready(home, folder, "default")
    ran(home, "-e", "data", "show.py")
    path = shortcut(home, folder, "plain")
    assert target_of(path.read_bytes()) == (str(folder), "default")
    assert calls(path) == [f"_storectl_as_before '{folder}/asked' +{(folder / 'asked').stat().st_mtime_ns}"]
    path.unlink()
    ran(home, "show.py", STORECTL_ENV="data")
    assert path.exists()


def test_one_that_follows_a_lock_file_leads_to_its_project(home: ClientHome) -> None:
    folder = named(home, f"lock {home.project}/uv.lock")
    key = options_key(lock_file=str(home.project / "uv.lock"))
    home.write_record(key)
    (folder.parent / "default").symlink_to("data")
    ran(home, "-c", SHOW, cwd=home.home)
    path = shortcut(home, folder, "plain")
    assert target_of(path.read_bytes()) == (str(home.project), key)
    assert f"_storectl_leads_to '{home.project}/uv.lock' '{home.project}/uv.lock'" in calls(path)


def test_options_outside_of_projects_leave_none(home: ClientHome) -> None:
    folder = named(home, "requirement idna")
    (folder.parent / "default").symlink_to("data")
    write_ready(home, folder, options_key(dev=True))
    ran(home, "--dev", "-c", SHOW, cwd=home.home)
    assert shortcuts(home) == []


def test_an_odd_path_leaves_none(home: ClientHome) -> None:
    odd = home.home / "odd\x07folder"
    shutil.copytree(home.project, odd)
    write_ready(home, odd, options_key(extras=["a"]))
    ran(home, "--extra", "a", "show.py", cwd=odd)
    assert shortcuts(home) == []


def test_a_path_with_quotes_is_quoted(home: ClientHome) -> None:
    odd = home.home / "it's a $folder"
    shutil.copytree(home.project, odd)
    write_ready(home, odd, options_key(extras=["a"]))
    ran(home, "--extra", "a", "show.py", cwd=odd)
    content = shortcut(home, odd, "extras=a").read_bytes()
    assert target_of(content) == (str(odd), options_key(extras=["a"]))


def test_a_launcher_among_the_pythons_is_passed_by(home: ClientHome) -> None:
    script = remembered_script(home)
    shims = home.root / "shims"
    shims.mkdir()
    write_program(home.bin / "storectl", "#!/bin/sh\n")
    (shims / "python3").symlink_to(home.bin / "storectl")
    ran(home, "tool.py", PATH=f"{shims}:/usr/bin")
    assert f"_storectl_leads_to '{shims}/python3' '{home.bin}/storectl'" in calls(shortcut(home, script, "plain"))
