"""A changed uv.lock selects what it selects if nothing is known of it, though only what changed is read."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storectl_store.errors import ProblemError
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.pin import Selection
from storectl_store.selection.select import select
from storectl_store.selection.tables.toml_table import Table, parse_toml
from storectl_store.selection.target import Target
from storectl_store.selection.uv import known_packages
from storectl_store.selection.uv.known_packages import KnownPackages
from support.malformed import DAMAGES, damaged
from support.sound_lock_files import PYPROJECT, SOUND_LOCK_FILES
from support.targets import make_target

(UV,) = (sound for sound in SOUND_LOCK_FILES if sound.kind == "uv")
SOUND = UV.lock_file()
TARGETS = (make_target(), make_target("3.11.2", "darwin", all_extras=True), make_target(groups=("dev",)))


def outcome(lock_file: LockFile, target: Target, known: KnownPackages | None = None) -> Selection | str:
    """What is selected, or else the error with its place."""
    try:
        return select(lock_file, target, known)
    except ProblemError as error:
        return f"{error.code} {error} {sorted(map(str, error.facts.items()))}"


def knowing(*lock_files: LockFile) -> KnownPackages:
    known = KnownPackages()
    for lock_file in lock_files:
        for target in TARGETS:
            outcome(lock_file, target, known)
    return known


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The blocks, and the head, that were read as TOML."""
    contents: list[bytes] = []

    def parse(content: bytes, file: str) -> Table:
        contents.append(content)
        return parse_toml(content, file)

    monkeypatch.setattr(known_packages, "parse_toml", parse)
    return contents


@pytest.mark.parametrize("target", TARGETS, ids=["default", "all extras", "a group"])
def test_what_is_known_is_selected_again(target: Target) -> None:
    known = KnownPackages()
    first, second, alone = (outcome(SOUND, target, each) for each in (known, known, None))
    assert isinstance(alone, Selection)
    assert first == second == alone


@pytest.mark.parametrize("how", DAMAGES)
def test_a_malformed_lock_file_is_complained_of_as_if_nothing_were_known(how: str) -> None:
    known = knowing(SOUND)
    for number in range(40):
        lock_file = UV.lock_file(damaged("uv", SOUND.content, how=how, number=number))
        target = TARGETS[number % len(TARGETS)]
        assert outcome(lock_file, target, known) == outcome(lock_file, target), number


def hiding() -> Iterator[tuple[str, bytes]]:
    """Documents in which lines look like the begin of a package, or blocks mean something else together."""
    head, _, rest = SOUND.content.partition(b"[[package]]")
    package = b'[[package]]\nname = "omega"\nversion = "1"\nsource = { registry = "https://index.invalid/simple" }\n'
    body = b"[[package]]" + rest
    yield "a text of several lines", head + b'note = """\n' + package + b'"""\n' + body
    yield "a literal text of several lines", head + b"note = '''\n" + package + b"'''\n" + body
    yield "an array around a header", head + b"note = [\n" + package + b"]\n" + body
    yield "another spelling of the header", body.join([head, b'\n[["package"]]\n' + package.partition(b"\n")[2]])
    yield "a table behind the packages", SOUND.content + b"\n[manifest.overrides]\nx = 1\n"
    yield "a table twice", head + b"[options]\n" + body + b"\n[options]\n"
    yield "packages as a value", b"package = []\n" + SOUND.content
    yield "an older key", SOUND.content.replace(b"[[package]]", b"[[distribution]]")
    yield "both keys", SOUND.content + package.replace(b"package", b"distribution")
    yield "line ends of Windows", SOUND.content.replace(b"\n", b"\r\n")
    yield "a byte order mark", b"\xef\xbb\xbf" + SOUND.content
    yield "a byte that is no text", SOUND.content + b"\n# \xff\n"
    yield "packages in another order", head + b"[[package]]".join([b"", *reversed(rest.split(b"[[package]]"))])
    yield "a package twice", SOUND.content + package + package
    yield (
        "two packages in a block",
        SOUND.content + package + package.replace(b"[[package]]", b"[[ package ]]").replace(b"omega", b"psi"),
    )
    yield "nothing", b""
    yield "no package", head


@pytest.mark.parametrize("content", [content for _, content in hiding()], ids=[name for name, _ in hiding()])
def test_blocks_mean_the_same_together_as_alone(content: bytes) -> None:
    lock_file, known = UV.lock_file(content), knowing(SOUND)
    for target in TARGETS:
        assert outcome(lock_file, target, known) == outcome(lock_file, target) == outcome(lock_file, target, known)


def test_only_what_changed_is_read(parsed: list[bytes]) -> None:
    known = knowing(SOUND)
    parsed.clear()
    changed = SOUND.content.replace(b'[[package]]\nname = "zeta"', b'[[package]]\n# changed\nname = "zeta"')
    assert changed != SOUND.content
    assert outcome(UV.lock_file(changed), TARGETS[0], known) == outcome(UV.lock_file(changed), TARGETS[0])
    names = [content.split(b'name = "')[1].split(b'"')[0] for content in parsed if b'name = "' in content]
    assert set(names) == {b"project", b"zeta", b"gamma", b"epsilon", b"lib"}  # neither alpha nor beta: they are known


def test_a_wheel_is_taken_only_if_the_project_may_take_wheels() -> None:
    known = knowing(SOUND)
    for setting in ('no-binary-package = ["alpha"]', "no-binary = true", 'no-build-package = ["alpha"]'):
        lock_file = UV.with_pyproject(PYPROJECT.replace("[tool.uv]", f"[tool.uv]\n{setting}").encode())
        assert outcome(lock_file, TARGETS[0], known) == outcome(lock_file, TARGETS[0])


def test_each_interpreter_takes_a_wheel_of_its_own() -> None:
    known = knowing(SOUND)
    for version, platform in (("3.11.7", "linux"), ("3.12.1", "win32"), ("3.13.0", "darwin"), ("3.12.1", "linux")):
        target = make_target(version, platform)
        assert outcome(SOUND, target, known) == outcome(SOUND, target)


def test_what_a_relative_address_means_depends_on_the_folder() -> None:
    content = SOUND.content.replace(b"https://index.invalid/simple", b"../wheels")
    lock_file, known = UV.lock_file(content), KnownPackages()
    outcome(lock_file, TARGETS[0], known)
    moved = replace(lock_file, path=Path("/other/uv.lock"), project=Path("/other"), included={})
    assert outcome(moved, TARGETS[0], known) == outcome(moved, TARGETS[0])


def test_a_package_that_is_selected_only_now_is_read_once_more() -> None:
    known = KnownPackages()
    outcome(SOUND, TARGETS[0], known)
    assert outcome(SOUND, TARGETS[1], known) == outcome(SOUND, TARGETS[1])


def test_few_packages_are_kept(parsed: list[bytes]) -> None:
    known = KnownPackages(most=1)
    for target in (*TARGETS, *TARGETS):
        assert outcome(SOUND, target, known) == outcome(SOUND, target)
    assert len([content for content in parsed if b'name = "alpha"' in content.split(b"source")[0]]) > 1
