"""Bytecode of entries: whole, for one interpreter, in a store that stays read-only."""

import errno
import hashlib
import importlib.util
import json
import marshal
import stat
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from storectl_store.digest import Digest, digest_of_hex
from storectl_store.disk.durability import barrier
from storectl_store.entries import bytecode_files
from storectl_store.entries.bytecode import compile as bytecode
from storectl_store.entries.bytecode.compile import compile_entries, has_bytecode
from storectl_store.entries.bytecode.process import InterpreterError
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.manifest import Manifest, ManifestFile
from storectl_store.entries.sealed import opened
from storectl_store.errors import StoreFullError
from storectl_store.selection.target import Interpreter
from storectl_store.wheel.checked import Part
from support.views import Python, every_python, pythons, write_files

EVERY_PYTHON = pytest.mark.parametrize("python", every_python())
UNCHECKED = 1
FILES = {
    "pkg/__init__.py": "def f():\n    return 1\n",
    "pkg/sub/x.py": "X = 1\n",
    "one.py": "DEBUG = __debug__\n",
    "pkg/data.txt": "",
}
NONSENSE = {
    "bad/" + "n" * 250 + ".py": b"",
    "bad/python2.py": b"print 'hello'\n",
    "bad/null.py": b"a = 1\0\n",
    "bad/encoding.py": b"# -*- coding: nonsense -*-\n",
    "bad/bytes.py": b"x = '\xff'\n",
    "bad/deep.py": b"x = " + b"(" * 3000 + b")" * 3000 + b"\n",
    "bad/template.py": b"{{ name }} = {% raw %}\n",
    "bad/warning.py": b"x = 1 is 1\ny = '\\d'\n",
}


def interpreter_of(python: Python, *, executable: str | None = None) -> Interpreter:
    return Interpreter(
        executable=executable or python.executable,
        identity=python.version,
        version=f"{python.version}.0",
        implementation="cpython",
        cache_tag=python.cache_tag,
        base_prefix="",
        platlibdir="lib",
        abiflags="",
    )


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    layout = StoreLayout(tmp_path / "store")
    for folder in (layout.entries, layout.meta, layout.tmp):
        folder.mkdir(parents=True)
    return layout


def add_entry(layout: StoreLayout, name: str, files: dict[str, bytes] | dict[str, str]) -> Manifest:
    """An entry with these files in site-packages, read-only as a commit leaves it."""
    digest = digest_of_hex(hashlib.sha256(name.encode()).hexdigest())
    folder = layout.entry(canonicalize_name(name), digest) / "site-packages"
    folder.mkdir(parents=True)
    write_files(folder, files)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return Manifest(
        digest=digest,
        filename=f"{name}-1.0-py3-none-any.whl",
        name=canonicalize_name(name),
        version="1.0",
        wheel_size=1,
        tags=("py3-none-any",),
        root_is_purelib=True,
        dist_info=f"{name}-1.0.dist-info",
        requires_dist=(),
        entry_points=(),
        escaping_libraries=(),
        files=tuple(
            ManifestFile(part=Part.SITE_PACKAGES, path=path, size=len(content), sha256="", executable=False)
            for path, content in files.items()
        ),
    )


class WatchedManifest(Manifest):
    """One that tells when it is gone."""

    __slots__ = ("__weakref__",)


def site_packages(layout: StoreLayout, manifest: Manifest) -> Path:
    return layout.entry(manifest.name, manifest.digest) / "site-packages"


def side_manifest(layout: StoreLayout, manifest: Manifest, cache_tag: str) -> dict[str, object]:
    content, has_seal = opened(layout.bytecode_manifest(manifest.digest, cache_tag).read_bytes())
    assert has_seal
    found: dict[str, object] = json.loads(content)
    return found


@EVERY_PYTHON
def test_every_module_gets_unchecked_bytecode_under_a_relative_name(layout: StoreLayout, python: Python) -> None:
    manifest = add_entry(layout, "pkg", FILES)
    assert not has_bytecode(layout, manifest.digest, python.cache_tag)
    compile_entries(layout, [manifest], interpreter_of(python), processes=1, tmp=layout.tmp)
    assert has_bytecode(layout, manifest.digest, python.cache_tag)
    site = site_packages(layout, manifest)
    written = {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*.pyc")}
    assert set(written) == {
        f"pkg/__pycache__/__init__.{python.cache_tag}.pyc",
        f"pkg/sub/__pycache__/x.{python.cache_tag}.pyc",
        f"__pycache__/one.{python.cache_tag}.pyc",
    }
    assert all(int.from_bytes(content[4:8], "little") == UNCHECKED for content in written.values())
    assert all(str(layout.root).encode() not in content for content in written.values())
    assert side_manifest(layout, manifest, python.cache_tag) == {
        "format": 2,
        "digest": manifest.digest,
        "cache_tag": python.cache_tag,
        "files": {f"site-packages/{path}": hashlib.sha256(content).hexdigest() for path, content in written.items()},
    }


def test_bytecode_is_what_this_interpreter_would_load(layout: StoreLayout) -> None:
    manifest = add_entry(layout, "pkg", FILES)
    compile_entries(layout, [manifest], interpreter_of(pythons()[0]), processes=1, tmp=layout.tmp)
    source = site_packages(layout, manifest) / "pkg" / "__init__.py"
    content = Path(importlib.util.cache_from_source(str(source))).read_bytes()
    assert content[:4] == importlib.util.MAGIC_NUMBER
    assert content[8:16] == importlib.util.source_hash(source.read_bytes())
    code = marshal.loads(content[16:])
    assert code.co_filename == "pkg/__init__.py"


def test_the_entry_is_as_read_only_as_before(layout: StoreLayout) -> None:
    manifest = add_entry(layout, "pkg", FILES)
    compile_entries(layout, [manifest], interpreter_of(pythons()[0]), processes=1, tmp=layout.tmp)
    for path in site_packages(layout, manifest).rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o555 if path.is_dir() else 0o444), path
    assert not list(layout.tmp.iterdir())


@EVERY_PYTHON
def test_what_cannot_be_compiled_has_no_bytecode_and_stops_nothing(layout: StoreLayout, python: Python) -> None:
    manifest = add_entry(layout, "mixed", {**NONSENSE, "good.py": b"# coding: latin-1\nX = '\xe9'\n"})
    compile_entries(layout, [manifest], interpreter_of(python), processes=1, tmp=layout.tmp)
    files = side_manifest(layout, manifest, python.cache_tag)["files"]
    assert isinstance(files, dict)
    names = {path.rpartition("/")[2].partition(".")[0] for path in files}
    assert {"good", "warning"} <= names <= {"good", "warning", "deep"}


def test_the_environment_of_the_caller_does_not_matter(
    layout: StoreLayout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifest = add_entry(layout, "pkg", FILES)
    for name, value in {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPYCACHEPREFIX": str(tmp_path / "elsewhere"),
        "PYTHONOPTIMIZE": "2",
        "PYTHONWARNINGS": "error",
        "PYTHONHOME": "/nowhere",
        "LC_ALL": "C",
    }.items():
        monkeypatch.setenv(name, value)
    compile_entries(layout, [manifest], interpreter_of(pythons()[0]), processes=1, tmp=layout.tmp)
    content = (site_packages(layout, manifest) / "__pycache__" / f"one.{pythons()[0].cache_tag}.pyc").read_bytes()
    module: dict[str, object] = {}
    exec(marshal.loads(content[16:]), module)
    assert module["DEBUG"] is True
    assert not (tmp_path / "elsewhere").exists()


def test_entries_in_many_pieces_are_put_together(layout: StoreLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "_CHUNK", 1)
    manifests = [add_entry(layout, f"entry-{n}", {f"m{i}.py": "X = 1\n" for i in range(5)}) for n in range(3)]
    told: Counter[Digest] = Counter()

    def compiled(digest: Digest, size: int) -> None:
        told[digest] += size

    python = interpreter_of(pythons()[0])
    compile_entries(layout, manifests, python, processes=2, tmp=layout.tmp, compiled=compiled)
    assert told == {manifest.digest: 5 * len("X = 1\n") for manifest in manifests}
    for manifest in manifests:
        files = side_manifest(layout, manifest, pythons()[0].cache_tag)["files"]
        assert isinstance(files, dict)
        assert len(files) == 5
        assert len(list(site_packages(layout, manifest).rglob("*.pyc"))) == 5


def test_manifests_are_not_kept(layout: StoreLayout) -> None:
    kept: list[weakref.ref[WatchedManifest]] = []

    def read_one_by_one() -> Iterator[Manifest]:
        for number in range(4):
            manifest = add_entry(layout, f"entry-{number}", FILES)
            watched = WatchedManifest(**{field.name: getattr(manifest, field.name) for field in fields(Manifest)})
            kept.append(weakref.ref(watched))
            yield watched
            del watched
            assert [reference() for reference in kept[:-1]] == [None] * number

    compile_entries(layout, read_one_by_one(), interpreter_of(pythons()[0]), processes=1, tmp=layout.tmp)
    assert len(list(layout.meta.glob("*.pyc.json"))) == len(kept) == 4


def test_an_entry_without_modules_is_done_at_once(layout: StoreLayout) -> None:
    manifest = add_entry(layout, "data", {})
    nowhere = interpreter_of(pythons()[0], executable="/nowhere")
    compile_entries(layout, [manifest], nowhere, processes=2, tmp=layout.tmp)
    assert side_manifest(layout, manifest, pythons()[0].cache_tag)["files"] == {}


def test_what_is_compiled_is_not_compiled_again(layout: StoreLayout) -> None:
    manifest = add_entry(layout, "pkg", FILES)
    compile_entries(layout, [manifest], interpreter_of(pythons()[0]), processes=1, tmp=layout.tmp)
    nowhere = interpreter_of(pythons()[0], executable="/nowhere")
    compile_entries(layout, [manifest], nowhere, processes=1, tmp=layout.tmp)


def test_compiling_ends_when_asked_to_and_so_does_what_a_worker_is_at(layout: StoreLayout, tmp_path: Path) -> None:
    manifest = add_entry(layout, "pkg", FILES)
    slow = tmp_path / "python"
    slow.write_text(
        f"#!/bin/sh\necho '\"{pythons()[0].cache_tag}\"'\nread request\n: > '{tmp_path}/begun'\nexec sleep 3600\n"
    )
    slow.chmod(0o755)

    def proceed() -> None:
        if (tmp_path / "begun").exists():
            raise InterruptedError

    interpreter = interpreter_of(pythons()[0], executable=str(slow))
    with pytest.raises(InterruptedError):
        compile_entries(layout, [manifest], interpreter, processes=1, tmp=layout.tmp, proceed=proceed)
    assert not has_bytecode(layout, manifest.digest, pythons()[0].cache_tag)


def test_bytecode_without_its_side_manifest_is_written_again(layout: StoreLayout) -> None:
    manifest = add_entry(layout, "pkg", FILES)
    python = pythons()[0]
    compile_entries(layout, [manifest], interpreter_of(python), processes=1, tmp=layout.tmp)
    torn = site_packages(layout, manifest) / "__pycache__" / f"one.{python.cache_tag}.pyc"
    torn.chmod(0o644)
    torn.write_bytes(b"")
    layout.bytecode_manifest(manifest.digest, python.cache_tag).unlink()
    compile_entries(layout, [manifest], interpreter_of(python), processes=1, tmp=layout.tmp)
    assert torn.read_bytes()[:4] == importlib.util.MAGIC_NUMBER


def test_two_interpreters_can_compile_one_entry_at_once(layout: StoreLayout) -> None:
    manifest = add_entry(layout, "pkg", {f"pkg/p{n}/m.py": "X = 1\n" for n in range(30)})
    failures: list[BaseException] = []

    def compile_for(python: Python) -> None:
        tmp = layout.tmp / python.version
        tmp.mkdir()
        try:
            compile_entries(layout, [manifest], interpreter_of(python), processes=1, tmp=tmp)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=compile_for, args=(python,)) for python in pythons()[:3]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for python in pythons()[:3]:
        files = side_manifest(layout, manifest, python.cache_tag)["files"]
        assert isinstance(files, dict)
        assert len(files) == 30


def crashing_interpreter(folder: Path, name: str) -> str:
    """An executable that is this interpreter, but dies when it compiles a module of this name."""
    program = folder / "python"
    program.write_text(
        f"#!{sys.executable} -B\n"
        "import builtins, os, runpy, sys\n"
        "stock = builtins.compile\n"
        "def dying(source, filename, *rest, **options):\n"
        f"    return os._exit(139) if filename == {name!r} else stock(source, filename, *rest, **options)\n"
        "builtins.compile = dying\n"
        "runpy.run_path(sys.argv[-1], run_name='__main__')\n"
    )
    program.chmod(0o755)
    return str(program)


def test_an_entry_over_which_the_interpreter_dies_stays_without(layout: StoreLayout, tmp_path: Path) -> None:
    fatal = add_entry(layout, "fatal", {"fine.py": "", "fatal.py": ""})
    others = [add_entry(layout, f"other-{n}", {"fine.py": ""}) for n in range(3)]
    python = pythons()[0]
    crashing = interpreter_of(python, executable=crashing_interpreter(tmp_path, "fatal.py"))
    compile_entries(layout, [fatal, *others], crashing, processes=1, tmp=layout.tmp)
    assert not has_bytecode(layout, fatal.digest, python.cache_tag)
    assert all(has_bytecode(layout, manifest.digest, python.cache_tag) for manifest in others)


@pytest.mark.parametrize("script", [None, "exit 7", "echo '\"cpython-20\"'; cat", "kill -9 $$"])
def test_an_interpreter_that_does_not_run_is_an_error_that_names_it(
    layout: StoreLayout, tmp_path: Path, script: str | None
) -> None:
    program = tmp_path / "python"
    if script is not None:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    manifest = add_entry(layout, "pkg", FILES)
    with pytest.raises(InterpreterError) as raised:
        compile_entries(
            layout, [manifest], interpreter_of(pythons()[0], executable=str(program)), processes=2, tmp=layout.tmp
        )
    assert str(program) in raised.value.message
    assert raised.value.hint
    assert not has_bytecode(layout, manifest.digest, pythons()[0].cache_tag)


def test_an_entry_whose_bytecode_cannot_be_written_is_not_taken_for_done(layout: StoreLayout) -> None:
    manifest = add_entry(layout, "pkg", FILES)
    python = pythons()[0]
    (site_packages(layout, manifest) / "pkg").chmod(0o755)
    (site_packages(layout, manifest) / "pkg" / "__pycache__").write_bytes(b"in the way")
    compile_entries(layout, [manifest], interpreter_of(python), processes=1, tmp=layout.tmp)
    assert not has_bytecode(layout, manifest.digest, python.cache_tag)


def test_all_entries_share_two_barriers_and_nothing_is_seen_before_the_first(
    layout: StoreLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bytecode, "_CHUNK", 1)
    manifests = [add_entry(layout, f"entry-{n}", {f"m{i}.py": "X = 1\n" for i in range(4)}) for n in range(3)]
    seen: list[tuple[int, int]] = []

    def note(_folder: Path) -> None:
        seen.append((len(list(layout.entries.rglob("*.pyc"))), len(list(layout.meta.iterdir()))))

    monkeypatch.setattr(bytecode_files, "barrier", note)
    compile_entries(layout, manifests, interpreter_of(pythons()[0]), processes=2, tmp=layout.tmp)
    assert seen == [(0, 0), (12, 0)]
    assert len(list(layout.meta.iterdir())) == 3


def test_a_disk_that_loses_bytecode_leaves_neither_side_manifests_nor_remains(
    layout: StoreLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = add_entry(layout, "pkg", FILES)

    def fail(_folder: Path) -> None:
        raise OSError(errno.EIO, "lost")

    monkeypatch.setattr(bytecode_files, "barrier", fail)
    with pytest.raises(StoreFullError):
        compile_entries(layout, [manifest], interpreter_of(pythons()[0]), processes=1, tmp=layout.tmp)
    assert not list(layout.meta.iterdir())
    assert not list(layout.tmp.iterdir())


def test_the_turn_is_taken_for_compiling_and_given_away_before_files_become_durable(
    layout: StoreLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, turn = add_entry(layout, "pkg", FILES), threading.Lock()
    seen: list[tuple[str, bool]] = []

    def watched(folder: Path) -> None:
        seen.append(("durable", turn.locked()))
        barrier(folder)

    def proceed() -> None:
        seen.append(("compiling", turn.locked()))

    monkeypatch.setattr(bytecode_files, "barrier", watched)
    python = interpreter_of(pythons()[0])
    compile_entries(layout, [manifest], python, processes=1, tmp=layout.tmp, proceed=proceed, turn=turn)
    assert set(seen) == {("compiling", True), ("durable", False)}
    assert has_bytecode(layout, manifest.digest, python.cache_tag)


def test_nothing_is_placed_when_the_work_is_stopped(layout: StoreLayout) -> None:
    manifests = [add_entry(layout, f"entry-{n}", FILES) for n in range(2)]
    interpreter = interpreter_of(pythons()[0])

    def stop() -> None:
        if list(layout.tmp.rglob("*")):  # one of them is compiled
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compile_entries(layout, manifests, interpreter, processes=1, tmp=layout.tmp, proceed=stop)
    assert not list(layout.meta.iterdir())
    assert not list(site_packages(layout, manifests[0]).rglob("*.pyc"))
