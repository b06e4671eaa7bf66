"""Real accounts of the machine, for what only another user can show; needs root and ``useradd``.

    with installed() as made, new_account(made) as alice, new_account(made) as bob:
        alice.ok("run", "-c", "print('hello')", cwd=folder)

What an account runs is an interpreter and a storectl of its own folder: those of the tests may be below a home folder that
nobody else can enter.
"""

import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.client_project import LAUNCHER
from support.machine import base_python

DEADLINE = 180.0


def reason_to_skip() -> str | None:
    """Why there can be no accounts here; None if there can."""
    if sys.platform != "linux":
        return "accounts are made with Linux's useradd"
    if os.geteuid() != 0:
        return "only root can make accounts"
    return None if shutil.which("useradd") else "there is no useradd (Debian: passwd)"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A storectl that every account can run, and its interpreter."""

    root: Path

    @property
    def bin(self) -> Path:
        return self.root / "app" / "bin"

    @property
    def path(self) -> str:
        return f"{self.bin}:{self.root / 'python' / 'bin'}:/usr/bin:/bin"


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user. ``environ`` is what a fresh login has: a home folder, no runtime folder."""

    name: str
    uid: int
    gid: int
    home: Path
    installed: Installed
    environ: dict[str, str] = field(repr=False)

    def run(
        self,
        command: list[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        umask: int = 0o022,
    ) -> subprocess.CompletedProcess[str]:
        """The command as this user, to its end; a variable of ``env`` that is empty is not set."""
        return subprocess.run(
            [str(word) for word in command],
            cwd=cwd or self.home,
            env={name: value for name, value in (self.environ | dict(env or {})).items() if value},
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            umask=umask,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def storectl(self, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run([self.installed.bin / "storectl", *arguments], **options)

    def ok(self, *arguments: str | Path, **options: Any) -> str:
        """The standard output of a `storectl` command that must succeed."""
        done = self.storectl(*arguments, **options)
        assert done.returncode == 0, f"storectl {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def give(self, *paths: Path) -> None:
        """Let the files and folders, and all that is in them, be this user's."""
        for path in paths:
            for folder, folders, files in os.walk(path):
                for name in [*folders, *files]:
                    os.chown(os.path.join(folder, name), self.uid, self.gid, follow_symlinks=False)
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


@contextmanager
def installed() -> Iterator[Installed]:
    """A copy of the interpreter with storectl, in a folder that everybody can enter."""
    root = Path(tempfile.mkdtemp(prefix="sta-"))
    try:
        root.chmod(0o755)
        made = Installed(root=root)
        _copy_interpreter(root / "python")
        _install(made)
        yield made
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _copy_interpreter(destination: Path) -> None:
    """The base interpreter with its library, by hard links: it finds what belongs to it from where it stands."""
    prefix = Path(base_python()).parents[1]
    version = "python{}.{}".format(*sys.version_info)
    skipped = shutil.ignore_patterns("site-packages", "test", "tests", "idlelib", "__pycache__", "config-*")
    (destination / "bin").mkdir(parents=True)
    shutil.copytree(
        prefix / "lib" / version, destination / "lib" / version, ignore=skipped, symlinks=True, copy_function=_link
    )
    _link(base_python(), str(destination / "bin" / version))
    for name in ("python3", "python"):
        (destination / "bin" / name).symlink_to(version)
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        for library in (prefix / "lib").glob("libpython*"):
            shutil.copy2(library, destination / "lib", follow_symlinks=False)


def _link(source: str, destination: str) -> str:
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)
    return destination


def _install(made: Installed) -> None:
    python = made.root / "python" / "bin" / "python"
    subprocess.run([python, "-m", "venv", "--without-pip", "--symlinks", made.root / "app"], check=True)
    own = sysconfig.get_path("purelib")
    (pth,) = (made.root / "app").glob("lib/python*/site-packages")
    (pth / "tests.pth").write_text(f"import site; site.addsitedir({own!r})\n")
    shutil.copy2(LAUNCHER, made.bin / "storectl")
    command = made.bin / "storectl-python"
    command.write_text(f"#!{made.bin / 'python'}\nimport sys\nfrom storectl.__main__ import start\nsys.exit(start())\n")
    command.chmod(0o755)
    (made.bin / "storectl").chmod(0o755)


@contextmanager
def new_account(made: Installed, *, home: Path | None = None) -> Iterator[Account]:
    """A new user with an empty home folder (0700, below /tmp); gone at the end, with its processes and files."""
    name = f"stl{secrets.token_hex(6)}"
    folder = home or Path(tempfile.mkdtemp(prefix="sth-"))
    # A number that no account has had lately: what is left of a removed one must not be another test's.
    number = str(100_000 + secrets.randbelow(1_000_000_000))
    options = ["--uid", number, "--user-group", "--no-create-home", "--home-dir", str(folder), "--shell", "/bin/sh"]
    subprocess.run(["useradd", *options, "--no-log-init", name], check=True, capture_output=True)
    try:
        uid, gid = (int(_output("id", flag, name)) for flag in ("-u", "-g"))
        os.chown(folder, uid, gid)
        yield Account(name=name, uid=uid, gid=gid, home=folder, installed=made, environ=_variables(made, folder))
    finally:
        _end_processes(name)
        subprocess.run(["userdel", name], check=False, capture_output=True)
        _remove(folder)


@contextmanager
def root_account(made: Installed) -> Iterator[Account]:
    """Root, with a home folder for the test; its daemons are ended by their process ids."""
    home = Path(tempfile.mkdtemp(prefix="str-"))
    try:
        yield Account(name="root", uid=0, gid=0, home=home, installed=made, environ=_variables(made, home))
    finally:
        _end_daemons(made)
        _remove(home)


def _variables(made: Installed, home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "PATH": made.path,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        # A shared libpython is looked for where it was installed, which may be closed to the user.
        "LD_LIBRARY_PATH": str(made.root / "python" / "lib"),
    }


def _end_daemons(made: Installed) -> None:
    """End root's daemons that this installation has started."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            if process.stat().st_uid == 0 and command.startswith(os.fsencode(made.bin)) and b"\0daemon\0" in command:
                os.kill(int(process.name), 9)
        except OSError:
            continue


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _end_processes(name: str) -> None:
    """End each process of the user, by its number: a daemon may be among them."""
    uid = int(_output("id", "-u", name))
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == uid:
                os.kill(int(process.name), 9)
        except OSError:
            continue


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
