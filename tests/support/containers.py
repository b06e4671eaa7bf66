"""A Dockerfile carried out without Docker: each stage is a root folder, each `RUN` has mounts and processes of its own.

What an image has is this machine's: its programs and libraries, read-only, and the interpreter with storectl that
``support.accounts`` makes. So `FROM` makes an almost empty root, and `pip` has nothing to do.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.accounts import Installed

SECONDS = 240
_REPOSITORY = Path(__file__).parents[2]
_ETC = ("passwd", "group", "shadow", "gshadow", "login.defs", "ld.so.cache", "nsswitch.conf", "default", "pam.d")
_IN_ROOT = """
set -e
root=$1 shown=$2 caches=$3 sealed=$4
shift 4
mount --bind "$root" "$root"
for path in $shown; do
    mkdir -p "$root$path"
    mount --bind "$path" "$root$path"
    mount -o remount,bind,ro "$root$path"
done
for cache in $caches; do
    mkdir -p "$root${cache#*:}"
    mount --bind "${cache%%:*}" "$root${cache#*:}"
done
mkdir -p "$root/proc" "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
[ -z "$sealed" ] || mount -o remount,bind,ro "$root"
exec chroot "$@"
"""


@dataclass(slots=True, kw_only=True)
class Stage:
    """A root folder, and what the instructions so far have set."""

    root: Path
    environ: dict[str, str]
    user: str = "root"
    folder: str = "/"
    command: list[str] = field(default_factory=list)


class Builder:
    """Builds images from the files of one folder; ``work`` holds roots and caches, which later builds have too."""

    def __init__(self, made: Installed, context: Path, work: Path) -> None:
        self._made = made
        self._context = context
        self._work = work
        self._shown = ["/usr", str(made.root), sys.prefix, str(_REPOSITORY)]

    def build(self, dockerfile: str) -> Stage:
        """The image: the last stage."""
        stages: dict[str, Stage] = {}
        for instruction, words in _instructions(dockerfile):
            if instruction == "FROM":
                stage = self._new_stage()
                stages[words.partition(" AS ")[2] or "last"] = stage
            elif instruction == "COPY":
                self._copy(stage, stages, words.split())
            elif instruction == "RUN":
                self._must_run(stage, words)
            else:
                self._set(stage, instruction, words)
        return stage

    def run(self, image: Stage) -> subprocess.CompletedProcess[str]:
        """A container of the image, to its end, which can write nowhere: `docker run --read-only`."""
        return self._in_root(image, shlex.join(image.command), {}, sealed="yes")

    def _new_stage(self) -> Stage:
        root = self._work / f"root-{len(list(self._work.glob('root-*')))}"
        for name in ("etc", "tmp", "root", "opt", "home", "var"):
            (root / name).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        for name in ("bin", "lib", "lib64", "sbin"):
            (root / name).symlink_to(f"usr/{name}")
        for name in _ETC:
            if Path("/etc", name).is_dir():
                shutil.copytree(f"/etc/{name}", root / "etc" / name, symlinks=True)
            else:
                shutil.copy2(f"/etc/{name}", root / "etc")
        pip = root / "opt/bin/pip"
        pip.parent.mkdir()
        pip.write_text("#!/bin/sh\n")
        pip.chmod(0o755)
        path = f"/opt/bin:{self._made.path}:/usr/sbin"
        return Stage(root=root, environ={"PATH": path, "LD_LIBRARY_PATH": str(self._made.root / "python/lib")})

    def _copy(self, stage: Stage, stages: Mapping[str, Stage], words: list[str]) -> None:
        origin = self._context
        if words[0].startswith("--from="):
            origin = stages[words.pop(0).partition("=")[2]].root
        *sources, target = words
        place = stage.root / os.path.join(stage.folder, target).lstrip("/")
        into = target.endswith("/")
        (place if into else place.parent).mkdir(parents=True, exist_ok=True)
        for pattern in sources:
            for source in origin.glob(pattern.lstrip("/")):
                subprocess.run(["cp", "-a", "-T", source, place / source.name if into else place], check=True)

    def _set(self, stage: Stage, instruction: str, words: str) -> None:
        if instruction == "ENV":
            name, _, value = words.partition("=")
            stage.environ[name] = value
        elif instruction == "WORKDIR":
            stage.folder = words
            (stage.root / words.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif instruction == "USER":
            stage.user = words
        elif instruction == "CMD":
            stage.command = json.loads(words)
        else:
            raise NotImplementedError(instruction)

    def _must_run(self, stage: Stage, words: str) -> None:
        caches = {}
        while words.startswith("--mount=type=cache,target="):
            mount, _, words = words.partition(" ")
            target = mount.rpartition("=")[2]
            caches[self._work / f"cache{target.replace('/', '-')}"] = target
        for cache in caches:
            cache.mkdir(exist_ok=True)
        done = self._in_root(stage, words.strip(), {str(cache): target for cache, target in caches.items()})
        assert done.returncode == 0, f"RUN {words}\n{done.stdout}{done.stderr}"

    def _in_root(
        self, stage: Stage, command: str, caches: Mapping[str, str], *, sealed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """A shell's command in the root folder; all its processes end with it."""
        own = {"HOME": "/root" if stage.user == "root" else f"/home/{stage.user}", **stage.environ}
        mounts = " ".join(f"{cache}:{target}" for cache, target in caches.items())
        inside = f"cd {shlex.quote(stage.folder)} && {command}"
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _IN_ROOT, "sh",
             stage.root, " ".join(self._shown), mounts, sealed,
             f"--userspec={stage.user}", stage.root, "/bin/sh", "-c", inside],
            env=own, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip


def _instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    for line in dockerfile.replace("\\\n", " ").splitlines():
        if line.strip():
            instruction, _, words = line.strip().partition(" ")
            yield instruction, " ".join(words.split())
