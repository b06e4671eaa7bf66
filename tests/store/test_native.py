import io
import struct
from typing import BinaryIO

import pytest

from storectl_store.entries.native.libraries import escaping_library

DT_NULL, DT_STRTAB, DT_RPATH, DT_STRSZ, DT_RUNPATH = 0, 5, 15, 10, 29
PT_LOAD, PT_DYNAMIC = 1, 2
HEADER, PROGRAM_HEADER, TAG = 64, 56, 16


def library(runpath: str, tag: int = DT_RUNPATH) -> BinaryIO:
    """The least 64-bit shared library that has a search path: two segments, no sections."""
    strings = b"\0" + runpath.encode() + b"\0"
    dynamic = HEADER + 2 * PROGRAM_HEADER
    strtab = dynamic + 4 * TAG
    size = strtab + len(strings)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHLQQQLHHHHHH", 3, 62, 1, 0, HEADER, 0, 0, HEADER, PROGRAM_HEADER, 2, 0, 0, 0)
    load = struct.pack("<LLQQQQQQ", PT_LOAD, 4, 0, 0, 0, size, size, 4096)
    place = struct.pack("<LLQQQQQQ", PT_DYNAMIC, 4, dynamic, dynamic, dynamic, 4 * TAG, 4 * TAG, 8)
    tags = struct.pack("<8Q", DT_STRTAB, strtab, DT_STRSZ, len(strings), tag, 1, DT_NULL, 0)
    return io.BytesIO(header + load + place + tags + strings)


@pytest.mark.parametrize(
    ("path", "runpath"),
    [
        ("torch/lib/x.so", "$ORIGIN/../../nvidia/cublas/lib"),
        ("torch/lib/x.so", "${ORIGIN}/../../nvidia/cublas/lib"),
        ("torch/lib/x.so", "/usr/lib:$ORIGIN:$ORIGIN/../../nvidia/cublas/lib:"),
        ("PySide6/x.so", "$ORIGIN/../shiboken6/"),
        ("a/x.so", "$ORIGIN/.."),
        ("a/b/x.so", "$ORIGIN/../../../.."),
        ("a/x.so", "$ORIGIN/b/../../c"),
    ],
)
@pytest.mark.parametrize("tag", [DT_RPATH, DT_RUNPATH])
def test_a_search_path_to_another_top_level_folder_escapes(path: str, runpath: str, tag: int) -> None:
    assert escaping_library(library(runpath, tag), path)


@pytest.mark.parametrize(
    ("path", "runpath"),
    [
        ("torch/lib/x.so", "$ORIGIN"),
        ("torch/lib/x.so", "$ORIGIN/../bin:$ORIGIN/x"),
        ("torch/lib/x.so", "/opt/nvidia/lib:/$ORIGIN/../../x"),
        ("torch/lib/x.so", "../../nvidia/lib"),
        ("torch/lib/x.so", "$ORIGINAL/../../nvidia"),
        ("numpy/core/x.so", "$ORIGIN/../../numpy.libs"),
        ("x.so", "$ORIGIN/../../lib"),
        ("x.so", "$ORIGIN/x.libs"),
        ("a/x.so", ""),
    ],
)
def test_other_search_paths_do_not_escape(path: str, runpath: str) -> None:
    assert not escaping_library(library(runpath), path)


def test_with_the_folders_of_its_wheel_a_library_in_a_shared_folder_escapes_where_the_wheel_ends() -> None:
    folders = {"nvidia", "nvidia/cudnn", "nvidia/cudnn/lib", "other"}
    path = "nvidia/cudnn/lib/libcudnn.so.9"
    assert escaping_library(library("$ORIGIN/../../cublas/lib"), path, folders)
    assert not escaping_library(library("$ORIGIN/../../cublas/lib"), path)
    assert not escaping_library(library("$ORIGIN/../../cudnn/lib"), path, folders)
    assert not escaping_library(library("$ORIGIN/../../../other"), path, folders)
    assert not escaping_library(library("$ORIGIN/plugins"), path, folders)


@pytest.mark.parametrize("content", [b"", b"\x7fEL", b"\x7fELF", b"print('no library')\n", b"\x7fELF" + bytes(200)])
def test_what_is_no_library_does_not_escape(content: bytes) -> None:
    assert not escaping_library(io.BytesIO(content), "a/x.so")


def test_a_broken_library_never_raises() -> None:
    data = library("$ORIGIN/../b").read()
    for position in range(4, len(data)):
        for value in (0x00, 0x7F, 0xFF):
            broken = data[:position] + bytes([value]) + data[position + 1 :]
            assert escaping_library(io.BytesIO(broken), "a/x.so") in (True, False)
        assert escaping_library(io.BytesIO(data[:position]), "a/x.so") in (True, False)


def test_a_search_path_without_end_is_given_up() -> None:
    data = library("$ORIGIN/../b" + "/b" * (10 << 20)).read()
    assert not escaping_library(io.BytesIO(data), "a/x.so")


def test_the_file_may_have_been_read_before() -> None:
    file = library("$ORIGIN/../b")
    file.read()
    assert escaping_library(file, "a/x.so")
