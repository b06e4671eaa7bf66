"""A view that is derived from another one is what merging makes of its entries, though only what differs is merged."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from storectl_store.digest import Digest
from storectl_store.entries.flat_source import FLAT_SOURCE, encode_flat_source
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.manifest import Manifest
from storectl_store.environments.outlines.outline import Outline, outline_of
from storectl_store.environments.planning.derived import MOST_CHANGED, derive_view
from storectl_store.environments.planning.merged_view import MergedView, merge_view
from storectl_store.environments.planning.plan import EnvironmentPlan, plan_of
from storectl_store.environments.view_builder import import_map_of
from storectl_store.errors import StoreError
from storectl_store.selection.target import Interpreter
from support.environments import ManifestsOnly, add_entry, made_up_interpreter, read_wheel
from support.wheels import WheelBytes, make_wheel

LAYOUT = StoreLayout(Path("/store"))
PYTHON = made_up_interpreter()
ESCAPING = {"torch": ("torch/lib/libtorch.so",)}


def scripts(*names: str) -> str:
    return "[console_scripts]\n" + "".join(f"{name} = code:main\n" for name in names)


def local(folder: str, name: str = "site-code", version: str = "1", **more: Any) -> WheelBytes:
    """What a build backend makes of a project in this folder: one line, and a module that knows the folder, too."""
    files = {f"_editable_{name}.pth": f"{folder}/src\n", f"__editable___{name}_finder.py": f"PLACE = {folder!r}\n"}
    return make_wheel(name, version, files=files | dict(more.pop("files", {})), **more)


def told(folder: str, name: str = "site-code", *, editable: bool = True) -> dict[NormalizedName, str]:
    return {NormalizedName(name): json.dumps({"url": f"file://{folder}", "dir_info": {"editable": editable}})}


class Closure:
    """Entries, and what is told of where local ones are from."""

    def __init__(
        self,
        wheels: Sequence[WheelBytes],
        direct_urls: Mapping[NormalizedName, str] | None = None,
        *,
        manifests: Sequence[Manifest] = (),
        layout: StoreLayout = LAYOUT,
    ) -> None:
        self.manifests = [
            *manifests, *(read_wheel(wheel, escaping_libraries=ESCAPING.get(wheel.name, ()))[0] for wheel in wheels)
        ]  # fmt: skip
        self.digests = [manifest.digest for manifest in self.manifests]
        self.direct_urls = direct_urls or {}
        self.layout = layout

    def outlines(self, digests: Sequence[Digest], interpreter: Interpreter = PYTHON) -> list[Outline]:
        known = {manifest.digest: manifest for manifest in self.manifests}
        return [outline_of(known[digest], interpreter.extension_suffixes) for digest in digests]

    def merged(self, interpreter: Interpreter = PYTHON) -> MergedView:
        outlines, store = self.outlines(self.digests, interpreter), ManifestsOnly(self.layout, self.manifests)
        return merge_view(outlines, interpreter, store, self.layout, self.direct_urls)

    def derived(self, known: MergedView, interpreter: Interpreter = PYTHON) -> MergedView | None:
        """The view of this closure, derived from a known one. The store has nothing but this closure."""
        return derive_view(
            known,
            self.digests,
            interpreter,
            self.direct_urls,
            outlines_of=self.outlines,
            store=ManifestsOnly(self.layout, self.manifests),
            layout=self.layout,
        )


def everything(view: MergedView) -> tuple[EnvironmentPlan, list[list[str]], bytes]:
    """All that is published of the view; the order in which it is made does not count, but for parents of folders."""
    plan = plan_of(view)
    made: set[str] = set()
    for folder in plan.folders:
        assert folder.rpartition("/")[0] in {"", *made}, f"{folder} is made before its parent"
        made.add(folder)
    links, copies = (sorted(map(repr, group)) for group in (plan.links, plan.same_files))
    files, written = (sorted(map(repr, group)) for group in (plan.files, plan.scripts))
    return replace(
        plan, folders=tuple(sorted(plan.folders)), links=(), same_files=(), files=(), scripts=()
    ), [links, copies, files, written], import_map_of(plan)  # fmt: skip


RECIPES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "alpha": [
        ("1", {"files": {"shared/alpha.py": "", "alpha.py": ""}, "entry_points": scripts("alpha", "a-tool")}),
        ("2", {"files": {"shared/alpha.py": "2", "alpha/__init__.py": ""}, "entry_points": scripts("alpha")}),
    ],
    "beta": [
        ("1", {"files": {"shared/beta.py": "", "beta/__init__.py": "", "beta-1.data/data/share/beta": "x"}}),
        ("2", {"files": {"beta/__init__.py": "", "beta-2.data/data/share/doc/beta": "x"}}),
        ("3", {"files": {"shared/deep/er/beta.py": "", "beta-3.data/data/etc/beta.conf": "x"}}),
    ],
    "gamma": [
        ("1", {"files": {"gamma.py": "", "gamma-1.data/scripts/gamma": "#!python\nx\n"}}),
        ("2", {"files": {"gamma.py": "2", "gamma-2.data/scripts/gamma": "#!/bin/sh\nx\n", "same.py": "same"}}),
    ],
    "delta": [
        ("1", {"files": {"same.py": "same", "delta/__init__.py": ""}, "requires_dist": ("gamma",)}),
        ("2", {"files": {"same.py": "other", "delta/__init__.py": ""}, "entry_points": scripts("alpha", "d")}),
        ("3", {"files": {"delta.py": "", "delta-3.data/headers/delta.h": "x"}}),
    ],
    "epsilon": [
        ("1", {"files": {"shared/deep/epsilon.py": "", "alpha/plugin.py": ""}, "requires_dist": ("alpha",)}),
        ("2", {"files": {"shared.py": "", "epsilon-2.data/data/share/doc/epsilon": "x"}}),
    ],
    "torch": [
        ("1", {"files": {"torch/__init__.py": "", "torch/lib/libtorch.so": "x", "torch/lib/other.so": "y"}}),
        ("2", {"files": {"torch/__init__.py": "", "torch/lib/libtorch.so": "x", "torch/bin/a/tool": "z"}}),
    ],
    "nvidia": [
        ("1", {"files": {"nvidia/cublas/lib/lib.so": "x", "torch/lib/nvidia.so": "x"}}),
        ("2", {"files": {"nvidia/cudnn/lib/lib.so": "x", "nvidia/__init__.py": ""}}),
    ],
    "coverage": [
        ("7.10.4", {"files": {"coverage/__init__.py": ""}}),
        ("7.13.0", {"files": {"coverage/__init__.py": "", "a1_coverage.pth": "import coverage"}}),
    ],
    "custom": [("1", {"files": {"sitecustomize.py": ""}}), ("2", {"files": {"custom.py": ""}})],
    "odd": [
        ("1", {"files": {"odd-1.data/data/lib/odd/x": "x", "odd-1.data/data/lib64/odd/y": "y"}}),
        ("2", {"files": {"odd-2.data/data/lib/python3.12/site-packages/odd/z.py": "z", "odd/__init__.py": ""}}),
        ("3", {"files": {"odd-3.data/data/bin/odd": "x", "odd-3.data/data/lib": "a file"}}),
        ("4", {"files": {"odd-4.data/data/bin/python": "x", "odd-4.data/data/pyvenv.cfg": ""}}),
    ],
}
NAMED = {
    name: [make_wheel(name, version, **recipe) for version, recipe in recipes] for name, recipes in RECIPES.items()
}
LOCAL: list[dict[str, Any]] = [
    {},
    {"entry_points": scripts("serve")},
    {"files": {"shared/site.py": "x"}, "entry_points": scripts("alpha")},
    {"files": {"site_code-1.data/data/etc/site.conf": "x", "site_code-1.data/headers/site.h": "y"}},
    {"files": {"site_code-1.data/scripts/tool": "#!python\nx\n"}, "requires_dist": ["alpha", "delta"]},
]


@st.composite
def closures(draw: st.DrawFn) -> Closure:
    """Some version of some of the wheels, and perhaps a local project in one of two folders."""
    chosen = [draw(st.sampled_from([None, *versions])) for versions in NAMED.values()]
    wheels = [wheel for wheel in chosen if wheel is not None]
    if draw(st.booleans()):
        folder = draw(st.sampled_from(["/code/main", "/trees/longer name"]))
        return Closure([*wheels, local(folder, **draw(st.sampled_from(LOCAL)))], told(folder))
    return Closure(wheels)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chain=st.lists(closures(), min_size=2, max_size=4))
def test_it_is_the_view_that_merging_makes(chain: list[Closure]) -> None:
    known = chain[0].merged()
    for closure in chain[1:]:
        merged = closure.merged()
        derived = closure.derived(known)
        if known.tree.warnings or merged.tree.warnings:  # what wins a conflict depends on all entries
            assert derived is None
        else:
            assert derived is not None
            assert everything(derived) == everything(merged)
        known = derived or merged


def test_nothing_is_asked_of_what_stays_or_is_gone() -> None:
    before = Closure([wheels[0] for wheels in NAMED.values()]).merged()
    after = Closure([NAMED["gamma"][1], *(wheels[0] for name, wheels in NAMED.items() if name != "gamma")])
    asked: list[Digest] = []

    def outlines_of(digests: Sequence[Digest]) -> list[Outline]:
        asked.extend(digests)
        return after.outlines(digests)

    store = ManifestsOnly(LAYOUT, after.manifests)
    derived = derive_view(before, after.digests, PYTHON, {}, outlines_of=outlines_of, store=store, layout=LAYOUT)
    assert derived is not None
    assert asked == [after.digests[0]]
    assert set(store.asked) <= {after.digests[0]}


def test_a_wheel_that_is_gone_uncovers_the_same_file_of_another() -> None:
    both = Closure([NAMED["delta"][0], NAMED["gamma"][1]])
    for left in (NAMED["delta"][0], NAMED["gamma"][1]):
        alone = Closure([left])
        derived = alone.derived(both.merged())
        assert derived is not None
        assert everything(derived) == everything(alone.merged())


def test_several_local_projects_move_together_and_others_stay() -> None:
    fixed, others = told("/libraries/one", "one"), [wheels[0] for wheels in NAMED.values()]
    before, after = (
        Closure(
            [*others, local("/libraries/one", "one"), local(f"{tree}/a", "a"), local(f"{tree}/b", "b")],
            fixed | told(f"{tree}/a", "a") | told(f"{tree}/b", "b"),
        )
        for tree in ("/main", "/tree")
    )
    derived = after.derived(before.merged())
    assert derived is not None
    assert everything(derived) == everything(after.merged())


@pytest.mark.parametrize(("before", "after"), [({}, told("/x")), (told("/x"), {}), (told("/x"), told("/y"))])
def test_the_same_entry_may_be_told_to_be_from_elsewhere(
    before: dict[NormalizedName, str], after: dict[NormalizedName, str]
) -> None:
    wheels = [NAMED["alpha"][0], local("/x")]
    here, there = Closure(wheels, before), Closure(wheels, after)
    derived = there.derived(here.merged())
    assert derived is not None
    assert everything(derived) == everything(there.merged())


def test_a_linked_source_folder_moves_with_its_project(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    plain = read_wheel(NAMED["alpha"][0])[0]
    here, there = (
        Closure([], told(tree), manifests=[plain, add_entry(layout, _flat(tree))], layout=layout)
        for tree in ("/main", "/tree")
    )
    without = Closure([], manifests=[plain], layout=layout)
    for known in (here, without):
        for closure in (there, without):
            derived = closure.derived(known.merged())
            assert derived is not None
            assert everything(derived) == everything(closure.merged())


def _flat(tree: str) -> WheelBytes:
    return local(tree, extra_dist_info={FLAT_SOURCE: encode_flat_source("code", tree)})


def test_another_interpreter_has_views_of_its_own() -> None:
    known, there = Closure([NAMED["alpha"][0]]).merged(), Closure([NAMED["alpha"][1]])
    assert there.derived(known, replace(PYTHON, executable="/opt/other/bin/python3")) is None
    assert there.derived(known) is not None


def test_what_differs_much_is_merged_as_a_whole() -> None:
    many = [make_wheel(f"wheel-{number}", files={f"module_{number}.py": ""}) for number in range(MOST_CHANGED + 1)]
    known = Closure([]).merged()
    assert Closure(many).derived(known) is None
    assert Closure(many[1:]).derived(known) is not None


def test_an_entry_that_came_and_is_not_there_is_an_error() -> None:
    known, there = Closure([NAMED["alpha"][0]]).merged(), Closure([NAMED["alpha"][1]])

    def gone(digests: Sequence[Digest]) -> list[Outline]:
        raise StoreError(f"{digests} was collected")

    with pytest.raises(StoreError, match="was collected"):
        derive_view(
            known, there.digests, PYTHON, {}, outlines_of=gone, store=ManifestsOnly(LAYOUT, []), layout=LAYOUT
        )  # fmt: skip
