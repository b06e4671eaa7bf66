"""The pinned real projects that are part of the tests. Others can be named with ``--workloads DIR``."""

import tomllib
from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "workloads"


def own_workloads() -> list[Path]:
    """Folders that hold a ``pyproject.toml`` with pinned dependencies; no lock file, since that holds addresses."""
    return sorted(path.parent for path in _FOLDER.glob("*/pyproject.toml"))


def dealt_out(workload: Path, *, pinned: bool) -> str:
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
