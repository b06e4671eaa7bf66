"""Scripts with a block of their own (PEP 723): which lock file is theirs."""

from pathlib import Path

import pytest

from storectl.errors import NoLockFileError, UsageError
from storectl.locks.script_block import script_lock_file

BLOCK = '# /// script\n# requires-python = ">=3.11"\n# dependencies = ["rich"]\n# ///\n'


def write(folder: Path, text: str, *beside: str) -> str:
    script = folder / "tool.py"
    script.write_bytes(text.encode())
    for name in beside:
        (folder / name).touch()
    return str(script)


@pytest.mark.parametrize(
    "text",
    [
        BLOCK,
        f"#!/usr/bin/env python3\n# why\n\n{BLOCK}print()\n",
        BLOCK.replace("\n", "\r\n"),
        f'"""What\nit does.\n"""\n\n{BLOCK}print()\n',
        f"\ufeff{BLOCK}",
        f"print()\n{BLOCK}",
        BLOCK.rstrip("\n"),
        BLOCK.replace("\n", "\r"),
    ],
)
def test_the_lock_file_beside_a_script_with_a_block_is_its_own(tmp_path: Path, text: str) -> None:
    script = write(tmp_path, text, "tool.py.lock", "pylock.tool.toml")
    assert script_lock_file(script) == str(tmp_path / "tool.py.lock")
    (tmp_path / "tool.py.lock").unlink()
    assert script_lock_file(script) == str(tmp_path / "pylock.tool.toml")


@pytest.mark.parametrize("name", ["tool", "tool.cgi", "UPPER.PY"])
def test_a_script_may_have_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(BLOCK)
    with pytest.raises(NoLockFileError, match=rf"no lock file \({name}\.lock or "):
        script_lock_file(str(tmp_path / name))
    (tmp_path / f"{name}.lock").touch()
    assert script_lock_file(str(tmp_path / name)) == str(tmp_path / f"{name}.lock")


def test_dependencies_without_a_lock_file_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoLockFileError, match=r"no lock file \(tool\.py\.lock or pylock\.tool\.toml\)") as caught:
        script_lock_file(write(tmp_path, BLOCK))
    assert "uv lock --script" in str(caught.value.hint)


@pytest.mark.parametrize(
    "text",
    [
        "print()\n",
        "# /// script\n# requires-python = '>=3.11'\n# ///\n",
        "# /// script\n# dependencies = []\n# ///\n",
        "# /// other\n# x = 1\n# ///\n",
        "# /// script\n# dependencies = ['never closed']\nprint()\n",
    ],
)
def test_scripts_without_a_block_or_without_dependencies_are_the_projects(tmp_path: Path, text: str) -> None:
    beside = [] if "///" in text and not text.startswith("print") else ["tool.py.lock"]
    assert script_lock_file(write(tmp_path, text, *beside)) is None


def test_a_link_has_the_lock_file_of_the_file_it_leads_to(tmp_path: Path) -> None:
    script = write(tmp_path, BLOCK, "tool.py.lock")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/link.py").symlink_to(script)
    assert script_lock_file(str(tmp_path / "bin/link.py")) == str(tmp_path / "tool.py.lock")


@pytest.mark.parametrize("text", [BLOCK + "\n" + BLOCK, "# /// script\n# dependencies = [\n# ///\n"])
def test_a_block_that_is_malformed_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        script_lock_file(write(tmp_path, text))


def test_nothing_is_known_of_a_script_that_cannot_be_read(tmp_path: Path) -> None:
    assert script_lock_file(str(tmp_path / "gone.py")) is None
    assert script_lock_file(str(tmp_path)) is None
