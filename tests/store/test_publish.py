"""Publishing: all of an environment or nothing, once, read-only."""

import errno
import os
import stat
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from storectl_store.digest import EnvironmentId
from storectl_store.disk.durability import rename_noreplace
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments import publish as publishing
from storectl_store.environments.environment_record import read_environment
from storectl_store.environments.planning.plan import EnvironmentPlan
from storectl_store.environments.planning.scripts import shebang
from storectl_store.environments.planning.tree import StoreScript
from storectl_store.environments.publish import publish_environment
from storectl_store.environments.view_builder import import_map_of
from storectl_store.errors import EnvironmentBuildError, StoreError, StoreFormatError, StoreFullError
from support.environments import StoreAt, add_entry, made_up_interpreter, plan_of, store_at
from support.wheels import make_wheel

OTHER = EnvironmentId("d" * 32)
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="links are shared on Linux only")


@pytest.fixture
def store(tmp_path: Path) -> StoreAt:
    return store_at(tmp_path / "store")


@pytest.fixture
def plan(store: StoreAt) -> EnvironmentPlan:
    data = {"left-1.0.data/data/share/left/x.txt": "x", "left-1.0.data/headers/left.h": ""}
    left = make_wheel("left", files={"ns/left.py": "", "left-1.0.data/scripts/go": "#!python\nprint()\n", **data})
    right = make_wheel("right", files={"ns/right.py": "", "right-1.0.data/scripts/sh": "#!/bin/sh\n"})
    manifests = [add_entry(store.layout, wheel) for wheel in (left, right)]
    return plan_of(manifests, made_up_interpreter(), store.layout)


def targets(plan: EnvironmentPlan) -> dict[str, str]:
    return {file.path: file.target for file in plan.same_files} | {link.path: link.target for link in plan.links}


def environments(layout: StoreLayout) -> list[str]:
    return sorted(os.listdir(layout.environments))


def test_the_published_tree_is_the_planned_one(store: StoreAt, plan: EnvironmentPlan) -> None:
    folder = publish_environment(store, plan)
    assert folder == plan.path == store.layout.environment(plan.id)
    for link in plan.links:
        assert os.readlink(folder / link.path) == link.target
    for file in plan.files:
        assert (folder / file.path).read_bytes() == file.content
    found = {
        os.path.relpath(os.path.join(parent, name), folder) for parent, names, _ in os.walk(folder) for name in names
    }
    assert {path for path in found if not (folder / path).is_symlink()} == set(plan.folders)


def test_a_script_has_the_first_line_that_it_asks_for(store: StoreAt, plan: EnvironmentPlan) -> None:
    folder = publish_environment(store, plan)
    assert (folder / "bin/go").read_bytes() == shebang(f"{folder}/bin/python") + b"print()\n"
    assert not (folder / "bin/go").is_symlink()
    assert not (folder / "bin/sh").is_symlink()
    assert (folder / "bin/sh").read_bytes() == Path(plan.scripts[-1].source).read_bytes()


def test_everything_is_read_only_and_only_scripts_are_executable(store: StoreAt, plan: EnvironmentPlan) -> None:
    folder = publish_environment(store, plan)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o555
    for path in plan.folders:
        assert stat.S_IMODE((folder / path).stat().st_mode) == 0o555
    assert stat.S_IMODE((folder / "pyvenv.cfg").stat().st_mode) == 0o444
    assert stat.S_IMODE((folder / "import-map").stat().st_mode) == 0o444
    assert stat.S_IMODE((folder / "bin/go").stat().st_mode) == 0o555


def test_metadata_and_data_are_copies_in_real_folders(store: StoreAt, plan: EnvironmentPlan) -> None:
    folder = publish_environment(store, plan)
    assert {Path(file.path).name for file in plan.same_files} >= {"METADATA", "RECORD", "WHEEL", "x.txt", "left.h"}
    for file in plan.same_files:
        copy, source = folder / file.path, Path(file.target)
        assert not copy.is_symlink()
        assert not copy.samefile(source)
        assert (copy.read_bytes(), copy.stat().st_mode) == (source.read_bytes(), source.stat().st_mode)


def test_only_packages_lead_into_an_entry(store: StoreAt, plan: EnvironmentPlan) -> None:
    folder = publish_environment(store, plan)
    entries = {_identity(path) for path in store.layout.entries.rglob("*")}
    for path in folder.rglob("*"):
        if not path.is_relative_to(folder / plan.site_packages) and path.exists():
            assert _identity(path) not in entries, path


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def test_copies_are_the_view_s_own_where_no_hard_link_can_be(
    store: StoreAt, plan: EnvironmentPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", _refuse(errno.EXDEV))
    folder = publish_environment(store, plan)
    assert {(folder / file.path).stat().st_nlink for file in plan.same_files} == {1}
    assert all((folder / file.path).read_bytes() == Path(file.target).read_bytes() for file in plan.same_files)


@linux_only
def test_copies_are_shared_with_the_views_before_until_one_is_written_into(
    store: StoreAt, plan: EnvironmentPlan
) -> None:
    others = [
        replace(plan, id=EnvironmentId(c * 32), path=store.layout.environment(EnvironmentId(c * 32))) for c in "ef"
    ]
    first = publish_environment(store, plan)
    second = publish_environment(store, others[0])
    for file in plan.same_files:
        assert (first / file.path).samefile(second / file.path)
    written = next(file for file in plan.same_files if file.path.endswith("x.txt"))
    (first / written.path).chmod(0o644)
    (first / written.path).write_text("another")
    (first / written.path).chmod(0o444)
    third = publish_environment(store, others[1])
    assert (third / written.path).read_bytes() == Path(written.target).read_bytes()
    fourth = publish_environment(store, replace(plan, id=OTHER, path=store.layout.environment(OTHER)))
    assert (fourth / written.path).samefile(third / written.path)


@linux_only
def test_links_are_shared_with_the_views_before(store: StoreAt, plan: EnvironmentPlan) -> None:
    first = publish_environment(store, plan)
    other = replace(plan, id=OTHER, path=store.layout.environment(OTHER))
    second = publish_environment(store, other)
    for link in plan.links:
        assert os.readlink(second / link.path) == link.target
        if os.path.isabs(link.target):
            assert (first / link.path).lstat().st_ino == (second / link.path).lstat().st_ino
    kept = [name for name in os.listdir(store.layout.links) if not name.endswith(".copy")]
    assert len(kept) == len({link.target for link in plan.links})


@linux_only
def test_links_of_a_view_that_was_not_durable_are_not_kept(
    store: StoreAt, plan: EnvironmentPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(publishing, "barrier", lost)
    with pytest.raises(StoreFullError):
        publish_environment(store, plan)
    assert os.listdir(store.layout.links) == []


@linux_only
def test_a_link_that_has_all_the_names_it_can_have_is_made_anew(
    store: StoreAt, plan: EnvironmentPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_environment(store, plan)
    other = replace(plan, id=OTHER, path=store.layout.environment(OTHER))
    monkeypatch.setattr(os, "link", _refuse(errno.EMLINK))
    folder = publish_environment(store, other)
    for link in plan.links:
        assert os.readlink(folder / link.path) == link.target


def test_if_links_are_not_shared_each_view_has_its_own(
    store: StoreAt, plan: EnvironmentPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    folder = publish_environment(store, plan)
    assert {(folder / link.path).lstat().st_nlink for link in plan.links} == {1}
    assert not store.layout.links.exists()


def test_a_full_disk_is_no_reason_for_another_kind_of_link(
    store: StoreAt, plan: EnvironmentPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", _refuse(errno.ENOSPC))
    with pytest.raises(StoreFullError):
        publish_environment(store, plan)
    assert environments(store.layout) == []


def _refuse(number: int) -> Callable[..., None]:
    def link(source: str, _destination: str, **_: object) -> None:
        raise OSError(number, os.strerror(number), source)

    return link


def test_the_umask_changes_nothing(store: StoreAt, plan: EnvironmentPlan) -> None:
    old = os.umask(0o077)
    try:
        folder = publish_environment(store, plan)
    finally:
        os.umask(old)
    assert stat.S_IMODE((folder / "pyvenv.cfg").stat().st_mode) == 0o444
    assert stat.S_IMODE((folder / "lib").stat().st_mode) == 0o555


def test_the_import_map_is_that_of_the_visible_paths(store: StoreAt, plan: EnvironmentPlan) -> None:
    folder = publish_environment(store, plan)
    assert (folder / "import-map").read_bytes() == import_map_of(plan)


def test_the_import_map_leaves_the_shim_to_itself(plan: EnvironmentPlan) -> None:
    """It would be loaded a second time where ``site`` starts it a second time, from behind a link by another path."""
    assert b"_storectl" not in import_map_of(plan)
    assert "_storectl.py" in plan.names


def test_already_there_is_a_result(store: StoreAt, plan: EnvironmentPlan) -> None:
    folder = publish_environment(store, plan)
    before = folder.stat()
    assert publish_environment(store, plan) == folder
    assert folder.stat().st_ino == before.st_ino
    assert environments(store.layout) == [plan.id]


def test_publishers_of_one_environment_do_not_disturb_each_other(store: StoreAt, plan: EnvironmentPlan) -> None:
    start, results = threading.Barrier(4), []

    def publish() -> None:
        start.wait()
        results.append(publish_environment(store, plan))

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [plan.path] * 4
    assert environments(store.layout) == [plan.id]


def test_losing_the_race_leaves_the_winners_tree(
    store: StoreAt, plan: EnvironmentPlan, monkeypatch: pytest.MonkeyPatch
) -> None:

    def late(source: Path, destination: Path) -> None:
        destination.mkdir()
        (destination / "winner").touch()
        rename_noreplace(source, destination)

    monkeypatch.setattr(publishing, "rename_noreplace", late)
    assert publish_environment(store, plan) == plan.path
    assert os.listdir(plan.path) == ["winner"]
    assert environments(store.layout) == [plan.id]


def test_a_failure_leaves_nothing(store: StoreAt, plan: EnvironmentPlan) -> None:
    broken = replace(plan, scripts=(StoreScript(path="bin/gone", source="/nowhere/gone", sha256="00"),))
    with pytest.raises(StoreError) as caught:
        publish_environment(store, broken)
    assert caught.value.hint
    assert environments(store.layout) == []


def test_a_full_disk_is_told_as_such_and_leaves_nothing(
    store: StoreAt, plan: EnvironmentPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_source: Path, _destination: Path) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(publishing, "rename_noreplace", full)
    with pytest.raises(StoreFullError):
        publish_environment(store, plan)
    assert environments(store.layout) == []


def test_extra_files_get_the_folders_they_need(store: StoreAt, plan: EnvironmentPlan) -> None:
    path = f"{plan.site_packages}/__pycache__/_storectl.cpython-312.pyc"
    folder = publish_environment(store, plan, extra_files={path: b"code", "new/deep/file": b"x"})
    assert (folder / path).read_bytes() == b"code"
    assert stat.S_IMODE((folder / path).parent.stat().st_mode) == 0o555
    assert stat.S_IMODE((folder / "new/deep").stat().st_mode) == 0o555
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o555


@pytest.mark.parametrize("path", ["../outside", "/tmp/outside", "lib/../../outside", "pyvenv.cfg"])
def test_extra_files_replace_nothing_and_stay_inside(store: StoreAt, plan: EnvironmentPlan, path: str) -> None:
    with pytest.raises((StoreError, EnvironmentBuildError)):
        publish_environment(store, plan, extra_files={path: b"x"})
    assert environments(store.layout) == []


def test_the_record_can_be_read_back(store: StoreAt) -> None:
    wheels = [make_wheel(name, files={"x.py": name}) for name in ("a", "b")]
    manifests = [add_entry(store.layout, wheel) for wheel in wheels]
    direct = {NormalizedName("a"): '{"url": "file:///a"}'}
    interpreter = made_up_interpreter()
    planned = plan_of(manifests, interpreter, store.layout, direct_urls=direct)
    record = read_environment(publish_environment(store, planned))
    assert record.id == planned.id
    assert (record.executable, record.version) == (interpreter.executable, interpreter.version)
    assert (record.cache_tag, record.interpreter_identity) == (interpreter.cache_tag, interpreter.identity)
    assert record.digests == tuple(sorted(manifest.digest for manifest in manifests))
    assert record.direct_urls == direct
    assert record.warnings == planned.warnings != ()


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"format": 1}', b'{"format": 3}', b"\xff"])
def test_a_record_that_cannot_be_read_is_a_format_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "environment.json").write_bytes(content)
    with pytest.raises(StoreFormatError):
        read_environment(tmp_path)
