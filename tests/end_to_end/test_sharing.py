"""One store: equal closures are one environment, different ones never mix."""

from support.index import LoopbackIndex
from support.machine import Machine
from support.project import write_project
from support.wheels import make_wheel


def test_two_checkouts_with_one_lock_file_share_one_environment(machine: Machine, index: LoopbackIndex) -> None:
    wheels = [make_wheel("alpha", "1.0"), make_wheel("beta", "1.0")]
    folders = [write_project(machine.home / name, index, wheels) for name in ("one", "two")]
    prefixes = {machine.ok("run", "-c", "import sys, alpha, beta; print(sys.prefix)", cwd=f) for f in folders}
    assert len(prefixes) == 1
    assert index.file_requests == 2


def test_two_projects_see_their_own_versions(machine: Machine, index: LoopbackIndex) -> None:
    for version in ("1.0", "2.0"):
        folder = write_project(machine.home / f"v{version}", index, [make_wheel("alpha", version)])
        shown = machine.ok("run", "-c", "import alpha; print(alpha.__version__)", cwd=folder)
        assert shown == f"{version}\n"
    listed = machine.json("store", "list", "--json")
    assert sorted((entry["name"], entry["version"]) for entry in listed) == [("alpha", "1.0"), ("alpha", "2.0")]


def test_the_projects_own_code_is_importable_from_src_and_flat_layouts(machine: Machine, index: LoopbackIndex) -> None:
    for layout in ("src", "."):
        folder = write_project(machine.home / f"layout-{len(layout)}", index, [make_wheel("alpha", "1.0")])
        build = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        pyproject = folder / "pyproject.toml"
        pyproject.write_text(build + pyproject.read_text().replace("package = false", "package = true"))
        lock_file = folder / "uv.lock"
        lock_file.write_text(lock_file.read_text().replace("virtual", "editable"))
        (folder / layout / "project").mkdir(parents=True)
        (folder / layout / "project/__init__.py").write_text("import alpha\nwhere = __file__\n")
        (machine.root / "elsewhere").mkdir(exist_ok=True)
        script = folder / "tools" / "script.py"
        script.parent.mkdir()
        script.write_text("import project; print(project.where)\n")
        shown = machine.ok("run", script, cwd=machine.root / "elsewhere")
        assert shown.strip() == str((folder / layout / "project/__init__.py").resolve())
