"""What a tool really installed into a venv, told by digests: which wheel of a loopback index each project came from."""

import csv
import io
import json
import os
import subprocess
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from storectl_store.digest import parse_digest
from storectl_store.selection.choose import choose_wheel
from storectl_store.selection.pin import WheelFile
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from storectl_store.selection.target import Target
from support.wheels import WheelBytes, make_wheel

_TELL = """
import importlib.metadata as m, json, sys
rows = {}
for d in m.distributions():
    files = sorted([str(f), f.hash.value] for f in d.files or [] if f.hash)
    rows[d.metadata["Name"]] = [d.version, files]
print(json.dumps(rows))
"""
_BY_INSTALLERS = ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "RECORD")


@dataclass(frozen=True, slots=True)
class Taken:
    """One project of an environment: its version and the digest of its wheel, None where it is no wheel of the index."""

    name: str
    version: str
    digest: str | None


def installed_in(python: Path, wheels: Iterable[WheelBytes], *, without: Sequence[str] = ()) -> set[Taken]:
    """All that is installed for this interpreter, but for the projects named."""
    environ = {"PATH": os.defpath, "PYTHONNOUSERSITE": "1"}
    answer = subprocess.run([python, "-I", "-c", _TELL], capture_output=True, text=True, check=True, env=environ)
    known = {(canonicalize_name(wheel.name), wheel.version, _contents(wheel)): wheel.digest for wheel in wheels}
    found = set()
    for name, (version, files) in json.loads(answer.stdout).items():
        normal = canonicalize_name(name)
        own = frozenset((path, value) for path, value in files if not _is_the_installers(path))
        if normal not in without:
            found.add(Taken(normal, version, known.get((normal, version, own))))
    return found


def selected_from(path: Path, target: Target, wheels: Sequence[WheelBytes]) -> set[Taken]:
    """All that the lock file selects. Pins by digest are looked up as the daemon does it: the wheel that fits best."""
    selection = select(read_lock_file(path, variables=os.environ), target)
    found = {Taken(pin.name, pin.version, pin.wheel.digest) for pin in selection.pins}
    offered = {
        wheel.digest: WheelFile(filename=wheel.filename, digest=parse_digest(wheel.digest), url="http://x")
        for wheel in wheels
    }
    for pin in selection.index_pins:
        candidates = [offered[digest] for digest in pin.digests if digest in offered]
        assert not pin.filenames or {file.filename for file in candidates} <= pin.filenames
        chosen = choose_wheel(candidates, target.interpreter)
        found.add(Taken(pin.name, pin.version, chosen.digest if chosen else None))
    return found


def _contents(wheel: WheelBytes) -> frozenset[tuple[str, str]]:
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
        record = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        rows = csv.reader(io.StringIO(archive.read(record).decode()))
        return frozenset((row[0], row[1].partition("=")[2]) for row in rows if row[1])


def _is_the_installers(path: str) -> bool:
    return path.startswith("../") or "__pycache__" in path or path.rpartition("/")[2] in _BY_INSTALLERS


def run_tool(command: Sequence[object], folder: Path, environ: Mapping[str, str]) -> str:
    """A tool to its end; what it said, which is shown where it fails."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE") if name in os.environ}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=kept | dict(environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


FORKED_WHEELS = (
    make_wheel("a", "1.0", files={"a.py": "1"}),
    make_wheel("a", "2.0", files={"a.py": "2"}),
    make_wheel("b", "1.0", files={"b.py": "1"}, requires_dist=("a<2; python_version < '3.12'", "c")),
    make_wheel("c", "1.0", files={"c.py": "1"}, requires_dist=("d; extra == 'more'",)),
    make_wheel("d", "1.0", files={"d.py": "1"}),
    make_wheel("e", "1.0", files={"e.py": "1"}, requires_dist=("w; sys_platform == 'win32'",)),
    make_wheel("w", "1.0", files={"w.py": "1"}),
    *(
        make_wheel("n", "1.0", tag=tag, files={"n.py": tag})
        for tag in ("cp311-cp311-manylinux2014_x86_64", "cp312-cp312-manylinux2014_x86_64", "py3-none-any")
    ),
)
"""Wheels that differ by Python, platform and extra, so that a wrong marker or tag shows."""
