"""The plan of an environment in another worktree is the one that planning makes, though nothing is planned again."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from storectl_store.digest import Digest
from storectl_store.entries.flat_source import FLAT_SOURCE
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.outlines.outline import Outline, outline_of
from storectl_store.environments.planning.beside import KnownPlan
from storectl_store.environments.planning.plan import EnvironmentPlan
from storectl_store.errors import StoreError
from storectl_store.selection.target import Interpreter
from support.environments import made_up_interpreter, plan_of, read_wheel
from support.wheels import WheelBytes, make_wheel

LAYOUT = StoreLayout(Path("/store"))
PYTHON = made_up_interpreter()
SCRIPT = "[console_scripts]\nserve = site:main\n"


def local(folder: str, name: str = "site-code", version: str = "1", **more: Any) -> WheelBytes:
    """What a build backend makes of a project in this folder: one line, and a module that knows the folder, too."""
    files = {f"_editable_{name}.pth": f"{folder}/src\n", f"__editable___{name}_finder.py": f"PLACE = {folder!r}\n"}
    return make_wheel(name, version, files=files | dict(more.pop("files", {})), **more)


def told(folder: str, name: str = "site-code", *, editable: bool = True) -> dict[NormalizedName, str]:
    return {NormalizedName(name): json.dumps({"url": f"file://{folder}", "dir_info": {"editable": editable}})}


class Closure:
    """Wheels, and where local ones are from."""

    def __init__(self, wheels: Sequence[WheelBytes], direct_urls: dict[NormalizedName, str]) -> None:
        self.manifests = [read_wheel(wheel)[0] for wheel in wheels]
        self.digests = [manifest.digest for manifest in self.manifests]
        self.direct_urls = direct_urls

    def planned(self, interpreter: Interpreter = PYTHON) -> EnvironmentPlan:
        return plan_of(self.manifests, interpreter, LAYOUT, direct_urls=self.direct_urls)

    def outlines(self, digests: Sequence[Digest]) -> list[Outline]:
        known = {manifest.digest: manifest for manifest in self.manifests}
        return [outline_of(known[digest], PYTHON.extension_suffixes) for digest in digests if digest in known]

    def beside(self, other: "Closure", interpreter: Interpreter = PYTHON) -> EnvironmentPlan | None:
        """The plan of this closure, from that of the other one."""
        known = KnownPlan(plan=other.planned(), digests=frozenset(other.digests), direct_urls=other.direct_urls)
        return known.beside(
            self.digests,
            interpreter,
            self.direct_urls,
            outlines_of=lambda digests: [*self.outlines(digests)] or other.outlines(digests),
            layout=LAYOUT,
        )


OTHERS = [
    make_wheel("alpha", files={"shared/alpha.py": "", "alpha.py": ""}, entry_points="[console_scripts]\nalpha = alpha:x\n"),
    make_wheel("beta", files={"shared/beta.py": "", "beta/__init__.py": "", "beta-1.0.data/data/share/beta": "x"}),
    make_wheel("gamma", files={"gamma.py": "", "gamma-1.0.data/scripts/gamma": "#!python\nx\n"}),
    make_wheel("delta", files={"delta.py": ""}, entry_points="[console_scripts]\nserve = delta:main\n"),
]  # fmt: skip
SHAPES: list[dict[str, Any]] = [
    {},
    {"entry_points": SCRIPT},
    {"files": {"shared/site.py": "x"}},
    {"files": {"site_code-1.data/data/etc/site.conf": "x", "site_code-1.data/headers/site.h": "y"}},
    {"files": {"site_code-1.data/scripts/tool": "#!python\nx\n"}, "requires_dist": ["alpha", "delta"]},
]


@given(others=st.lists(st.sampled_from(OTHERS), unique_by=lambda wheel: wheel.name), shape=st.sampled_from(SHAPES))
def test_it_is_the_plan_that_planning_makes(others: list[WheelBytes], shape: dict[str, Any]) -> None:
    here = Closure([*others, local("/code/main", **shape)], told("/code/main"))
    there = Closure([*others, local("/trees/longer name", **shape)], told("/trees/longer name"))
    beside = there.beside(here)
    if here.planned().warnings:  # a conflict of the local project: it is planned as a whole
        assert beside is None
    else:
        assert beside == there.planned()


def test_several_local_projects_move_together_and_others_stay() -> None:
    fixed = told("/libraries/one", "one")
    before, after = (
        Closure(
            [*OTHERS[:2], local("/libraries/one", "one"), local(f"{tree}/a", "a"), local(f"{tree}/b", "b")],
            fixed | told(f"{tree}/a", "a") | told(f"{tree}/b", "b"),
        )
        for tree in ("/main", "/tree")
    )
    assert after.beside(before) == after.planned()


MAIN = Closure([OTHERS[0], local("/main")], told("/main"))


@pytest.mark.parametrize(
    ("wheels", "direct_urls"),
    [
        ([OTHERS[1], local("/tree")], told("/tree")),
        ([*OTHERS[:2], local("/tree")], told("/tree")),
        ([OTHERS[0], local("/tree", version="2")], told("/tree")),
        ([OTHERS[0], local("/tree", entry_points=SCRIPT)], told("/tree")),
        ([OTHERS[0], local("/tree", files={"more.py": ""})], told("/tree")),
        ([OTHERS[0], local("/tree", "other")], told("/tree", "other")),
        ([OTHERS[0], local("/tree")], {NormalizedName("site-code"): '{"url": "https://localhost/x.whl"}'}),
        ([OTHERS[0], local("/tree")], told("/tree") | told("/elsewhere", "alpha")),
    ],
    ids=[
        "another wheel", "one more wheel", "another version", "a script more", "a module more", "another project",
        "a wheel from somewhere", "another local project",
    ],
)  # fmt: skip
def test_what_differs_in_anything_else_is_planned_as_a_whole(
    wheels: list[WheelBytes], direct_urls: dict[NormalizedName, str]
) -> None:
    assert Closure(wheels, direct_urls).beside(MAIN) is None


def test_a_project_whose_source_folder_is_linked_is_planned_as_a_whole() -> None:
    flat: dict[str, Any] = {"extra_dist_info": {FLAT_SOURCE: "x"}}
    here, there = (Closure([local(tree, **flat)], told(tree)) for tree in ("/main", "/tree"))
    local_outlines = KnownPlan(plan=MAIN.planned(), digests=frozenset(here.digests), direct_urls=here.direct_urls)
    assert (
        local_outlines.beside(
            there.digests,
            PYTHON,
            there.direct_urls,
            outlines_of=lambda digests: there.outlines(digests) or here.outlines(digests),
            layout=LAYOUT,
        )
        is None
    )


def test_what_the_other_environment_showed_may_be_gone_by_now() -> None:
    there, here = (Closure([local(folder)], told(folder)) for folder in ("/code/main", "/code/other"))
    known = KnownPlan(plan=there.planned(), digests=frozenset(there.digests), direct_urls=there.direct_urls)

    def outlines_of(digests: Sequence[Digest]) -> list[Outline]:
        if set(digests) & set(there.digests):
            raise StoreError("it was collected")
        return here.outlines(digests)

    assert here.beside(there) is not None
    beside = known.beside(here.digests, PYTHON, here.direct_urls, outlines_of=outlines_of, layout=LAYOUT)
    assert beside is None


def test_another_interpreter_has_plans_of_its_own() -> None:
    there = Closure([OTHERS[0], local("/tree")], told("/tree"))
    assert there.beside(MAIN, replace(PYTHON, executable="/opt/other/bin/python3")) is None
    assert there.beside(MAIN) == there.planned()
