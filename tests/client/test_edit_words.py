"""What an edit is called by each tool: uv's options are translated, the tool's own are passed on."""

from pathlib import Path
from typing import Any

import pytest

from storectl.errors import UsageError
from storectl.locks.edit_words import Asked, Edit, Verb, edit_of
from storectl.locks.lock import Locking, NoLockerError
from storectl.locks.locked_versions import changes, locked_versions

LOCKED = {"alpha": frozenset({"1.0"})}
LOCKING = {
    "uv": ("uv", "lock"),
    "poetry": ("poetry", "lock"),
    "pdm": ("pdm", "lock"),
    "pipenv": ("pipenv", "lock"),
    "pip": ("pip", "lock", "-e", "."),
    "export": ("uv", "export", "--format", "pylock.toml"),
    "pip-compile": ("pip-compile", "requirements.in", "-o", "requirements.txt"),
}


def edited(tool: str, verb: Verb, *arguments: str, folder: Path = Path("/x"), **asked: Any) -> Edit:
    words = LOCKING[tool]
    locking = Locking(command=(f"/bin/{words[0]}", *words[1:]), folder=folder, why="", words=words)
    return edit_of(Asked(verb=verb, arguments=arguments, directory=str(folder), **asked), locking, LOCKED)


def line(tool: str, verb: Verb, *arguments: str, **asked: Any) -> str:
    (command,) = edited(tool, verb, *arguments, **asked).commands
    return " ".join(command).removeprefix("/bin/")


@pytest.mark.parametrize(
    ("tool", "added", "removed"),
    [
        ("uv", "uv add --no-sync --group g a", "uv remove --no-sync --group g a"),
        ("poetry", "poetry add --lock --group g a", "poetry remove --lock --group g a"),
        ("pdm", "pdm add --no-sync --dev --group g a", "pdm remove --no-sync --dev --group g a"),
        ("pipenv", "pipenv upgrade --categories g a", "pipenv uninstall --categories g a"),
    ],
)
def test_each_tool_is_told_not_to_sync_and_where_the_requirement_stands(tool: str, added: str, removed: str) -> None:
    assert line(tool, "add", "a", group="g") == added
    assert line(tool, "remove", "a", group="g") == removed


def test_options_of_uv_are_called_as_each_tool_calls_them() -> None:
    assert line("poetry", "add", "a", dev=True) == "poetry add --lock --group dev a"
    assert line("poetry", "add", "a", optional="o", extras=("e",)) == "poetry add --lock --optional o --extras e a"
    assert line("pdm", "add", "./a", optional="o") == "pdm add --no-sync --group o ./a"
    assert line("pipenv", "add", "./a", dev=True, editable=True) == "pipenv upgrade --dev --editable ./a"
    with pytest.raises(UsageError, match="pdm has nothing like --extra e"):
        line("pdm", "add", "a", extras=("e",))


def test_a_requirements_file_is_read_for_tools_that_take_none(tmp_path: Path) -> None:
    file = tmp_path / "wanted.txt"
    file.write_text("# ours\na>=1 # why\n\nb\n")
    assert line("uv", "add", files=(str(file),)) == f"uv add --no-sync -r {file}"
    assert line("poetry", "add", files=(str(file),)) == "poetry add --lock a>=1 b"
    file.write_text("--index-url x\n")
    with pytest.raises(UsageError, match="has options"):
        line("poetry", "add", files=(str(file),))


def test_all_is_upgraded_or_what_is_named_with_options_of_the_tool() -> None:
    assert line("uv", "upgrade") == "uv lock --upgrade"
    assert (
        line("uv", "upgrade", "--offline", "Alpha", "--index", "u")
        == "uv lock --upgrade-package Alpha --offline --index u"
    )
    assert line("poetry", "upgrade", "alpha") == "poetry update --lock alpha"
    assert line("pdm", "upgrade") == "pdm update --no-sync"
    assert line("pipenv", "upgrade") == "pipenv lock"
    assert line("pip", "upgrade") == "pip lock -e ."
    with pytest.raises(UsageError, match="not locked: beta"):
        line("uv", "upgrade", "beta")


def test_a_project_and_a_script_are_named_to_the_tool() -> None:
    assert line("uv", "add", "a", project="p") == "uv add --project p --no-sync a"
    assert line("uv", "add", "a", script="s.py") == "uv add --script s.py a"
    assert line("pipenv", "add", "a", project="p") == "pipenv upgrade a"
    assert edited("pipenv", "add", "a", project="p").folder == Path("/x/p")


def test_what_keeps_uv_from_syncing_anyway_is_not_said_twice() -> None:
    assert line("uv", "add", "a", "--no-sync") == "uv add a --no-sync"
    assert line("uv", "add", "a", "--frozen") == "uv add a --frozen"
    assert line("uv", "remove", "a", frozen=True) == "uv remove a"


def test_pip_only_locks() -> None:
    for verb, names in (("add", ("a",)), ("remove", ("a",)), ("upgrade", ("alpha",))):
        with pytest.raises(NoLockerError, match="pip locks /x, and edits no project"):
            line("pip", verb, *names)  # type: ignore[arg-type]


def test_what_exports_a_lock_file_does_so_after_the_edit() -> None:
    commands = edited("export", "add", "a").commands
    assert [command[1] for command in commands] == ["add", "export"]


def test_a_requirements_in_keeps_all_lines_but_those_that_are_meant(tmp_path: Path) -> None:
    source = tmp_path / "requirements.in"
    source.write_text("# why\n-r base.in\nA_b[x]>=1 \\\n  --hash=y\n./local\nc\n")
    assert edited("pip-compile", "add", "a.b", "d", "-v", folder=tmp_path).files == {
        source: "# why\n-r base.in\na.b\n./local\nc\nd\n"
    }
    assert edited("pip-compile", "remove", "A-B", folder=tmp_path).files == {source: "# why\n-r base.in\n./local\nc\n"}
    with pytest.raises(UsageError, match=r"requirements\.in has no d"):
        edited("pip-compile", "remove", "d", folder=tmp_path)
    with pytest.raises(UsageError, match="no groups"):
        edited("pip-compile", "add", "d", dev=True, folder=tmp_path)
    (upgraded,) = edited("pip-compile", "upgrade", "alpha", folder=tmp_path).commands
    assert upgraded[-3:] == ("--quiet", "--upgrade-package", "alpha")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "uv.lock",
            '[[package]]\nname = "a"\nversion = "1"\n[[package]]\nname = "me"\nversion = "0"\nsource = { virtual = "." }\n',
        ),
        ("poetry.lock", '[[package]]\nname = "a"\nversion = "1"\n'),
        ("pylock.toml", '[[packages]]\nname = "A"\nversion = "1"\n'),
        ("Pipfile.lock", '{"_meta": {}, "default": {"a": {"version": "==1"}}}'),
        ("requirements.txt", "a[x]==1 \\\n    --hash=sha256:00\n# b==2\n"),
    ],
)
def test_the_versions_in_each_lock_file_are_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert locked_versions(tmp_path / name) == {"a": {"1"}}


@pytest.mark.parametrize("text", ["", "{", "[", "package = 1"])
def test_a_lock_file_that_cannot_be_read_has_no_versions(tmp_path: Path, text: str) -> None:
    for name in ("uv.lock", "Pipfile.lock", "gone"):
        if name != "gone":
            (tmp_path / name).write_text(text)
        assert locked_versions(tmp_path / name) == {}


def test_what_changed_is_one_line() -> None:
    before = {"a": frozenset({"1"}), "b": frozenset({"1", "2"}), "c": frozenset({"1"})}
    after = {"a": frozenset({"2"}), "b": frozenset({"3"}), "d": frozenset({"4"})}
    assert changes(before, after) == "a 1 -> 2, b 1 and 2 -> 3; added d 4; removed c 1"
    assert changes(before, before) == ""
