"""uv.lock, pylock.toml and requirements.txt of real projects against uv and pip: what they install is what is selected."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import packaging
import pytest
from packaging.requirements import Requirement
from uv import find_uv_bin

from storectl_store.errors import NoWheelError
from storectl_store.selection.lock_file import read_lock_file
from storectl_store.selection.select import select
from storectl_store.selection.target import Target
from support.index import LoopbackIndex
from support.installed import Taken, selected_from
from support.machine import pyenv_python
from support.stand_ins import PLATFORMS, StandInEnvironments, interpreter_on, stand_ins_for, taken_of
from support.targets import make_interpreter
from support.tools import install_tool, shared_root
from support.workloads import own_workloads

pytestmark = pytest.mark.network

Record = Callable[[str, object], None]
PYTHONS = {v: path for v in ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14") if (path := pyenv_python(v))}
OPTIONS: dict[tuple[str, ...], dict[str, Any]] = {
    (): {},
    ("--no-default-groups",): {"default_groups": False},
    ("--extra=first",): {"extras": {"first"}},
    ("--extra=second",): {"extras": {"second"}},
    ("--all-extras", "--no-default-groups"): {"all_extras": True, "default_groups": False},
    ("--group=docs",): {"groups": {"docs"}},
    ("--only-group=docs",): {"groups": {"docs"}, "default_groups": False, "project": False},
    ("--only-group=test", "--only-group=dev"): {"groups": {"dev", "test"}, "default_groups": False, "project": False},
    ("--all-extras", "--all-groups"): {"all_extras": True, "groups": {"dev", "docs", "test"}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A project of stand-ins: its folder with a ``uv.lock``, and what to install it with."""

    folder: Path
    index: LoopbackIndex
    environments: StandInEnvironments


def pyproject(workload: Path, *, pinned: bool) -> str:
    """The workload with its requirements dealt out to extras and groups; if not pinned, for every Python there is."""
    text = (workload / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    first, second, third, fourth = (project["dependencies"][number::4] for number in range(4))
    return (
        f'[project]\nname = "{project["name"]}"\nversion = "0"\n'
        f'requires-python = "{project["requires-python"] if pinned else ">=3.9,<3.15"}"\ndependencies = {first}\n'
        f"[project.optional-dependencies]\nfirst = {second}\nsecond = {third}\nnone = []\n"
        f"[dependency-groups]\ndev = {fourth}\ndocs = [\"tqdm; sys_platform == 'win32'\"]\n"
        f'test = {[*second[1::2], *third[::2]]}\nall = [{{ include-group = "docs" }}, {{ include-group = "test" }}]\n'
        + (text[text.index("[tool.uv]") :] if pinned else "[tool.uv]\npackage = false\n")
    )


@pytest.fixture(scope="module")
def texts() -> dict[tuple[Path, bool], str]:
    """The lock files made so far."""
    return {}


@pytest.fixture(params=[True, False], ids=["pinned", "free"])
def locked(
    tmp_path: Path, workload: Path, texts: dict[tuple[Path, bool], str], request: pytest.FixtureRequest
) -> Iterator[Locked]:
    pinned: bool = request.param
    if not pinned and workload not in own_workloads():
        pytest.skip("uv would look for versions of hundreds of projects")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(pyproject(workload, pinned=pinned))
    if (workload, pinned) not in texts:
        subprocess.run([find_uv_bin(), "lock", "--quiet"], cwd=folder, check=True)
        texts[workload, pinned] = (folder / "uv.lock").read_text()
    with stand_ins_for(texts[workload, pinned]) as (text, index):
        (folder / "uv.lock").write_text(text)
        yield Locked(folder=folder, index=index, environments=StandInEnvironments(tmp_path / "environments", index))


def pythons_of(locked: Locked) -> list[tuple[str, str]]:
    """The full version and the program of each Python that the lock file is for."""
    allowed = tomllib.loads((locked.folder / "uv.lock").read_text())["requires-python"]
    found = [(Path(path).parents[1].name, path) for path in PYTHONS.values()]
    return [(version, path) for version, path in found if Requirement(f"x{allowed}").specifier.contains(version)]


def selected(locked: Locked, name: str, target: Target) -> set[Taken] | None:
    """What is selected; None where a project has no wheel for the target."""
    try:
        found = selected_from(locked.folder / name, target, list(locked.index.wheels.values()))
    except NoWheelError:
        return None
    return found if all(taken.digest for taken in found) else None


def agree(said: set[Taken] | str, ours: set[Taken] | None) -> bool:
    """Whether both take the same files, or both take nothing for want of a wheel."""
    if isinstance(said, str):
        assert re.search(r"no (binary|compatible|wheels)|doesn't have a|not compatible", said), said
        return ours is None
    return said == ours


def test_what_uv_syncs_is_what_is_selected_from_uv_lock(locked: Locked, record_property: Record) -> None:
    compared = 0
    for version, python in pythons_of(locked):
        for platform in PLATFORMS:
            for arguments, options in OPTIONS.items():
                target = Target(interpreter=interpreter_on(platform, version), **_frozen(options))
                said = locked.environments.synced(locked.folder, python, platform, arguments)
                assert agree(said, selected(locked, "uv.lock", target)), (version, platform, arguments)
                compared += 1
    record_property("compared", ("uv.lock", compared))
    assert select(read_lock_file(locked.folder / "uv.lock"), target).stale is None


EXPORTS: dict[str, tuple[str, ...]] = {
    "the project": (),
    "everything": ("--all-extras", "--all-groups"),
    "a group": ("--only-group=test",),
}


def export(locked: Locked, name: str, arguments: tuple[str, ...]) -> Path:
    command = [find_uv_bin(), "export", "--quiet", "--frozen", "--format", name, "-o", name, *arguments]
    subprocess.run(command, cwd=locked.folder, check=True, capture_output=True)
    return locked.folder / name


@pytest.mark.parametrize("name", ["pylock.toml", "requirements.txt"])
def test_what_uv_installs_is_what_is_selected_from_its_exports(
    locked: Locked, name: str, record_property: Record
) -> None:
    compared = 0
    for what, arguments in EXPORTS.items():
        file = export(locked, name, arguments)
        for version, python in pythons_of(locked):
            for platform in PLATFORMS:
                target = Target(interpreter=interpreter_on(platform, version))
                options = ("--require-hashes",) if name == "requirements.txt" else ()
                said = locked.environments.installed(file, python, platform, options)
                assert agree(said, selected(locked, name, target)), (what, version, platform)
                compared += 1
    record_property("compared", (name, compared))


def test_what_pip_would_install_is_what_is_selected_from_requirements(
    locked: Locked, tmp_path_factory: pytest.TempPathFactory, record_property: Record
) -> None:
    pip = install_tool(shared_root(tmp_path_factory.getbasetemp()), "pip<26") / "python"  # 26 and later refuse 3.9
    compared = 0
    for arguments in EXPORTS.values():
        file = export(locked, "requirements.txt", arguments)
        for version, python in pythons_of(locked):
            markers, tags = ask(python)
            interpreter = replace(make_interpreter(version), markers=markers, tags=tags)
            said = reported_by_pip(pip, python, file, locked.index)
            assert said == selected(locked, file.name, Target(interpreter=interpreter)), (version, arguments)
            compared += 1
    record_property("compared", ("requirements.txt", compared))


def reported_by_pip(pip: Path, python: str, file: Path, index: LoopbackIndex) -> set[Taken]:
    command: list[str | Path] = [
        pip, "-m", "pip", "--isolated", f"--python={python}", "install", "--quiet", "--dry-run", "--ignore-installed",
        "--no-deps", "--only-binary=:all:", "--report=-", "--no-cache-dir", f"--index-url={index.url}", f"--requirement={file}",
    ]  # fmt: skip
    environ = {"PATH": os.environ["PATH"], "HOME": str(file.parent), "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    urls = [item["download_info"]["url"] for item in json.loads(done.stdout)["install"]]
    return {taken_of(index.wheels[url.rpartition("/")[2]]) for url in urls}


def ask(python: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The markers and tags of a real interpreter, as packaging finds them there."""
    code = (
        "import json, sys; sys.path.append(sys.argv[1])\n"
        "from packaging import markers, tags\n"
        "print(json.dumps([markers.default_environment(), [str(t) for t in tags.sys_tags()]]))"
    )
    where = str(Path(packaging.__file__).parents[1])
    done = subprocess.run([python, "-I", "-c", code, where], capture_output=True, text=True, check=True)
    markers, tags = json.loads(done.stdout)
    return markers, tuple(tags)


def _frozen(options: dict[str, Any]) -> dict[str, Any]:
    return {key: frozenset(value) if isinstance(value, set) else value for key, value in options.items()}
