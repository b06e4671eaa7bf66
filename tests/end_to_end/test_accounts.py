"""Several accounts on one machine: whose lock files count, who can use whose store, and what root leaves behind.

Every account here is a real one, made for the test and removed after it: see ``support.accounts``.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.accounts import Account, Installed, new_account, reason_to_skip, root_account
from support.index import LoopbackIndex
from support.lock_files import uv_lock_text
from support.project import write_project
from support.wheels import make_wheel

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(reason_to_skip() is not None, reason=reason_to_skip() or ""),
]

SHOW = "import alpha, os; print(alpha.__version__, os.geteuid())"


@pytest.fixture
def root(made: Installed) -> Iterator[Account]:
    with root_account(made) as account:
        yield account


def project_of(account: Account, folder: Path, index: LoopbackIndex, version: str = "1.0") -> Path:
    write_project(folder, index, [make_wheel("alpha", version)])
    account.give(folder)
    return folder


def test_a_lock_file_that_another_user_left_in_a_sticky_folder_decides_nothing_below_it(
    alice: Account, bob: Account, place: Path, index: LoopbackIndex
) -> None:
    place.chmod(0o1777)
    lock_file = place / "uv.lock"
    lock_file.write_text(uv_lock_text(index, [make_wheel("alpha", "6.6.6")]))
    alice.give(lock_file)
    (place / "bob").mkdir()
    bob.give(place / "bob")
    done = bob.storectl("run", "-c", SHOW, cwd=place / "bob")
    assert done.returncode == 125
    assert done.stderr.startswith(f"storectl: E_PROJECT_OWNER: {lock_file} belongs to user {alice.name}")
    assert f"hint: everybody may write in {place}: keep the project in a folder of your own" in done.stderr
    assert "storectl trust" not in done.stderr
    assert index.file_requests == 0
    project_of(bob, place / "bob" / "project", index)
    assert bob.ok("run", "-c", SHOW, cwd=place / "bob" / "project") == f"1.0 {bob.uid}\n"


def test_a_file_of_another_user_in_a_folder_of_one_s_own_that_all_may_write_stops_the_project(
    alice: Account, bob: Account, place: Path, index: LoopbackIndex
) -> None:
    folder = project_of(bob, place / "project", index)
    assert bob.ok("run", "-c", SHOW, cwd=folder) == f"1.0 {bob.uid}\n"
    folder.chmod(0o777)
    (folder / "pyproject.toml").unlink()
    (folder / "pyproject.toml").write_text('[project]\nname = "project"\nversion = "0"\n')
    alice.give(folder / "pyproject.toml")
    done = bob.storectl("run", "-c", SHOW, cwd=folder)
    assert done.returncode == 125
    assert f"E_PROJECT_OWNER: {folder / 'pyproject.toml'} belongs to user {alice.name}" in done.stderr


def test_a_lock_file_swapped_for_another_user_s_of_the_same_age_does_not_run(
    alice: Account, bob: Account, place: Path, index: LoopbackIndex
) -> None:
    folder = project_of(bob, place / "project", index)
    lock_file = folder / "uv.lock"
    os.utime(lock_file, (1_000_000_000, 1_000_000_000))
    os.utime(folder / "pyproject.toml", (1_000_000_000, 1_000_000_000))
    bob.ok("warm", folder)
    folder.chmod(0o777)
    alice.give(lock_file)
    os.utime(lock_file, (1_000_000_000, 1_000_000_000))
    done = bob.storectl("run", "-c", SHOW, cwd=folder)
    assert (done.returncode, done.stdout) == (125, "")
    assert "E_PROJECT_OWNER" in done.stderr


def test_local_code_of_another_user_is_not_built(
    alice: Account, bob: Account, place: Path, index: LoopbackIndex
) -> None:
    library = place / "library"
    library.mkdir()
    (library / "pyproject.toml").write_text('[project]\nname = "library"\nversion = "1.0"\n')
    (library / "library.py").write_text("")
    alice.give(library)
    folder = place / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "project"\nversion = "0"\ndependencies = ["library"]\n'
        '[tool.uv]\npackage = false\n[tool.uv.sources]\nlibrary = { path = "../library", editable = true }\n'
    )
    (folder / "uv.lock").write_text(
        'version = 1\nrequires-python = ">=3.9"\n\n'
        '[[package]]\nname = "library"\nversion = "1.0"\nsource = { editable = "../library" }\n\n'
        '[[package]]\nname = "project"\nversion = "0"\nsource = { virtual = "." }\n'
        'dependencies = [{ name = "library" }]\n'
    )
    bob.give(folder)
    done = bob.storectl("run", "-c", "import library", cwd=folder)
    assert f"E_PROJECT_OWNER: {library} belongs to user {alice.name}" in done.stderr
    bob.ok("trust", library)
    assert bob.ok("run", "-c", "import library; print('built')", cwd=folder) == "built\n"


def test_a_wheel_of_another_user_without_a_locked_hash_is_not_unpacked(
    alice: Account, bob: Account, place: Path
) -> None:
    place.chmod(0o1777)
    wheel = make_wheel("alpha", "1.0")
    (place / wheel.filename).write_bytes(wheel.data)
    alice.give(place / wheel.filename)
    folder = place / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "project"\nversion = "0"\ndependencies = ["alpha"]\n')
    (folder / "uv.lock").write_text(
        'version = 1\nrequires-python = ">=3.9"\n\n'
        '[[package]]\nname = "alpha"\nversion = "1.0"\nsource = { registry = ".." }\n'
        f'wheels = [{{ path = "{wheel.filename}" }}]\n\n'
        '[[package]]\nname = "project"\nversion = "0"\nsource = { virtual = "." }\n'
        'dependencies = [{ name = "alpha" }]\n'
    )
    bob.give(folder)
    done = bob.storectl("run", "-c", SHOW, cwd=folder)
    assert done.returncode == 125
    assert f"E_PROJECT_OWNER: {place / wheel.filename} belongs to user {alice.name}" in done.stderr
    bob.give(place / wheel.filename)
    assert bob.ok("run", "-c", SHOW, cwd=folder) == f"1.0 {bob.uid}\n"


def test_a_project_of_another_user_is_said_to_be_one_and_can_be_trusted(
    alice: Account, bob: Account, place: Path, index: LoopbackIndex
) -> None:
    folder = project_of(alice, place / "project", index)
    (folder / "deep").mkdir()
    for arguments in (("run", "-c", SHOW), ("warm",), ("watch", "add"), ("env", "show")):
        done = bob.storectl(*arguments, cwd=folder / "deep")
        assert done.returncode in (1, 125)
        assert done.stderr.startswith(f"storectl: E_PROJECT_OWNER: {folder} belongs to user {alice.name} ({alice.uid})")
        assert f"hint: if you trust whoever can write there: storectl trust {folder}\n" in done.stderr
    assert bob.ok("trust", folder) == f"trusted: {folder}\n"
    assert bob.ok("trust") == f"{folder}\n"
    for _ in range(2):
        assert bob.ok("run", "-c", SHOW, cwd=folder / "deep") == f"1.0 {bob.uid}\n"
    write_project(folder, index, [make_wheel("alpha", "2.0")])
    alice.give(folder)
    assert bob.ok("run", "-c", SHOW, cwd=folder) == f"2.0 {bob.uid}\n"
    assert bob.ok("trust", "--remove", folder) == f"no longer trusted: {folder}\n"
    assert bob.storectl("run", "-c", SHOW, cwd=folder).returncode == 125
    assert not list(folder.rglob("*storectl*"))


def test_root_can_be_told_once_for_all(alice: Account, root: Account, place: Path, index: LoopbackIndex) -> None:
    folder = project_of(alice, place / "project", index)
    done = root.storectl("run", "-c", SHOW, cwd=folder)
    assert f"E_PROJECT_OWNER: {folder} belongs to user {alice.name}" in done.stderr
    assert root.ok("trust", "*") == "trusted: *\n"
    assert root.ok("run", "-c", SHOW, cwd=folder) == "1.0 0\n"


def test_the_python_api_says_so_too(alice: Account, bob: Account, place: Path, index: LoopbackIndex) -> None:
    folder = project_of(alice, place / "project", index)
    code = "import storectl; storectl.activate()\nimport alpha; print(alpha.__version__)"
    python = bob.installed.bin / "python"
    assert "E_PROJECT_OWNER" in bob.run([python, "-c", code], cwd=folder).stderr
    bob.ok("trust", folder)
    done = bob.run([python, "-c", code], cwd=folder)
    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr


def test_an_image_that_root_has_built_runs_as_another_user_without_daemon_and_without_writing(
    root: Account, bob: Account, place: Path, index: LoopbackIndex
) -> None:
    folder = write_project(place / "app", index, [make_wheel("alpha", "1.0")])
    store = {"STORECTL_STORE": str(place / "opt" / "store")}
    (place / "opt").mkdir()
    root.ok("warm", "--shared", folder, env=store, umask=0o077)
    end_daemon(root, store)  # the step of the image is over, and with it every process
    bob.home.chmod(0o555)
    before = tree(place)
    for home in (str(bob.home), ""):
        assert bob.ok("run", "-c", SHOW, cwd=folder, env={**store, "HOME": home}) == f"1.0 {bob.uid}\n"
    assert bob.ok("run", "python", "-c", SHOW, cwd=folder, env=store) == f"1.0 {bob.uid}\n"
    assert tree(place) == before
    assert not [process for process in processes_of(bob) if b"daemon" in process]


def test_an_image_s_user_is_told_what_a_changed_lock_file_needs(
    root: Account, bob: Account, place: Path, index: LoopbackIndex
) -> None:
    folder = write_project(place / "app", index, [make_wheel("alpha", "1.0")])
    store = {"STORECTL_STORE": str(place / "store"), "STORECTL_SHARED": "1"}
    root.ok("warm", folder, env=store)
    end_daemon(root, store)
    write_project(folder, index, [make_wheel("alpha", "2.0")])
    done = bob.storectl("run", "-c", SHOW, cwd=folder, env=store)
    assert done.returncode == 125
    assert done.stderr.startswith(
        f"storectl: E_STORE_OWNER: the store {store['STORECTL_STORE']} belongs to user root (0)"
    )
    assert (
        "hint: what is ready in it can be run; to make more, set STORECTL_STORE to a folder of your own" in done.stderr
    )
    own = {"STORECTL_STORE": str(bob.home / "store")}
    assert bob.ok("run", "-c", SHOW, cwd=folder, env=own) == f"2.0 {bob.uid}\n"


def test_a_store_that_is_not_shared_stays_closed(
    root: Account, bob: Account, place: Path, index: LoopbackIndex
) -> None:
    folder = write_project(place / "app", index, [make_wheel("alpha", "1.0")])
    store = {"STORECTL_STORE": str(place / "store")}
    root.ok("warm", folder, env=store)
    done = bob.storectl("run", "-c", SHOW, cwd=folder, env=store)
    assert done.returncode == 125
    assert "E_STORE_OWNER" in done.stderr
    root.ok("daemon", "stop", env=store)


def test_what_others_could_not_reach_is_not_shared_in_vain(root: Account, place: Path, index: LoopbackIndex) -> None:
    folder = write_project(place / "app", index, [make_wheel("alpha", "1.0")])
    (place / "closed").mkdir(mode=0o700)
    done = root.storectl("warm", "--shared", folder, env={"STORECTL_STORE": str(place / "closed" / "store")})
    assert done.returncode == 1
    assert (
        f"E_SHARED: the store {place}/closed/store is in {place}/closed, which no other account can enter"
        in done.stderr
    )
    assert index.file_requests == 0


def test_a_home_that_cannot_be_written_keeps_nothing_from_running(
    bob: Account, place: Path, index: LoopbackIndex
) -> None:
    (place / "mine").mkdir()
    bob.give(place / "mine")
    bob.home.chmod(0o555)
    env = {"STORECTL_STORE": str(place / "mine" / "store")}
    for number, runtime in enumerate(("", str(place / "mine" / "run"))):
        folder = project_of(bob, place / f"project{number}", index, f"{number}.0")
        done = bob.storectl("run", "-c", SHOW, cwd=folder, env={**env, "XDG_RUNTIME_DIR": runtime})
        assert (done.returncode, done.stdout) == (0, f"{number}.0 {bob.uid}\n"), done.stderr
    assert "serving" in bob.ok("daemon", "logs", env=env)
    assert os.listdir(bob.home) == []


@pytest.mark.parametrize("home", ["", "/", "/nonexistent"])
def test_a_user_without_a_home_or_an_entry_runs_with_the_store_that_is_named(
    made: Installed, place: Path, index: LoopbackIndex, home: str
) -> None:
    with new_account(made) as known:
        pass
    nobody = known  # the account is gone: only its number is left, as in a container that runs under any number
    (place / "mine").mkdir()
    nobody.give(place / "mine")
    folder = project_of(nobody, place / "project", index)
    for variable, expected in (("STORECTL_STORE", "store"), ("XDG_DATA_HOME", "data/storectl")):
        env = {"HOME": home, variable: str(place / "mine" / expected.partition("/")[0])}
        done = nobody.storectl("run", "-c", SHOW, cwd=folder, env=env)
        assert (done.returncode, done.stdout) == (0, f"1.0 {nobody.uid}\n"), done.stderr
        assert (place / "mine" / expected / "VERSION").exists()
        nobody.ok("daemon", "stop", cwd=folder, env=env)
    done = nobody.storectl("run", "-c", SHOW, cwd=folder, env={"HOME": home})
    assert done.returncode == 125
    assert "STORECTL_STORE" in done.stderr
    assert "E_DEFECT" not in done.stderr


IN_A_USER_S_HOME = """
set -e
mount -t tmpfs -o mode=700 none "$ROOT_HOME"
cd "$PROJECT"
"$STORECTL" trust '*'
"$STORECTL" run -c 'import alpha; print(alpha.__version__)'
"$STORECTL" daemon stop
"""


@pytest.mark.skipif(
    subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0,
    reason="root's own home folder can only be replaced in a mount namespace",
)
def test_sudo_that_keeps_home_leaves_nothing_of_root_s_in_it(
    alice: Account, root: Account, index: LoopbackIndex
) -> None:
    folder = project_of(alice, alice.home / "project", index)
    before = tree(alice.home)
    env = {
        "HOME": str(alice.home),
        "ROOT_HOME": os.path.expanduser("~root"),
        "PROJECT": str(folder),
        "STORECTL": str(root.installed.bin / "storectl"),
    }
    done = root.run(["unshare", "--mount", "sh", "-c", IN_A_USER_S_HOME], cwd=Path("/"), env=env)
    assert (done.returncode, done.stdout) == (0, "trusted: *\n1.0\nstopped\n"), done.stderr
    assert tree(alice.home) == before
    assert alice.ok("run", "-c", SHOW, cwd=folder) == f"1.0 {alice.uid}\n"


@pytest.mark.parametrize("left", [".local/share/storectl", ".local/state/storectl"])
def test_what_root_had_left_in_a_home_is_named_with_the_cure_or_passed_over(
    alice: Account, index: LoopbackIndex, left: str
) -> None:
    folder = project_of(alice, alice.home / "project", index)
    (alice.home / left).mkdir(parents=True)
    alice.give(alice.home / ".local")
    os.chown(alice.home / left, 0, 0)
    done = alice.storectl("run", "-c", SHOW, cwd=folder)
    if "share" in left:
        assert f"sudo chown -R {alice.uid}:{alice.gid} {alice.home / left}" in done.stderr
        alice.give(alice.home / left)
        done = alice.storectl("run", "-c", SHOW, cwd=folder)
    assert (done.returncode, done.stdout) == (0, f"1.0 {alice.uid}\n"), done.stderr


def test_root_makes_no_store_in_a_folder_of_another_user(
    alice: Account, root: Account, index: LoopbackIndex, place: Path
) -> None:
    folder = write_project(place / "project", index, [make_wheel("alpha", "1.0")])
    done = root.storectl("warm", folder, env={"XDG_DATA_HOME": str(alice.home / ".local" / "share")})
    assert "E_STORE_OWNER" in done.stderr
    assert "hint: use sudo -H" in done.stderr
    assert os.listdir(alice.home) == []


def test_root_does_not_run_what_another_user_s_daemon_makes(
    alice: Account, root: Account, index: LoopbackIndex, place: Path
) -> None:
    store = {"STORECTL_STORE": str(alice.home / "store")}
    theirs = project_of(alice, alice.home / "project", index)
    assert alice.ok("run", "-c", SHOW, cwd=theirs, env=store) == f"1.0 {alice.uid}\n"
    folder = write_project(place / "project", index, [make_wheel("alpha", "1.0")])
    done = root.storectl("run", "-c", SHOW, cwd=folder, env=store)
    assert (done.returncode, done.stdout) == (125, "")
    assert f"E_STORE_OWNER: the store {store['STORECTL_STORE']} belongs to user {alice.name}" in done.stderr
    assert f"hint: run this as user {alice.name}" in done.stderr


def end_daemon(account: Account, env: dict[str, str]) -> None:
    pid = account.ok("daemon", "status", env=env).partition("process ")[2].partition(",")[0]
    os.kill(int(pid), 9)


def processes_of(account: Account) -> list[bytes]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == account.uid:
                found.append((process / "cmdline").read_bytes())
        except OSError:
            continue
    return found


def tree(root: Path) -> dict[str, tuple[int, int, int]]:
    """Every file and folder with owner, mode and modification time."""
    return {
        os.path.join(folder, name): (status.st_uid, status.st_mode, status.st_mtime_ns)
        for folder, folders, files in os.walk(root)
        for name in [".", *folders, *files]
        for status in [os.lstat(os.path.join(folder, name))]
    }


def test_a_store_can_be_removed_by_its_owner_with_uninstall(alice: Account, index: LoopbackIndex) -> None:
    project = write_project(alice.home / "project", index, [make_wheel("alpha", "1.0")])
    for path in (project, *project.iterdir()):
        os.chown(path, alice.uid, alice.gid)
    alice.ok("run", "-c", SHOW, cwd=project)
    store = alice.home / ".local/share/storectl"
    assert alice.run(["rm", "-rf", store / "store"]).returncode == 1
    alice.ok("uninstall", "--yes")
    assert not store.exists()
    assert not (alice.home / ".local/state/storectl").exists()
