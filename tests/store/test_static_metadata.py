"""Which local projects storectl can install editably by itself, and which their build backend has to."""

from pathlib import Path

import pytest

from storectl_store.projects.static_metadata import static_project

PROJECT = (
    '[project]\nname = "local"\nversion = "1"\n[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n'
)
SETUPTOOLS = PROJECT.format(requires="setuptools", backend="setuptools.build_meta")
HATCHLING = PROJECT.format(requires="hatchling", backend="hatchling.build")


@pytest.mark.parametrize(
    "text",
    [
        SETUPTOOLS,
        SETUPTOOLS + '[tool.setuptools.package-dir]\n"" = "source"\n',
        SETUPTOOLS + '[tool.setuptools.package-dir]\n"a.b" = "source/a/b"\n',
        HATCHLING + '[tool.hatch.build]\nsources = ["source"]\n',
        HATCHLING + '[tool.hatch.build.targets.wheel.sources]\n"source/local" = "local"\nsource = ""\n',
    ],
)
def test_folders_that_lines_of_a_path_lead_to_need_no_build(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert static_project(tmp_path) is not None


@pytest.mark.parametrize(
    "text",
    [
        SETUPTOOLS + '[tool.setuptools.package-dir]\nlocal = "code"\n',
        SETUPTOOLS + '[tool.setuptools.package-dir]\n"" = "source"\n"local.inner" = "deep/inside"\n',
        HATCHLING + '[tool.hatch.build.targets.wheel.sources]\ncode = "local"\n',
        HATCHLING + '[tool.hatch.build.sources]\ncode = "local"\n',
    ],
)
def test_packages_whose_folders_have_other_names_need_their_backend(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert static_project(tmp_path) is None
