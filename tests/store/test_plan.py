"""Plans: pure values of manifests."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from storectl_store.digest import Digest
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.identity import NOTHING
from storectl_store.environments.planning.plan import EnvironmentPlan, environment_id
from storectl_store.environments.planning.tree import Link
from storectl_store.errors import EnvironmentBuildError
from storectl_store.selection.target import Interpreter
from support.environments import made_up_interpreter, plan_of, read_wheel
from support.wheels import WheelBytes, make_wheel

LAYOUT = StoreLayout(Path("/store"))
SITE = "lib/python3.12/site-packages"


def plan(
    *wheels: WheelBytes,
    interpreter: Interpreter | None = None,
    direct_urls: Mapping[NormalizedName, str] = NOTHING,
) -> EnvironmentPlan:
    manifests = [read_wheel(wheel)[0] for wheel in wheels]
    return plan_of(manifests, interpreter or made_up_interpreter(), LAYOUT, direct_urls=direct_urls)


def link(planned: EnvironmentPlan, path: str) -> str:
    return next(link.target for link in planned.links if link.path == path)


def content(planned: EnvironmentPlan, path: str) -> str:
    return next(file.content for file in planned.files if file.path == path).decode()


def test_the_python_of_a_view_is_the_base_interpreter() -> None:
    planned = plan()
    assert link(planned, "bin/python") == "/opt/python/bin/python3"
    assert link(planned, "bin/python3") == link(planned, "bin/python3.12") == "python"
    assert "home = /opt/python/bin\n" in content(planned, "pyvenv.cfg")
    assert "include-system-site-packages = false\n" in content(planned, "pyvenv.cfg")


def test_lib64_is_a_link_where_venv_makes_one() -> None:
    assert link(plan(), "lib64") == "lib"
    mac = made_up_interpreter(markers={"sys_platform": "darwin", "platform_machine": "arm64"})
    assert "lib64" not in {link.path for link in plan(interpreter=mac).links}


def test_a_free_threaded_interpreter_has_its_own_folder() -> None:
    planned = plan(make_wheel("a"), interpreter=made_up_interpreter("3.13.0", abiflags="t"))
    assert planned.site_packages == "lib/python3.13t/site-packages"
    assert link(planned, "bin/python3.13t") == "python"


def test_the_shim_is_started_by_a_pth_and_a_start_file() -> None:
    planned = plan()
    assert content(planned, f"{SITE}/_storectl.pth") == "import _storectl; _storectl.start_uncustomized()\n"
    assert content(planned, f"{SITE}/_storectl.start") == "_storectl:start_uncustomized\n"
    assert "\ndef start(" in content(planned, f"{SITE}/_storectl.py")
    assert "\nclass ImportMap" in content(planned, SITE.replace("site-packages", "_storectl_map.py"))


@pytest.mark.parametrize("path", ["sitecustomize.py", "usercustomize/__init__.py", "sitecustomize.abi3.so"])
def test_a_wheel_that_customizes_every_start_is_started_with(path: str) -> None:
    planned = plan(make_wheel("a", files={path: ""}))
    assert content(planned, f"{SITE}/_storectl.pth") == "import _storectl; _storectl.start()\n"
    assert content(planned, f"{SITE}/_storectl.start") == "_storectl:start\n"


def test_where_a_project_comes_from_stands_beside_its_metadata() -> None:
    wheel, other = make_wheel("a"), make_wheel("b")
    planned = plan(wheel, other, direct_urls={NormalizedName("a"): '{"url": "file:///a"}'})
    assert content(planned, f"{SITE}/a-1.0.dist-info/direct_url.json") == '{"url": "file:///a"}'
    assert f"{SITE}/b-1.0.dist-info/direct_url.json" not in {file.path for file in planned.files}
    assert planned.warnings == ()


def test_the_folder_of_metadata_is_real_and_its_files_are_those_of_the_entry() -> None:
    wheel = make_wheel("a", extra_dist_info={"licenses/LICENSE": "free"})
    planned = plan(wheel)
    info, root = f"{SITE}/a-1.0.dist-info", LAYOUT.entry(read_wheel(wheel)[0].name, Digest(wheel.digest))
    assert info in planned.folders
    assert {file.path: file.target for file in planned.same_files} == {
        f"{info}/{name}": f"{root}/site-packages/a-1.0.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL")
    }
    assert link(planned, f"{info}/licenses") == f"{root}/site-packages/a-1.0.dist-info/licenses"


def test_names_tell_which_entries_they_are_seen_from() -> None:
    left = make_wheel("left", files={"ns/left.py": "", "only.py": ""})
    right = make_wheel("right", files={"ns/right.py": ""})
    names = plan(left, right).names
    assert names["ns"].shared
    assert set(names["ns"].owners) == {left.digest, right.digest}
    assert set(names["ns"].paths) == {"ns/left.py", "ns/right.py"}
    assert names["only.py"].owners == (left.digest,)
    assert not names["only.py"].shared
    assert names["_storectl.py"].owners == ()


def test_every_visible_path_is_listed_once() -> None:
    left = make_wheel("left", files={"ns/x.py": "1", f"left-1.0.data/data/{SITE}/ns/late.py": "", "own/y.py": ""})
    right = make_wheel("right", files={"ns/x.py": "2", "right-1.0.data/data/share/doc": ""})
    paths = sorted(path for name in plan(left, right).names.values() for path in name.paths)
    assert len(paths) == len(set(paths))
    assert {"ns/x.py", "ns/late.py", "own/", "_storectl.py", "left-1.0.dist-info/METADATA"} <= set(paths)
    assert not any("share" in path for path in paths)


def test_modules_that_are_links_have_their_bytecode_linked_beside_them() -> None:
    wheel = make_wheel("single", files={"single.py": "", "folder/inner.py": "", "tool.py.txt": ""})
    planned = plan(wheel)
    bytecode = {link.path: link.target for link in planned.links if link.path.endswith(".pyc")}
    root = LAYOUT.entry(read_wheel(wheel)[0].name, Digest(wheel.digest))
    assert bytecode == {
        f"{SITE}/__pycache__/single.cpython-312.pyc": f"{root}/site-packages/__pycache__/single.cpython-312.pyc"
    }
    assert f"{SITE}/__pycache__" in planned.folders


@pytest.mark.parametrize(
    "path", ["pyvenv.cfg", "bin/python", "import-map", "environment.json", "lib64", f"{SITE}/_storectl.py"]
)
def test_data_of_a_wheel_never_replaces_what_makes_the_environment(path: str) -> None:
    before, after = plan(), plan(make_wheel("bad", files={f"bad-1.0.data/data/{path}": "owned"}))
    assert b"owned" not in {file.content for file in after.files}
    assert {link.path: link.target for link in before.links}.items() <= {
        link.path: link.target for link in after.links
    }.items()
    assert any("bad 1.0" in warning and "storectl" in warning for warning in after.warnings)


def test_data_in_lib64_goes_where_lib64_leads() -> None:
    planned = plan(make_wheel("a", files={"a-1.0.data/data/lib64/python3.12/site-packages/x.so": ""}))
    assert link(planned, f"{SITE}/x.so").endswith("/data/lib64/python3.12/site-packages/x.so")
    assert link(planned, "lib64") == "lib"


def test_headers_are_where_pip_puts_them() -> None:
    planned = plan(make_wheel("Some.Name", files={"some_name-1.0.data/headers/x.h": ""}))
    assert "include/site/python3.12/some_name/x.h" in {file.path for file in planned.same_files}


def test_an_entry_point_replaces_a_script_of_its_name_without_a_warning() -> None:
    files = {"t.py": "", "t-1.0.data/scripts/go": "#!python\n", "t-1.0.data/scripts/go.exe": "MZ"}
    planned = plan(make_wheel("t", files=files, entry_points="[console_scripts]\ngo = t:main\n"))
    assert not planned.scripts
    assert "from t import main" in content(planned, "bin/go")
    assert not planned.warnings


def test_two_entry_points_of_one_name_are_a_conflict() -> None:
    wheels = [make_wheel(name, entry_points=f"[console_scripts]\ngo = {name}:main\n") for name in ("a", "b")]
    planned = plan(*wheels)
    assert "from a import main" in content(planned, "bin/go")
    assert planned.warnings == ("a 1.0 and b 1.0 both provide bin/go: the one of a 1.0 is used",)


def test_one_project_in_two_versions_is_refused() -> None:
    with pytest.raises(EnvironmentBuildError, match="more than one version"):
        plan(make_wheel("a", "1.0"), make_wheel("a", "2.0"))


def test_a_plan_does_not_depend_on_the_order_of_its_manifests() -> None:
    wheels = [make_wheel(name, files={"ns/same.py": name, f"{name}.py": ""}) for name in ("a", "b", "c")]
    assert plan(*wheels) == plan(*reversed(wheels))


def test_the_id_is_that_of_the_closure_the_interpreter_and_the_direct_urls() -> None:
    digests = [Digest(make_wheel(name).digest) for name in ("a", "b")]
    interpreter = made_up_interpreter()
    direct = {NormalizedName("a"): "{}", NormalizedName("b"): "[]"}
    reference = environment_id(digests, interpreter, direct)
    assert len(reference) == 32
    assert int(reference, 16) >= 0
    assert reference == environment_id(reversed(digests), interpreter, dict(reversed(direct.items())))
    others = [
        environment_id(digests[:1], interpreter, direct),
        environment_id(digests, replace(interpreter, identity="other"), direct),
        environment_id(digests, interpreter, direct | {NormalizedName("a"): "[]"}),
        environment_id(digests, interpreter),
    ]
    assert len({reference, *others}) == 5


def test_a_wheel_costs_few_inodes() -> None:
    wheels = [make_wheel(f"package-{number}") for number in range(20)]
    wheels += [make_wheel(f"module-{number}", files={f"module_{number}.py": ""}) for number in range(10)]
    wheels += [
        make_wheel(f"tool-{number}", entry_points=f"[console_scripts]\ntool-{number} = tool:main\n")
        for number in range(10)
    ]
    wheels += [make_wheel(f"ns-{number}", files={f"ns/part{number}/__init__.py": ""}) for number in range(10)]
    planned = plan(*wheels)
    inodes = sum(map(len, (planned.folders, planned.links, planned.files, planned.scripts)))
    assert inodes <= 3 * len(wheels) + 30


def test_absolute_links_lead_into_the_store_only() -> None:
    planned = plan(make_wheel("a", files={"a/x.py": "", "a-1.0.data/data/share/x": "", "a-1.0.data/headers/h": ""}))
    targets = {link.target for link in planned.links if link.path != "bin/python" and link.target.startswith("/")}
    assert targets
    assert all(target.startswith("/store/store/a/") for target in targets)
    assert all(isinstance(link, Link) for link in planned.links)


@pytest.mark.parametrize(
    ("name", "version", "shown"),
    [
        ("coverage", "7.9.2", False),
        ("coverage", "7.10.2", False),
        ("coverage", "7.10.3", True),
        ("coverage", "7.12.0", True),
        ("coverage", "7.13.0", False),
        ("other", "7.11.0", False),
    ],
)
def test_what_coverage_writes_for_its_children_is_there_for_the_versions_that_write_it(
    name: str,
    version: str,
    shown: bool,  # noqa: FBT001 - a parameter of the cases
) -> None:
    planned = plan(make_wheel(name, version))
    path = f"{SITE}/_storectl_coverage.pth"
    assert (path in {file.path for file in planned.files}) is shown
    if shown:
        (line,) = content(planned, path).splitlines()  # site runs a line of a .pth that begins so, and no other
        assert line.startswith("import ")
