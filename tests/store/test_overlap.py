"""Merging layers: which folders stay links, which become real, who wins."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from storectl_store.entries.manifest import Manifest
from storectl_store.environments.planning.order import InstallationOrder, topological_weights
from storectl_store.environments.planning.overlap import EntryLayer, Layer, MergedTree, made_layer, merge_layers
from storectl_store.environments.planning.tree import Link, SmallFile
from support.environments import read_wheel
from support.wheels import make_wheel


def manifest(name: str, *requires: str) -> Manifest:
    return read_wheel(make_wheel(name, requires_dist=requires))[0]


def layer(name: str, files: Mapping[str, str], *, mount: str = "site", real: Sequence[str] = ()) -> EntryLayer:
    return EntryLayer(
        label=name,
        project=NormalizedName(name),
        mount=mount,
        files=files,
        real_folders=frozenset(real),
        root=f"/store/{name}",
    )


def merge(*layers: Layer, manifests: Sequence[Manifest] | None = None) -> MergedTree:
    names = [layer.project for layer in layers if layer.project]
    order = InstallationOrder(manifests or [manifest(name) for name in dict.fromkeys(names)], {})
    return merge_layers(layers, order, {"site"})


def links(tree: MergedTree) -> dict[str, str]:
    return {leaf.path: leaf.target for leaf in tree.leaves if isinstance(leaf, Link)}


def visible(tree: MergedTree) -> set[str]:
    return {claim.layer.view_path(path) for claim in tree.visible for path in claim.paths}


def test_a_folder_of_one_layer_is_one_link() -> None:
    tree = merge(layer("a", {"pkg/__init__.py": "1", "pkg/sub/x.py": "2", "mod.py": "3"}))
    assert links(tree) == {"site/mod.py": "/store/a/mod.py", "site/pkg": "/store/a/pkg"}
    assert tree.folders == ("site",)
    assert visible(tree) == {"site/mod.py", "site/pkg/__init__.py", "site/pkg/sub/x.py"}


def test_a_shared_folder_is_real_only_as_deep_as_the_overlap() -> None:
    tree = merge(
        layer("a", {"ns/a/x.py": "1", "ns/both/deep/a.py": "2"}),
        layer("b", {"ns/b/y.py": "3", "ns/both/b.py": "4"}),
    )
    assert tree.folders == ("site", "site/ns", "site/ns/both")
    assert links(tree) == {
        "site/ns/a": "/store/a/ns/a",
        "site/ns/b": "/store/b/ns/b",
        "site/ns/both/b.py": "/store/b/ns/both/b.py",
        "site/ns/both/deep": "/store/a/ns/both/deep",
    }
    assert not tree.warnings


def test_equal_bytes_are_no_conflict() -> None:
    tree = merge(layer("a", {"ns/__init__.py": "same"}), layer("b", {"ns/__init__.py": "same", "ns/b.py": "1"}))
    assert not tree.warnings
    assert "site/ns/__init__.py" in links(tree)


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_files_the_one_installed_last_wins_whatever_the_order_of_the_layers(*, turned: bool) -> None:
    layers = [layer("a", {"x.py": "1", "y.py": "1"}), layer("b", {"x.py": "2", "y.py": "2"})]
    tree = merge(*(reversed(layers) if turned else layers))
    assert links(tree)["site/x.py"] == "/store/a/x.py"
    assert tree.warnings == ("a and b both provide site/x.py and 1 more: the one of a is used",)


def test_a_dependency_is_installed_first_and_loses() -> None:
    layers = [layer("a", {"x.py": "1"}), layer("b", {"x.py": "2"})]
    tree = merge(*layers, manifests=[manifest("a"), manifest("b", "a>=1")])
    assert links(tree)["site/x.py"] == "/store/b/x.py"


@pytest.mark.parametrize(
    ("manifests", "expected"),
    [
        ((manifest("a"), manifest("b")), {"site/x": "/store/a/x"}),
        ((manifest("a"), manifest("b", "a")), {"site/x": "/store/b/x"}),
    ],
    ids=["the file wins", "the folder wins"],
)
def test_of_a_file_and_a_folder_the_one_installed_last_wins(
    manifests: Sequence[Manifest], expected: dict[str, str]
) -> None:
    tree = merge(layer("a", {"x": "1"}), layer("b", {"x/inner.py": "2"}), manifests=manifests)
    assert links(tree) == expected
    assert len(tree.warnings) == 1
    assert "a and b" in tree.warnings[0] or "b and a" in tree.warnings[0]


def test_a_folder_that_has_to_be_real_holds_links() -> None:
    files = {"torch/lib/x.so": "1", "torch/lib/sub/y.so": "2", "torch/nn/z.py": "3"}
    tree = merge(layer("torch", files, real=["torch", "torch/lib"]))
    assert tree.folders == ("site", "site/torch", "site/torch/lib")
    assert set(links(tree)) == {"site/torch/lib/sub", "site/torch/lib/x.so", "site/torch/nn"}


def test_layers_meet_whatever_their_mounts() -> None:
    tree = merge(layer("a", {"pkg/a.py": "1"}), layer("b", {"site/pkg/b.py": "2", "share/b": "3"}, mount=""))
    assert tree.folders == ("site", "site/pkg")
    assert links(tree) == {
        "share": "/store/b/share",
        "site/pkg/a.py": "/store/a/pkg/a.py",
        "site/pkg/b.py": "/store/b/site/pkg/b.py",
    }


def test_a_mount_of_one_layer_is_a_link_below_real_folders() -> None:
    tree = merge(layer("a", {"a.h": "1"}, mount="include/a"))
    assert tree.folders == ("include",)
    assert links(tree) == {"include/a": "/store/a"}


def test_what_storectl_adds_wins_over_every_wheel() -> None:
    own = made_layer("storectl", [SmallFile(path="site/x.py", content=b"own")])
    tree = merge(own, layer("a", {"x.py": "1"}), layer("b", {"x.py": "2"}))
    assert tree.leaves == (SmallFile(path="site/x.py", content=b"own"),)
    assert len(tree.warnings) == 2


def test_a_wheels_bytecode_is_not_merged_into_a_real_folder() -> None:
    tree = merge(layer("a", {"mod.py": "1", "__pycache__/mod.pyc": "2", "pkg/__pycache__/x.pyc": "3"}))
    assert set(links(tree)) == {"site/mod.py", "site/pkg"}


def test_the_order_is_dependencies_first_then_reverse_alphabetical() -> None:
    manifests = [manifest("app", "lib", "zlib"), manifest("lib", "core"), manifest("core"), manifest("zlib")]
    order = InstallationOrder(manifests, {})
    assert sorted(["app", "lib", "core", "zlib"], key=lambda name: order.rank(NormalizedName(name))) == [
        "zlib",
        "core",
        "lib",
        "app",
    ]


def test_requirements_that_do_not_hold_or_cannot_be_read_give_no_order() -> None:
    manifests = [manifest("a"), manifest("b", 'a; sys_platform == "none"', "a (>=1", 'a; extra == "x"')]
    order = InstallationOrder(manifests, {"sys_platform": "linux"})
    assert order.rank(NormalizedName("a")) > order.rank(NormalizedName("b"))


def test_a_cycle_weighs_by_its_longest_path() -> None:
    graph = {"": {"a", "b", "c"}, "a": {"b"}, "b": {"a"}, "c": {"a"}}
    assert topological_weights(graph) == {"a": 2, "b": 3, "c": 1}


def test_a_tangle_of_cycles_ends() -> None:
    nodes = [f"n{number:02}" for number in range(30)]
    graph = {"": set(nodes)} | {node: set(nodes) - {node} for node in nodes}
    assert set(topological_weights(graph)) == set(nodes)


_FOLDERS = st.lists(st.sampled_from(["da", "db"]), max_size=3)
_PATHS = st.builds(lambda folders, name: "/".join([*folders, name]), _FOLDERS, st.sampled_from(["fx.py", "fy", "fz"]))
_FILES = st.dictionaries(_PATHS, st.sampled_from(["1", "2"]), max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcd"), st.tuples(_FILES, st.sampled_from([[], ["da"], ["da/db"]])), max_size=4)
)
def test_every_path_shows_the_bytes_that_were_written_last(wheels: dict[str, tuple[dict[str, str], list[str]]]) -> None:
    tree = merge(*(layer(name, files, real=real) for name, (files, real) in wheels.items()))
    written: dict[str, str] = {}
    for name in sorted(wheels, reverse=True):
        written.update(wheels[name][0])
    shown = {f"site/{path}": wheels[_owner(tree, f"site/{path}")][0][path] for path in written}
    assert shown == {f"site/{path}": data for path, data in written.items()}
    assert visible(tree) == set(shown)
    assert len(tree.leaves) == len({leaf.path for leaf in tree.leaves})


def _owner(tree: MergedTree, path: str) -> str:
    """The wheel whose file a program finds at this path: the one link on the way decides."""
    found = [target + path[len(link) :] for link, target in links(tree).items() if f"{path}/".startswith(f"{link}/")]
    assert len(found) == 1
    assert found[0].endswith(path.removeprefix("site"))
    return found[0].split("/")[2]
