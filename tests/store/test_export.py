"""Exports: what they hold, that they are plain, and that nothing of them is the store's."""

import base64
import csv
import hashlib
import importlib.util
import os
import py_compile
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from storectl_store.entries.store import Store
from storectl_store.environments.export.contents import Contents
from storectl_store.environments.export.export import ExportOrder, local_folders, read_export, write_export
from storectl_store.environments.export.writing import Method
from storectl_store.environments.publish import publish_environment
from storectl_store.errors import ExportError
from support.environments import ask_interpreter, plan_of, run
from support.machine import base_python
from support.stores import WrittenStore, written_store
from support.wheels import make_wheel

WHEELS = [
    make_wheel(
        "Sample",
        files={
            "sample/__init__.py": "def run(): print('ran')\n",
            "sample/data.txt": "data",
            "ns/one.py": "",
            "sample-1.0.data/scripts/tool": "#!python\nimport sample; sample.run()\n",
            "sample-1.0.data/scripts/shell": "#!/bin/sh\necho shell\n",
            "sample-1.0.data/data/share/sample/x.txt": "x",
            "sample-1.0.data/headers/sample.h": "",
        },
        executable=frozenset({"sample-1.0.data/scripts/tool", "sample-1.0.data/scripts/shell"}),
        entry_points="[console_scripts]\ngo = sample:run\n",
    ),
    make_wheel("other", files={"ns/two.py": "", "single.py": "", "other.pth": "/somewhere/else\nimport os\n"}),
]
TO_FOLDER = ExportOrder(folder=None, archive=None, relocatable=True, method=Method.AUTO, umask=0o022, moment=10**9)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WrittenStore]:
    with written_store(Path(os.path.realpath(tmp_path_factory.mktemp("export"))) / "store") as made:
        yield made


@pytest.fixture(scope="module")
def store(written: WrittenStore) -> Store:
    return written.store


@pytest.fixture(scope="module")
def view(written: WrittenStore) -> Path:
    manifests = [committed.manifest for committed in written.commit(*WHEELS)]
    direct = {NormalizedName("other"): '{"url": "file:///other"}'}
    plan = plan_of(manifests, ask_interpreter(base_python()), written.store.layout, direct_urls=direct)
    for module in written.store.layout.entries.glob("*/*/site-packages/**/*.py"):
        module.parent.chmod(0o755)
        py_compile.compile(str(module), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        module.parent.chmod(0o555)
    return publish_environment(written.store, plan)


def exported(store: Store, view: Path, order: ExportOrder) -> Contents:
    order.check()
    contents = read_export(store.layout, view, order)
    write_export(contents, order, lambda _: None)
    return contents


@pytest.fixture
def export(store: Store, view: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "new" / "export"
    exported(store, view, replace(TO_FOLDER, folder=folder))
    return folder


def site_packages(root: Path) -> Path:
    (found,) = root.glob("lib/python*/site-packages")
    return found


def tree(root: Path) -> list[Path]:
    return [Path(folder, name) for folder, folders, names in os.walk(root) for name in (*folders, *names)]


def test_everything_is_a_file_of_its_own_that_its_owner_can_write(export: Path) -> None:
    links = {path.relative_to(export).as_posix() for path in tree(export) if path.is_symlink()}
    assert {link for link in links if not link.startswith("bin/python")} <= {"lib64"}
    for path in tree(export):
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            runs = path.is_dir() or (path.parent.name == "bin" and "activate" not in path.name)
            assert mode == (0o755 if runs else 0o644), path
            assert path.is_dir() or path.stat().st_nlink == 1


def test_nothing_of_storectl_is_in_it(export: Path) -> None:
    assert [path for path in tree(export) if "storectl" in path.name or path.name == "EXTERNALLY-MANAGED"] == []
    assert "storectl" not in (export / "pyvenv.cfg").read_text()
    assert not (export / "import-map").exists()


def test_record_lists_every_file_of_a_project_with_its_digest(export: Path) -> None:
    site = site_packages(export)
    listed: set[Path] = set()
    for record in site.glob("*.dist-info/RECORD"):
        for name, digest, size in csv.reader(record.read_text().splitlines()):
            path = Path(os.path.normpath(site / name))
            listed.add(path)
            if path != record and path.suffix != ".pyc":
                found = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
                assert (digest, int(size)) == (f"sha256={found}", path.stat().st_size)
    files = {path for path in tree(export) if path.is_file() and not path.is_symlink()}
    assert {path for path in files - listed if "activate" not in path.name} == {export / "pyvenv.cfg"}
    assert listed <= files
    assert export / f"include/site/python{sys.version_info[0]}.{sys.version_info[1]}/sample/sample.h" in listed
    assert site / "other-1.0.dist-info/direct_url.json" in listed


def test_scripts_run_where_the_export_is_moved_to_and_through_a_link(export: Path, tmp_path: Path) -> None:
    moved = export.rename(tmp_path / "a folder")
    (tmp_path / "link").symlink_to(moved / "bin/go")
    for command in (moved / "bin/go", moved / "bin/tool", tmp_path / "link"):
        assert run([command]) == "ran\n"
    assert run([moved / "bin/shell"]) == "shell\n"


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish"])
def test_a_shell_activates_it_where_it_is(export: Path, tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    if shell in {"bash", "zsh", "fish"}:
        export = export.rename(tmp_path / "a folder")
    found = run([shell, "-c", f". '{export}/bin/activate{'.fish' if shell == 'fish' else ''}'; go; echo $VIRTUAL_ENV"])
    assert found == f"ran\n{export}\n"


def test_scripts_name_a_python_if_they_are_not_to_move(store: Store, view: Path, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    exported(store, view, replace(TO_FOLDER, folder=folder, relocatable=False))
    assert (folder / "bin/go").read_bytes().startswith(f"#!{folder}/bin/python\n".encode())
    assert "relocatable" not in (folder / "pyvenv.cfg").read_text()
    assert run([folder / "bin/go"]) == "ran\n"


def test_bytecode_is_used_in_any_place_and_an_edit_counts(export: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    subprocess.run(["cp", "-r", export, copied], check=True)
    program = "import sys; sys.addaudithook(lambda e, a: e == 'compile' and print(a[1])); import sample, ns.one, ns.two"
    assert run([copied / "bin/python", "-c", program]) == ""
    (site_packages(copied) / "sample/__init__.py").write_text("print('edited')\n")
    assert run([copied / "bin/python", "-c", "import sample"]) == "edited\n"


def test_bytecode_of_other_interpreters_stays_behind(store: Store, view: Path, tmp_path: Path) -> None:
    (cache,) = store.layout.entries.glob("sample/*/site-packages/sample/__pycache__")
    stranger = cache / "__init__.cpython-39.pyc"
    stranger.write_bytes(b"")
    try:
        contents = exported(store, view, replace(TO_FOLDER, folder=tmp_path / "export"))
    finally:
        stranger.unlink()
    own = importlib.util.cache_from_source("__init__.py").rpartition("/")[2]
    assert [path.rpartition("/")[2] for path in contents.files if "sample/__pycache__/" in path] == [own]


def test_equal_archives_have_equal_bytes_and_unpack_to_what_runs(store: Store, view: Path, tmp_path: Path) -> None:
    contents: list[bytes] = []
    for name in ("one.tar", "two.tar", "one.tar.gz", "two.tgz"):
        exported(store, view, replace(TO_FOLDER, archive=tmp_path / name))
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    assert contents[2] == contents[3] != contents[0]
    assert stat.S_IMODE((tmp_path / "one.tar").stat().st_mode) == 0o644
    with tarfile.open(tmp_path / "one.tar.gz") as archive:
        assert {(member.uid, member.gid, member.mtime) for member in archive} == {(0, 0, 10**9)}
        assert archive.getnames() == sorted(archive.getnames())
        archive.extractall(tmp_path / "unpacked", filter="tar")
    assert run([tmp_path / "unpacked/bin/go"]) == "ran\n"


def test_hard_links_are_the_entry_s_files_and_read_only(
    store: Store, view: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    exported(store, view, replace(TO_FOLDER, folder=tmp_path / "export", method=Method.HARDLINK))
    module = site_packages(tmp_path / "export") / "sample/__init__.py"
    assert module.samefile(site_packages(view) / "sample/__init__.py")
    assert stat.S_IMODE(module.parent.stat().st_mode) == 0o755


def test_root_gets_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ExportError, match="not for root"):
        replace(TO_FOLDER, folder=tmp_path / "export", method=Method.HARDLINK).check()


def test_a_place_that_is_taken_is_left_as_it_is(store: Store, view: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    for name in ("full", "link", "full/mine"):
        with pytest.raises(ExportError):
            exported(store, view, replace(TO_FOLDER, folder=tmp_path / name))
    for name in ("archive.zip", "full"):
        with pytest.raises(ExportError):
            exported(store, view, replace(TO_FOLDER, archive=tmp_path / name))
    exported(store, view, replace(TO_FOLDER, folder=tmp_path / "empty"))
    assert sorted(os.listdir(tmp_path)) == ["empty", "full", "link"]
    assert os.listdir(tmp_path / "full") == ["mine"]


def test_what_ends_early_leaves_nothing(store: Store, view: Path, tmp_path: Path) -> None:
    class GoneError(Exception):
        pass

    def stop(_files: int) -> None:
        raise GoneError

    for order in (replace(TO_FOLDER, folder=tmp_path / "a"), replace(TO_FOLDER, archive=tmp_path / "a.tar")):
        with pytest.raises(GoneError):
            write_export(read_export(store.layout, view, order), order, stop)
    assert os.listdir(tmp_path) == []


def test_the_umask_of_the_command_counts(store: Store, view: Path, tmp_path: Path) -> None:
    exported(store, view, replace(TO_FOLDER, folder=tmp_path / "export", umask=0o077))
    assert {stat.S_IMODE(path.lstat().st_mode) for path in tree(tmp_path / "export") if not path.is_symlink()} == {
        0o600,
        0o700,
    }


def test_folders_of_code_that_is_not_copied_are_named(store: Store, view: Path) -> None:
    contents = read_export(store.layout, view, TO_FOLDER)
    assert local_folders(contents) == ["/somewhere/else"]
