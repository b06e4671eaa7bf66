"""The same lock file in another folder selects the same, and is not parsed again if only local projects are elsewhere."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from storectl_daemon.jobs.options import Job, Options
from storectl_daemon.warming import selections
from storectl_daemon.warming.selections import Selections
from storectl_store.selection.pin import Selection
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from support.index import LoopbackIndex, serve_index
from support.lock_files import pylock_text, requirements_text, uv_lock_text
from support.targets import make_interpreter
from support.wheels import make_wheel

INTERPRETER = make_interpreter()
WHEELS = [make_wheel("alpha"), make_wheel("beta")]
PROJECT = (
    '[project]\nname = "{}"\nversion = "0"\nrequires-python = ">=3.9"\n{}[build-system]\nrequires = ["hatchling"]\n'
)
WORKSPACE = '[tool.uv.workspace]\nmembers = ["member"]\n'
MEMBER = '[[package]]\nname = "member"\nversion = "0"\nsource = { editable = "member" }\n'


def packaged(index: LoopbackIndex) -> Mapping[str, str]:
    text = uv_lock_text(index, WHEELS).replace("virtual", "editable")
    return {"uv.lock": text, "pyproject.toml": PROJECT.format("project", "")}


def workspace(index: LoopbackIndex) -> Mapping[str, str]:
    root = 'dependencies = ["member"]\n' + WORKSPACE + "[tool.uv.sources]\nmember = { workspace = true }\n"
    text = f"{packaged(index)['uv.lock']}\n{MEMBER}".replace("dependencies = [", 'dependencies = [{ name = "member" },')
    return {
        "uv.lock": text,
        "pyproject.toml": PROJECT.format("project", root),
        "member/pyproject.toml": PROJECT.format("member", ""),
    }


def editable_requirement(index: LoopbackIndex) -> Mapping[str, str]:
    text = f"--index-url {index.url}\n-e .\n-r more/base.txt\n"
    return {
        "requirements.txt": text,
        "more/base.txt": requirements_text(WHEELS),
        "pyproject.toml": PROJECT.format("project", ""),
    }


def no_local_project(index: LoopbackIndex) -> Mapping[str, str]:
    return {"pylock.toml": pylock_text(index, WHEELS)}


def wheel_in_the_folder(_index: LoopbackIndex) -> Mapping[str, str]:
    wheel = f"./wheels/{WHEELS[0].filename} --hash=sha256:{WHEELS[0].hexdigest}\n"
    return {"requirements.txt": wheel, f"wheels/{WHEELS[0].filename}": ""}


def project_beside(index: LoopbackIndex) -> Mapping[str, str]:
    return {
        "requirements.txt": f"--index-url {index.url}\n-e ../lib\n{requirements_text(WHEELS)}",
        "../lib/pyproject.toml": PROJECT.format("lib", ""),
    }


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """The lock file, which is the first of these files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / next(iter(files))


class Counted:
    """Selections, and how often a lock file was parsed for them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.selections = Selections()
        self.parsed = 0

        def counting(*arguments: object) -> Selection:
            self.parsed += 1
            return select(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(selections, "select", counting)

    def select(self, path: Path, options: Options | None = None) -> tuple[Selection, Selection]:
        """What is selected, and what parsing gives."""
        lock_file = read_lock_file(path, variables={})
        job = Job(project=path.parent, options=options or Options())
        found = asyncio.run(self.selections.select(job, lock_file, INTERPRETER))
        return found, select(lock_file, job.options.target(INTERPRETER))


@pytest.mark.parametrize(
    ("files", "again"),
    [
        (packaged, 1), (workspace, 1), (editable_requirement, 1), (no_local_project, 1),
        (wheel_in_the_folder, 2), (project_beside, 2),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_the_same_lock_file_in_another_folder(
    files: Callable[[LoopbackIndex], Mapping[str, str]], again: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    with serve_index() as index:
        for folder in (tmp_path / "one/main", tmp_path / "two/a tree"):
            found, parsed = counted.select(write(folder, files(index)))
            assert found == parsed
    assert counted.parsed == again


def test_another_content_of_any_file_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    with serve_index() as index:
        counted.select(write(tmp_path / "main", workspace(index)))
        for number, name in enumerate(workspace(index)):
            files = {path: text + ("# other\n" if path == name else "") for path, text in workspace(index).items()}
            found, parsed = counted.select(write(tmp_path / str(number), files))
            assert found == parsed
            assert counted.parsed == number + 2


def test_options_with_a_member_move_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    with serve_index() as index:
        for name in ("main", "tree"):
            path = write(tmp_path / name, workspace(index))
            found, parsed = counted.select(path, Options(member=str(path.parent / "member")))
            assert found == parsed
            assert all(Path(local.path).is_relative_to(path.parent) for local in found.local_projects)
    assert counted.parsed == 1
