"""The scripts of ``share/slurm``, run as slurmd runs them: as root, with a job's variables, for a job of another user."""

import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.accounts import Account, installed, new_account, reason_to_skip

SCRIPTS = Path(__file__).parents[2] / "share/slurm"
PROLOG, TASK_PROLOG, EPILOG = (
    SCRIPTS / name for name in ("prolog.d/storectl.sh", "taskprolog.sh", "epilog.d/storectl.sh")
)

pytestmark = [pytest.mark.system, pytest.mark.skipif(reason_to_skip() is not None, reason=str(reason_to_skip()))]


@pytest.fixture(scope="module")
def alice() -> Iterator[Account]:
    with installed() as made, new_account(made) as account:
        yield account


@pytest.fixture
def base(alice: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = alice.home.parent / f"node-{os.getpid()}-{time.monotonic_ns()}"
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


def hook(script: Path, alice: Account, base: Path, **more: str) -> str:
    """What a script prints, which has to end with 0."""
    environ = {
        "PATH": "/usr/bin:/bin",
        "STORECTL_NODE_BASE": str(base),
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_UID": str(alice.uid),
    }
    done = subprocess.run([script], env=environ | more, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_job_has_a_folder_of_its_own_from_prolog_to_epilog(alice: Account, base: Path) -> None:
    hook(PROLOG, alice, base)
    status = (base / "7").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (alice.uid, alice.gid, 0o700)
    assert hook(TASK_PROLOG, alice, base).splitlines() == [
        "export STORECTL_FROZEN=1",
        f"export STORECTL_NODE_DIR={base}/7",
    ]
    outside = alice.home / "kept"
    shell = (
        f"mkdir -p {outside} {base}/7/a/b && touch {outside}/file {base}/7/a/b/c && ln -s {outside} {base}/7/a/link && "
        f"chmod 0555 {base}/7/a/b {base}/7/a"
    )
    alice.run(["/bin/sh", "-c", shell])
    assert (base / "7/a/b/c").exists()
    hook(EPILOG, alice, base)
    assert list(base.iterdir()) == []
    assert (outside / "file").exists()


def test_the_scripts_do_nothing_without_a_job_or_in_a_folder_of_somebody_else(alice: Account, base: Path) -> None:
    for odd in ({"SLURM_JOB_ID": ""}, {"SLURM_JOB_ID": "../x"}, {"SLURM_JOB_UID": "0;x"}, {"SLURM_JOB_UID": ""}):
        hook(PROLOG, alice, base, **odd)
        hook(EPILOG, alice, base, **odd)
    assert not base.exists()
    base.mkdir()
    os.chown(base, alice.uid, alice.gid)
    hook(PROLOG, alice, base)
    assert list(base.iterdir()) == []
    assert hook(TASK_PROLOG, alice, base) == "export STORECTL_FROZEN=1\n"


def test_a_link_in_the_place_of_the_folder_is_left_alone(alice: Account, base: Path) -> None:
    base.mkdir()
    (alice.home / "target").mkdir(exist_ok=True)
    (base / "7").symlink_to(alice.home / "target")
    hook(PROLOG, alice, base)
    hook(EPILOG, alice, base)
    assert (base / "7").is_symlink()
    assert (alice.home / "target").stat().st_uid == 0


def test_the_prolog_takes_few_processes(alice: Account, base: Path, tmp_path: Path) -> None:
    """A prolog has to end within 50 ms: what it costs is the processes that it starts."""
    log = tmp_path / "calls"
    environ = {
        "PATH": "/usr/bin:/bin",
        "STORECTL_NODE_BASE": str(base),
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_UID": str(alice.uid),
    }
    environ["SLURM_JOB_GID"] = str(alice.gid)
    subprocess.run(["strace", "-f", "-o", log, "-e", "trace=execve", PROLOG], env=environ, check=True)
    assert len([line for line in log.read_text().splitlines() if line.endswith(" = 0")]) <= 4
