"""pylock.toml (PEP 751)."""

import re
from pathlib import Path

import pytest

from storectl_store.errors import LockFileError, NoWheelError, SelectionError, TargetError, UnsupportedSourceError
from storectl_store.selection.pin import Selection
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from support.targets import make_target

HEX = "ab" * 32
TOP = 'lock-version = "1.0"\ncreated-by = "tests"\n'


def wheel(filename: str, where: str = "", hashes: str = f'sha256 = "{HEX}"') -> str:
    where = where or f'url = "https://files.invalid/{filename}"'
    return f"{{ {where}, size = 12, hashes = {{ {hashes} }} }}"


def package(name: str, *wheels: str, extra: str = "", version: str = "1.0") -> str:
    files = wheels or (wheel(f"{name}-{version}-py3-none-any.whl"),)
    return f'[[packages]]\nname = "{name}"\nversion = "{version}"\n{extra}wheels = [{", ".join(files)}]\n'


def selected(
    folder: Path,
    text: str,
    *,
    place: tuple[str, str] = ("3.12.1", "linux"),
    extras: tuple[str, ...] = (),
    groups: tuple[str, ...] | None = None,
) -> Selection:
    (folder / "pylock.toml").write_text(text)
    return select(read_lock_file(folder / "pylock.toml"), make_target(*place, extras=extras, groups=groups))


def names(selection: Selection) -> list[str]:
    return [f"{pin.name}=={pin.version}" for pin in selection.pins]


def test_a_pin_says_where_its_wheel_is(tmp_path: Path) -> None:
    (pin,) = selected(tmp_path, TOP + package("a", extra='index = "https://index.invalid/simple"\n')).pins
    assert (pin.name, pin.version, pin.index) == ("a", "1.0", "https://index.invalid/simple")
    assert (pin.wheel.filename, pin.wheel.size, pin.wheel.digest) == ("a-1.0-py3-none-any.whl", 12, f"sha256:{HEX}")
    assert pin.wheel.url == "https://files.invalid/a-1.0-py3-none-any.whl"


def test_pins_are_sorted_and_those_with_a_false_marker_left_out(tmp_path: Path) -> None:
    text = TOP + package("b") + package("c", extra="marker = \"sys_platform == 'win32'\"\n") + package("a")
    assert names(selected(tmp_path, text)) == ["a==1.0", "b==1.0"]
    assert names(selected(tmp_path, text, place=("3.12.1", "win32"))) == ["a==1.0", "b==1.0", "c==1.0"]


def test_extras_and_groups_are_what_markers_ask_for(tmp_path: Path) -> None:
    text = (
        f'{TOP}extras = ["full"]\ndependency-groups = ["dev", "Docs"]\ndefault-groups = ["dev"]\n'
        + package("a", extra="marker = \"'full' in extras\"\n")
        + package("b", extra="marker = \"'dev' in dependency_groups\"\n")
        + package("c", extra="marker = \"'Docs' in dependency_groups\"\n")
    )
    assert names(selected(tmp_path, text)) == ["b==1.0"]
    assert names(selected(tmp_path, text, groups=())) == []
    assert names(selected(tmp_path, text, groups=("docs",), extras=("Full",))) == ["a==1.0", "c==1.0"]
    with pytest.raises(TargetError, match="no extra `none`") as caught:
        selected(tmp_path, text, extras=("none",))
    assert caught.value.hint == "known extras: `full`"
    with pytest.raises(TargetError, match="no group `test`") as caught:
        selected(tmp_path, text, groups=("test", "dev"))
    assert caught.value.hint == "known groups: `dev`, `docs`"


def test_the_best_wheel_is_taken_and_among_equals_the_highest_build(tmp_path: Path) -> None:
    own = "a-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"
    files = [wheel("a-1.0-py3-none-any.whl"), wheel("a-1.0-1-py3-none-any.whl"), wheel(own)]
    text = TOP + package("a", *files)
    assert selected(tmp_path, text).pins[0].wheel.filename == own
    assert selected(tmp_path, text, place=("3.11.1", "linux")).pins[0].wheel.filename == "a-1.0-1-py3-none-any.whl"


def test_paths_are_relative_to_the_lock_file_and_go_before_urls(tmp_path: Path) -> None:
    text = TOP + package(
        "a",
        wheel(
            "a-1.0-py3-none-any.whl",
            'path = "../wheels/a-1.0-py3-none-any.whl", url = "https://x.invalid/a-1.0-py3-none-any.whl"',
        ),
    )
    (pin,) = selected(tmp_path, text).pins
    assert pin.wheel.url == (tmp_path.parent / "wheels" / "a-1.0-py3-none-any.whl").as_uri()


def test_the_name_of_a_wheel_goes_before_its_address(tmp_path: Path) -> None:
    text = TOP + package("a", wheel("", 'name = "a-1.0-py3-none-any.whl", url = "https://x.invalid/blob/12"'))
    assert selected(tmp_path, text).pins[0].wheel.filename == "a-1.0-py3-none-any.whl"


def test_folders_are_local_projects(tmp_path: Path) -> None:
    text = (
        f'{TOP}[[packages]]\nname = "me"\ndirectory = {{ path = ".", editable = true }}\n'
        '[[packages]]\nname = "lib"\ndirectory = { path = "../lib", subdirectory = "python" }\n'
    )
    local = selected(tmp_path, text).local_projects
    assert [(p.name, p.path, p.kind, p.packaged) for p in local] == [
        ("lib", str(tmp_path.parent / "lib" / "python"), "path", True),
        ("me", str(tmp_path), "root", True),
    ]


@pytest.mark.parametrize(
    ("pyproject", "expected"),
    [
        ('[project]\nname = "Me"\n[build-system]\nrequires = []\n', ["me"]),
        ('[project]\nname = "me"\n[tool.uv]\npackage = true\n', ["me"]),
        ('[project]\nname = "me"\n[build-system]\n[tool.uv]\npackage = false\n', []),
        ('[project]\nname = "me"\n', []),
        ("[build-system]\nrequires = []\n", []),
    ],
)
def test_the_project_beside_is_a_local_project_where_it_is_a_package(
    tmp_path: Path, pyproject: str, expected: list[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text(pyproject)
    assert [project.name for project in selected(tmp_path, TOP + package("a")).local_projects] == expected


def test_a_malformed_project_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = \n")
    with pytest.raises(LockFileError, match=r"pyproject\.toml:2:8: "):
        selected(tmp_path, TOP + package("a"))


def test_an_archive_that_is_a_wheel_is_a_pin(tmp_path: Path) -> None:
    archive = f'[[packages]]\nname = "a"\narchive = {wheel("a-1.0-py3-none-any.whl")}\n'
    assert names(selected(tmp_path, TOP + archive)) == ["a==1.0"]
    with pytest.raises(LockFileError, match=r"`a`: 'b-1\.0-py3-none-any\.whl' is not the file name of a wheel of it"):
        selected(tmp_path, TOP + archive.replace("a-1.0", "b-1.0"))
    with pytest.raises(NoWheelError, match=r"`a` 1\.0 has wheels for cp38 only"):
        selected(tmp_path, TOP + archive.replace("py3-none-any", "cp38-cp38-win32"))


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        (
            f'vcs = {{ type = "git", url = "https://me:secret@x.invalid/a", requested-revision = "main", commit-id = "{COMMIT}", subdirectory = "py" }}',
            {
                "url": "https://x.invalid/a",
                "subdirectory": "py",
                "vcs_info": {"vcs": "git", "commit_id": COMMIT, "requested_revision": "main"},
            },
        ),
        (
            f"archive = {wheel('a-1.0.tar.gz')}",
            {"url": "https://files.invalid/a-1.0.tar.gz", "archive_info": {"hashes": {"sha256": HEX}}},
        ),
        (f"sdist = {wheel('a-1.0.tar.gz')}", None),
    ],
)
def test_what_is_no_wheel_is_a_source_with_its_origin(
    tmp_path: Path, source: str, origin: dict[str, object] | None
) -> None:
    (pin,) = selected(tmp_path, f'{TOP}[[packages]]\nname = "a"\nversion = "1.0"\n{source}\n').source_pins
    assert (pin.name, pin.version) == ("a", "1.0")
    assert (pin.direct_url.to_dict() if pin.direct_url else None) == origin
    assert pin.subdirectory == (origin or {}).get("subdirectory")


def test_other_repositories_and_things_that_are_no_commit_are_refused(tmp_path: Path) -> None:
    text = f'{TOP}[[packages]]\nname = "a"\nversion = "1.0"\nvcs = {{ type = "hg", url = "https://x.invalid/a", commit-id = "{COMMIT}" }}\n'
    with pytest.raises(UnsupportedSourceError, match="`a` is locked as a hg repository") as caught:
        selected(tmp_path, text)
    assert caught.value.hint
    with pytest.raises(LockFileError, match="'main' is not a commit"):
        selected(tmp_path, text.replace("hg", "git").replace(COMMIT, "main"))


def test_no_wheel_for_the_target_says_what_there_is(tmp_path: Path) -> None:
    wheels = (wheel("a-1.0-cp314-cp314-win32.whl"), wheel("a-1.0-cp313-cp313-win32.whl"))
    with pytest.raises(NoWheelError, match=r"`a` 1\.0 has wheels for cp313, cp314 only; Python is 3\.12") as caught:
        selected(tmp_path, TOP + package("a", *wheels))
    assert caught.value.hint
    (pin,) = selected(tmp_path, TOP + package("a", *wheels, extra=f"sdist = {wheel('a-1.0.tar.gz')}\n")).source_pins
    assert (pin.name, pin.version, pin.direct_url) == ("a", "1.0", None)


def test_a_folder_is_editable_where_the_lock_file_says_so(tmp_path: Path) -> None:
    text = '[[packages]]\nname = "a"\ndirectory = { path = "a"%s }\n'
    (project,) = selected(tmp_path, TOP + text % "").local_projects
    assert not project.editable
    (project,) = selected(tmp_path, TOP + text % ", editable = true").local_projects
    assert project.editable


def test_targets_that_the_lock_file_is_not_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"is for Python >=3\.13; this is Python 3\.12\.1"):
        selected(tmp_path, f'{TOP}requires-python = ">=3.13"\n' + package("a"))
    with pytest.raises(TargetError, match="environments"):
        selected(tmp_path, f"{TOP}environments = [\"sys_platform == 'win32'\"]\n" + package("a"))
    with pytest.raises(TargetError, match="'a'"):
        selected(tmp_path, TOP + package("a", extra='requires-python = "<3"\n'))


def test_two_entries_of_one_name_are_ambiguous(tmp_path: Path) -> None:
    with pytest.raises(LockFileError, match=r"toml:\d+:1: Multiple packages with the name 'a'"):
        selected(tmp_path, TOP + package("a") + package("a", version="2.0"))


def test_a_newer_minor_version_is_read_with_a_warning(tmp_path: Path) -> None:
    selection = selected(tmp_path, TOP.replace('"1.0"', '"1.1"') + package("a"))
    assert names(selection) == ["a==1.0"]
    assert "1.1 is newer than 1.0" in selection.warnings[0]


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"\[\[packages\]\]", "[[packages]", r"pylock\.toml:3:11: "),
        (r'"1\.0"', '"2.0"', "version 2.0 is not supported"),
        (r'created-by = "tests"', "", "'created-by'"),
        (r'name = "a"', 'name = "a-"', "`a-`: Name 'a-' is not normalized"),
        (r'name = "a"', 'name = "b"', "`b`: .*not consistent"),
        (r'name = "a"', "name = 1", "Unexpected type int"),
        (r'^version = "1.0"', 'version = "one"', "`a`: .*'one'"),
        (r"sha256 = ", "md5 = ", "`a`: 'a-1.0-py3-none-any.whl' has no strong digest, only md5"),
        (r"sha256 = ", "sha512 = ", "`a`: .*is not a sha512 of 128 hex digits"),
        (HEX, "zz", "`a`: .*is not a sha256 of 64 hex digits"),
        (r"https:", "ftp:", "`a`: .*scheme 'ftp'"),
        (r'url = "', 'path = "\\u0000', "`a`: .*NUL|wheel filename"),
        (r"^wheels = .*$", "wheels = 1", "`a`"),
        (r"^wheels", "marker = \"'x' in\"\nwheels", "`a`: "),
        (r"^wheels", "marker = \"platform_version > '1' and extra == 'x'\"\nwheels", "a marker cannot be evaluated"),
        (r"^wheels", f'marker = "{"(" * 9000}"\nwheels', "a marker of 9000 characters"),
        (r"\[\[packages\]\]\n(.*\n)*", "packages = 1", "`packages` must be an array"),
        (
            r"\[\[packages\]\]",
            "dependency-groups = ['../b']\n[[packages]]",
            r"pylock\.toml:3:1: `dependency-groups`: '../b' is not a valid name",
        ),
        (r"\[\[packages\]\]", "environments = [\"extra == 'x'\"]\n[[packages]]", r"pylock\.toml:3:17: a marker cannot"),
        (r"^wheels", "marker = \"extra == 'x'\"\nwheels", r"pylock\.toml:6:1: a marker cannot be evaluated"),
    ],
    ids=range(20),
)
def test_what_is_malformed_is_one_error_that_names_the_place(
    tmp_path: Path, pattern: str, replacement: str, message: str
) -> None:
    text, count = re.subn(pattern, lambda _: replacement, TOP + package("a"), count=1, flags=re.MULTILINE)
    assert count
    with pytest.raises(LockFileError, match=message) as caught:
        selected(tmp_path, text)
    assert caught.value.message.startswith(str(tmp_path))


def test_every_prefix_of_a_lock_file_is_a_selection_or_its_error(tmp_path: Path) -> None:
    text = TOP + package("a", extra="marker = \"sys_platform == 'linux'\"\n") + package("b")
    outcomes: set[type] = set()
    for end in range(0, len(text), 3):
        try:
            outcomes.add(type(selected(tmp_path, text[:end])))
        except SelectionError as error:
            outcomes.add(type(error))
    assert outcomes <= {Selection, LockFileError}


PIPENV = (
    TOP.replace("tests", "pipenv") + 'environments = []\ndependency-groups = ["dev"]\ndefault-groups = ["default"]\n'
)


def test_names_that_are_not_normalised_are_taken_for_what_they_mean(tmp_path: Path) -> None:
    assert names(selected(tmp_path, TOP + package("Jaraco.Classes_x"))) == ["jaraco-classes-x==1.0"]
    with pytest.raises(LockFileError, match="Name '-a' is not normalized"):
        selected(tmp_path, TOP + package("-a"))


def test_what_is_wrong_with_another_package_is_said_rather_than_the_name(tmp_path: Path) -> None:
    with pytest.raises(LockFileError, match=r"`B\.c`: Invalid version: 'no'"):
        selected(tmp_path, TOP + package("a_b") + package("B.c", version="no"))


def test_the_files_that_pipenv_made_up_are_asked_of_the_index_by_their_digests(tmp_path: Path) -> None:
    index = "https://index.invalid/simple/"
    made_up = [
        wheel("a_b-1.0-py3-none-any.whl", f'url = "{index}A_b/a_b-1.0-py3-none-any.whl"', f'sha256 = "{digit * 64}"')
        for digit in "12"
    ]
    text = PIPENV + package("A_b", *made_up, extra=f'index = "{index}"\n')
    text += package("dev", extra=f'index = "{index}"\nmarker = "\'dev\' in dependency_groups"\n')
    selection = selected(tmp_path, text, groups=("dev",))
    (pin,) = selection.index_pins
    assert (pin.name, pin.version, pin.indexes, pin.exclusive) == ("a-b", "1.0", (index,), True)
    assert pin.digests == {f"sha256:{digit * 64}" for digit in "12"}
    assert names(selection) == ["dev==1.0"]  # its file is where files are: it was not made up
    assert [pin.name for pin in selected(tmp_path, text).index_pins] == ["a-b"]
