"""Modules whose bytecode is in the pack of their environment: nobody can tell, and nobody is hurt by a bad pack."""

import marshal
import os
import sys
from collections.abc import Callable
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest

from storectl_shim import _storectl_map, _storectl_pack
from storectl_shim._storectl_map import FEW
from storectl_shim._storectl_pack import RECORD_MAGIC, RUN, joined
from storectl_store.environments.import_map import checksum
from support.packs import PackedPlace, packed_place
from support.views import every_python, pythons, read_map
from support.wheels import make_wheel

SOURCE = '"""Says."""\nX = "PACK"\n\n\ndef fail():\n    raise LookupError(X)\n'
MODULES = tuple(f"alpha/{name}.py" for name in ("__init__", "one", "two"))
NATIVE = pythons()[0].extension_suffixes[0]
WHEEL = make_wheel(
    "alpha", files=dict.fromkeys(MODULES, SOURCE) | {"alpha/large.py": f"X = 'PACK'\nY = {'y' * RUN!r}\n"}
)
WHERE = "import alpha.one, alpha.two; print(alpha.X, alpha.one.X, alpha.two.X)"
ALL_PACK, ALL_FILE = "PACK PACK PACK", "FILE FILE FILE"


@pytest.fixture(params=every_python())
def place(request: pytest.FixtureRequest, tmp_path: Path) -> PackedPlace:
    return packed_place(tmp_path, request.param, WHEEL)


@pytest.fixture
def mine(tmp_path: Path) -> PackedPlace:
    """For this interpreter alone, with a pack that says other than the files."""
    place = packed_place(tmp_path, pythons()[0], WHEEL)
    place.make_pack(*MODULES)
    place.say_file(*MODULES)
    return place


def test_modules_come_from_the_pack_and_their_bytecode_is_not_opened(place: PackedPlace) -> None:
    program = (
        "import sys; seen = []; sys.addaudithook(lambda e, a: e == 'open' and seen.append(str(a[0])));\n"
        f"{WHERE}\nprint(sorted(p for p in seen if 'alpha' in p))"
    )
    place.make_pack(*MODULES)
    place.say_file(*MODULES)
    assert place.shown(program) == f"{ALL_PACK}\n[]"


@pytest.mark.parametrize("packed", [MODULES, ()])
def test_the_part_of_the_shim_that_reads_packs_is_loaded_if_there_is_one(
    tmp_path: Path, packed: tuple[str, ...]
) -> None:
    program = (
        "import sys; seen = []; sys.addaudithook(lambda e, a: e == 'open' and seen.append(str(a[0])))\n"
        "import alpha.one; print(*{path.rpartition('/')[2].partition('.')[0] for path in seen if '_storectl' in path})"
    )
    place = packed_place(tmp_path, pythons()[0], WHEEL)
    place.make_pack(*packed)
    assert set(place.shown(program).split()) == {"_storectl_map", *(["_storectl_pack"] if packed else [])}


def test_a_program_is_shown_the_same_with_and_without(place: PackedPlace) -> None:
    program = """
import importlib.machinery, inspect, linecache, pickle, sys, traceback, warnings
import alpha.one as one
loader = one.__loader__
warnings.simplefilter("ignore")
print(one.__file__, one.__cached__, one.__doc__, one.__spec__.origin, one.__spec__.cached, one.__spec__.has_location)
print(isinstance(loader, importlib.machinery.SourceFileLoader), sorted(vars(loader)), loader.is_package("alpha.one"))
print(pickle.loads(pickle.dumps(loader)) == loader, type(pickle.loads(pickle.dumps(loader))))
code = loader.get_code("alpha.one")
print(code.co_filename, [c.co_filename for c in code.co_consts if hasattr(c, "co_filename")], code == loader.get_code("alpha.one"))
print(inspect.getsource(one.fail), loader.get_source("alpha.one"), linecache.getline(one.__file__, 2))
try:
    one.fail()
except LookupError:
    print(traceback.format_exc())
one.X = 1
print(importlib.reload(one) is one, one.X)
"""
    before = place.shown(program)
    place.make_pack(*MODULES)
    assert place.shown(program) == before
    assert f"{place.site_packages}/alpha/one.py" in before


@pytest.mark.parametrize(
    ("flags", "environ"),
    [
        (["-O"], {}), (["-OO"], {}), (["--check-hash-based-pycs", "always"], {}), (["-X", "pycache_prefix=/nowhere/at/all"], {}),
        ([], {"PYTHONPYCACHEPREFIX": "prefix"}), (["-S"], {}),
    ],
)  # fmt: skip
def test_a_pack_is_for_plain_bytecode_only(mine: PackedPlace, flags: list[str], environ: dict[str, str]) -> None:
    plain = f"import sys; sys.path.append({str(mine.site_packages)!r})\n" if "-S" in flags else ""
    assert mine.shown(plain + WHERE, *flags, environ=environ) == ALL_FILE


@pytest.mark.parametrize("flags", [[], ["-B"], ["-I"], ["-X", "dev"], ["--check-hash-based-pycs", "never"]])
def test_a_pack_is_used_under_other_flags(mine: PackedPlace, flags: list[str]) -> None:
    assert mine.shown(WHERE, *flags) == ALL_PACK


def test_children_use_it_too(mine: PackedPlace) -> None:
    program = (
        "import multiprocessing as m, alpha.one, importlib\n"
        "print(*m.get_context('fork').Pool(1).map(importlib.import_module, []), alpha.one.X)\n"
        f"import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', {WHERE!r}]).decode())"
    )
    assert mine.shown(program) == f"PACK\n{ALL_PACK}"


def test_a_module_larger_than_what_is_read_at_once_comes_whole(tmp_path: Path) -> None:
    place = packed_place(tmp_path, pythons()[0], WHEEL)
    place.make_pack("alpha/__init__.py", "alpha/large.py", "alpha/one.py")
    place.say_file("alpha/large.py", "alpha/one.py")
    program = "import alpha.large as l, alpha.one as o; print(l.X, len(l.Y), o.X)"
    assert place.shown(program) == f"PACK {RUN} PACK"


def test_modules_may_be_asked_for_in_any_order(mine: PackedPlace) -> None:
    assert mine.shown("import alpha.two, alpha.one, alpha; print(alpha.two.X, alpha.one.X, alpha.X)") == ALL_PACK


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def rewrite(path: Path) -> None:
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(change(content))
        path.chmod(0o444)

    return rewrite


def zeros_after(begin: int, content: bytes) -> bytes:
    return content[:begin] + bytes(len(content) - begin)


def as_link(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to("other")


def as_before(path: Path) -> None:
    """The same pack as format 2 had it: a table of three parts."""
    line, _, rest = path.read_bytes().partition(b"\n")
    *start, _, length, _ = line.replace(b"pack 3 ", b"pack 2 ").split(b" ")
    table = marshal.dumps((marshal.loads(rest[: int(length)]), {}, ()), 2)
    pieces = rest[int(length) :]
    fields = [*start, b"%d" % len(pieces), b"%d" % len(table), b"%d" % checksum(table)]
    rewritten(lambda _: b" ".join(fields) + b"\n" + table + pieces)(path)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(rewritten(lambda content: b""), id="empty"),
        pytest.param(rewritten(lambda content: content[:-1]), id="cut"),
        pytest.param(rewritten(lambda content: content[:100]), id="cut in its table"),
        pytest.param(rewritten(lambda content: content + b"x"), id="longer"),
        pytest.param(rewritten(lambda content: content.replace(b"pack 3 ", b"pack 4 ")), id="another format"),
        pytest.param(as_before, id="the format before"),
        pytest.param(rewritten(lambda content: content.replace(b"cpython-", b"cpython_", 1)), id="another interpreter"),
        pytest.param(rewritten(lambda content: content[:16] + b"0" * 32 + content[48:]), id="another environment"),
        pytest.param(rewritten(lambda content: content.replace(b"alpha/one.py", b"alpha/oNe.py", 1)), id="flipped"),
        pytest.param(rewritten(lambda content: bytes(len(content))), id="zeros"),
        pytest.param(
            rewritten(lambda content: zeros_after(content.index(MAGIC_NUMBER), content)), id="zeros after its table"
        ),
        pytest.param(lambda path: path.chmod(0o666), id="for all to write"),
        pytest.param(lambda path: path.unlink(), id="gone"),
        pytest.param(as_link, id="a link"),
        pytest.param(as_folder, id="a folder"),
    ],
)
def test_a_pack_that_is_not_right_is_passed_over_without_a_word(
    mine: PackedPlace, damage: Callable[[Path], object]
) -> None:
    damage(mine.pack)
    assert mine.shown(WHERE) == ALL_FILE


def test_a_torn_module_in_it_is_made_from_its_source(mine: PackedPlace) -> None:
    content = mine.pack.read_bytes()
    begin = content.rindex(MAGIC_NUMBER) + 16
    rewritten(lambda content: content[:begin] + b"\xff" + content[begin + 1 :])(mine.pack)
    assert mine.shown(WHERE) == "PACK PACK FILE"


@pytest.mark.parametrize("change", ["os.unlink(pack)", "os.replace(pack + '.new', pack)"])
def test_a_pack_that_goes_away_under_a_program_is_not_missed(mine: PackedPlace, change: str) -> None:
    content = mine.pack.read_bytes()
    rewritten(lambda content: content.replace(b"PACK", b"EVIL"))(mine.pack)
    mine.pack.rename(f"{mine.pack}.new")
    mine.pack.write_bytes(content)
    import_map = read_map(mine.folder, mine.site_packages)
    import_map.begin()
    pack = import_map.pack
    pack._run = (0, b"")
    exec(change, {"os": os, "pack": str(mine.pack)})
    assert pack.piece(*pack.places["alpha/two.py"]) == b""


@pytest.mark.parametrize(("seconds", "reads"), [(0.0, 8), (1.0, 3)])
def test_a_pack_on_a_slow_file_system_is_read_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, reads: int
) -> None:
    names = [f"alpha/m{number}.py" for number in range(8)]
    wheel = make_wheel("alpha", files={name: f"X = {name + 'x' * RUN!r}\n" for name in names})
    place = packed_place(tmp_path, pythons()[0], wheel)
    place.make_pack(*names)
    clock = iter(range(10_000))
    monkeypatch.setattr(_storectl_pack, "monotonic", lambda: next(clock) * seconds)
    opened: list[str] = []

    def opened_later(path: str) -> tuple[int, os.stat_result]:
        opened.append(path)
        descriptor = os.open(path, os.O_RDONLY)
        return descriptor, os.fstat(descriptor)

    pack = _storectl_pack.Pack(str(place.pack), opened_later, _storectl_map.decode)
    for name in names:
        cached = f"__pycache__/{Path(name).stem}.{sys.implementation.cache_tag}.pyc"
        assert pack.piece(*pack.places[name]) == (place.site_packages / "alpha" / cached).read_bytes()
    assert len(opened) == reads + (seconds == 0.0)


class TestRecord:
    """What programs say at their end of what they imported."""

    NAMES = tuple(f"many/m{number:02}.py" for number in range(FEW))
    MANY = make_wheel("many", files=dict.fromkeys(("many/__init__.py", *NAMES), ""))
    PROGRAM = "import importlib\nfor n in reversed(range(%d)): importlib.import_module(f'many.m{n:02}')"

    @pytest.fixture(params=every_python())
    def place(self, request: pytest.FixtureRequest, tmp_path: Path) -> PackedPlace:
        return packed_place(tmp_path, request.param, self.MANY)

    @pytest.fixture
    def mine(self, tmp_path: Path) -> PackedPlace:
        return packed_place(tmp_path, pythons()[0], self.MANY)

    def test_modules_are_named_in_the_order_of_their_import(self, place: PackedPlace) -> None:
        assert place.shown(self.PROGRAM % FEW) == ""
        names = [b"many/__init__.py", *(name.encode() for name in reversed(self.NAMES))]
        assert place.imports.read_bytes().splitlines() == [RECORD_MAGIC, *names]

    def test_a_program_of_few_modules_says_nothing(self, mine: PackedPlace) -> None:
        mine.shown(self.PROGRAM % (FEW - 2))
        assert not list(mine.home.iterdir())

    def test_a_program_with_all_of_them_in_its_pack_says_nothing(self, mine: PackedPlace) -> None:
        mine.make_pack("many/__init__.py", *self.NAMES)
        mine.shown(self.PROGRAM % FEW)
        assert not list(mine.home.iterdir())

    @pytest.mark.parametrize("flags", [["-B"], ["-O"], ["-X", "pycache_prefix=/nowhere/at/all"]])
    def test_nor_does_one_that_shall_write_no_bytecode_or_other(self, mine: PackedPlace, flags: list[str]) -> None:
        mine.shown(self.PROGRAM % FEW, *flags)
        assert not mine.imports.exists()

    def test_a_home_that_takes_nothing_is_no_trouble(self, mine: PackedPlace) -> None:
        assert mine.shown(self.PROGRAM % FEW, environ={"HOME": os.devnull}) == ""
        assert mine.shown(self.PROGRAM % FEW, environ={"HOME": ""}) == ""

    def test_a_forked_child_leaves_it_to_its_parent(self, mine: PackedPlace) -> None:
        program = f"{self.PROGRAM % FEW}\nimport os, sys\nif os.fork(): os.wait(); os._exit(0)\nsys.exit()"
        mine.shown(program)
        assert not mine.imports.exists()


def test_a_cold_start_asks_for_the_pieces_and_libraries_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = dict.fromkeys(
        (*MODULES, f"alpha/n{NATIVE}", "alpha.libs/liba.so", "beta/__init__.py", f"beta/n{NATIVE}"), ""
    )
    place = packed_place(tmp_path, pythons()[0], make_wheel("alpha", files=files))
    place.make_pack("alpha/__init__.py", "beta/__init__.py", *MODULES[1:])
    asked: list[tuple[str, int, int]] = []

    def fadvise(descriptor: int, offset: int, length: int, _advice: int) -> None:
        asked.append((os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")), offset, length))

    monkeypatch.setattr(os, "posix_fadvise", fadvise)
    import_map = read_map(place.folder, place.site_packages)
    import_map.begin()
    assert "alpha" in import_map.top_level()
    import_map.cold = True
    import_map.table("alpha")
    first, second, third = (import_map.pack.places[name] for name in MODULES)
    assert asked == [
        (place.folder.name, *first),
        (place.folder.name, second[0], second[1] + third[1]),
        (f"n{NATIVE}", 0, 4 << 20),
        ("liba.so", 0, 4 << 20),
    ]


@pytest.mark.parametrize(
    ("places", "expected"),
    [([], []), ([(3, 2), (5, 1), (6, 4)], [(3, 7)]), ([(0, 2), (3, 1)], [(0, 2), (3, 1)])],
)
def test_neighbours_are_asked_for_together(places: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    assert joined(places) == expected
