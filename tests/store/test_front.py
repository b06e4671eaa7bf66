"""The front: a venv of links that uv, pip and people may change, and that is brought up to date in place."""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from storectl_store.environments.front.difference import Difference, difference
from storectl_store.environments.front.place import FrontBusyError, FrontRefusedError, follow, locked, place, remove
from storectl_store.environments.front.renewal import AskedFront
from storectl_store.environments.front.uv_cache import uv_cache_of
from support.environments import ask_interpreter, interpreters, publish, store_at
from support.wheels import WheelBytes, make_wheel

PYTHON = ask_interpreter(interpreters()[0])
SITE = f"lib/{PYTHON.library_folder}/site-packages"
LAST_STEP = 9
"""The exit code of a process that ends in the middle of a renewal."""


def wheel(
    name: str, version: str = "1.0", files: Mapping[str, str] | None = None, entry_points: str = ""
) -> WheelBytes:
    """A wheel as an entry has it: with the INSTALLER of storectl."""
    given = {"files": files} if files is not None else {}
    return make_wheel(name, version, extra_dist_info={"INSTALLER": "storectl\n"}, entry_points=entry_points, **given)


class Fronts:
    """A project's folder, and environments to make a front of."""

    def __init__(self, folder: Path) -> None:
        self.store = store_at(folder / "store")
        self.project = folder / "project"
        self.project.mkdir()
        self.at = self.project / ".venv"

    @property
    def site(self) -> Path:
        return self.at / SITE

    def environment(self, *wheels: WheelBytes) -> Path:
        return publish(self.store, PYTHON, *wheels)

    def make(self, *wheels: WheelBytes, force: bool = False) -> list[str]:
        asked = self.asked(*wheels)
        return place(asked, asked.environment.parent, force=force, patience_s=0)

    def follow(self, *wheels: WheelBytes) -> list[str]:
        return follow(self.asked(*wheels), patience_s=0)

    def asked(self, *wheels: WheelBytes) -> AskedFront:
        return AskedFront(environment=self.environment(*wheels), at=self.at, prompt="demo", options={})

    def install(self, name: str, version: str, files: Mapping[str, str], installer: str = "pip") -> None:
        """Put real files there, as an installer does."""
        metadata = f"{name}-{version}.dist-info"
        given = {**files, f"{metadata}/INSTALLER": installer, f"{metadata}/METADATA": f"Name: {name}\n"}
        listed = "".join(f"{path},,\n" for path in [*given, f"{metadata}/RECORD"])
        for name_in_site, content in [*given.items(), (f"{metadata}/RECORD", listed)]:
            path = self.site / name_in_site
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def python(self, code: str) -> str:
        command = [str(self.at / "bin/python"), "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.defpath})
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.strip()

    def tree(self) -> dict[str, object]:
        """Everything below the front: link targets, contents, folders; but for what says when it was made."""
        found: dict[str, object] = {}
        for parent, folders, names in os.walk(self.at):
            for name in (*folders, *names):
                path = Path(parent, name)
                content = os.readlink(path) if path.is_symlink() else path.is_dir() or path.read_bytes()
                found[str(path.relative_to(self.at))] = content
        for changing in (".lock", f"{SITE}/_storectl.pth"):
            if changing in found:
                found[changing] = "there"
        return found

    @property
    def is_pinned(self) -> bool:
        return (self.site / "_storectl.pth").exists() and str(self.site.stat().st_mtime_ns) in (
            self.site / "_storectl.pth"
        ).read_text()


@pytest.fixture
def fronts(tmp_path: Path) -> Fronts:
    return Fronts(tmp_path)


# --- what it holds ----------------------------------------------------------------------------------------------------


def test_packages_are_links_to_entries_and_everything_else_is_real_and_the_owners(fronts: Fronts) -> None:
    script = "alpha = alpha:main\n"
    fronts.make(
        wheel(
            "alpha",
            files={
                "alpha/__init__.py": "",
                "alpha.py.txt": "",
                "alpha-1.0.data/data/share/alpha/a.txt": "shared",
                "alpha-1.0.dist-info/licenses/LICENSE": "",
            },
            entry_points=f"[console_scripts]\n{script}",
        )
    )
    links = {path: to for path, to in fronts.tree().items() if isinstance(to, str) and to.startswith("/")}
    assert set(links) == {"bin/python", f"{SITE}/alpha", f"{SITE}/alpha.py.txt"}
    assert all("/store/alpha/" in to for path, to in links.items() if path != "bin/python")
    modes = {
        stat.S_IMODE(path.stat().st_mode) for path in fronts.at.rglob("*") if path.is_dir() and not path.is_symlink()
    }
    assert modes == {0o755}
    assert (fronts.at / "share/alpha/a.txt").stat().st_nlink == 1
    assert stat.S_IMODE((fronts.at / "share/alpha/a.txt").stat().st_mode) == 0o644
    assert (fronts.at / "bin/alpha").read_text().startswith(f"#!{fronts.at}/bin/python\n")
    assert os.access(fronts.at / "bin/alpha", os.X_OK)
    assert not list(fronts.at.rglob("EXTERNALLY-MANAGED"))


def test_record_lists_what_the_front_has(fronts: Fronts) -> None:
    fronts.make(wheel("alpha", files={"alpha/__init__.py": "", "alpha/sub/deep.py": "", "single.py": ""}))
    rows = [row.split(",")[0] for row in (fronts.site / "alpha-1.0.dist-info/RECORD").read_text().splitlines()]
    assert [row for row in rows if "dist-info" not in row] == [
        f"__pycache__/single.{PYTHON.cache_tag}.pyc",
        "alpha",
        "single.py",
    ]
    assert all(os.path.lexists(fronts.site / row) for row in rows)


@pytest.mark.parametrize(
    ("init", "real"),
    [
        (None, True),
        ("", False),
        ("__path__ = __import__('pkgutil').extend_path(__path__, __name__)", True),
        ("__import__('pkg_resources').declare_namespace(__name__)", True),
    ],
)
def test_a_folder_that_other_wheels_add_to_is_a_real_one(fronts: Fronts, init: str | None, real: bool) -> None:  # noqa: FBT001
    files = {"space/cloud/alpha/__init__.py": "", "space/cloud/alpha/data/a.txt": ""}
    fronts.make(wheel("alpha", files=files if init is None else {**files, "space/__init__.py": init}))
    assert (fronts.site / "space").is_symlink() is not real
    assert (fronts.site / "space/cloud").is_symlink() is False
    if real:
        assert (fronts.site / "space/cloud/alpha").is_symlink()


def test_every_file_that_uv_and_venv_make_is_there(fronts: Fronts, tmp_path: Path) -> None:
    fronts.make(wheel("alpha"))
    subprocess.run(
        [Path(sys.executable).with_name("uv"), "venv", "-q", "-p", PYTHON.executable, tmp_path / "uv"], check=True
    )
    subprocess.run([PYTHON.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    made = {
        str(path.relative_to(tmp_path / tool))
        for tool in ("uv", "venv")
        for path in (tmp_path / tool).rglob("*")
        if path.suffix != ".bat"  # for Windows
    }
    patch = {f"{SITE}/_virtualenv.py", f"{SITE}/_virtualenv.pth"}  # for distutils, which reads setup.cfg of users
    headers = {"include", f"include/python{PYTHON.feature_version}"}  # empty folders
    other_case = {"bin/Activate.ps1"}
    assert made - {str(path.relative_to(fronts.at)) for path in fronts.at.rglob("*")} <= patch | headers | other_case
    config = dict(line.split(" = ") for line in (fronts.at / "pyvenv.cfg").read_text().splitlines())
    assert config["prompt"] == "demo"
    assert set(config) >= {"home", "implementation", "version_info", "include-system-site-packages", "prompt"}


# --- renewal ----------------------------------------------------------------------------------------------------------


def test_a_renewal_changes_what_has_changed_and_nothing_else(fronts: Fronts) -> None:
    stays = wheel("stays")
    fronts.make(stays, wheel("alpha"), wheel("goes"))
    kept = [fronts.site / "stays", fronts.site / "stays-1.0.dist-info/METADATA", fronts.at / "bin/activate"]
    before = [os.lstat(path).st_ino for path in kept]
    fronts.follow(stays, wheel("alpha", "2.0"), wheel("comes"))
    assert [os.lstat(path).st_ino for path in kept] == before
    assert {each.name for each in fronts.site.iterdir() if "_storectl" not in each.name} == {
        "__pycache__", "alpha", "alpha-2.0.dist-info", "comes", "comes-1.0.dist-info", "stays", "stays-1.0.dist-info",
    }  # fmt: skip
    assert fronts.python("import alpha; print(alpha.__version__)") == "2.0"


def test_a_renewal_is_no_use_of_the_environment(fronts: Fronts) -> None:
    """The time of the last access of its ``pyvenv.cfg`` is its last use. A file that was never read notes any access."""
    leased = fronts.environment(wheel("alpha")) / "pyvenv.cfg"
    written = leased.stat().st_mtime_ns
    os.utime(leased, ns=(written - 1, written))
    fronts.make(wheel("alpha"))
    assert leased.stat().st_atime_ns == written - 1
    leased.read_bytes()
    if leased.stat().st_atime_ns == written - 1:
        pytest.skip("the file system keeps no access times")


def test_what_is_settled_is_left_alone(fronts: Fronts) -> None:
    fronts.make(wheel("alpha"))
    shutil.rmtree(fronts.site / "alpha-1.0.dist-info")
    fronts.follow(wheel("alpha"))
    assert not (fronts.site / "alpha-1.0.dist-info").exists()
    fronts.make(wheel("alpha"))  # the user asks for it
    assert (fronts.site / "alpha-1.0.dist-info").exists()


def test_wherever_a_renewal_ends_the_next_one_finishes_it(fronts: Fronts) -> None:
    """Killed at each call that changes a file, in a process of its own."""
    script = "[console_scripts]\ncmd = alpha:main\n"
    old = (wheel("alpha", entry_points=script), wheel("left", files={"ns/left/__init__.py": ""}), wheel("goes"))
    right = wheel("right", files={"ns/right/__init__.py": ""})
    new = (wheel("alpha", "2.0", entry_points=script), right, wheel("comes", files={"comes.py": ""}))
    fronts.make(*new)
    wanted = fronts.tree()
    steps = 0
    while True:
        shutil.rmtree(fronts.at)
        fronts.make(*old)
        fronts.install("alpha", "3.0", {"alpha3.py": "", "other/__init__.py": ""}) if steps % 2 else None
        if not killed_at(steps, lambda: fronts.follow(*new)):
            break
        fronts.follow(*new)
        assert fronts.tree() == wanted, steps
        assert fronts.is_pinned
        steps += 1
    assert fronts.tree() == wanted
    assert steps > 20


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that ends at its ``step``-th change of a file system. Whether it did not come so far."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of other threads of the test run, which do nothing here
        child = os.fork()
    if child == 0:
        changes = 0

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal changes
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if writes or event in {
                "os.rename",
                "os.remove",
                "os.mkdir",
                "os.rmdir",
                "os.symlink",
                "os.utime",
                "os.chmod",
            }:
                if changes == step:
                    os._exit(LAST_STEP)
                changes += 1

        sys.addaudithook(count)
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, LAST_STEP}
    return code == LAST_STEP


def test_what_an_installer_put_there_is_a_link_again_once_it_is_locked_and_left_otherwise(fronts: Fronts) -> None:
    fronts.make(wheel("alpha"))
    shutil.rmtree(fronts.site / "alpha-1.0.dist-info")
    (fronts.site / "alpha").unlink()
    fronts.install("alpha", "3.0", {"alpha/__init__.py": "", "alpha/old.py": ""})
    fronts.install("mine", "1.0", {"mine/__init__.py": ""})
    (fronts.site / "alpha/__pycache__").mkdir()
    (fronts.site / "alpha/__pycache__/old.cpython-312.pyc").touch()
    assert difference(fronts.at, fronts.environment(wheel("alpha"))) == Difference(
        added=("mine 1.0",), changed=("alpha 3.0 instead of 1.0, installed by pip",)
    )
    assert fronts.follow(wheel("alpha", "2.0")) == []
    assert (fronts.site / "alpha").is_symlink()
    assert not (fronts.site / "alpha-3.0.dist-info").exists()
    assert (fronts.site / "mine/__init__.py").exists()
    assert not fronts.is_pinned
    assert fronts.python("import alpha, mine; print(alpha.__version__)") == "2.0"


def test_what_no_project_has_is_moved_aside_and_named(fronts: Fronts) -> None:
    fronts.make(wheel("alpha"))
    (fronts.site / "beta").mkdir()
    (fronts.site / "beta/mine.txt").write_text("mine")
    (told,) = fronts.follow(wheel("alpha"), wheel("beta"))
    aside = Path(told.rpartition(" it is ")[2].removesuffix(" now"))
    assert (aside / "mine.txt").read_text() == "mine"
    assert (fronts.site / "beta").is_symlink()


def test_a_file_that_was_edited_stays_until_its_project_changes(fronts: Fronts) -> None:
    def alpha(version: str) -> WheelBytes:
        files = {f"alpha-{version}.data/data/etc/a.toml": version, "alpha.py": ""}
        record = f"../../../etc/a.toml,,\nalpha-{version}.dist-info/RECORD,,\n"
        own = {"INSTALLER": "storectl\n"}
        return make_wheel("alpha", version, files=files, extra_dist_info=own, record=record.encode())

    fronts.make(alpha("1.0"))
    (fronts.at / "etc/a.toml").write_text("edited")
    fronts.follow(alpha("1.0"), wheel("beta"))
    assert (fronts.at / "etc/a.toml").read_text() == "edited"
    fronts.follow(alpha("2.0"))
    assert (fronts.at / "etc/a.toml").read_text() == "2.0"


def test_an_environment_of_another_python_takes_the_place_of_the_first(fronts: Fronts) -> None:
    others = interpreters()[1:]
    if not others:
        pytest.skip("there is only one Python")
    fronts.make(wheel("alpha"))
    asked = AskedFront(
        environment=publish(fronts.store, ask_interpreter(others[0]), wheel("alpha")), at=fronts.at, prompt="demo"
    )
    follow(asked, patience_s=0)
    assert [path.name for path in (fronts.at / "lib").iterdir()] == [ask_interpreter(others[0]).library_folder]
    assert not (fronts.at / f"bin/{PYTHON.library_folder}").is_symlink()
    assert fronts.python("import alpha; print(alpha.__version__)") == "1.0"


def test_a_front_that_moves_is_right_again_after_the_next_look(fronts: Fronts) -> None:
    alpha = wheel("alpha", entry_points="[console_scripts]\ncmd = alpha:main\n")
    fronts.make(alpha)
    moved = fronts.project.rename(fronts.project.with_name("moved"))
    fronts.at = moved / ".venv"
    fronts.follow(alpha)
    assert (fronts.at / "bin/cmd").read_text().startswith(f"#!{fronts.at}/bin/python\n")
    assert str(moved) in (fronts.at / "bin/activate").read_text()


# --- how it runs ------------------------------------------------------------------------------------------------------

WHERE = "import alpha, sys; print(alpha.__file__, sys.prefix)"


def test_modules_come_from_the_environment_as_long_as_nobody_changes_the_front(fronts: Fronts) -> None:
    fronts.make(wheel("alpha"))
    environment = fronts.environment(wheel("alpha"))
    assert fronts.python(WHERE) == f"{environment / SITE / 'alpha/__init__.py'} {fronts.at}"
    fronts.install("mine", "1.0", {"mine.py": ""})
    assert fronts.python(WHERE) == f"{fronts.site / 'alpha/__init__.py'} {fronts.at}"


def test_running_python_changes_no_front(fronts: Fronts) -> None:
    fronts.make(wheel("alpha"), wheel("single", files={"single.py": ""}))
    fronts.python("import alpha, single")
    assert fronts.is_pinned


def test_what_is_installed_while_a_program_runs_can_be_imported(fronts: Fronts) -> None:
    fronts.make(wheel("alpha"))
    code = f"import alpha; open({str(fronts.site / 'late.py')!r}, 'w').close(); import late; print(late.__file__)"
    assert fronts.python(code) == str(fronts.site / "late.py")


def test_a_front_whose_environment_is_gone_is_a_plain_venv(fronts: Fronts) -> None:
    fronts.make(wheel("alpha"))
    shutil.rmtree(fronts.environment(wheel("alpha")))
    assert fronts.python(WHERE) == f"{fronts.site / 'alpha/__init__.py'} {fronts.at}"


def test_a_changed_front_writes_no_bytecode_into_an_entry_and_its_own_where_it_belongs(fronts: Fronts) -> None:
    """The store of this test is writable, as it is for root."""
    fronts.make(wheel("alpha"))
    fronts.install("mine", "1.0", {"mine/__init__.py": ""})
    entries = sorted(fronts.store.layout.entries.rglob("*"))
    fronts.python("import alpha, mine")
    assert list((fronts.site / "mine/__pycache__").iterdir())
    assert os.geteuid() != 0 or sorted(fronts.store.layout.entries.rglob("*")) == entries


def test_metadata_is_that_of_the_front_whether_it_is_changed_or_not(fronts: Fronts) -> None:
    fronts.make(wheel("alpha"))
    code = "import importlib.metadata as m; print(*sorted(d.metadata['Name'] for d in m.distributions()))"
    assert fronts.python(code) == "alpha"
    fronts.install("mine", "1.0", {"mine.py": ""})
    assert fronts.python(code) == "alpha mine"


# --- where it stands --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_storectl_has_not_made_is_kept_and_moved_aside_on_demand(fronts: Fronts, kind: str) -> None:
    if kind == "link":
        fronts.at.symlink_to("elsewhere")
    elif kind == "file":
        fronts.at.touch()
    else:
        fronts.at.mkdir()
    with pytest.raises(FrontRefusedError, match=r"\.venv is there"):
        fronts.make(wheel("alpha"))
    assert os.listdir(fronts.project) == [".venv"]
    (told,) = fronts.make(wheel("alpha"), force=True)
    assert ".before-storectl" in told
    assert sorted(os.listdir(fronts.project)) == [".venv", ".venv.before-storectl"]
    assert fronts.python(WHERE)


def test_what_cannot_be_made_leaves_what_was_there(fronts: Fronts, monkeypatch: pytest.MonkeyPatch) -> None:
    fronts.at.mkdir()

    def refuse(_front: Path, _asked: AskedFront) -> list[str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("storectl_store.environments.front.place.renew", refuse)
    with pytest.raises(OSError, match="No space"):
        fronts.make(wheel("alpha"), force=True)
    assert os.listdir(fronts.project) == [".venv"]


def test_a_front_that_another_program_changes_is_not_touched(fronts: Fronts) -> None:
    fronts.make(wheel("alpha"))
    before = fronts.tree()
    with locked(fronts.at, 0), pytest.raises(FrontBusyError):
        fronts.follow(wheel("alpha", "2.0"))
    assert fronts.tree() == before


@pytest.mark.parametrize("path", ["bin", "lib", SITE, "replaced", ".storectl", ".lock", f"{SITE}/beta"])
def test_nothing_is_written_through_a_link_that_a_checkout_brings(fronts: Fronts, tmp_path: Path, path: str) -> None:
    fronts.make(wheel("alpha"))
    outside = tmp_path / "outside"
    outside.mkdir()
    if (fronts.at / path).is_dir():
        shutil.copytree(fronts.at / path, outside, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(fronts.at / path)
    else:
        (fronts.at / path).unlink(missing_ok=True)
    (fronts.at / path).symlink_to(outside)
    before = sorted(outside.rglob("*"))
    with contextlib.suppress(OSError):
        fronts.follow(wheel("alpha", "2.0"), wheel("beta"))
    assert sorted(outside.rglob("*")) == before


def test_removal_leaves_what_others_put_there(fronts: Fronts) -> None:
    fronts.make(wheel("alpha"))
    fronts.install("mine", "1.0", {"mine.py": ""})
    environments = fronts.environment(wheel("alpha")).parent
    left = remove(fronts.at, environments, patience_s=0)
    assert f"{SITE}/mine.py" in left
    assert all("mine" in path for path in left)
    with pytest.raises(FrontRefusedError):
        remove(fronts.at, environments, patience_s=0)


def test_removal_works_without_the_environment_and_leaves_no_folder(fronts: Fronts) -> None:
    fronts.make(wheel("alpha"))
    environment = fronts.environment(wheel("alpha"))
    shutil.rmtree(environment)
    assert remove(fronts.at, environment.parent, patience_s=0) == []
    assert os.listdir(fronts.project) == []


# --- what uv compares -------------------------------------------------------------------------------------------------


def test_a_project_with_cache_keys_or_from_no_folder_has_no_file_for_uv(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.uv]\ncache-keys = []\n")
    assert uv_cache_of(f'{{"url": "file://{tmp_path}", "dir_info": {{}}}}'.encode()) is None
    assert uv_cache_of(b'{"url": "https://example/a.whl", "archive_info": {}}') is None
