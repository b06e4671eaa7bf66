"""Whatever is wrong with an import map: one line on stderr, the plain view, never an exception."""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storectl_store.digest import EnvironmentId
from storectl_store.environments.import_map import encode_import_map, index_paths
from support.views import View, build_view, fresh_map_reader, hook_of, map_of, pythons, read_map, write_files
from support.wheels import make_wheel

FILES = {"alpha/__init__.py": "", "alpha/one.py": "", "alpha/sub/two.py": "", "beta/x.py": "", "single.py": ""}
PROGRAM = "import alpha.one, alpha.sub.two, beta.x, single; print(type(beta.x.__loader__).__module__)"


@pytest.fixture
def view(tmp_path: Path) -> View:
    return build_view(tmp_path / "view", [make_wheel("alpha", files=FILES)], pythons()[0])


def _header(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new, 1)


def _instead(make: Callable[[Path], object]) -> Callable[[View], object]:
    def spoil(view: View) -> None:
        view.import_map.rename(view.root / "other")
        make(view.import_map)

    return spoil


BROKEN: dict[str, Callable[[View], object]] = {
    "missing": _instead(lambda _: None),
    "empty": lambda view: view.import_map.write_bytes(b""),
    "nonsense": lambda view: view.import_map.write_bytes(b"\xff" * 70000),
    "one long line": lambda view: view.import_map.write_bytes(b"storectl import map 1 view 9 9"),
    "a folder": _instead(Path.mkdir),
    "a fifo": _instead(os.mkfifo),
    "a symlink": _instead(lambda path: path.symlink_to("other")),
    "writable for the group": lambda view: view.import_map.chmod(0o664),
    "writable for all": lambda view: view.import_map.chmod(0o646),
    "another format": lambda view: view.import_map.write_bytes(
        _header(view.import_map.read_bytes(), b"import map 1", b"import map 2")
    ),
    "another environment": lambda view: view.import_map.write_bytes(
        _header(view.import_map.read_bytes(), b" view ", b" viev ")
    ),
    "a huge length": lambda view: view.import_map.write_bytes(b"storectl import map 1 view 99999999999999 1\n"),
    "a negative length": lambda view: view.import_map.write_bytes(b"storectl import map 1 view -5 1\nabcdef"),
    "a cut table": lambda view: os.truncate(view.import_map, 60),
    "a cut section": lambda view: os.truncate(view.import_map, view.import_map.stat().st_size - 1),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_map_that_cannot_be_used_is_one_line_and_the_plain_view(view: View, kind: str) -> None:
    BROKEN[kind](view)
    done = view.run("-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "_frozen_importlib_external\n" or kind == "a cut section"
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"storectl: {view.import_map} cannot be used (")
    assert done.stderr.endswith("); using the plain environment\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_map_of_somebody_else_is_not_used(view: View) -> None:
    os.chown(view.import_map, 12345, -1)
    done = view.run("-c", PROGRAM)
    assert done.stdout == "_frozen_importlib_external\n"
    assert "only its trusted owner can write" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_map_of_root_and_of_whoever_owns_the_view_is_used_by_all(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = fresh_map_reader()
    reader.__file__ = str(view.site_packages.parent / "_storectl_map.py")
    monkeypatch.setattr(os, "geteuid", lambda: 23456)
    for map_owner, view_owner, used in ((0, 12345, True), (12345, 12345, True), (12345, 0, False)):
        os.chown(view.import_map, map_owner, -1)
        os.chown(reader.__file__, view_owner, -1)
        assert ("single" in read_map(view.root, view.site_packages, reader=reader).top_level()) is used


def test_users_who_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = fresh_map_reader()
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert reader.trusted(4711, "/nowhere")
    assert reader.trusted(0, "/nowhere")
    assert reader.trusted(owner, str(tmp_path))
    assert not reader.trusted(owner + 1, str(tmp_path))


def test_a_start_without_stderr_is_silent(view: View) -> None:
    view.import_map.unlink()
    with contextlib.redirect_stderr(None):
        hook = hook_of(view.site_packages, FileFinder.path_hook())
        assert hook(str(view.site_packages)).find_spec("single") is not None


def test_parts_that_nobody_imports_are_not_read(view: View) -> None:
    os.truncate(view.import_map, view.import_map.stat().st_size - 1)  # in the section of beta
    done = view.run("-c", "import alpha.sub.two, single")
    assert (done.returncode, done.stderr) == (0, "")


CONTENT = encode_import_map(EnvironmentId("environment"), index_paths(FILES, EXTENSION_SUFFIXES))
FLIPS = st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(1, 255)), min_size=1, max_size=3)


@settings(max_examples=150, deadline=None)
@given(flips=FLIPS, length=st.one_of(st.just(len(CONTENT)), st.integers(0, len(CONTENT))))
def test_a_damaged_map_is_noticed_and_everything_is_found_all_the_same(
    flips: list[tuple[int, int]], length: int
) -> None:
    damaged = bytearray(CONTENT)
    for place, change in flips:
        damaged[place] ^= change
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()) as stderr:
        root = Path(name).resolve() / "environment"
        view = root / "lib" / "python3" / "site-packages"
        write_files(view, FILES)
        (root / "import-map").write_bytes(damaged[:length])
        hook = hook_of(view, FileFinder.path_hook((SourceFileLoader, [".py"])))
        for path in FILES:
            folder, _, file = path.rpartition("/")
            assert _found(hook, view / folder, file.removesuffix(".py")) == str(view / path)
            assert _found(hook, view / folder, "missing") is None
        lines = stderr.getvalue().splitlines()
        assert len(lines) == int(bytes(damaged[:length]) != CONTENT)


def _found(hook: Callable[[str], Any], folder: Path, tail: str) -> str | None:
    spec = hook(str(folder)).find_spec(tail)
    return str(spec.origin) if spec else None


def test_a_map_without_folders_is_whole(tmp_path: Path) -> None:
    view = build_view(tmp_path / "view", [make_wheel("single", files={"single.py": ""})], pythons()[0])
    view.import_map.write_bytes(map_of(view, ["single.py"]))
    assert view.json("import single; print(1)") == 1
