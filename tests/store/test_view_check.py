"""An environment is compared with its plan; whatever differs is named by its path."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storectl_store.entries.quarantine import Reason
from storectl_store.environments.environment_record import read_environment
from storectl_store.environments.identity import shim_sources
from storectl_store.environments.made_by import Maker, maker_of, shown_digests
from storectl_store.environments.publish import publish_environment, republish_environment
from storectl_store.environments.view_check import differences
from support.environments import add_entry, made_up_interpreter, plan_of, store_at
from support.wheels import make_wheel

SITE = "lib/python3.12/site-packages"
EXTRA = {f"{SITE}/__pycache__/_storectl.cpython-312.pyc": b"bytecode"}


class Published:
    """An environment of two wheels that share a folder."""

    def __init__(self, root: Path) -> None:
        self.store = store_at(root / "store")
        left = make_wheel(
            "left", files={"ns/left.py": "", "left.py": "", "left-1.0.data/scripts/go": "#!python\nprint()\n"}
        )
        right = make_wheel("right", files={"ns/right.py": "", "right-1.0.data/scripts/sh": "#!/bin/sh\n"})
        self.manifests = [add_entry(self.store.layout, wheel) for wheel in (left, right)]
        self.plan = plan_of(self.manifests, made_up_interpreter(), self.store.layout)
        self.folder = publish_environment(self.store, self.plan, extra_files=EXTRA)
        self.opened: list[Path] = []

    def different(self, *, contents: bool = True) -> list[str]:
        """The paths that differ, once the folders that were opened up are closed again."""
        for path in self.opened:
            path.chmod(0o555)
        return [difference.path for difference in differences(self.plan, EXTRA, contents=contents)]

    def open_up(self, path: str) -> Path:
        """The path, its folder writable; root needs no such thing."""
        place = self.folder / path
        place.parent.chmod(0o755)
        self.opened.append(place.parent)
        return place


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def lead_elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("/elsewhere")


def test_a_sound_environment_differs_in_nothing(published: Published) -> None:
    assert published.different() == []
    assert published.different(contents=False) == []


@pytest.mark.parametrize(
    ("path", "harm"),
    [
        ("import-map", flip),
        ("environment.json", flip),
        ("pyvenv.cfg", lambda path: path.unlink()),
        ("bin/python", lambda path: path.unlink()),
        ("bin/python", lead_elsewhere),
        ("bin/go", flip),
        ("bin/go", lambda path: path.chmod(0o444)),
        ("bin/sh", lambda path: path.unlink()),
        (f"{SITE}/_storectl.py", flip),
        (f"{SITE}/_storectl.pth", flip),
        (f"{SITE}/left.py", lead_elsewhere),
        (f"{SITE}/ns/left.py", lambda path: path.unlink()),
        (f"{SITE}/__pycache__/_storectl.cpython-312.pyc", flip),
        (f"{SITE}/left-1.0.dist-info/METADATA", lambda path: path.unlink()),
        (f"{SITE}/installed_by_pip.py", lambda path: path.write_text("")),
    ],
)
def test_each_harm_is_named_by_its_path(published: Published, path: str, harm: Callable[[Path], object]) -> None:
    harm(published.open_up(path))
    assert published.different() == [path]


@pytest.mark.parametrize("path", [".", "bin", SITE])
def test_a_folder_that_can_be_written_is_found(published: Published, path: str) -> None:
    (published.folder / path).chmod(0o755)
    assert published.different() == [path]


def test_metadata_that_is_no_longer_the_entrys_is_found(published: Published) -> None:
    path = published.open_up(f"{SITE}/left-1.0.dist-info/METADATA")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + b"#")
    path.chmod(0o444)
    assert published.different() == [f"{SITE}/left-1.0.dist-info/METADATA"]


def test_an_equal_copy_of_metadata_is_right(published: Published) -> None:
    path = published.open_up(f"{SITE}/left-1.0.dist-info/METADATA")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    path.chmod(0o444)
    assert published.different() == []


def test_the_file_of_an_entry_in_place_of_a_copy_is_found(published: Published) -> None:
    path = published.open_up(f"{SITE}/left-1.0.dist-info/METADATA")
    path.unlink()
    path.hardlink_to(
        next(file.target for file in published.plan.same_files if file.path.endswith("left-1.0.dist-info/METADATA"))
    )
    assert published.different() == [f"{SITE}/left-1.0.dist-info/METADATA"]


def test_every_bit_of_the_settings_of_a_venv_counts(published: Published) -> None:
    path = published.open_up("pyvenv.cfg")
    path.chmod(0o644)
    path.write_text(path.read_text().replace("storectl = 7", "storectl = 8"))
    path.chmod(0o444)
    assert published.different() == ["pyvenv.cfg"]


def test_a_glance_finds_what_is_gone_and_reads_nothing(published: Published) -> None:
    flip(published.open_up("import-map"))
    assert published.different(contents=False) == []
    published.open_up("bin/python").unlink()
    assert published.different(contents=False) == ["bin/python"]


def test_a_damaged_environment_is_made_anew_in_its_place(published: Published) -> None:
    flip(published.open_up("import-map"))
    reason = Reason(what="environment", why=["import-map"])
    with (published.folder / "import-map").open("rb") as held:
        damaged = held.read()
        republish_environment(published.store, published.plan, reason, extra_files=EXTRA)
    assert published.different() == []
    (place,) = published.store.layout.quarantine.iterdir()
    assert (place / published.folder.name / "import-map").read_bytes() == damaged
    assert not [name for name in os.listdir(published.store.layout.environments) if name.startswith(".tmp")]


def test_what_was_written_into_a_copy_that_views_share_is_not_taken_for_it_again(published: Published) -> None:
    path = published.open_up(f"{SITE}/left-1.0.dist-info/METADATA")
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    republish_environment(published.store, published.plan, Reason(what="environment", why=[]), extra_files=EXTRA)
    assert published.different() == []


def test_the_id_says_who_made_the_environment(published: Published) -> None:
    record = read_environment(published.folder)
    assert maker_of(published.folder, record) is Maker.THIS
    assert shown_digests(published.store.layout) == {manifest.digest for manifest in published.manifests}


def test_a_record_that_names_other_entries_is_nobodys(published: Published) -> None:
    path = published.open_up("environment.json")
    path.chmod(0o644)
    path.write_text(
        path.read_text().replace(published.manifests[0].digest[:10], published.manifests[0].digest[:9] + "f")
    )
    assert maker_of(published.folder, read_environment(published.folder)) is Maker.UNKNOWN


def test_an_environment_with_an_older_shim_is_another_storectls(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = {**shim_sources(), "_storectl_newer.py": b""}
    monkeypatch.setattr("storectl_store.environments.made_by.shim_digest", lambda: "sha256:" + "0" * 64)
    monkeypatch.setattr("storectl_store.environments.made_by.shim_sources", lambda: newer)
    assert maker_of(published.folder, read_environment(published.folder)) is Maker.ANOTHER


def test_to_look_at_an_environment_is_no_use_of_it(published: Published) -> None:
    """The access time of this file says when a program was started there last."""
    config = published.folder / "pyvenv.cfg"
    os.utime(config, (1000, config.stat().st_mtime))
    assert published.different() == []
    assert config.stat().st_atime == 1000
