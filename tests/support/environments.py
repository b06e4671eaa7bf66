"""Entries written by hand from wheels of the factory, interpreters asked what they are, and environments of both."""

import configparser
import glob
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name

from storectl_store.digest import Digest, digest_of_hex
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.manifest import Manifest, ManifestFile
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.environments.identity import NOTHING
from storectl_store.environments.outlines.outline import outline_of
from storectl_store.environments.planning.plan import EnvironmentPlan, plan_environment
from storectl_store.environments.publish import publish_environment
from storectl_store.selection.target import Interpreter
from storectl_store.wheel.checked import EntryPoint, Part
from support.wheels import WheelBytes

_PROBE = """
import hashlib, importlib.machinery, json, os, platform, sys
print(json.dumps({
    "executable": os.path.realpath(sys.executable),
    "identity": hashlib.sha256((sys.executable + sys.version).encode()).hexdigest(),
    "version": "%d.%d.%d" % sys.version_info[:3],
    "implementation": "CPython",
    "cache_tag": sys.implementation.cache_tag,
    "base_prefix": sys.base_prefix,
    "platlibdir": getattr(sys, "platlibdir", "lib"),
    "abiflags": sys.abiflags,
    "markers": {"sys_platform": sys.platform, "platform_machine": platform.machine()},
    "extension_suffixes": importlib.machinery.EXTENSION_SUFFIXES,
}))
"""
_PARTS = {"purelib": Part.SITE_PACKAGES, "platlib": Part.SITE_PACKAGES}


@dataclass(frozen=True)
class StoreAt:
    """As much of a store as a publisher asks for."""

    layout: StoreLayout


class ManifestsOnly(ReadOnlyStore):
    """A store with these manifests, of which none was committed. ``asked`` are the digests that were asked for."""

    def __init__(self, layout: StoreLayout, manifests: Iterable[Manifest]) -> None:
        super().__init__(layout)
        self.asked: list[Digest] = []
        self._manifests = {manifest.digest: manifest for manifest in manifests}

    def manifest(self, digest: Digest) -> Manifest | None:
        self.asked.append(digest)
        return self._manifests.get(digest)


def store_at(folder: Path) -> StoreAt:
    return StoreAt(StoreLayout(folder))


def made_up_interpreter(version: str = "3.12.1", **fields: object) -> Interpreter:
    """An interpreter that is nowhere, for plans that nobody publishes."""
    tag = "".join(version.split(".")[:2])
    values: dict[str, object] = {
        "executable": "/opt/python/bin/python3",
        "identity": f"identity of {version}",
        "version": version,
        "implementation": "CPython",
        "cache_tag": f"cpython-{tag}",
        "base_prefix": "/opt/python",
        "platlibdir": "lib",
        "abiflags": "",
        "markers": {"sys_platform": "linux", "platform_machine": "x86_64"},
        "extension_suffixes": (f".cpython-{tag}-x86_64-linux-gnu.so", ".abi3.so", ".so"),
    }
    return Interpreter(**(values | fields))  # type: ignore[arg-type]


def interpreters() -> list[str]:
    """The interpreter that runs the tests, and the oldest and newest of the supported ones that pyenv has."""
    found = [os.path.realpath(getattr(sys, "_base_executable", sys.executable))]
    for version in ("3.9", "3.13"):
        found += sorted(glob.glob(str(Path.home() / ".pyenv" / "versions" / f"{version}.*" / "bin" / "python")))[-1:]
    return list(dict.fromkeys(os.path.realpath(path) for path in found))


def ask_interpreter(executable: str) -> Interpreter:
    values = json.loads(run([executable, "-I", "-S", "-c", _PROBE]))
    values["extension_suffixes"] = tuple(values["extension_suffixes"])
    return Interpreter(**values)


def run(command: Sequence[str | Path], *, cwd: Path | None = None, **environment: str) -> str:
    """The output of a command that must succeed, in an environment without the tests' own Python settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(word) for word in command],
        env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


def add_entry(layout: StoreLayout, wheel: WheelBytes, *, escaping_libraries: Iterable[str] = ()) -> Manifest:
    """Unpack a wheel into its place in the store, and its manifest."""
    manifest, contents = read_wheel(wheel, escaping_libraries=escaping_libraries)
    root = layout.entry(manifest.name, manifest.digest)
    for file in manifest.files:
        path = root / file.part / file.path
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[file.part, file.path])
        path.chmod(0o555 if file.executable else 0o444)
    return manifest


def read_wheel(
    wheel: WheelBytes, *, escaping_libraries: Iterable[str] = ()
) -> tuple[Manifest, dict[tuple[Part, str], bytes]]:
    """The manifest of a wheel, and its files by part and path."""
    contents: dict[tuple[Part, str], bytes] = {}
    executable = set()
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
        for info in (member for member in archive.infolist() if not member.is_dir()):
            place = _place(info.filename)
            contents[place] = archive.read(info)
            if info.external_attr >> 16 & 0o111:
                executable.add(place)
    dist_info = next(path.split("/")[0] for _, path in contents if path.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(contents[Part.SITE_PACKAGES, f"{dist_info}/METADATA"].decode())
    manifest = Manifest(
        digest=digest_of_hex(wheel.hexdigest),
        filename=wheel.filename,
        name=canonicalize_name(wheel.name),
        version=wheel.version,
        wheel_size=len(wheel.data),
        tags=(wheel.filename[:-4].split("-", 2)[2],),
        root_is_purelib=True,
        dist_info=dist_info,
        requires_dist=tuple(metadata.get_all("Requires-Dist") or ()),
        entry_points=_entry_points(contents.get((Part.SITE_PACKAGES, f"{dist_info}/entry_points.txt"), b"").decode()),
        escaping_libraries=tuple(escaping_libraries),
        files=tuple(
            ManifestFile(
                part=place[0],
                path=place[1],
                size=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                executable=place in executable,
            )
            for place, data in sorted(contents.items())
        ),
    )
    return manifest, contents


def plan_of(
    manifests: Sequence[Manifest],
    interpreter: Interpreter,
    layout: StoreLayout,
    *,
    direct_urls: Mapping[NormalizedName, str] = NOTHING,
) -> EnvironmentPlan:
    """The plan of entries with these manifests."""
    outlines = [outline_of(manifest, interpreter.extension_suffixes) for manifest in manifests]
    return plan_environment(outlines, interpreter, ManifestsOnly(layout, manifests), layout, direct_urls=direct_urls)


def publish(
    store: StoreAt,
    interpreter: Interpreter,
    *wheels: WheelBytes,
    direct_urls: Mapping[NormalizedName, str] = NOTHING,
    escaping: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """An environment of these wheels; ``escaping`` maps a project to its libraries whose RPATH leaves the wheel."""
    manifests = [
        add_entry(store.layout, wheel, escaping_libraries=(escaping or {}).get(wheel.name, ())) for wheel in wheels
    ]
    return publish_environment(store, plan_of(manifests, interpreter, store.layout, direct_urls=direct_urls))


def _place(name: str) -> tuple[Part, str]:
    parts = name.split("/", 2)
    if parts[0].endswith(".data"):
        return _PARTS.get(parts[1]) or Part(parts[1]), parts[2]
    return Part.SITE_PACKAGES, name


def _entry_points(text: str) -> tuple[EntryPoint, ...]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read_string(text)
    return tuple(
        EntryPoint(name=name, module=value.partition(":")[0], attribute=value.partition(":")[2], gui=group[0] == "g")
        for group in ("console_scripts", "gui_scripts")
        if parser.has_section(group)
        for name, value in parser.items(group)
    )
