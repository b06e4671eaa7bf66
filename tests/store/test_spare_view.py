"""A view that is made ahead becomes the environment that publishing makes from nothing, or is of no use to anybody."""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from storectl_store.entries.layout import UNPUBLISHED
from storectl_store.environments import publish as publishing
from storectl_store.environments import spare_view
from storectl_store.environments.planning.plan import EnvironmentPlan
from storectl_store.environments.publish import publish_environment
from storectl_store.environments.spare_view import Spares
from storectl_store.errors import StoreFullError
from support.environments import StoreAt, add_entry, made_up_interpreter, plan_of, store_at
from support.wheels import WheelBytes, make_wheel

PYTHON = made_up_interpreter()
SCRIPT = "[console_scripts]\nrun = base:main\n"
BASE = [
    make_wheel(f"base-{number}", files={f"base_{number}/__init__.py": "", "shared/x.py": "x"}, entry_points=SCRIPT)
    for number in range(20)
]
OLD = make_wheel("changing", "1", files={"changing.py": "", "shared/old.py": "", "changing-1.data/data/share/a/b": "x"})
NEW = make_wheel(
    "changing", "2", files={"changing/__init__.py": "", "changing-2.data/data/share/a": "x"}, entry_points=SCRIPT
)
NAMESPACE = make_wheel("namespace", files={"base_1/plugin.py": "", "base_2/deep/er/plugin.py": ""})
SOME: dict[str, list[WheelBytes]] = {
    "a wheel changes": [*BASE, NEW],
    "a wheel is gone": BASE,
    "a wheel is removed in the middle": [*BASE[:7], *BASE[8:], OLD],
    "a folder becomes real": [*BASE, OLD, NAMESPACE],
    "nothing changes": [*BASE, OLD],
}


@pytest.fixture
def store(tmp_path: Path) -> StoreAt:
    made = store_at(tmp_path / "store")
    made.layout.trash.mkdir(parents=True)
    return made


def planned(store: StoreAt, wheels: Sequence[WheelBytes]) -> EnvironmentPlan:
    return plan_of([add_entry(store.layout, wheel) for wheel in wheels], PYTHON, store.layout)


def spares_of(store: StoreAt, plan: EnvironmentPlan) -> Spares:
    """A view like the planned one, made ahead after that was published, as the daemon does."""
    publish_environment(store, plan)
    spares = Spares(store.layout, fewest_leaves=10)
    spares.make(plan)
    return spares


def stages(store: StoreAt) -> list[str]:
    return [name for name in os.listdir(store.layout.environments) if name.startswith(UNPUBLISHED)]


def seen(folder: Path) -> dict[str, tuple[int, object]]:
    """Everything in a folder: mode, and target or content."""
    found: dict[str, tuple[int, object]] = {"": (folder.stat().st_mode, "")}
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *files)):
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                what: object = os.readlink(path)
            else:
                what = path.read_bytes() if stat.S_ISREG(status.st_mode) else ""
            found[str(path.relative_to(folder))] = status.st_mode, what
    return found


@pytest.mark.parametrize("wheels", SOME.values(), ids=SOME)
def test_it_becomes_the_environment_that_is_made_from_nothing(store: StoreAt, wheels: list[WheelBytes]) -> None:
    plan = planned(store, wheels)
    alone = seen(publish_environment(store, plan))
    plan.path.rename(store.layout.root / "alone")
    spares = Spares(store.layout, fewest_leaves=10)
    spares.make(planned(store, [*BASE, OLD]))
    (stage,) = stages(store)
    inode = (store.layout.environments / stage).stat().st_ino
    folder = publish_environment(store, plan, extra_files={"lib/extra/x": b"x"}, spares=spares)
    assert folder.stat().st_ino == inode
    assert {path: what for path, what in seen(folder).items() if not path.startswith("lib/extra")} == alone
    for file in plan.same_files:
        assert (folder / file.path).samefile(store.layout.root / "alone" / file.path)
    assert stages(store) == []


def test_only_one_environment_takes_it(store: StoreAt) -> None:
    spares = spares_of(store, planned(store, [*BASE, OLD]))
    plan = planned(store, [*BASE, NEW])
    assert spares.take(plan) is not None
    assert spares.take(plan) is None


def test_a_copy_that_was_written_into_does_not_stay(store: StoreAt) -> None:
    before = planned(store, [*BASE, OLD])
    spares = spares_of(store, before)
    written = next(file for file in before.same_files if file.path.endswith("base_3-1.0.dist-info/METADATA"))
    copy = before.path / written.path
    copy.chmod(0o644)
    copy.write_text("another")
    copy.chmod(0o444)
    folder = publish_environment(store, planned(store, [*BASE, NEW]), spares=spares)
    assert (folder / written.path).read_bytes() == Path(written.target).read_bytes()


@pytest.mark.parametrize("what", ["a link", "a folder", "all of it"])
def test_if_part_of_it_is_gone_another_view_is_made(store: StoreAt, what: str) -> None:
    before = planned(store, [*BASE, OLD])
    spares = spares_of(store, before)
    (stage,) = (store.layout.environments / name for name in stages(store))
    if what == "a link":
        (stage / before.site_packages / "changing.py").unlink()
    else:
        (stage / "lib" if what == "a folder" else stage).rename(store.layout.root / "elsewhere")
    plan = planned(store, [*BASE, NEW])
    folder = publish_environment(store, plan, spares=spares)
    assert (folder / plan.site_packages / "changing/__init__.py").exists()
    assert stages(store) == []


def test_an_environment_that_differs_much_does_not_take_it(store: StoreAt) -> None:
    spares = spares_of(store, planned(store, [*BASE, OLD]))
    publish_environment(store, planned(store, BASE[:10]), spares=spares)
    assert len(stages(store)) == 1


def test_there_is_one_at_a_time_and_none_after_the_end(store: StoreAt) -> None:
    spares = spares_of(store, planned(store, [*BASE, OLD]))
    first = stages(store)
    spares.make(planned(store, [*BASE, NEW]))
    assert len(stages(store)) == 1
    assert stages(store) != first
    spares.close()
    assert stages(store) == []
    spares.make(planned(store, [*BASE, OLD]))
    assert stages(store) == []


def test_a_small_view_is_not_made_ahead(store: StoreAt) -> None:
    spares = Spares(store.layout)
    spares.make(planned(store, BASE))
    assert not store.layout.environments.exists()


def test_a_disk_that_refuses_leaves_nothing(store: StoreAt, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    spares = spares_of(store, planned(store, [*BASE, OLD]))
    with monkeypatch.context() as patched:
        patched.setattr(publishing, "barrier", full)
        with pytest.raises(StoreFullError):
            publish_environment(store, planned(store, [*BASE, NEW]), spares=spares)
        patched.setattr(spare_view, "barrier", full)
        with pytest.raises(StoreFullError):
            spares.make(planned(store, [*BASE, NEW]))
    assert stages(store) == []
