"""Finding a project, naming its options, and seeing that its record still holds."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from storectl_shim.project_record import (
    INPUTS,
    LOCK_FILES,
    SETTLED_NS,
    doubt_about,
    find_member,
    find_project,
    last_environment,
    options_key,
    read_ready,
    record_folder,
)
from support.client_project import ClientHome


def ready(home: ClientHome, key: str = "default") -> str | None:
    return read_ready(str(home.store), str(home.project), key)


@pytest.mark.parametrize("name", LOCK_FILES)
def test_the_nearest_lock_file_upward_makes_the_project(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("six==1.16 --hash=sha256:00\n")
    start = tmp_path / "a" / "b"
    start.mkdir(parents=True)
    assert find_project(str(start), None) == (os.path.realpath(tmp_path), os.path.realpath(tmp_path / name))


def test_lock_files_of_one_folder_have_an_order(tmp_path: Path) -> None:
    for name in LOCK_FILES:
        (tmp_path / name).write_text("--hash [[package]]")
        found = find_project(str(tmp_path), None)
        assert found is not None
        assert Path(found[1]).name == "uv.lock"


FULL, EMPTY = '[[package]]\nname = "a"\n', "version = 1\n"
POETRY, UV, PDM = "[tool.poetry]\nname = 'a'\n", "[tool.uv]\n", "[tool.pdm.scripts]\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"uv.lock": EMPTY, "poetry.lock": FULL}, "poetry.lock"),
        ({"uv.lock": EMPTY, "poetry.lock": FULL, "pyproject.toml": POETRY}, "poetry.lock"),
        ({"uv.lock": FULL, "poetry.lock": FULL}, "uv.lock"),
        ({"uv.lock": FULL, "poetry.lock": FULL, "pyproject.toml": POETRY}, "poetry.lock"),
        ({"uv.lock": FULL, "poetry.lock": FULL, "pyproject.toml": "build-backend = 'poetry.core.masonry.api'"}, "poetry.lock"),
        ({"uv.lock": FULL, "poetry.lock": FULL, "pyproject.toml": POETRY + UV}, "uv.lock"),
        ({"uv.lock": FULL, "pdm.lock": FULL, "pyproject.toml": PDM}, "pdm.lock"),
        ({"poetry.lock": FULL, "pdm.lock": FULL, "pyproject.toml": PDM}, "pdm.lock"),
        ({"uv.lock": EMPTY, "Pipfile.lock": "{}", "Pipfile": ""}, "Pipfile.lock"),
        ({"uv.lock": FULL, "Pipfile.lock": "{}", "Pipfile": ""}, "Pipfile.lock"),
        ({"uv.lock": FULL, "Pipfile.lock": "{}"}, "uv.lock"),
        ({"uv.lock": FULL, "pylock.toml": "", "pyproject.toml": POETRY}, "uv.lock"),
        ({"uv.lock": EMPTY, "pylock.toml": ""}, "pylock.toml"),
        ({"uv.lock": EMPTY, "requirements.txt": "--hash"}, "requirements.txt"),
        ({"uv.lock": EMPTY, "requirements.txt": "six"}, "uv.lock"),
        ({"uv.lock": EMPTY}, "uv.lock"),
    ],
)  # fmt: skip
def test_of_two_tools_lock_files_the_one_that_knows_the_project_counts(
    tmp_path: Path, files: dict[str, str], expected: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert find_project(str(tmp_path), None) == (os.path.realpath(tmp_path), os.path.realpath(tmp_path / expected))


def test_several_lock_files_are_a_doubt_unless_they_are_exports(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(FULL)
    (tmp_path / "requirements.txt").write_text("--hash")
    (tmp_path / "pylock.toml").touch()
    assert doubt_about(str(tmp_path), "uv.lock") is None
    (tmp_path / "poetry.lock").write_text(FULL)
    assert "has poetry.lock beside uv.lock, which is taken" in str(doubt_about(str(tmp_path), "uv.lock"))
    assert doubt_about(str(tmp_path), "pylock.dev.toml") is None


def test_an_empty_input_that_became_a_fifo_is_a_change_and_holds_up_nobody(home: ClientHome) -> None:
    path = home.write_input("pyproject.toml", "")
    home.write_record()
    assert read_ready(str(home.store), str(home.project), "default") == str(home.environment)
    path.unlink()
    os.mkfifo(path)
    assert read_ready(str(home.store), str(home.project), "default") is None


def test_requirements_without_hashes_are_no_lock_file(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text("")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "requirements.txt").write_text("six\n")
    assert find_project(str(tmp_path / "sub"), None) == (
        os.path.realpath(tmp_path),
        os.path.realpath(tmp_path / "uv.lock"),
    )


@pytest.mark.parametrize("name", LOCK_FILES)
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_where_a_lock_file_belongs_is_a_broken_project_and_not_the_next_one_up(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    (tmp_path / "uv.lock").touch()
    (tmp_path / "broken").mkdir()
    make(tmp_path / "broken" / name)
    assert find_project(str(tmp_path / "broken"), None) == (str(tmp_path / "broken"), str(tmp_path / "broken" / name))


def test_the_folder_with_git_is_the_last_one(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text("")
    inner = tmp_path / "inner" / "src"
    inner.mkdir(parents=True)
    (tmp_path / "inner" / ".git").write_text("gitdir: elsewhere\n")
    assert find_project(str(inner), None) is None
    (tmp_path / "inner" / "uv.lock").write_text("")
    assert find_project(str(inner), None) is not None


def test_home_is_the_last_one_though_it_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text("")
    real = tmp_path / "real"
    (real / "sub").mkdir(parents=True)
    (tmp_path / "home").symlink_to("real")
    assert find_project(str(real / "sub"), str(tmp_path / "home")) is None
    (real / "uv.lock").write_text("")
    assert find_project(str(real / "sub"), str(tmp_path / "home")) is not None


def test_the_project_is_where_links_lead(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "uv.lock").write_text("")
    (tmp_path / "link").symlink_to("real")
    found = find_project(str(tmp_path / "link"), None)
    assert found is not None
    assert found[0] == os.path.realpath(tmp_path / "real")


def test_a_project_below_a_uv_lock_may_be_a_member(tmp_path: Path) -> None:
    member, project = tmp_path / "packages" / "one", os.path.realpath(tmp_path)
    (member / "src" / "one").mkdir(parents=True)
    (member / "pyproject.toml").touch()
    (tmp_path / "pyproject.toml").touch()
    for start in (member, member / "src" / "one"):
        assert find_member(str(start), project, f"{project}/uv.lock") == os.path.realpath(member)
        assert find_member(str(start), project, f"{project}/poetry.lock") is None
    for start in (tmp_path, tmp_path / "packages"):
        assert find_member(str(start), project, f"{project}/uv.lock") is None
    assert options_key(member=str(member)) not in ("default", options_key(member=project))


def test_the_record_is_below_the_store_under_the_project_s_path() -> None:
    assert record_folder("/store", "/home/me/project") == "/store/projects/home/me/project/@storectl"
    assert record_folder("/store", "/") == "/store/projects/@storectl"


def test_no_options_have_the_key_default() -> None:
    assert options_key() == "default"
    assert options_key(extras=[], groups=[], default_groups=True) == "default"


def test_the_key_of_options_is_a_digest_of_all_that_are_given() -> None:
    # printf 'python=3.12\0extra=a\0extra=b\0group=g\0no-default-groups\0lock=/l' | sha256sum
    key = options_key(python="3.12", extras=["b", "a"], groups=["g"], default_groups=False, lock_file="/l")
    assert key == "19b88ab8f96938e0"
    assert options_key(python="3.12", extras=["a", "b", "a"], groups=["g"], default_groups=False, lock_file="/l") == key
    assert options_key(python="3.12", extras=["a", "b"], groups=["g"], lock_file="/l") != key


def test_a_record_holds_while_nothing_changes(home: ClientHome) -> None:
    assert ready(home) == str(home.environment)
    assert ready(home, "0123456789abcdef") is None


def test_a_touched_input_is_read_and_compared(home: ClientHome) -> None:
    os.utime(home.project / "uv.lock")
    assert ready(home) == str(home.environment)


def test_a_changed_input_ends_it_though_its_size_and_time_are_the_same(home: ClientHome) -> None:
    lock_file = home.project / "uv.lock"
    before = lock_file.stat().st_mtime_ns
    record = home.record / "ready.default"
    lock_file.write_text("version = 2\n")
    os.utime(lock_file, ns=(before, before))
    assert ready(home) == str(home.environment), "the time is believed where it is old enough"
    lines = record.read_text().split("\n")
    lines[3] = f"written {before + SETTLED_NS}"
    record.write_text("\n".join(lines))
    assert ready(home) is None


def test_a_time_that_archives_give_to_all_files_is_not_believed(home: ClientHome) -> None:
    lock_file = home.project / "uv.lock"
    record = home.record / "ready.default"
    record.write_text(record.read_text().replace(f" {lock_file.stat().st_mtime_ns} ", " 1 "))
    os.utime(lock_file, ns=(1, 1))
    assert ready(home) == str(home.environment)
    lock_file.write_text("version = 2\n")
    os.utime(lock_file, ns=(1, 1))
    assert ready(home) is None


@pytest.mark.parametrize("change", [{"size": 1}, {"mtime_ns": 1}, {}], ids=["size", "time", "none"])
def test_an_interpreter_counts_by_time_and_size(home: ClientHome, change: dict[str, int]) -> None:
    program = Path(home.root, "a python")
    program.write_text("one")
    status = program.stat()
    said = {"mtime_ns": status.st_mtime_ns, "size": status.st_size} | change
    with (home.record / "ready.default").open("a") as record:
        record.write(f"program {said['mtime_ns']} {said['size']} {program}\n")
    assert (ready(home) is None) == bool(change)
    program.unlink()
    assert ready(home) is None


def test_another_size_ends_it(home: ClientHome) -> None:
    home.write_input("uv.lock", "version = 1\n\n")
    assert ready(home) is None


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_that_comes_or_goes_ends_it(home: ClientHome, name: str) -> None:
    path = home.project / name
    if path.exists():
        path.unlink()
    else:
        path.write_text("")
    assert ready(home) is None


def test_an_environment_that_is_gone_ends_it(home: ClientHome) -> None:
    (home.environment / "bin" / "python").unlink()
    assert ready(home) is None
    assert last_environment(str(home.store), str(home.project), "default") is None


def test_the_last_environment_is_known_though_inputs_changed(home: ClientHome) -> None:
    home.write_input("uv.lock", "changed\n")
    assert ready(home) is None
    assert last_environment(str(home.store), str(home.project), "default") == str(home.environment)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "storectl-record 0\nenvironment {e}\nlock /l\nwritten 1\nabsent /nowhere\n",
        "storectl-record 2\nenvironment {e}\nlock /l\nwritten 1\n",
        "storectl-record 2\nenvironment {e}\nlock /l\nwritten x\nabsent /nowhere\n",
        "storectl-record 2\nenvironment {e}\nlock /l\nwritten 1\nabsent /nowhere\nsurprise\n",
        "storectl-record 2\nenvironment {e}\nlock /l\nwritten 1\ninput 00\n",
        "storectl-record 2\nenvironment {e}\nlock /l\nwritten 1\ninput 00 1 1 /nowhere\n",
        "storectl-record 2\nenvironment relative\nlock /l\nwritten 1\nabsent /nowhere\n",
        "storectl-record 2\nenvironment {e}\nlock /l\nwritten 1\nabsent /nowh",
    ],
)
def test_a_record_that_is_torn_or_strange_does_not_hold(home: ClientHome, text: str) -> None:
    (home.record / "ready.default").write_text(text.format(e=home.environment))
    assert ready(home) is None


def test_a_record_of_absent_inputs_and_odd_names_holds(home: ClientHome) -> None:
    odd = home.project / "a b\udcff"
    (home.record / "ready.default").write_bytes(
        b"storectl-record 2\nenvironment %s\nlock /l\nwritten 1\nabsent %s\n"
        % (os.fsencode(home.environment), os.fsencode(odd))
    )
    assert ready(home) == str(home.environment)
    odd.write_text("")
    assert ready(home) is None


def test_reading_it_imports_nothing_else(home: ClientHome) -> None:
    code = (
        "import os, sys; before = set(sys.modules)\n"
        "from storectl_shim.project_record import read_ready, find_project\n"
        "from storectl_shim.locations import store_folder\n"
        "from storectl_shim.store_daemon import read_store_daemon\n"
        f"find_project({str(home.project)!r}, None)\n"
        "read_store_daemon(store_folder(os.environ))\n"
        f"assert read_ready(store_folder(os.environ), {str(home.project)!r}, 'default')\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=home.environ(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [
        "__future__",
        "storectl_shim",
        "storectl_shim.locations",
        "storectl_shim.project_record",
        "storectl_shim.requirements_files",
        "storectl_shim.store_daemon",
        "storectl_shim.trust",
    ]
