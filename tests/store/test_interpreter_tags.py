"""Wheel tags computed here from what an interpreter said, compared with what packaging says inside that interpreter."""

import json
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import packaging
import pytest
from packaging import _manylinux, _musllinux
from packaging import tags as packaging_tags

from storectl_store.interpreters.book import InterpreterBook
from storectl_store.interpreters.tags import System, tags_of
from support.views import Python, every_python

INSIDE = """
import json, sys
sys.path.insert(0, sys.argv[1])
try:
    from packaging import tags
    exact = True
except (ImportError, SyntaxError, TypeError):
    from pip._vendor.packaging import tags
    exact = False
print(json.dumps([exact, [str(tag) for tag in tags.sys_tags()]]))
"""
OURS = str(Path(packaging.__file__).parent.parent)

LINUX = System(
    name="Linux",
    platform="linux-x86_64",
    machine="x86_64",
    pointer_bits=64,
    glibc="2.36",
    musl="",
    macos="",
    elf_header=b"",
    refused=frozenset(),
)


def system(**changes: object) -> System:
    values = {name: getattr(LINUX, name) for name in LINUX.__dataclass_fields__} | changes
    return System(**values)


@pytest.mark.parametrize("python", every_python())
def test_tags_are_those_of_packaging_inside_the_interpreter(python: Python, tmp_path: Path) -> None:
    """In their order if our packaging runs there; else pip's own copy has them, but for one that is younger than it."""
    said = subprocess.run([python.executable, "-I", "-c", INSIDE, OURS], capture_output=True, text=True, check=True)
    exact, expected = json.loads(said.stdout)
    tags = list(InterpreterBook(tmp_path).inspect(python.executable).tags)
    if exact:
        assert tags == expected
    else:
        assert set(expected) <= set(tags)
        assert {tag.split("-")[1:] == ["none", "any"] for tag in set(tags) - set(expected)} <= {True}


@pytest.fixture
def as_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """For packaging to believe that this process runs elsewhere."""
    packaging_tags_caches()
    yield monkeypatch
    monkeypatch.undo()
    packaging_tags_caches()


def packaging_tags_caches() -> None:
    _manylinux._get_glibc_version.cache_clear()
    _musllinux._get_musl_version.cache_clear()


def expected_on_linux(as_on: pytest.MonkeyPatch, platform: str, *, is_32bit: bool = False) -> list[str]:
    as_on.setattr("sysconfig.get_platform", lambda: platform)
    platforms = list(packaging_tags._linux_platforms(is_32bit))
    cpython = packaging_tags.cpython_tags((3, 12), ["cp312"], platforms)
    return [*map(str, cpython), *map(str, packaging_tags.compatible_tags((3, 12), "cp312", platforms))]


def elf32(machine: int, flags: int) -> bytes:
    """An ELF header of a 32-bit little-endian program, with nothing behind it."""
    return b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, 0, 0, 0, flags, *[0] * 6)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "s390x", "mips64"])
def test_glibc_counts_down_as_in_packaging(as_on: pytest.MonkeyPatch, machine: str) -> None:
    as_on.setattr(_manylinux, "_glibc_version_string", lambda: "2.31-2014.11")
    here = system(platform=f"linux-{machine}", machine=machine, glibc="2.31-2014.11")
    assert list(tags_of("3.12.1", [""], here)) == expected_on_linux(as_on, f"linux-{machine}")


def test_musl_counts_down_as_in_packaging(as_on: pytest.MonkeyPatch) -> None:
    as_on.setattr(_manylinux, "_glibc_version_string", lambda: None)
    as_on.setattr(_musllinux, "_get_musl_version", lambda _: _musllinux._MuslVersion(1, 2))
    tags = tags_of("3.12.1", [""], system(glibc="", musl="1.2"))
    assert list(tags) == expected_on_linux(as_on, "linux-x86_64")
    assert "cp312-cp312-musllinux_1_2_x86_64" in tags


@pytest.mark.parametrize(
    ("platform", "header"),
    [
        ("linux-x86_64", elf32(3, 0)),
        ("linux-aarch64", elf32(40, 0x05000400)),
        ("linux-aarch64", elf32(40, 0x05000200)),
        ("linux-armv7l", b""),
    ],
)
def test_a_32_bit_interpreter_has_tags_of_its_own(
    as_on: pytest.MonkeyPatch, tmp_path: Path, platform: str, header: bytes
) -> None:
    (tmp_path / "python").write_bytes(header)
    as_on.setattr("sys.executable", str(tmp_path / "python"))
    as_on.setattr(_manylinux, "_glibc_version_string", lambda: "2.36")
    here = system(platform=platform, machine=platform.removeprefix("linux-"), pointer_bits=32, elf_header=header)
    assert list(tags_of("3.12.1", [""], here)) == expected_on_linux(as_on, platform, is_32bit=True)


@pytest.mark.parametrize(("version", "machine"), [("14.5", "arm64"), ("10.15.7", "x86_64"), ("11.0", "x86_64")])
def test_macos(version: str, machine: str) -> None:
    here = system(name="Darwin", platform=f"macosx-11.0-{machine}", machine=machine, glibc="", macos=version)
    numbers = tuple(map(int, version.split(".")[:2]))
    first = next(iter(packaging_tags.mac_platforms((numbers[0], numbers[1]), machine)))
    assert tags_of("3.13.0", [""], here)[0] == f"cp313-cp313-{first}"


def test_free_threaded_and_debug_builds_have_abis_of_their_own() -> None:
    threaded = tags_of("3.14.0", ["t"], LINUX)
    assert threaded[0].startswith("cp314-cp314t-")
    assert not [tag for tag in threaded if "-abi3-" in tag or "-cp314-" in tag]
    debug = tags_of("3.13.1", ["d", ""], LINUX)
    assert debug[0].startswith("cp313-cp313d-")
    assert "cp313-cp313-linux_x86_64" in debug
    assert "cp313-abi3-linux_x86_64" in debug
