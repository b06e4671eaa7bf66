"""Outlines: a view planned from them is the one that whole manifests give, and losing them loses time only."""

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from storectl_store.digest import Digest, digest_of_hex
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.manifest import Manifest, ManifestFile
from storectl_store.entries.store import Store
from storectl_store.environments.outlines.kept import Outlines
from storectl_store.environments.outlines.outline import (
    Outline,
    decode_outline,
    encode_outline,
    outline_kind,
    outline_of,
)
from storectl_store.environments.planning.plan import EnvironmentPlan, plan_environment
from storectl_store.environments.view_builder import import_map_of
from storectl_store.errors import StoreError, StoreFormatError
from storectl_store.wheel.checked import Part
from support.environments import ManifestsOnly, made_up_interpreter, read_wheel
from support.stores import digest, written_store
from support.wheels import make_wheel

PYTHON = made_up_interpreter()
SUFFIXES = PYTHON.extension_suffixes
LAYOUT = StoreLayout(Path("/store"))
SAMPLE = make_wheel(
    "sample",
    files={"sample/deep/x.py": "1", "one.py": "", "sample-1.0.data/scripts/go": "#!python\n"},
    entry_points="[console_scripts]\ntool = sample:main\n",
)


def manifest(name: str, files: Mapping[str, str], *, libraries: Sequence[str] = ()) -> Manifest:
    number = sum(map(ord, name))
    return Manifest(
        digest=digest_of_hex(f"{number:064x}"), filename=f"{name}-1-py3-none-any.whl", name=canonicalize_name(name),
        version="1", wheel_size=1, tags=(), root_is_purelib=True, dist_info=f"{name}-1.dist-info", requires_dist=(),
        entry_points=(), escaping_libraries=tuple(libraries),
        files=tuple(
            ManifestFile(part=Part.SITE_PACKAGES, path=path, size=1, sha256=content, executable=False)
            for path, content in sorted({**files, f"{name}-1.dist-info/licenses/MIT": name}.items())
        ),
    )  # fmt: skip


def with_every_file(outline: Outline, manifest: Manifest) -> Outline:
    """The outline with no folder told as a whole."""
    files = {file.path: file.sha256 for file in manifest.files}
    return replace(outline, files={**outline.files, Part.SITE_PACKAGES: files}, sections={})


def plan(outlines: Sequence[Outline], manifests: Sequence[Manifest]) -> tuple[EnvironmentPlan, list[Digest]]:
    """The plan, and the entries whose manifests it asked for."""
    store = ManifestsOnly(LAYOUT, manifests)
    return plan_environment(outlines, PYTHON, store, LAYOUT), store.asked


def parts(plan: EnvironmentPlan) -> tuple[object, ...]:
    return (
        plan.id, plan.folders, sorted(plan.links, key=lambda link: link.path), plan.same_files, plan.files, plan.scripts,
        plan.warnings, plan.names.keys(), import_map_of(plan),
    )  # fmt: skip


FILES = st.dictionaries(
    st.tuples(
        st.lists(st.sampled_from(["a", "b", "c.libs", "__pycache__"]), max_size=3),
        st.sampled_from(["__init__.py", "a.py", "a", "b.so", "x.txt"]),
    ).map(lambda path: "/".join([*path[0], path[1]])),
    st.sampled_from("12"),
    max_size=10,
).filter(lambda files: not any(path.startswith(f"{other}/") for path in files for other in files))


@given(st.lists(st.tuples(FILES, st.integers(0, 3)), min_size=1, max_size=3))
def test_a_view_of_outlines_is_the_view_of_all_files(wheels: list[tuple[dict[str, str], int]]) -> None:
    manifests = [
        manifest(
            "xyz"[number], files, libraries=[path for path in files if re.fullmatch(r"[^_]+\.so", path)][:libraries]
        )
        for number, (files, libraries) in enumerate(wheels)
    ]
    outlines = [outline_of(each, SUFFIXES) for each in manifests]
    whole = [with_every_file(outline, each) for outline, each in zip(outlines, manifests, strict=True)]
    assert parts(plan(outlines, manifests)[0]) == parts(plan(whole, manifests)[0])


def test_manifests_are_read_of_those_entries_only_that_write_into_one_folder() -> None:
    manifests = [
        manifest("a", {"ns/a.py": "", "own_a/x.py": ""}),
        manifest("b", {"ns/b.py": ""}),
        manifest("c", {"own_c/x.py": "", "c.py": ""}),
    ]
    _, asked = plan([outline_of(each, SUFFIXES) for each in manifests], manifests)
    assert sorted(asked) == sorted(each.digest for each in manifests[:2])


def test_a_folder_with_a_library_that_looks_outside_is_told_file_by_file() -> None:
    outline = outline_of(manifest("t", {"t/lib/x.so": "1", "t/py/y.py": "2"}, libraries=["t/lib/x.so"]), SUFFIXES)
    assert outline.files[Part.SITE_PACKAGES] == {"t/lib/x.so": "1", "t/py/": "", "t-1.dist-info/licenses/": ""}
    assert outline.real_folders == {"t", "t/lib", "t-1.dist-info"}


def test_an_outline_is_read_back_as_it_was_written() -> None:
    outline = outline_of(read_wheel(SAMPLE)[0], SUFFIXES)
    assert decode_outline(outline.digest, encode_outline(outline)) == outline
    assert outline.sections.keys() == {"sample"}
    assert outline.files[Part.SITE_PACKAGES]["sample/"] == ""


@pytest.mark.parametrize("place", [0, 4, 40, -1])
def test_a_damaged_outline_is_none(place: int) -> None:
    outline = outline_of(read_wheel(SAMPLE)[0], SUFFIXES)
    data = bytearray(encode_outline(outline))
    data[place] ^= 1
    with pytest.raises(StoreFormatError, match="damaged"):
        decode_outline(outline.digest, bytes(data))
    with pytest.raises(StoreFormatError):
        decode_outline(outline.digest, b"")


def test_an_outline_is_made_once_and_kept(tmp_path: Path) -> None:
    with written_store(tmp_path / "store") as written:
        (committed,) = written.commit(SAMPLE)
        (made,) = Outlines(written.store, written.store.catalogue).get([digest(SAMPLE)], SUFFIXES)
        assert made == outline_of(committed.manifest, SUFFIXES)
        written.store.layout.manifest(digest(SAMPLE)).unlink()
        assert Outlines(written.store, written.store.catalogue).get([digest(SAMPLE)], SUFFIXES) == [made]


def test_an_outline_of_a_new_entry_needs_no_second_look_at_its_manifest(tmp_path: Path) -> None:
    with written_store(tmp_path / "store") as written:
        (committed,) = written.commit(SAMPLE)
        outlines = Outlines(written.store, written.store.catalogue)
        outlines.add([committed.manifest], SUFFIXES)
        written.store.layout.manifest(digest(SAMPLE)).unlink()
        assert outlines.get([digest(SAMPLE)], SUFFIXES) == [outline_of(committed.manifest, SUFFIXES)]


def test_each_set_of_suffixes_has_its_own_outlines(tmp_path: Path) -> None:
    with written_store(tmp_path / "store") as written:
        (committed,) = written.commit(make_wheel("native", files={"native/x.abi3.so": ""}))
        outlines = Outlines(written.store, written.store.catalogue)
        for suffixes in (SUFFIXES, (".so",), SUFFIXES):
            assert outlines.get([committed.manifest.digest], suffixes) == [outline_of(committed.manifest, suffixes)]


def test_damaged_outlines_are_made_again_from_the_manifests(tmp_path: Path) -> None:
    with written_store(tmp_path / "store") as written:
        (committed,) = written.commit(SAMPLE)
        catalogue, kind = written.store.catalogue, outline_kind(SUFFIXES)
        catalogue.put(kind, {digest(SAMPLE): b"not one"})
        expected = outline_of(committed.manifest, SUFFIXES)
        assert Outlines(written.store, written.store.catalogue).get([digest(SAMPLE)], SUFFIXES) == [expected]
        assert decode_outline(digest(SAMPLE), catalogue.get_many(kind, [digest(SAMPLE)])[digest(SAMPLE)]) == expected


def test_without_a_catalogue_outlines_come_from_the_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with written_store(tmp_path / "store") as written:
        (committed,) = written.commit(SAMPLE)
        monkeypatch.setattr(written.store.catalogue, "_run", broken)
        assert Outlines(written.store, written.store.catalogue).get([digest(SAMPLE)], SUFFIXES) == [
            outline_of(committed.manifest, SUFFIXES)
        ]


def test_an_entry_that_is_not_there_has_no_outline(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    outlines = Outlines(store, store.catalogue)
    with pytest.raises(StoreError, match="gone"):
        outlines.get([digest(SAMPLE)], SUFFIXES)
