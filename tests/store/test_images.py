"""Images: equal ones have equal bytes, what is unpacked is a layer, and nothing is taken for granted on the way."""

import fcntl
import json
import os
import random
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from storectl_store.digest import hex_of
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.entries.readable import Readable
from storectl_store.entries.trash import delete_tree
from storectl_store.errors import ImageError
from storectl_store.images import staging
from storectl_store.images.image_head import HEAD_NAME
from storectl_store.images.reading import Nothing, read_head, read_image
from storectl_store.images.staging import staged_environment, unstage
from support.conformance import WHEELS, Committed, ReadableConformance
from support.environments import run
from support.images import BuiltImage, Members, built_image, changed
from support.stores import tree
from support.wheels import make_wheel

ALPHA = make_wheel(
    "alpha",
    files={
        "alpha/__init__.py": "import os\nHERE = os.path.dirname(__file__)\nDATA = open(HERE + '/data.txt').read()\n",
        "alpha/data.txt": "data",
        "alpha/cold.py": "X = 'cold'\n",
        "alpha/tests/__init__.py": "",
        "alpha/tests/deep/one.py": "",
        "alpha-1.0.data/scripts/plain": "#!python\nimport sys; print('plain', sys.argv[1:])\n",
        "alpha-1.0.data/data/share/alpha/a.txt": "shared",
    },
    entry_points="[console_scripts]\nshow = alpha:HERE.upper\n",
)
PROGRAM = "import alpha, alpha.cold, alpha.tests.deep.one; print(alpha.DATA, alpha.cold.X)"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """An image that tests share, as they do its store."""
    return built_image(tmp_path_factory.mktemp("made"), ALPHA)


@pytest.fixture
def built(made: BuiltImage, tmp_path: Path) -> BuiltImage:
    """A copy of the image for one test, and a node of its own; its store is not to be changed."""
    shutil.copy(made.file, tmp_path / made.file.name)
    (tmp_path / "node").mkdir()
    return replace(made, root=tmp_path, file=tmp_path / made.file.name)


@pytest.fixture
def own(tmp_path: Path) -> BuiltImage:
    """An image whose store is this test's own."""
    return built_image(tmp_path, ALPHA)


class TestAnUnpackedImage(ReadableConformance):
    @pytest.fixture
    def committed(self, tmp_path: Path) -> Committed:
        built = built_image(tmp_path, *WHEELS)
        environment = staged_environment(built.file, built.node)
        found = ReadOnlyStore.open(environment.parent.parent)
        manifests = {manifest.name: manifest for manifest in found.manifests()}
        return Committed(
            root=environment.parent.parent,
            manifests=tuple(manifests[wheel.name] for wheel in WHEELS),  # type: ignore[index]
            environment=built.head.environment,
        )

    @contextmanager
    def shown(self, root: Path) -> Iterator[Readable]:
        yield ReadOnlyStore.open(root)


def test_equal_environments_have_equal_bytes_and_a_plain_archive_has_the_same_tree(own: BuiltImage) -> None:
    os.utime(own.environment / "pyvenv.cfg", (1, 1))
    assert own.again("again").tree == own.head.tree
    assert (own.root / "again").read_bytes() == own.file.read_bytes()
    assert own.again("plain", compressed=False).tree == own.head.tree
    with tarfile.open(own.root / "plain", "r:") as archive:
        assert archive.getnames()[:2] == [HEAD_NAME, "VERSION"]
    assert staged_environment(own.root / "plain", own.node).is_dir()


def test_a_full_image_needs_neither_the_store_nor_the_place_it_was_built_in(own: BuiltImage) -> None:
    environment = staged_environment(own.file, own.node)
    delete_tree(own.root / "store")
    assert run([environment / "bin/python", "-c", PROGRAM]) == "data cold\n"
    assert run([environment / "bin/plain", "x"]) == "plain ['x']\n"
    assert (environment / "share/alpha/a.txt").read_text() == "shared"
    moved = own.root / "moved"
    environment.parent.parent.rename(moved)
    assert run([moved / "environments" / environment.name / "bin/plain"]) == "plain []\n"
    for path in moved.rglob("*"):
        if path.is_symlink() and path.name != "python":
            assert not os.readlink(path).startswith("/"), path


def test_an_unpacked_image_is_unpacked_once_and_is_run_from_its_folder_too(built: BuiltImage) -> None:
    environment = staged_environment(built.file, built.node)
    before = environment.stat()
    assert staged_environment(built.file, built.node) == environment
    assert environment.stat() == before
    assert staged_environment(environment.parent.parent, Path("/nowhere")) == environment


def hot(built: BuiltImage, *used: str) -> BuiltImage:
    """A hot image for which these files of the entry were used."""
    (package,) = (built.root / "store/store/alpha").glob("*/site-packages")
    head = built.again("hot", used=tuple(str(package / path) for path in used))
    return replace(built, file=built.root / "hot", head=head)


def test_a_hot_image_has_what_was_used_and_one_link_for_a_whole_cold_folder(own: BuiltImage) -> None:
    made = hot(own, "alpha/data.txt")
    folder = staged_environment(made.file, made.node).parent.parent
    (package,) = (folder / "store/alpha").glob("*/site-packages/alpha")
    assert {path.name: path.is_symlink() for path in package.iterdir()} == {
        "__init__.py": True, "cold.py": True, "data.txt": False, "tests": True,
    }  # fmt: skip
    assert not next(package.parent.glob("alpha-1.0.dist-info/*")).is_symlink()
    assert run([folder / "environments" / made.head.environment / "bin/python", "-c", PROGRAM]) == "data cold\n"
    assert tree(ReadOnlyStore.open(folder).layout.entries).keys() < tree(own.root / "store/store").keys()


def test_a_hot_image_without_its_layer_names_it(own: BuiltImage) -> None:
    made = hot(own, "alpha/data.txt")
    staged_environment(made.file, made.node)
    (own.root / "store").rename(own.root / "moved")
    with pytest.raises(ImageError, match=f"needs the layer {own.root}/store") as caught:
        staged_environment(made.file, made.node)
    assert "full image" in (caught.value.hint or "")


def test_a_hot_image_is_not_staged_if_an_entry_it_leads_to_is_gone(own: BuiltImage) -> None:
    made = hot(own, "alpha/data.txt")
    (entry,) = (own.root / "store/store/alpha").iterdir()
    delete_tree(entry)
    with pytest.raises(ImageError, match=rf"needs {entry} of the layer {own.root}/store"):
        staged_environment(made.file, made.node)
    assert [path.name for path in made.place.iterdir()] == [f"{hex_of(made.head.tree)}.lock"]


def test_without_the_interpreter_of_the_image_its_path_is_named(built: BuiltImage) -> None:
    environment = staged_environment(built.file, built.node)
    environment.chmod(0o755)
    (environment / "bin").chmod(0o755)
    (environment / "bin/python").unlink()
    (environment / "bin/python").symlink_to(built.head.executable + ".gone")
    with pytest.raises(ImageError, match="Python"):
        staged_environment(built.file, built.node)


def nothing_is_staged(built: BuiltImage) -> bool:
    return {path.suffix for path in built.place.iterdir()} <= {".lock"} if built.place.exists() else True


def refused(built: BuiltImage) -> bool:
    """Whether the file is refused with E_IMAGE by those who stage it and those who verify it, and nothing is left."""
    for use in (lambda: staged_environment(built.file, built.node), lambda: read_image(built.file, Nothing())):
        with pytest.raises(ImageError) as caught:
            use()
        assert caught.value.code == "E_IMAGE"
        assert caught.value.hint
    return nothing_is_staged(built)


def test_a_short_copy_is_refused_wherever_it_ends(built: BuiltImage) -> None:
    for plain in (False, True):
        built.again(built.file.name, compressed=not plain)
        whole = built.file.read_bytes()
        for length in (0, 1, 10, 511, 512, 700, len(whole) // 2, len(whole) - 20_000, len(whole) - 9 - 11_000 * plain):
            built.file.write_bytes(whole[:length])
            assert refused(built), length


def test_a_flipped_bit_is_refused_or_changes_nothing(built: BuiltImage) -> None:
    chance = random.Random(61)
    for plain in (False, True):
        built.again(built.file.name, compressed=not plain)
        whole = built.file.read_bytes()
        accepted = 0
        for _ in range(25):
            torn = bytearray(whole)
            place = chance.randrange(len(torn))
            torn[place] ^= 1 << chance.randrange(8)
            built.file.write_bytes(torn)
            try:
                head = read_image(built.file, Nothing())
            except ImageError:
                continue
            accepted += 1
            assert head == built.head, place
        # In a plain archive there are bytes that mean nothing: what fills up a block, the name of the owner.
        assert accepted <= (15 if plain else 2)


def link_to(target: str) -> Callable[[Members, dict[str, bytes]], list[tarfile.TarInfo]]:
    """A link to this target in the place of the one that shows the package."""

    def change(members: Members, _: dict[str, bytes]) -> list[tarfile.TarInfo]:
        (name,) = (name for name in members if name.endswith("lib/python3.11/site-packages/alpha"))
        members[name].linkname = target
        return list(members.values())

    return change


def added(
    name: str, kind: bytes = tarfile.REGTYPE, target: str = ""
) -> Callable[[Members, dict[str, bytes]], list[tarfile.TarInfo]]:
    """One member more."""

    def change(members: Members, _: dict[str, bytes]) -> list[tarfile.TarInfo]:
        more = tarfile.TarInfo(name)
        more.type, more.linkname = kind, target
        return [*members.values(), more]

    return change


HOSTILE = {
    "absolute": added("/etc/passwd"),
    "upwards": added("../outside"),
    "upwards inside": added("store/../../outside"),
    "doubled": added("VERSION"),
    "another part": added("roots"),
    "device": added("store/null", tarfile.CHRTYPE),
    "pipe": added("store/pipe", tarfile.FIFOTYPE),
    "hard link": added("store/hard", tarfile.LNKTYPE, "/etc/passwd"),
    "no folder": added("store/nowhere/file"),
    "link out": link_to("../../../../../../../etc"),
    "link to the root": link_to("/"),
    "link to no layer": link_to("/etc/store/x"),
    "link down and up": link_to("../alpha/../../../../../../.."),
    "link through a link": link_to("./alpha"),
    "without a head": lambda members, _: list(members.values())[1:],
    "head last": lambda members, _: [*list(members.values())[1:], members[HEAD_NAME]],
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_hostile_members_are_refused_and_nothing_is_left(built: BuiltImage, shape: str) -> None:
    changed(built.file, HOSTILE[shape], forged=True)
    before = outside(built)
    assert refused(built)
    assert outside(built) == before


def outside(built: BuiltImage) -> set[Path]:
    """All that is there but for what staging may leave: the user's folder with a lock file."""
    return {path for path in built.root.rglob("*") if path != built.place and path.parent != built.place}


ACCEPTED = {
    "empty file": added("store/empty"),
    "another link inside": link_to("../../../../../store"),
    "without a file": lambda members, _: [member for name, member in members.items() if not name.endswith("cold.py")],
}


@pytest.mark.parametrize("shape", ACCEPTED)
def test_other_members_are_refused_unless_the_head_names_their_digest(built: BuiltImage, shape: str) -> None:
    whole = built.file.read_bytes()
    changed(built.file, ACCEPTED[shape], forged=False)
    assert refused(built)
    built.file.write_bytes(whole)
    changed(built.file, ACCEPTED[shape], forged=True)
    assert staged_environment(built.file, built.node).is_dir()


@pytest.mark.parametrize("field", ["kind", "layers", "environment", "format", "executable", "local"])
def test_a_head_that_was_changed_is_refused(built: BuiltImage, field: str) -> None:
    def change(members: Members, contents: dict[str, bytes]) -> list[tarfile.TarInfo]:
        value = json.loads(contents[HEAD_NAME])
        value[field] = {"kind": "hot", "layers": ["/"], "local": ["/x"], "format": 2}.get(field, "f" * 32)
        contents[HEAD_NAME] = json.dumps(value).encode()
        return list(members.values())

    changed(built.file, change, forged=False)
    assert refused(built)


def test_the_head_is_read_alone(built: BuiltImage) -> None:
    for compressed in (True, False):
        built.again(built.file.name, compressed=compressed)
        built.file.write_bytes(built.file.read_bytes()[: 1 << 14])
        assert read_head(built.file) == built.head


@pytest.mark.parametrize("what", ["open", "link", "file"])
def test_a_place_that_is_not_mine_alone_is_refused(built: BuiltImage, what: str) -> None:
    if what == "open":
        built.place.mkdir()
        built.place.chmod(0o770)
    elif what == "link":
        (built.node / "other").mkdir(mode=0o700)
        built.place.symlink_to("other")
    else:
        built.place.touch(mode=0o600)
    with pytest.raises(ImageError, match="not a folder of yours alone"):
        staged_environment(built.file, built.node)


def test_what_a_dead_process_has_left_goes_and_what_another_boot_has_left_is_unpacked_anew(
    built: BuiltImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = built.place / f".tmp-{hex_of(built.head.tree)}-0123"
    left.mkdir(parents=True)
    built.place.chmod(0o700)
    environment = staged_environment(built.file, built.node)
    assert not left.exists()
    (environment / "import-map").chmod(0o644)
    (environment / "import-map").write_bytes(b"")  # torn
    monkeypatch.setattr(staging, "boot_id", lambda: "another boot")
    assert staged_environment(built.file, built.node) == environment
    assert (environment / "import-map").read_bytes()


def test_who_waits_too_long_is_told_for_what(built: BuiltImage) -> None:
    built.place.mkdir(mode=0o700)
    lock = built.place / f"{hex_of(built.head.tree)}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ImageError, match="another process has been unpacking") as caught:
            staged_environment(built.file, built.node, longest_wait=0.05)
    assert str(lock) in (caught.value.hint or "")
    assert staged_environment(built.file, built.node, longest_wait=0.05).is_dir()


def test_an_image_that_has_no_room_is_refused_before_it_is_unpacked(
    built: BuiltImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = os.statvfs(built.node)
    full = os.statvfs_result((*room[:3], 0, 0, *room[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    with pytest.raises(ImageError, match="no room"):
        staged_environment(built.file, built.node)
    assert nothing_is_staged(built)


def test_what_is_staged_goes_unless_a_program_runs_in_it(built: BuiltImage) -> None:
    environment = staged_environment(built.file, built.node)
    command = [str(environment / "bin/python"), "-c", "import alpha; print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        with pytest.raises(ImageError, match="a program runs in"):
            unstage(built.node)
        running.communicate(b"\n")
    assert unstage(built.node, built.file) == [environment.parent.parent]
    assert unstage(built.node) == []
    assert list(built.node.iterdir()) == []
