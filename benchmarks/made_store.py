"""A large world of small things: thousands of real entries in a store, and projects that pin some of them."""

import sys
from collections.abc import Sequence
from pathlib import Path

from support.stores import written_store
from support.wheels import WheelBytes, make_wheel

_BATCH = 250


def made_wheels(count: int) -> list[WheelBytes]:
    """So many wheels, of one small package each."""
    return [make_wheel(f"made-{number:05}") for number in range(count)]


def fill(store: Path, wheels: Sequence[WheelBytes]) -> None:
    """Check, unpack and commit the wheels as the daemon does; no daemon may have the store."""
    with written_store(store) as written:
        for start in range(0, len(wheels), _BATCH):
            written.commit(*wheels[start : start + _BATCH])


def write_lock(folder: Path, wheels: Sequence[WheelBytes]) -> Path:
    """A project that pins these wheels; nothing is at the addresses in its lock file. The folder."""
    folder.mkdir(exist_ok=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    lines = ['lock-version = "1.0"', 'created-by = "benchmarks"', f'requires-python = "=={version}.*"']
    for wheel in wheels:
        hashes = f'{{ sha256 = "{wheel.hexdigest}" }}'
        url = f"http://127.0.0.1:9/{wheel.filename}"
        lines += ["", "[[packages]]", f'name = "{wheel.name}"', f'version = "{wheel.version}"']
        lines += [f'wheels = [{{ url = "{url}", size = {len(wheel.data)}, hashes = {hashes} }}]']
    stage = folder / ".pylock.toml"
    stage.write_text("\n".join([*lines, ""]))
    stage.rename(folder / "pylock.toml")
    return folder
