"""The disk row: ten projects that share nine tenths of their wheels, in bytes and inodes."""

import os
from collections.abc import Iterator
from pathlib import Path

from packaging.utils import parse_wheel_filename

from benchmarks.peers import PIP, Peer, aside, peers_here
from benchmarks.results import Result
from benchmarks.world import UV, World
from support.machine import STORECTL

PROJECTS = 10


def disk(world: World) -> Iterator[Result]:
    """The store, uv's cache with hard links, pip's copies: all ten projects made, then counted."""
    names = sorted(parse_wheel_filename(wheel.name)[0] for wheel in world.wheels.glob("*.whl"))
    tenth = max(1, len(names) // PROJECTS)
    folders = [
        world.project(f"disk-{number}", without=names[number * tenth : (number + 1) * tenth])
        for number in range(PROJECTS)
    ]
    store = world.machine.root / "disk-store"
    for folder in folders:
        world.do([STORECTL, "warm"], folder, STORECTL_STORE=str(store))
    ours = _usage([store])
    world.do([STORECTL, "daemon", "stop"], folders[0], STORECTL_STORE=str(store))
    cache = world.machine.root / "disk-cache"
    for folder in folders:
        world.do([UV, "sync", "--quiet", "--frozen", "--compile-bytecode"], folder, UV_CACHE_DIR=str(cache))
    uv = _usage([cache, *(folder / ".venv" for folder in folders)])
    yield from _beside("uv, hard links", ours, uv)
    yield from _beside("pip, copies", ours, _pip(world, folders))
    for peer in peers_here():
        if peer is not PIP:
            yield from _beside(peer.name, ours, _peer(world, folders, peer))


def _beside(what: str, ours: tuple[int, int], theirs: tuple[int, int]) -> Iterator[Result]:
    row, notes = f"disk, {PROJECTS} projects", {"storectl": _shown(ours), what: _shown(theirs)}
    yield Result(row=row, what=f"bytes, beside {what}", figure=ours[0] / theirs[0], unit="x", notes=notes)
    yield Result(row=row, what=f"inodes, beside {what}", figure=ours[1] / theirs[1], unit="x")


def _peer(world: World, folders: list[Path], peer: Peer) -> tuple[int, int]:
    """Every project's environment by a tool that shares what it keeps."""
    kept = world.machine.root / f"disk-{peer.command[0]}"
    environments = []
    for folder in folders:
        peer.prepare(world, folder)
        environments.append(world.machine.root / f"{kept.name}-{folder.name}")
        peer.install(world, folder, environments[-1], kept)
    return _usage([kept, *environments])


def _pip(world: World, folders: list[Path]) -> tuple[int, int]:
    """One project's venv by pip, times ten: copies share nothing."""
    venv = world.machine.root / "disk-pip"
    PIP.prepare(world, folders[0])
    PIP.install(world, folders[0], venv, world.machine.root / "disk-pip-cache")
    size, inodes = _usage([venv])
    aside(world, venv)
    return size * len(folders), inodes * len(folders)


def _usage(folders: list[Path]) -> tuple[int, int]:
    """Bytes on disk and inodes below the folders, each inode once."""
    seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        for status in below(folder):
            seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(seen.values()), len(seen)


def below(folder: Path) -> Iterator[os.stat_result]:
    """The folder and everything below it."""
    for path, folders, files in os.walk(folder):
        links = (name for name in folders if os.path.islink(os.path.join(path, name)))
        for name in (".", *files, *links):
            yield os.lstat(os.path.join(path, name))


def _shown(usage: tuple[int, int]) -> str:
    return f"{usage[0] / 1e6:.0f} MB in {usage[1]} inodes"
