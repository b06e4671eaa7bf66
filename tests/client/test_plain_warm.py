"""`storectl warm` without options says and does what it does by way of click, and loads none of that."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storectl.plain_warm import is_plain

PLAIN = """
import sys
from storectl.command_line import main
sys.argv = ["storectl", "warm", *sys.argv[1:]]
code = main()
assert "click" not in sys.modules
sys.exit(code)
"""
BY_CLICK = """
import sys
from storectl.cli import main
sys.exit(main(["warm", *sys.argv[1:]]))
"""


@pytest.mark.parametrize(
    ("arguments", "variables", "plain"),
    [
        ([], {}, True),
        (["folder"], {}, True),
        ([], {"STORECTL_EXTRAS": "x"}, True),
        (["--offline"], {}, False),
        (["folder", "--json"], {}, False),
        (["one", "two"], {}, False),
        ([""], {}, False),
        ([], {"UV_PROJECT": "x"}, False),
        ([], {"UV_WORKING_DIRECTORY": "x"}, False),
        ([], {"STORECTL_SHARED": "1"}, False),
    ],
)
def test_only_a_folder_is_plain(arguments: list[str], variables: dict[str, str], plain: bool) -> None:  # noqa: FBT001
    assert is_plain(arguments, variables) is plain


@pytest.mark.parametrize("arguments", [[], ["nowhere"], ["file"]])
@pytest.mark.parametrize(
    "variables", [{}, {"UV_OFFLINE": "1", "STORECTL_PYTHON": "3.1"}, {"UV_LOCKED": "1", "UV_FROZEN": "1"}]
)
def test_it_says_the_same_of_what_cannot_be_warmed(
    tmp_path: Path, arguments: list[str], variables: dict[str, str]
) -> None:
    (tmp_path / "file").touch()
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables}
    plain, by_click = (
        subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        for code in (PLAIN, BY_CLICK)
    )
    assert (plain.returncode, plain.stdout, plain.stderr) == (by_click.returncode, by_click.stdout, by_click.stderr)
    assert plain.returncode
