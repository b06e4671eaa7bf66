"""Scripts with a block of their own (PEP 723): which lock file is theirs."""

from pathlib import Path

import pytest

from storectl.errors import NotLockedError, UsageError
from storectl.locks import script_block
from storectl.locks.remembered import Locking
from support.machine import base_python

BLOCK = '# /// script\n# requires-python = ">=3.11"\n# dependencies = ["rich"]\n# ///\n'


def script_lock_file(script: str, *, locked: bool = True) -> str | None:
    """With the interpreter of the tests; nothing is locked unless ``locked`` is false."""
    environ = {"HOME": str(Path(script).parent / "home"), "PATH": str(Path(base_python()).parent)}
    return script_block.script_lock_file(script, None, environ, Locking(locked=locked))


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
    with pytest.raises(NotLockedError, match=rf"{name} is not locked yet, and --locked or --frozen forbids"):
        script_lock_file(str(tmp_path / name))
    (tmp_path / f"{name}.lock").touch()
    assert script_lock_file(str(tmp_path / name)) == str(tmp_path / f"{name}.lock")


@pytest.mark.parametrize(
    "text",
    [
        "print()\n",
        "# /// other\n# x = 1\n# ///\n",
        "# /// script\n# dependencies = ['never closed']\nprint()\n",
    ],
)
def test_scripts_without_a_block_are_the_projects(tmp_path: Path, text: str) -> None:
    assert script_lock_file(write(tmp_path, text, "tool.py.lock")) is None


def test_a_link_has_the_lock_file_of_the_file_it_leads_to(tmp_path: Path) -> None:
    script = write(tmp_path, BLOCK, "tool.py.lock")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/link.py").symlink_to(script)
    assert script_lock_file(str(tmp_path / "bin/link.py")) == str(tmp_path / "tool.py.lock")


@pytest.mark.parametrize("text", [BLOCK + "\n" + BLOCK, "# /// script\n# dependencies = [\n# ///\n"])
def test_a_block_that_is_malformed_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        script_lock_file(write(tmp_path, text), locked=False)


def test_nothing_is_known_of_a_script_that_cannot_be_read(tmp_path: Path) -> None:
    assert script_lock_file(str(tmp_path / "gone.py")) is None
    assert script_lock_file(str(tmp_path)) is None
