"""``uv.lock`` of projects made at random against ``uv export --frozen``, for many targets each. No registry is needed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storectl_store.errors import TargetError
from storectl_store.selection.target import Target
from support.index import serve_index
from support.targets import make_target
from support.uv_generated import generate
from support.uv_projects import Needed, UvProject

PROJECTS = 36
VERSIONS = ("3.9.18", "3.10.13", "3.12.1")
PLATFORMS = ("linux", "darwin", "win32")
CHOICES: tuple[dict[str, object], ...] = (
    {},
    {"extras": ("x",)},
    {"extras": ("y",), "groups": (), "default_groups": False},
    {"extras": ("x", "y")},
    {"all_extras": True},
    {"groups": ("docs",), "default_groups": True},
    {"extras": ("x",), "groups": ("test",), "default_groups": True},
    {"groups": ("docs", "test"), "default_groups": False},
    {"groups": ("test",), "project": False},
)


@pytest.mark.parametrize("seed", range(PROJECTS))
def test_what_uv_exports_is_what_is_selected(
    tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    generated = generate(seed)
    compared = 0
    with serve_index(*generated.wheels) as index:
        project = UvProject(tmp_path, index, generated.files)
        for choice in CHOICES:
            for version in VERSIONS:
                for platform in PLATFORMS:
                    target = make_target(version, platform, **choice)  # type: ignore[arg-type]
                    assert selected(project, target) == project.needed_if_any(target), (choice, version, platform)
                    compared += 1
    record_property("compared", ("uv.lock, uv export", compared))


def selected(project: UvProject, target: Target) -> Needed | None:
    """What is selected; None where extras and groups that are declared as conflicts are refused together."""
    try:
        return project.selected(target)
    except TargetError as refused:
        if "conflict" not in refused.message:
            raise
        return None
