"""Programs in a place where nothing can be written, and the calls by which they would have written, locked or asked."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.machine import DEADLINE, STORECTL, Machine

_CALLS = (
    "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
    "unlink,unlinkat,rmdir,truncate,ftruncate,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,utime,utimes,utimensat,"
    "futimesat,setxattr,lsetxattr,fsetxattr,flock,fcntl,socket,connect"
)
_OPENING = ("open", "openat", "openat2")
_WRITING = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC|TMPFILE|APPEND)\b")
_LOCKING = re.compile(r"F_(OFD_)?SETLKW?\b|F_SETLEASE\b")
_CALL = re.compile(r"(?:\d+ +)?(\w+)\((.*)")
_PATH = re.compile(r'<([^<>]*)>|"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A command that ended: its output, and the lines of strace that are against the rules of frozen mode."""

    done: subprocess.CompletedProcess[str]
    writes: tuple[str, ...]
    sockets: tuple[str, ...]


def reason_to_skip() -> str | None:
    """Why programs cannot be watched here; None if they can."""
    if os.geteuid() != 0:
        return "only root mounts"
    if shutil.which("strace") is None or shutil.which("unshare") is None:
        return "needs strace and unshare"
    tried = subprocess.run(["unshare", "-m", "strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "a process here may not make a namespace of mounts, or be traced"


def traced(
    machine: Machine,
    *arguments: str,
    cwd: Path,
    log: Path,
    read_only: bool = True,
    hidden: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    program: Path = STORECTL,
) -> Traced:
    """Run ``program`` with everything of the machine mounted read-only, and its whole process tree watched.

    ``hidden`` are folders in whose place there is an empty one. With ``read_only=False`` nothing is mounted.
    """
    mounts = [f"mount --bind {machine.root} {machine.root}", f"mount -o remount,bind,ro {machine.root}"]
    mounts += [f"mount -t tmpfs -o ro none {folder}" for folder in hidden]
    script = " && ".join([*(mounts if read_only else ()), f"cd {cwd}", 'exec "$@"'])
    watched = ["strace", "-f", "-y", "-qq", "-s", "4096", "-e", f"trace={_CALLS}", "-o", str(log)]
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *watched, str(program), *arguments],
        env=machine.environ | dict(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    calls = log.read_text(errors="replace").splitlines()
    guarded = ("/tmp/", f"{machine.root}/")
    return Traced(
        done=done,
        writes=tuple(line for line in calls if _writes(line, guarded)),
        sockets=tuple(line for line in calls if (found := _CALL.match(line)) and found[1] in ("socket", "connect")),
    )


def _writes(line: str, guarded: tuple[str, ...]) -> bool:
    """Whether the call creates, changes or locks something in a guarded folder, or has tried to."""
    found = _CALL.match(line)
    if found is None or found[1] in ("socket", "connect"):
        return False
    name, rest = found[1], found[2]
    if name in _OPENING and not _WRITING.search(rest):
        return False
    if name == "fcntl" and not _LOCKING.search(rest):
        return False
    return any(f"{path}/".startswith(guarded) for path in _paths(rest))


def _paths(rest: str) -> list[str]:
    """The absolute paths in the arguments of a call; a relative one is below the folder that stands before it."""
    found, folder = [], ""
    for descriptor, text in _PATH.findall(rest.rpartition(") = ")[0] or rest):
        if text:
            found.append(os.path.normpath(os.path.join(folder, text)))
            folder = ""
        else:
            found += [folder] if folder else []
            folder = descriptor
    return [path for path in (*found, folder) if path.startswith("/")]
