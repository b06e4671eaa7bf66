"""Bytecode that is not durable yet: programs of this boot load it, and nobody else does."""

import shutil
from pathlib import Path

import pytest

from storectl_shim._storectl_pack import boot_id
from storectl_store.entries.bytecode.early import EarlyBytecode
from storectl_store.environments.publish import publish_environment
from support.environments import add_entry, ask_interpreter, plan_of, store_at
from support.packs import PackedPlace
from support.views import Python, every_python
from support.wheels import make_wheel

WHEEL = make_wheel(
    "alpha",
    files={
        "alpha/__init__.py": "SAID = 'SOURCE'\nimport alpha.deep.er\n",
        "alpha/deep/__init__.py": "",
        "alpha/deep/er.py": "X = 'SOURCE'\n",
    },
)
OTHER = make_wheel("alpha-more", files={"alpha/more.py": "X = 'SOURCE'\n"})  # alpha/ is a folder of links in a view
SHOW = "import alpha, alpha.deep.er, alpha.more; print(alpha.SAID, alpha.deep.er.X, alpha.more.X)"
BOOT = pytest.mark.skipif(not boot_id(), reason="the system does not tell boots apart")
pytestmark = BOOT


def early_place(root: Path, python: Python) -> tuple[PackedPlace, Path]:
    """A published environment without bytecode, and the folder of early bytecode, which says ``EARLY``."""
    store, interpreter = store_at(root.resolve() / "store"), ask_interpreter(python.executable)
    manifests = [add_entry(store.layout, wheel) for wheel in (WHEEL, OTHER)]
    session = store.layout.tmp / "0123456789abcdef"
    for folder in (session, store.layout.meta, root / "home"):
        folder.mkdir(parents=True)
    environment = publish_environment(store, plan_of(manifests, interpreter, store.layout))
    made = EarlyBytecode(store.layout, interpreter, session=session, boot=boot_id(), processes=1)
    for manifest in manifests:
        made.arrived(manifest)
    made.wait(lambda: False)
    made.stop()
    made.join()
    place = PackedPlace(layout=store.layout, folder=environment, home=root.resolve() / "home")
    folder = store.layout.early_bytecode(session, boot_id())
    for path in folder.rglob("*.pyc"):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes().replace(b"SOURCE", b"EARLY!"))
        path.chmod(0o444)
    return place, folder


@pytest.mark.parametrize("python", every_python())
def test_a_program_uses_what_the_daemon_has_just_made(python: Python, tmp_path: Path) -> None:
    place, folder = early_place(tmp_path, python)
    assert len(list(folder.rglob("*.pyc"))) == 3 + 1
    assert place.shown(SHOW) == "EARLY! EARLY! EARLY!"
    check = "import alpha; print(alpha.__cached__, alpha.__spec__.cached); import os; print(os.path.exists(alpha.__cached__))"
    cached = place.site_packages / f"alpha/__pycache__/__init__.{python.cache_tag}.pyc"
    assert place.shown(check) == f"{cached} {cached}\nFalse"


@pytest.fixture
def place(tmp_path: Path) -> tuple[PackedPlace, Path]:
    return early_place(tmp_path, every_python()[0].values[0])


def test_another_boot_does_not_look_at_it(place: tuple[PackedPlace, Path]) -> None:
    """A power cut may have left half of it, with bytes in between that never came to the disk."""
    environment, folder = place
    assert environment.shown(SHOW) == "EARLY! EARLY! EARLY!", "the control: this boot does"
    folder.rename(folder.with_name("early.of-the-boot-before"))
    assert environment.shown(SHOW) == "SOURCE SOURCE SOURCE"


def test_what_is_torn_all_the_same_is_no_reason_to_fail(place: tuple[PackedPlace, Path]) -> None:
    environment, folder = place
    for path in folder.rglob("*.pyc"):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-9])
    assert environment.shown(SHOW) == "SOURCE SOURCE SOURCE"


@pytest.mark.parametrize("flags", [["-O"], ["-X", "pycache_prefix=/nowhere"], ["--check-hash-based-pycs", "always"]])
def test_it_is_passed_over_where_bytecode_is(place: tuple[PackedPlace, Path], flags: list[str]) -> None:
    assert place[0].shown(SHOW, *flags, environ={"PYTHONDONTWRITEBYTECODE": "1"}) == "SOURCE SOURCE SOURCE"


def test_what_others_may_write_is_not_used(place: tuple[PackedPlace, Path]) -> None:
    environment, folder = place
    for path in folder.rglob("*.pyc"):
        path.chmod(0o666)
    assert environment.shown(SHOW) == "SOURCE SOURCE SOURCE"


def test_without_a_daemon_it_is_not_missed(place: tuple[PackedPlace, Path]) -> None:
    environment, folder = place
    shutil.rmtree(folder)
    assert environment.shown(SHOW) == "SOURCE SOURCE SOURCE"
    shutil.rmtree(environment.layout.tmp)
    assert environment.shown(SHOW) == "SOURCE SOURCE SOURCE"
