"""The writer of import maps: what it finds in a tree, how entries meet, and the bytes that every reader knows."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storectl_shim._storectl_map import MODULE, NAMESPACE
from storectl_store.digest import EnvironmentId
from storectl_store.environments.import_map import (
    encode_import_map,
    index_paths,
    section_of,
)
from support.views import MAP_READER, Python, every_python

ID = EnvironmentId("id")
SUFFIXES = (".cpython-312-x86_64-linux-gnu.so", ".abi3.so", ".so")
EXTENSION, ABI3, BARE, SOURCE, BYTECODE = range(5)
GOLDEN = Path(__file__).parents[1] / "golden" / "import-map.v1"
GOLDEN_PATHS = [
    "single.py",
    "alpha/__init__.py",
    "alpha/_native.cpython-312-x86_64-linux-gnu.so",
    "alpha/sub/deep/leaf.py",
    "cloud/a/__init__.abi3.so",
    "cloud/späť.py",
    "alpha-1.0.dist-info/METADATA",
]


def top(*paths: str) -> Mapping[str, int]:
    return index_paths(paths, SUFFIXES)[""]


def test_every_kind_of_package_and_module_has_its_record() -> None:
    assert top("a/__init__.py") == {"a": SOURCE}
    assert top("a/__init__.pyc", "a/__init__.abi3.so") == {"a": ABI3}
    assert top("a.py", "b.so", "c.pyc") == {"a": MODULE + SOURCE, "b": MODULE + BARE, "c": MODULE + BYTECODE}
    assert top("a.cpython-312-x86_64-linux-gnu.so", "a.so", "a.py") == {"a": MODULE + EXTENSION}
    assert top("a/b.txt") == {"a": NAMESPACE}


def test_a_package_goes_before_a_module_and_a_module_before_a_namespace() -> None:
    assert top("a.py", "a/__init__.pyc") == {"a": BYTECODE}
    assert top("a/x.py", "a.pyc") == {"a": MODULE + BYTECODE}


def test_what_cannot_be_imported_has_no_record() -> None:
    tables = index_paths(
        [
            "a.cpython-311-x86_64-linux-gnu.so",
            "LICENSE",
            "x-1.0.dist-info/METADATA",
            "a.libs/b/c.py",
            "a.b.py",
            "__pycache__/s.pyc",
        ],
        SUFFIXES,
    )
    assert not any(tables.values())


def test_the_tables_name_every_folder_with_something_importable() -> None:
    tables = index_paths(["a/b/c/data.txt", "a/d/__init__.py", "a/__pycache__/x.pyc"], SUFFIXES)
    assert tables == {
        "": {"a": NAMESPACE},
        "a": {"b": NAMESPACE, "d": SOURCE},
        "a/b": {"c": NAMESPACE},
        "a/d": {"__init__": MODULE + SOURCE},
    }


PATHS = st.lists(
    st.tuples(
        st.lists(st.sampled_from("abc"), max_size=3), st.sampled_from(["__init__.py", "a.py", "b.so", "b.pyc", "t.txt"])
    ).map(lambda parts: "/".join([*parts[0], parts[1]])),
    max_size=12,
)


@given(st.lists(PATHS.map(tuple), max_size=3), st.randoms())
def test_equal_trees_are_equal_bytes_in_whatever_order(trees: list[tuple[str, ...]], random: Random) -> None:
    paths = [path for tree in trees for path in tree]
    shuffled = list(paths)
    random.shuffle(shuffled)
    assert encode_import_map(ID, index_paths(paths, SUFFIXES)) == encode_import_map(ID, index_paths(shuffled, SUFFIXES))


@given(PATHS, st.sets(st.sampled_from("abc")))
def test_folders_with_sections_of_their_own_make_the_same_map(paths: list[str], whole: set[str]) -> None:
    sections = {}
    for folder in whole:
        below = [path for path in paths if path.startswith(f"{folder}/")]
        if section := section_of(folder, index_paths(below, SUFFIXES)):
            sections[folder] = section
    rest = [path for path in paths if path.partition("/")[0] not in sections or "/" not in path]
    assert encode_import_map(ID, index_paths(rest, SUFFIXES), sections) == encode_import_map(
        ID, index_paths(paths, SUFFIXES)
    )


def test_the_writer_writes_the_golden_bytes() -> None:
    assert encode_import_map(EnvironmentId("golden"), index_paths(GOLDEN_PATHS, SUFFIXES)) == GOLDEN.read_bytes()


READ = """
import json, runpy, sys
reader = runpy.run_path(sys.argv[1])
import_map = reader["ImportMap"](sys.argv[2], sys.argv[2] + "/lib/python3/site-packages", None, print)
tables = {"": import_map.top_level()}
for folder in ("alpha", "alpha/sub", "alpha/sub/deep", "alpha/none", "cloud", "cloud/a", "single", "none"):
    tables[folder] = import_map.table(folder)
print(json.dumps(tables))
"""


@pytest.mark.parametrize("python", every_python())
def test_every_version_reads_the_golden_bytes(tmp_path: Path, python: Python) -> None:
    root = tmp_path / "golden"
    root.mkdir()
    (root / "import-map").write_bytes(GOLDEN.read_bytes())
    done = subprocess.run(
        [python.executable, "-I", "-B", "-c", READ, str(MAP_READER), str(root)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    written = index_paths(GOLDEN_PATHS, SUFFIXES)
    read = json.loads(done.stdout)
    assert read == {folder: written.get(folder) for folder in read}
    assert set(written) <= set(read)
