"""Whether a uv.lock is older than its project: what ``uv lock --check`` says is the measure."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storectl_store.selection.select import select
from support.index import LoopbackIndex, serve_index
from support.targets import make_target
from support.uv_projects import UvProject
from support.wheels import make_wheel

WHEELS = [make_wheel(name, version) for name in ("a", "b", "c", "d") for version in ("1.0", "2.0")]
ROOT = """\
[project]
name = "foo"
version = "1.0"
description = "before"
requires-python = ">=3.10"
dependencies = [
    "a[x]>=1,<3",
    "b ; python_version >= '3.11' and platform_system != 'Windows'",
    "lib",
    "m1",
]

[project.optional-dependencies]
fast = ["c>1", "foo[none]"]
none = []

[dependency-groups]
dev = ["d", { include-group = "Docs" }]
Docs = ["c<3"]

[tool.uv]
constraint-dependencies = ["a<4"]
override-dependencies = ["d>=1"]
environments = ["sys_platform == 'linux'", "sys_platform == 'darwin'"]
conflicts = [[{ extra = "fast" }, { extra = "none" }]]

[tool.uv.sources]
lib = { path = "lib" }
m1 = { workspace = true }

[tool.uv.workspace]
members = ["m*"]
exclude = ["m9"]
"""
MEMBER = '[project]\nname = "m1"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["c"]\n'
LIB = '[project]\nname = "lib"\nversion = "1"\ndependencies = ["d"]\n'
FILES = {"pyproject.toml": ROOT, "m1/pyproject.toml": MEMBER, "lib/pyproject.toml": LIB}
Edit = tuple[str, str, str]
"""A file, what is in it, and what to write instead."""

ROOT_FILE, MEMBER_FILE, LIB_FILE = FILES
EDITS: dict[str, Edit] = {
    "nothing": (ROOT_FILE, "", ""),
    "the description": (ROOT_FILE, '"before"', '"after"'),
    "a comment": (ROOT_FILE, "[tool.uv]\n", "# later\n[tool.uv]\n"),
    "blanks in a requirement": (ROOT_FILE, "a[x]>=1,<3", "A [ X ] <3, >=1"),
    "the order of requirements": (ROOT_FILE, '    "lib",\n    "m1",', '    "m1",\n    "lib",'),
    "an equal version of a specifier": (ROOT_FILE, ">=1,<3", ">=1.0,<3.0.0"),
    "an equal marker": (ROOT_FILE, "python_version >= '3.11' and platform_system", "'3.11' <= python_version and platform_system"),
    "a marker in other words": (ROOT_FILE, "platform_system != 'Windows'", "sys_platform != 'win32'"),
    "the settings of another tool": (ROOT_FILE, "[tool.uv]\n", "[tool.ruff]\nline-length = 9\n[tool.uv]\n"),
    "the spelling of a group": (ROOT_FILE, "Docs", "docs"),
    "an empty extra less": (ROOT_FILE, "none = []\n", ""),
    "a requirement more": (ROOT_FILE, '"lib",', '"lib", "d",'),
    "a requirement less": (ROOT_FILE, '    "lib",\n', ""),
    "a specifier": (ROOT_FILE, ">=1,<3", ">=1,<2"),
    "an extra of a requirement": (ROOT_FILE, "a[x]", "a[x,y]"),
    "a marker": (ROOT_FILE, "'3.11'", "'3.12'"),
    "a marker on a requirement without": (ROOT_FILE, '"a[x]>=1,<3"', "\"a[x]>=1,<3; os_name == 'posix'\""),
    "a requirement of an extra": (ROOT_FILE, "c>1", "c>=1"),
    "an extra more": (ROOT_FILE, "none = []", "none = []\nmore = []"),
    "the name of an extra": (ROOT_FILE, "none = []", 'none = []\nslow = ["d"]'),
    "a group more": (ROOT_FILE, "Docs = [", 'test = ["a"]\nDocs = ['),
    "a group less": (ROOT_FILE, '{ include-group = "Docs" }]\nDocs = ["c<3"]', '"c<3"]'),
    "what a group includes": (ROOT_FILE, 'Docs = ["c<3"]', 'Docs = ["c<2"]'),
    "a constraint": (ROOT_FILE, "a<4", "a<5"),
    "no constraints": (ROOT_FILE, 'constraint-dependencies = ["a<4"]\n', ""),
    "a constraint of the build": (ROOT_FILE, "[tool.uv]\n", '[tool.uv]\nbuild-constraint-dependencies = ["a<9"]\n'),
    "an override": (ROOT_FILE, 'override-dependencies = ["d>=1"]', 'override-dependencies = ["d>=2"]'),
    "an excluded dependency": (ROOT_FILE, "[tool.uv]\n", '[tool.uv]\nexclude-dependencies = ["c"]\n'),
    "the Pythons": (ROOT_FILE, '">=3.10"', '">=3.11"'),
    "an upper bound of the Pythons": (ROOT_FILE, '">=3.10"', '">=3.10,<3.14"'),
    "the Pythons, in other words": (ROOT_FILE, '">=3.10"', '">= 3.10.0"'),
    "the Pythons of a member, wider": (MEMBER_FILE, '">=3.9"', '">=3.8"'),
    "the Pythons of a member, narrower": (MEMBER_FILE, '">=3.9"', '">=3.12"'),
    "the environments": (ROOT_FILE, "\"sys_platform == 'darwin'\"", "\"sys_platform == 'win32'\""),
    "no environments": (ROOT_FILE, "environments = [\"sys_platform == 'linux'\", \"sys_platform == 'darwin'\"]\n", ""),
    "the conflicts": (ROOT_FILE, 'conflicts = [[{ extra = "fast" }, { extra = "none" }]]\n', ""),
    "another source": (ROOT_FILE, 'lib = { path = "lib" }', 'lib = { path = "lib2" }'),
    "the version": (ROOT_FILE, 'version = "1.0"', 'version = "1.1"'),
    "the same version": (ROOT_FILE, 'version = "1.0"', 'version = "1.0.0"'),
    "a dynamic version": (ROOT_FILE, 'version = "1.0"', 'dynamic = ["version"]'),
    "the name": (ROOT_FILE, 'name = "foo"', 'name = "bar"'),
    "a member's requirement": (MEMBER_FILE, '["c"]', '["c", "d"]'),
    "a member's version": (MEMBER_FILE, 'version = "1"', 'version = "2"'),
    "a member's description": (MEMBER_FILE, 'version = "1"', 'version = "1"\ndescription = "new"'),
    "a member's group": (MEMBER_FILE, "dependencies", '[dependency-groups]\ndev = ["a"]\n[project.x]\ndependencies'),
    "a member less": (ROOT_FILE, 'exclude = ["m9"]', 'exclude = ["m1"]'),
    "the requirements of a path dependency": (LIB_FILE, '["d"]', '["d", "a"]'),
    "the description of a path dependency": (LIB_FILE, 'version = "1"', 'version = "1"\ndescription = "new"'),
    "the older form of groups": (ROOT_FILE, "[tool.uv]\n", '[tool.uv]\ndev-dependencies = ["a"]\n'),
    "the default groups": (ROOT_FILE, "[tool.uv]\n", '[tool.uv]\ndefault-groups = ["docs"]\n'),
    "a lower resolution": (ROOT_FILE, "[tool.uv]\n", '[tool.uv]\nresolution = "lowest-direct"\n'),
    "another index": (ROOT_FILE, "[tool.uv]\n", '[[tool.uv.index]]\nname = "x"\nurl = "http://127.0.0.1:9/"\nexplicit = true\n[tool.uv]\n'),
}  # fmt: skip
UNCERTAIN = {"a dynamic version"}
"""Changes that uv sees and that need not be told: a backend has the last word."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UvProject]:
    with serve_index(*WHEELS) as index:
        yield locked(tmp_path_factory.mktemp("stale"), index, FILES)


def locked(folder: Path, index: LoopbackIndex, files: dict[str, str]) -> UvProject:
    second = {"lib2/pyproject.toml": LIB.replace('"1"', '"2"')}
    return UvProject(folder, index, {**files, **second})


def stale(project: UvProject) -> str | None:
    return select(project.lock_file, make_target()).stale


LIB_AT = (
    '[project]\nname = "lib"\nversion = "1"\ndependencies = ["foo"]\n[tool.uv.sources]\nfoo = { path = "../root" }\n'
)
CURRENT: dict[str, dict[str, str]] = {
    "a specifier of what has a place of its own": {
        "pyproject.toml": '[project]\nname = "foo"\nversion = "1"\nrequires-python = ">=3.10"\n'
        'dependencies = ["lib>=0.5,<3", "m1==1"]\n'
        '[tool.uv.sources]\nlib = { path = "lib" }\nm1 = { workspace = true }\n[tool.uv.workspace]\nmembers = ["m1"]\n',
        "m1/pyproject.toml": MEMBER,
        "lib/pyproject.toml": LIB,
    },
    "extras that name extras": {
        "pyproject.toml": '[project]\nname = "foo"\nversion = "1"\nrequires-python = ">=3.10"\n'
        '[project.optional-dependencies]\nall = ["foo[fast,more]", "d"]\nmore = ["Foo[fast] ; python_version >= \'3.11\'"]\n'
        "fast = [\"a>1 ; sys_platform == 'linux'\", \"b\"]\n",
    },
    "no development dependencies": {
        "pyproject.toml": '[project]\nname = "foo"\nversion = "1"\nrequires-python = ">=3.10"\n[tool.uv]\ndev-dependencies = []\n',
    },
    "a path that leaves the project and comes back": {
        "root/pyproject.toml": '[project]\nname = "foo"\nversion = "1"\nrequires-python = ">=3.10"\n'
        '[dependency-groups]\ndev = ["lib"]\n[tool.uv.sources]\nlib = { path = "../lib" }\n',
        "lib/pyproject.toml": LIB_AT,
    },
    "a project between a member and the root": {
        "pyproject.toml": '[project]\nname = "foo"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["n"]\n'
        "[tool.uv.sources]\nn = { workspace = true }\na = { workspace = true }\n"
        '[tool.uv.workspace]\nmembers = ["n", "n/deep"]\n',
        "n/pyproject.toml": '[project]\nname = "n"\nversion = "1"\nrequires-python = ">=3.10"\n',
        "n/deep/pyproject.toml": '[project]\nname = "deep"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["c"]\n',
    },
}  # fmt: skip
"""Projects, each of which uv has just locked."""


@pytest.mark.parametrize("what", CURRENT)
def test_what_was_just_locked_is_not_stale(tmp_path: Path, what: str) -> None:
    files = CURRENT[what]
    folder = next(iter(files)).removesuffix("pyproject.toml")
    with serve_index(*WHEELS) as index:
        beside = {f"../{name}": text for name, text in files.items() if folder and not name.startswith(folder)}
        own = {name.removeprefix(folder): text for name, text in files.items() if name.startswith(folder)}
        (tmp_path / folder).mkdir(exist_ok=True)
        project = UvProject(tmp_path / folder, index, own | beside)
    assert project.is_current()
    assert stale(project) is None
    if what == "extras that name extras":
        path = tmp_path / "pyproject.toml"
        path.write_text(path.read_text().replace("a>1", "a>=1"))
        assert stale(project) is not None


@pytest.mark.parametrize("edit", EDITS)
def test_a_change_is_told_where_uv_would_lock_again(project: UvProject, edit: str) -> None:
    file, old, new = EDITS[edit]
    path = project.folder / file
    assert old in FILES[file]
    path.write_text(FILES[file].replace(old, new))
    try:
        said, is_current = stale(project), project.is_current()
    finally:
        path.write_text(FILES[file])
    assert (said is None) == is_current or (said is None and edit in UNCERTAIN), said
    assert said is None or said.endswith(": run `uv lock`")


CONSTRAINTS: list[tuple[str, str, str, bool]] = [
    ("constraint-dependencies", "[]", '["d<9"]', True),  # d is not in the lock file
    ("constraint-dependencies", "[]", '["a"]', True),
    ("constraint-dependencies", '["a"]', "[]", True),
    ("constraint-dependencies", "[]", "[\"a<9; python_version < '3.8'\"]", True),
    ("constraint-dependencies", "[]", "[\"a<9; sys_platform == 'win32'\"]", False),
    ("constraint-dependencies", "[]", '["a<9"]', False),
    ("constraint-dependencies", '["d<9"]', "[]", False),
    ("constraint-dependencies", '["d<9"]', '["d<8"]', False),
    ("constraint-dependencies", '["a<9"]', '["a<9", "d<9"]', True),
    ("constraint-dependencies", '["a<9"]', '["a<9,<10"]', True),
    ("constraint-dependencies", '["a<9"]', '["a<9", "a[x]<10"]', True),
    ("constraint-dependencies", '["a<9"]', '["a<9", "a>0.5"]', False),
    ("constraint-dependencies", '["a<9", "a>0.5"]', '["a<9,>0.5"]', True),
    ("override-dependencies", "[]", '["d<9"]', True),
    ("override-dependencies", "[]", '["a"]', False),
    ("override-dependencies", '["d<9"]', "[]", False),
    ("exclude-dependencies", "[]", '["d"]', True),
    ("exclude-dependencies", "[]", '["b"]', False),
    ("exclude-dependencies", '["d"]', "[]", False),
    ("build-constraint-dependencies", "[]", '["d<9"]', False),
    ("build-constraint-dependencies", '["d<9"]', '["d<9,<10"]', False),
    ("dev-dependencies", '["a<9"]', '["a<9", "a<10"]', True),
    ("dev-dependencies", '["a<9"]', '["a<9", "a[x]"]', False),
    ("dev-dependencies", '["a<9"]', '["a<9", "a<10; sys_platform == \'win32\'"]', True),
    ("dev-dependencies", '["a<9"]', '["a<9", "b"]', False),
]
"""A setting of [tool.uv], what it was when it was locked, what it is now, and whether uv finds nothing to do."""


@pytest.mark.parametrize(("setting", "before", "after", "current"), CONSTRAINTS)
def test_settings_are_compared_by_what_they_do_to_the_lock_file(
    tmp_path: Path, setting: str, before: str, after: str, *, current: bool
) -> None:
    """Where uv finds nothing to do, to tell a user to lock again would never end."""
    text = '[project]\nname = "foo"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["a", "b"]\n[tool.uv]\n'
    with serve_index(*WHEELS) as index:
        project = UvProject(tmp_path, index, {"pyproject.toml": f"{text}{setting} = {before}\n"})
        (tmp_path / "pyproject.toml").write_text(f"{text}{setting} = {after}\n")
        assert project.is_current() == current
    assert (stale(project) is None) == current


@pytest.mark.parametrize("place", ["flat", "./flat/", "../flat", "URL"])
@pytest.mark.parametrize("explicit", ["true", "false"])
def test_an_index_that_is_a_folder_is_recorded_as_an_address(tmp_path: Path, place: str, explicit: str) -> None:
    folder = tmp_path / "project"
    flat = tmp_path / "flat" if place == "../flat" else folder / "flat"
    flat.mkdir(parents=True)
    (flat / WHEELS[0].filename).write_bytes(WHEELS[0].data)
    text = (
        '[project]\nname = "foo"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["a"]\n'
        f'[[tool.uv.index]]\nname = "here"\nurl = "{flat.as_uri() if place == "URL" else place}"\nformat = "flat"\n'
        f'explicit = {explicit}\n[tool.uv.sources]\na = {{ index = "here" }}\n'
    )
    with serve_index() as index:
        project = UvProject(folder, index, {"pyproject.toml": text})
        assert project.is_current()
    assert stale(project) is None
    (folder / "pyproject.toml").write_text(text.replace('url = "', 'url = "file:///nowhere/'))
    assert stale(project) is not None
