"""Who installs a Python that is missing: uv as its own settings say, pyenv only if it is asked for."""

from pathlib import Path

import pytest
from uv import find_uv_bin

from storectl.daemon.missing_python import VARIABLE, _command

KNOWN = "3.14"
"""A version that every uv of the tests knows a download for; nothing is downloaded here."""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The real uv, and a stand-in of pyenv."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "uv").symlink_to(find_uv_bin())
    (folder / "pyenv").write_text("#!/bin/sh\n")
    (folder / "pyenv").chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(tmp_path / "home"), "UV_CACHE_DIR": str(tmp_path / "cache")}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def command(request: str, project: Path, environ: dict[str, str], **variables: str) -> list[str] | None:
    found = _command(request, str(project), environ | variables)
    return [Path(found[0]).name, *found[1:]] if found else None


@pytest.mark.parametrize("request_", [KNOWN, ">=3.12,<3.15", "3.14t"])
def test_uv_may_unless_it_says_no(project: Path, environ: dict[str, str], request_: str) -> None:
    assert command(request_, project, environ) == ["uv", "python", "install", request_]
    assert command(request_, project, environ, UV_PYTHON_DOWNLOADS="automatic") is not None


def test_what_uv_does_not_know_is_not_asked_for(project: Path, environ: dict[str, str]) -> None:
    assert command("3.99", project, environ) is None
    assert command("nonsense", project, environ) is None


@pytest.mark.parametrize("value", ["never", "manual"])
def test_uv_s_own_settings_count(project: Path, environ: dict[str, str], value: str) -> None:
    assert command(KNOWN, project, environ, UV_PYTHON_DOWNLOADS=value) is None
    for name, text in (
        ("pyproject.toml", f'[tool.uv]\npython-downloads = "{value}"\n'),
        ("uv.toml", f'python-downloads = "{value}"\n'),
        ("uv.toml", 'python-preference = "only-system"\n'),
    ):
        (project / name).write_text(text)
        assert command(KNOWN, project, environ) is None
        (project / name).unlink()
    assert command(KNOWN, project, environ, UV_PYTHON_PREFERENCE="only-system") is None


def test_pyenv_may_only_if_it_is_asked_for(project: Path, environ: dict[str, str]) -> None:
    asked = ["pyenv", "install", "--skip-existing", KNOWN]
    assert command(KNOWN, project, environ, **{VARIABLE: "pyenv"}) == asked
    (project / "pyproject.toml").write_text('[tool.storectl]\ninstall-python = "pyenv"\n')
    assert command(KNOWN, project, environ) == asked
    assert command(">=3.12", project, environ) is None
    assert command(KNOWN, project, environ, **{VARIABLE: "never"}) is None


@pytest.mark.parametrize("text", ["", "[tool]\nstorectl = 1\n", "[tool.storectl]\n", "not toml"])
def test_a_project_that_says_nothing_leaves_it_to_uv(project: Path, environ: dict[str, str], text: str) -> None:
    (project / "pyproject.toml").write_text(text)
    assert command(KNOWN, project, environ) == ["uv", "python", "install", KNOWN]


def test_without_a_tool_nobody_installs(project: Path) -> None:
    assert command(KNOWN, project, {"PATH": "/nowhere"}, **{VARIABLE: "pyenv"}) is None
