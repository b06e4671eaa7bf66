"""uv.lock: whatever uv locks, the selection is what uv itself would install."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storectl_store.errors import LockFileError, NoWheelError, SelectionError, TargetError, UnsupportedSourceError
from storectl_store.selection.pin import Selection, SourceArchive
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from support.index import LoopbackIndex, serve_index
from support.lock_files import pyproject_text, uv_lock_text
from support.targets import make_target
from support.uv_projects import UvProject
from support.wheels import make_wheel

BACKEND = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
A1, A2, A3 = (make_wheel("a", version) for version in ("1.0", "2.0", "3.0"))
B = make_wheel("b", requires_dist=("a>=1", "c[x]; sys_platform == 'linux'"))
C = make_wheel("c", requires_dist=("d; extra == 'x'", "e; extra == 'y' and python_version < '3.12'"))
D = make_wheel("d", requires_dist=("b",))
E = make_wheel("e", requires_dist=("colorama; sys_platform == 'win32'",))
COLORAMA = make_wheel("colorama", "0.4")
PLACES = (("3.10.4", "linux"), ("3.12.1", "linux"), ("3.11.7", "darwin"), ("3.13.0", "win32"))


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with serve_index(A1, A2, A3, B, C, D, E, COLORAMA) as served:
        yield served


def pyproject(body: str = "", *, name: str = "foo", dependencies: str = "", backend: bool = False) -> str:
    return (
        f'[project]\nname = "{name}"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = [{dependencies}]\n'
        f"{body}\n{BACKEND if backend else ''}"
    )


def assert_as_uv(project: UvProject, *, extras: tuple[str, ...] = (), groups: tuple[str, ...] | None = None) -> None:
    for version, platform in PLACES:
        target = make_target(version, platform, extras=extras, groups=groups)
        assert project.selected(target) == project.needed(target), (version, platform, extras, groups)


def test_extras_and_groups_are_carried_along_the_edges(tmp_path: Path, index: LoopbackIndex) -> None:
    body = (
        '[project.optional-dependencies]\nfull = ["c[y]", "foo[tiny]"]\ntiny = ["e; sys_platform == \'win32\'"]\n'
        '[dependency-groups]\ndev = ["d"]\ndocs = ["e"]\nall = [{include-group = "docs"}, "a==2.0"]\n'
    )
    project = UvProject(tmp_path, index, {"pyproject.toml": pyproject(body, dependencies='"a"')})
    assert_as_uv(project)
    assert_as_uv(project, groups=())
    assert_as_uv(project, extras=("full",), groups=())
    assert_as_uv(project, extras=("tiny", "full"))
    assert_as_uv(project, groups=("docs", "dev"))
    assert_as_uv(project, extras=("full",), groups=("all",))


@pytest.mark.parametrize("groups", ['["docs"]', "[]", '"all"', '["docs", "dev"]'])
def test_default_groups_are_those_of_the_project_file(tmp_path: Path, index: LoopbackIndex, groups: str) -> None:
    body = f'[dependency-groups]\ndev = ["d"]\ndocs = ["e"]\n[tool.uv]\ndefault-groups = {groups}\n'
    assert_as_uv(UvProject(tmp_path, index, {"pyproject.toml": pyproject(body, dependencies='"a"')}))


def test_forks_take_the_version_of_their_side(tmp_path: Path, index: LoopbackIndex) -> None:
    dependencies = (
        "\"a==1.0; python_version < '3.12'\", \"a==2.0; python_version >= '3.12' and sys_platform == 'linux'\","
        " \"a==3.0; python_version >= '3.12' and sys_platform != 'linux'\", \"b\""
    )
    assert_as_uv(UvProject(tmp_path, index, {"pyproject.toml": pyproject(dependencies=dependencies)}))


def test_platforms_that_the_lock_file_leaves_out_are_refused(tmp_path: Path, index: LoopbackIndex) -> None:
    body = "[tool.uv]\nenvironments = [\"sys_platform == 'linux'\", \"sys_platform == 'darwin'\"]\n"
    project = UvProject(tmp_path, index, {"pyproject.toml": pyproject(body, dependencies='"b"')})
    inside = make_target("3.11.7", "darwin")
    assert project.selected(inside) == project.needed(inside)
    with pytest.raises(TargetError, match="does not support this platform"):
        project.selected(make_target("3.12.1", "win32"))


CONFLICTS = (
    '[project.optional-dependencies]\nx1 = ["a==1.0"]\nx2 = ["a==2.0", "c[y]"]\nx3 = ["e"]\n'
    '[dependency-groups]\ndev = ["a==1.0"]\ntest = ["a==3.0", {include-group = "docs"}]\ndocs = ["e"]\n'
    "[tool.uv]\nconflicts = [\n"
    '[{ extra = "x1" }, { extra = "x2" }], [{ group = "dev" }, { group = "test" }],\n'
    '[{ extra = "x2" }, { group = "dev" }], [{ extra = "x1" }, { group = "test" }],\n'
    '[{ extra = "x2" }, { group = "test" }],\n]\n'
)


def test_conflicting_extras_and_groups_each_get_their_versions(tmp_path: Path, index: LoopbackIndex) -> None:
    project = UvProject(tmp_path, index, {"pyproject.toml": pyproject(CONFLICTS, dependencies='"b", "foo[x3]"')})
    assert_as_uv(project)
    assert_as_uv(project, groups=())
    assert_as_uv(project, extras=("x1",), groups=())
    assert_as_uv(project, extras=("x2", "x3"), groups=())
    assert_as_uv(project, extras=("x1",), groups=("dev",))
    assert_as_uv(project, groups=("test",))
    assert_as_uv(project, groups=("docs",))


def test_both_sides_of_a_conflict_are_refused(tmp_path: Path, index: LoopbackIndex) -> None:
    project = UvProject(tmp_path, index, {"pyproject.toml": pyproject(CONFLICTS, dependencies='"b"')})
    with pytest.raises(TargetError, match="extra `x1` of `foo` and extra `x2` of `foo` conflict"):
        project.selected(make_target(extras=("x1", "x2"), groups=()))
    with pytest.raises(TargetError, match="extra `x2` of `foo` and group `dev` of `foo`"):
        project.selected(make_target(extras=("x2",)))


MEMBERS = {
    "m1/pyproject.toml": pyproject(
        '[project.optional-dependencies]\nz = ["a==1.0"]\n[dependency-groups]\ndev = ["d"]\n',
        name="m1",
        dependencies='"c"',
        backend=True,
    ),
    "m2/pyproject.toml": pyproject(name="m2", dependencies='"e"'),
    "m3/pyproject.toml": pyproject(
        "[tool.uv.sources]\nm2 = { workspace = true }\n", name="m3", dependencies='"e", "m2"'
    ),
}


def test_members_and_path_dependencies_are_local_projects(tmp_path: Path, index: LoopbackIndex) -> None:
    root = pyproject(
        '[dependency-groups]\ndev = ["m3"]\n'
        "[tool.uv]\npackage = false\n"
        "[tool.uv.sources]\nm1 = { workspace = true }\nm3 = { workspace = true }\nlocal = { path = 'local' }\n"
        '[tool.uv.workspace]\nmembers = ["m*"]\n',
        dependencies='"m1[z]", "local"',
    )
    local = pyproject(name="local", dependencies='"d"')
    project = UvProject(tmp_path, index, {"pyproject.toml": root, "local/pyproject.toml": local, **MEMBERS})
    assert_as_uv(project)
    assert_as_uv(project, groups=())
    projects = select(project.lock_file, make_target()).local_projects
    assert [(p.name, p.path, p.kind, p.packaged) for p in projects] == [
        ("foo", str(tmp_path), "root", False),
        ("local", str(tmp_path / "local"), "path", True),
        ("m1", str(tmp_path / "m1"), "member", True),
        ("m2", str(tmp_path / "m2"), "member", True),
        ("m3", str(tmp_path / "m3"), "member", True),
    ]


@pytest.mark.parametrize("project_table", ['[project]\nname = "foo"\nversion = "1"\nrequires-python = ">=3.10"\n', ""])
def test_a_member_is_what_uv_takes_in_its_folder(tmp_path: Path, index: LoopbackIndex, project_table: str) -> None:
    """Its own extras, groups and default groups count, and nothing that only the root or another member needs."""
    root = (
        project_table + '[dependency-groups]\ndev = ["a==1.0"]\nroot = ["d"]\n[tool.uv.workspace]\nmembers = ["n*"]\n'
    )
    own = (
        '[project.optional-dependencies]\nx = ["e"]\n[dependency-groups]\ndev = ["d"]\ntest = ["e"]\n'
        '[tool.uv]\ndefault-groups = ["test"]\n[tool.uv.sources]\nn2 = { workspace = true }\n'
    )
    files = {
        "pyproject.toml": root,
        "n1/pyproject.toml": pyproject(own, name="n1", dependencies='"n2", "colorama"', backend=True),
        "n2/pyproject.toml": pyproject(name="n2", dependencies='"a<3"', backend=True),
    }
    project = UvProject(tmp_path, index, files)
    for member in ("n1", "n2"):
        for options in ({}, {"groups": ()}, {"groups": ("dev",)}, {"all_extras": True}):
            if member == "n1" or "groups" not in options or not options["groups"]:
                target = replace(make_target(**options), member=str(tmp_path / member))
                assert project.selected(target) == project.needed(target), (member, options)
    with pytest.raises(TargetError, match="root"):
        select(project.lock_file, replace(make_target(groups=("root",)), member=str(tmp_path / "n1")))


def test_a_folder_that_is_no_member_s_is_of_the_root(tmp_path: Path, index: LoopbackIndex) -> None:
    files = {
        "pyproject.toml": pyproject("[tool.uv.workspace]\nmembers = ['n1']\n", dependencies='"a"'),
        "n1/pyproject.toml": pyproject(name="n1", dependencies='"d"'),
    }
    project = UvProject(tmp_path, index, files)
    of_root = select(project.lock_file, make_target())
    for folder in (tmp_path / "data", tmp_path, tmp_path.parent):
        assert select(project.lock_file, replace(make_target(), member=str(folder))) == of_root


def test_a_workspace_without_a_project_is_all_its_members(tmp_path: Path, index: LoopbackIndex) -> None:
    root = '[tool.uv.workspace]\nmembers = ["m*"]\n[dependency-groups]\ndev = ["e"]\nmore = ["a==1.0"]\n'
    project = UvProject(tmp_path, index, {"pyproject.toml": root, **MEMBERS})
    assert_as_uv(project)
    assert_as_uv(project, groups=("more",))
    assert_as_uv(project, groups=())


@pytest.mark.parametrize(
    ("needed", "third"),
    [
        ("m1[z]", ""),
        ("m1[y]", '{ package = "m2" }'),
        ("m1", '{ package = "m2" }'),
        ("m2", ""),
        ("m1[z]; python_version < '3.11'", '{ package = "m2" }'),
    ],
)
def test_what_is_met_on_the_way_decides_a_conflict(
    tmp_path: Path, index: LoopbackIndex, needed: str, third: str
) -> None:
    root = pyproject(
        f'[tool.uv]\nconflicts = [[{{ package = "m1", extra = "z" }}, {{ package = "m1", extra = "y" }}, {third}]]\n'
        "[tool.uv.sources]\nm1 = { workspace = true }\nm2 = { workspace = true }\n"
        '[tool.uv.workspace]\nmembers = ["m*"]\n',
        dependencies=f'"b", "{needed}"',
    )
    first = pyproject('[project.optional-dependencies]\nz = ["a==1.0"]\ny = ["a==2.0"]\n', name="m1", backend=True)
    second = pyproject(name="m2", dependencies='"a==3.0"' if third else '"e"')
    files = {"pyproject.toml": root, "m1/pyproject.toml": first, "m2/pyproject.toml": second}
    assert_as_uv(UvProject(tmp_path, index, files))


def test_scripts_have_no_project(tmp_path: Path, index: LoopbackIndex) -> None:
    script = (
        '# /// script\n# dependencies = ["b", "c[y]; sys_platform == \'win32\'"]\n# requires-python = ">=3.10"\n# ///\n'
    )
    project = UvProject(tmp_path, index, {"run.py": script}, script="run.py")
    (tmp_path / "pyproject.toml").write_text(pyproject(backend=True))
    assert_as_uv(project)
    assert select(project.lock_file, make_target()).local_projects == ()


def test_wheels_by_path_and_url_are_pins(tmp_path: Path, index: LoopbackIndex) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / A1.filename).write_bytes(A1.data)
    body = f'[tool.uv.sources]\na = {{ path = "wheels/{A1.filename}" }}\ne = {{ url = "{index.file_url(E)}" }}\n'
    project = UvProject(tmp_path, index, {"pyproject.toml": pyproject(body, dependencies='"a", "e"')})
    local, remote = select(project.lock_file, make_target()).pins
    assert (local.wheel.filename, local.wheel.digest) == (A1.filename, A1.digest)
    assert local.wheel.url == (tmp_path / "wheels" / A1.filename).as_uri()
    assert (remote.wheel.url, remote.wheel.digest) == (index.file_url(E), E.digest)


def test_wheels_of_a_flat_folder_are_locked_by_name_where_the_lock_has_no_hash(
    tmp_path: Path, index: LoopbackIndex
) -> None:
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / A1.filename).write_bytes(A1.data)
    body = (
        '[[tool.uv.index]]\nname = "flat"\nurl = "flat"\nformat = "flat"\n[tool.uv.sources]\na = { index = "flat" }\n'
    )
    project = UvProject(tmp_path, index, {"pyproject.toml": pyproject(body, dependencies='"a"')})
    text = re.sub(r', hash = "[^"]*"', "", project.path.read_text())
    project.path.write_text(text)
    (named,) = select(project.lock_file, make_target()).index_pins
    assert not named.digests
    assert named.filenames == {A1.filename}
    assert (named.find_links, named.indexes, named.exclusive) == (((tmp_path / "flat").as_uri(),), (), True)
    project.path.write_text(text.replace('.whl"', f'.whl", hash = "{A1.digest}"'))
    (pin,) = select(project.lock_file, make_target()).pins
    assert pin.wheel.url == (tmp_path / "flat" / A1.filename).as_uri()
    assert pin.index == (tmp_path / "flat").as_uri()


def test_the_exports_of_uv_select_the_same(tmp_path: Path, index: LoopbackIndex) -> None:
    body = '[dependency-groups]\ndev = ["e"]\n'
    project = UvProject(tmp_path, index, {"pyproject.toml": pyproject(body, dependencies='"b"', backend=True)})
    project.export("--format", "pylock.toml", "-o", "pylock.toml")
    project.export("--format", "requirements.txt", "-o", "requirements.txt")
    for place in PLACES:
        target = make_target(*place)
        native = select(project.lock_file, target)
        assert select(read_lock_file(tmp_path / "pylock.toml"), target) == native
        flat = select(read_lock_file(tmp_path / "requirements.txt"), target)
        assert [(pin.name, pin.version) for pin in flat.index_pins] == [(pin.name, pin.version) for pin in native.pins]
        assert [pin.digests for pin in flat.index_pins] == [{pin.wheel.digest} for pin in native.pins]
        assert flat.local_projects == native.local_projects


@pytest.fixture
def lock(tmp_path: Path, index: LoopbackIndex) -> Path:
    """A lock file as uv would write it, without uv: a virtual project that needs a and e."""
    (tmp_path / "pyproject.toml").write_text(pyproject_text(["a", "e"]))
    (tmp_path / "uv.lock").write_text(uv_lock_text(index, [A1, E]))
    return tmp_path / "uv.lock"


def selected(lock: Path, *, extras: tuple[str, ...] = (), groups: tuple[str, ...] | None = None) -> Selection:
    return select(read_lock_file(lock), make_target(extras=extras, groups=groups))


def change(lock: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, lambda _: replacement, lock.read_text(), count=1, flags=re.MULTILINE)
    assert count
    lock.write_text(text)


def test_a_pin_says_where_its_wheel_is(lock: Path, index: LoopbackIndex) -> None:
    first, second = selected(lock).pins
    assert (first.name, first.version, first.index) == ("a", "1.0", index.url.rstrip("/"))
    assert (first.wheel.url, first.wheel.size) == (index.file_url(A1), len(A1.data))
    assert second.wheel.digest == E.digest


def test_unknown_extras_and_groups_name_the_known_ones(lock: Path) -> None:
    change(lock, r"^dependencies = \[$", '[package.optional-dependencies]\nfull = [{ name = "a" }]\n[package.dev-dependencies]\ndev = [')  # fmt: skip
    with pytest.raises(TargetError, match="no extra `nope`") as caught:
        selected(lock, extras=("nope",))
    assert caught.value.hint == "known extras: `full`"
    with pytest.raises(TargetError, match="no group `nope`") as caught:
        selected(lock, groups=("nope",))
    assert caught.value.hint == "known groups: `dev`"
    assert len(selected(lock, extras=("FULL",)).pins) == 2
    assert len(selected(lock, extras=("full",), groups=()).pins) == 1


def test_a_python_that_the_lock_file_is_not_for_is_refused_first(lock: Path) -> None:
    change(lock, r'^requires-python = ">=3.9"', 'requires-python = ">=3.13"')
    with pytest.raises(TargetError, match=r"is for Python >=3\.13; this is Python 3\.12\.1"):
        selected(lock)


def test_a_pre_release_counts_as_its_release(lock: Path) -> None:
    change(lock, r'^requires-python = ">=3.9"', 'requires-python = ">=3.14"')
    assert select(read_lock_file(lock), make_target("3.14.0rc1")).pins


def test_a_relative_wheel_address_is_one_of_the_registry(lock: Path, index: LoopbackIndex) -> None:
    change(lock, r'url = "http://[^"]*/files/a-1', 'url = "../files/a-1')
    assert selected(lock).pins[0].wheel.url == f"{index.root}/files/{A1.filename}"


def test_other_versions_of_the_format_are_refused(lock: Path) -> None:
    change(lock, "^version = 1$", "version = 2")
    with pytest.raises(LockFileError, match="version 2 is not supported"):
        selected(lock)


COMMIT = "0123456789abcdef0123456789abcdef01234567"
SDIST = f'sdist = {{ hash = "sha256:{"1" * 64}", size = 7 }}'


@pytest.mark.parametrize(
    ("source", "rest", "origin"),
    [
        (
            f'git = "https://example.invalid/a?rev=v1&subdirectory=py&lfs=true#{COMMIT}"',
            "",
            {
                "url": "https://example.invalid/a",
                "subdirectory": "py",
                "vcs_info": {"vcs": "git", "commit_id": COMMIT, "requested_revision": "v1"},
            },
        ),
        (
            'url = "https://example.invalid/a-1.0.zip", subdirectory = "py"',
            SDIST,
            {
                "url": "https://example.invalid/a-1.0.zip",
                "subdirectory": "py",
                "archive_info": {"hashes": {"sha256": "1" * 64}},
            },
        ),
    ],
)
def test_what_is_no_wheel_is_a_source_with_its_origin(
    lock: Path, source: str, rest: str, origin: dict[str, object]
) -> None:
    change(lock, r'source = \{ registry = "[^"]*" \}\nwheels = \[\n.*\n\]', f"source = {{ {source} }}\n{rest}")
    (pin,) = selected(lock).source_pins
    assert (pin.name, pin.version, pin.subdirectory) == ("a", "1.0", "py")
    assert pin.direct_url is not None
    assert pin.direct_url.to_dict() == origin


def test_a_source_distribution_of_an_index_is_a_source_without_an_origin(lock: Path) -> None:
    sdist = f'sdist = {{ url = "https://example.invalid/a-1.0.tar.gz", hash = "sha256:{"1" * 64}" }}'
    change(lock, r"wheels = \[\n.*\n\]", sdist)
    (pin,) = selected(lock).source_pins
    assert isinstance(pin.source, SourceArchive)
    assert (pin.source.url, pin.direct_url) == ("https://example.invalid/a-1.0.tar.gz", None)


def test_a_source_distribution_by_its_path_is_a_file_beside_the_lock_file(lock: Path) -> None:
    change(
        lock,
        r'source = \{ registry = "[^"]*" \}\nwheels = \[\n.*\n\]',
        f'source = {{ path = "a-1.0.tar.gz" }}\n{SDIST}',
    )
    (pin,) = selected(lock).source_pins
    assert isinstance(pin.source, SourceArchive)
    assert pin.source.url == (lock.parent / "a-1.0.tar.gz").as_uri()


def test_a_package_without_any_file_and_a_commit_that_is_none_are_refused(lock: Path) -> None:
    change(lock, r"wheels = \[\n.*\n\]", "")
    with pytest.raises(UnsupportedSourceError, match="`a` is locked as something with neither") as caught:
        selected(lock)
    assert caught.value.hint
    change(lock, r'source = \{ registry = "[^"]*" \}', 'source = { git = "https://example.invalid/a?rev=1#abc" }')
    with pytest.raises(LockFileError, match="'abc' is not a commit"):
        selected(lock)


def test_no_wheel_for_the_target_says_what_there_is(lock: Path) -> None:
    change(lock, r"a-1.0-py3-none-any.whl", "a-1.0-cp313-cp313-win_amd64.whl")
    with pytest.raises(NoWheelError, match=r"`a` 1\.0 has wheels for cp313 only; Python is 3\.12"):
        selected(lock)


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"^\[\[package\]\]$", "[[package]", r"uv\.lock:5:10: "),
        (r'^name = "a"$', "name = 1", "`name` must be a string"),
        (r'^name = "a"$', 'name = "../a"', "is not a valid name"),
        (r'^version = "1.0"$', 'version = "one"', "`a`: `version`: 'one' is not a valid version"),
        (r"^source = \{ registry = .* \}$", "", "`a`: `source` is missing"),
        (r"^source = \{ registry = .* \}$", "source = { tape = 'x' }", "`a`: `source` is of no known kind: tape"),
        (r'hash = "sha256:', 'hash = "md5:', "is no digest of sha256 or another strong algorithm"),
        (r'hash = "sha256:..', 'hash = "sha256:zz', "is not a sha256 of 64 hex digits"),
        (r'url = "http', 'url = "ftp', "scheme 'ftp'"),
        (r'url = "http', 'url = "http://[', "`a`: `wheels`"),
        (r"a-1\.0-py3", "z-1.0-py3", "is not a wheel of `a`"),
        (r"^source = \{ registry = .* \}$", 'source = { registry = "\\u0000" }', "`a`: `source`: a path with a NUL"),
        (r'\{ name = "a" \}', '{ name = "zz" }', "`project`: dependency `zz` .*names no package"),
        (r'\{ name = "a" \}', '{ name = "a", marker = "sys_platform is linux" }', "`project`: dependency `a`: marker"),
        (r'\{ name = "a" \}', "{ name = 'a', marker = 'extra >= \"x\"' }", "cannot be evaluated"),
        (r'\{ name = "a" \}', f"{{ name = 'a', marker = '{'(' * 9000}' }}", "a marker of 9000 characters"),
        (r'\{ name = "a" \}', f"{{ name = 'a', marker = '{'(' * 3000}' }}", "cannot be evaluated"),
        (r"^dependencies = \[$", "dependencies = [1,", "`dependencies` must be an array of tables"),
        (r'^source = \{ virtual = "." \}$', 'source = { virtual = "x" }', "no package in it is the project"),
        (r"^revision = 3$", "conflicts = [1]", r"`conflicts\[0\]` must be an array"),
        (r"^revision = 3$", "manifest = { members = [''] }", "is not a valid name"),
        (r"^revision = 3$", "supported-markers = ['!']", "`supported-markers`"),
        (r"^requires-python = .*$", "requires-python = 'three'", "no list of version specifiers"),
        (r"^revision = 3$", "x = " + "[" * 5000, "uv.lock:2:55: brackets nested too deep"),
        (r"^revision = 3$", "x = " + "9" * 5000, "uv.lock:2:5: a number of more than 4300 digits"),
    ],
    ids=range(25),
)
def test_what_is_malformed_is_one_error_that_names_the_place(
    lock: Path, pattern: str, replacement: str, message: str
) -> None:
    change(lock, pattern, replacement)
    with pytest.raises(LockFileError, match=message) as caught:
        selected(lock)
    assert caught.value.message.startswith(str(lock))


def test_two_versions_at_once_are_refused(lock: Path) -> None:
    text = lock.read_text()
    first = re.search(r'\[\[package\]\]\nname = "a".*?\n\]\n', text, flags=re.DOTALL)
    assert first
    text = text.replace('{ name = "a" }', '{ name = "a", version = "1.0" },\n{ name = "a", version = "2.0" }')
    lock.write_text(text.replace(first[0], first[0] + first[0].replace('"1.0"', '"2.0"')))
    with pytest.raises(LockFileError, match=r"both `a` 1\.0 and 2\.0 are needed at once"):
        selected(lock)


def test_every_prefix_of_a_lock_file_is_a_selection_or_its_error(lock: Path) -> None:
    content = lock.read_bytes()
    outcomes: set[type] = set()
    for end in range(0, len(content), 5):
        lock.write_bytes(content[:end])
        try:
            outcomes.add(type(selected(lock)))
        except SelectionError as error:
            outcomes.add(type(error))
    assert LockFileError in outcomes
    assert outcomes <= {Selection, LockFileError, UnsupportedSourceError}
