"""What a start with the shim does to an interpreter, and what it leaves alone."""

import importlib.machinery
import importlib.util
import json
import marshal
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from support.views import Python, View, build_view, every_python, fresh_shim, hook_of, map_of, pythons
from support.wheels import make_wheel

EVERY_PYTHON = pytest.mark.parametrize("python", every_python())
WHEELS = [make_wheel("alpha", files={"alpha/__init__.py": "", "alpha/one.py": "", "alpha/two.py": "", "single.py": ""})]
STANDARD_HOOK = importlib.machinery.FileFinder.path_hook()
STATE = """
import json, site, sys
print(json.dumps({
    "modules": sorted(sys.modules), "path": sys.path, "prefixes": [sys.prefix, sys.exec_prefix], "site": site.PREFIXES,
    "executable": sys.executable, "hooks": sum(hasattr(hook, "storectl_view") for hook in sys.path_hooks),
}))
"""


@pytest.fixture
def view(tmp_path: Path) -> View:
    return build_view(tmp_path / "view", WHEELS, pythons()[0])


def state(view: View, *flags: str, through: Path | None = None) -> dict[str, object]:
    found = view.json(STATE, *flags, through=through)
    assert isinstance(found, dict)
    return found


@EVERY_PYTHON
def test_a_start_imports_nothing_that_a_venv_with_a_pth_file_does_not(tmp_path: Path, python: Python) -> None:
    hooked = state(build_view(tmp_path / "hooked", WHEELS, python))
    venv = build_view(tmp_path / "plain", WHEELS, python, shim=False)
    (venv.site_packages / "comment.pth").write_text("# to read any .pth costs site a codec\n")
    plain = state(venv)
    assert hooked["modules"] == plain["modules"]
    assert hooked["hooks"] == 1
    assert json.dumps(hooked["path"]).replace("hooked", "plain") == json.dumps(plain["path"])


@EVERY_PYTHON
def test_site_which_starts_the_shim_twice_loads_it_once(tmp_path: Path, python: Python) -> None:
    view = build_view(tmp_path / "view", WHEELS, python)
    with (view.site_packages / "_storectl.py").open("a") as shim:
        shim.write("sys.stderr.write('loaded\\n')\n")
    done = view.run("-c", "import alpha.one, _storectl")
    assert (done.returncode, done.stderr) == (0, "loaded\n")


@EVERY_PYTHON
def test_a_start_in_an_uncustomized_view_reads_no_map(tmp_path: Path, python: Python) -> None:
    view = build_view(tmp_path / "view", WHEELS, python)
    (view.site_packages / "_storectl.pth").write_text("import _storectl; _storectl.start_uncustomized()\n")
    view.import_map.unlink()
    asks = "import importlib.util as u; print([u.find_spec(n) for n in ('sitecustomize', 'usercustomize')])"
    done = view.run("-c", asks)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[None, None]\n", "")


@EVERY_PYTHON
def test_a_map_reader_that_is_gone_is_said_when_the_first_package_is_asked_for(tmp_path: Path, python: Python) -> None:
    view = build_view(tmp_path / "view", WHEELS, python)
    (view.site_packages / "_storectl.pth").write_text("import _storectl; _storectl.start_uncustomized()\n")
    (view.site_packages.parent / "_storectl_map.py").unlink()
    assert view.run("-c", "import json").stderr == ""
    done = view.run("-c", "import alpha.one, alpha.two; print(type(alpha.__loader__).__module__)")
    assert (done.returncode, done.stdout) == (0, "_frozen_importlib_external\n")
    assert re.fullmatch(
        r"storectl: the import map cannot be used \(.*_storectl_map.*\); using the plain environment\n", done.stderr
    )


def test_a_start_leaves_the_map_reader_out_of_the_modules(view: View) -> None:
    program = (
        "import alpha.one, json, sys; print(json.dumps([name for name in sys.modules if name.startswith('_storectl')]))"
    )
    assert view.json(program) == []


def test_after_a_change_is_told_an_uncustomized_view_is_looked_at_again(view: View) -> None:
    (view.site_packages / "_storectl.pth").write_text("import _storectl; _storectl.start_uncustomized()\n")
    (view.site_packages / "sitecustomize.py").write_text("")
    program = "import importlib, json; importlib.invalidate_caches(); import sitecustomize as s; print(json.dumps(s.__file__))"
    assert view.json(program) == str(view.site_packages / "sitecustomize.py")


def test_the_kernel_and_a_walk_through_the_links_find_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "a folder" / "(deleted)").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a folder")
    shim = fresh_shim()
    for path in (tmp_path, tmp_path / "link", tmp_path / "link" / "(deleted)", tmp_path / "missing"):
        assert shim.real_path(str(path)) == os.path.realpath(path)


@pytest.mark.parametrize("flags", [("-I",), ("-s",), ("-E",), ("-O",), ("-B",), ("-Xdev",), ("-X", "utf8")], ids=str)
def test_flags_keep_the_shim(view: View, flags: tuple[str, ...]) -> None:
    assert state(view, *flags)["hooks"] == 1


def test_a_start_without_site_is_without_the_shim(view: View) -> None:
    program = "import sys; print(int(any(hasattr(hook, 'storectl_view') for hook in sys.path_hooks)))"
    assert view.json(program, "-S") == 0
    sees = f"import sys; sys.path.append({str(view.site_packages)!r}); import alpha.one; print(1)"
    assert view.json(sees, "-S") == 1


def test_import_times_are_shown_for_modules_of_the_view(view: View) -> None:
    done = view.run("-X", "importtime", "-c", "import alpha.one")
    assert done.returncode == 0
    assert "alpha.one" in done.stderr


def test_starting_again_is_harmless(view: View) -> None:
    program = """
import json, site, sys
before = [list(sys.path), list(sys.path_hooks), sorted(sys.modules)]
import _storectl
_storectl.start()
_storectl.start()
del _storectl
site.addsitedir([entry for entry in sys.path if entry.endswith("site-packages")][0])
import alpha
del sys.modules["alpha"]
print(json.dumps(before == [list(sys.path), list(sys.path_hooks), sorted(sys.modules)]))
"""
    assert view.json(program) is True


def test_a_second_copy_of_the_module_adds_no_second_hook(view: View) -> None:
    program = """
import importlib.machinery, importlib.util, json, sys
place = importlib.machinery.FileFinder([entry for entry in sys.path if entry.endswith("site-packages")][0],
    (importlib.machinery.SourceFileLoader, [".py"])).find_spec("_storectl")
copy = importlib.util.module_from_spec(place)
place.loader.exec_module(copy)
copy.start()
print(sum(hasattr(hook, "storectl_view") for hook in sys.path_hooks))
"""
    assert view.json(program) == 1


@EVERY_PYTHON
def test_a_process_started_through_a_link_belongs_to_the_environment_behind_it(tmp_path: Path, python: Python) -> None:
    view = build_view(tmp_path / "view", WHEELS, python)
    link = tmp_path / "project.venv"
    link.symlink_to(view.root)
    linked, direct = state(view, through=link), state(view)
    assert linked == direct
    assert linked["prefixes"] == [str(view.root)] * 2
    assert linked["executable"] == str(view.executable)
    assert str(link) not in json.dumps(linked)


def test_a_search_path_that_names_the_environment_adds_nothing_to_it_through_a_link(tmp_path: Path) -> None:
    view = build_view(tmp_path / "view", WHEELS, pythons()[0])
    link = tmp_path / "project.venv"
    link.symlink_to(view.root)
    program = "import json, sys, alpha; print(json.dumps([sys.path, sys.prefix, sys.executable, alpha.__file__]))"
    variables = {"PYTHONPATH": str(view.site_packages)}
    linked, direct = (view.json(program, through=root, environ=variables) for root in (link, None))
    assert linked == direct
    assert json.dumps(linked).count(f'{view.site_packages}"') == 1
    assert str(link) not in json.dumps(linked)


def test_a_move_of_the_link_does_not_reach_a_running_program(tmp_path: Path) -> None:
    python = pythons()[0]
    old = build_view(tmp_path / "old", WHEELS, python)
    new = build_view(tmp_path / "new", [make_wheel("alpha", files={"alpha/__init__.py": ""})], python)
    link = tmp_path / "link"
    link.symlink_to(old.root)
    program = f"""
import os, json, subprocess, sys
import alpha.one
os.symlink({str(new.root)!r}, {str(link)!r} + ".new")
os.rename({str(link)!r} + ".new", {str(link)!r})
import alpha.two, single
child = subprocess.run([sys.executable, "-c", "import alpha.two; print(alpha.two.__file__)"], capture_output=True, text=True)
print(json.dumps([alpha.one.__file__, alpha.two.__file__, single.__file__, child.stdout.strip()]))
"""
    files = old.json(program, through=link)
    site = old.site_packages
    assert files == [str(site / name) for name in ("alpha/one.py", "alpha/two.py", "single.py", "alpha/two.py")]


def test_path_lines_of_later_pth_files_end_in_the_environment_behind_the_link(tmp_path: Path) -> None:
    wheel = make_wheel("ns", files={"ns/part/x.py": "", "ns/y.py": "", "sub/inner.py": ""})
    view = build_view(tmp_path / "view", [wheel], pythons()[0])
    (view.site_packages / "a.pth").write_text("sub\n")
    (view.site_packages / "z-nspkg.pth").write_text(
        "import sys, types, os; d = sys._getframe(1).f_locals['sitedir']; m = sys.modules.setdefault('ns', "
        "types.ModuleType('ns')); m.__path__ = [os.path.join(d, 'ns')]\n"
    )
    link = tmp_path / "link"
    link.symlink_to(view.root)
    program = (
        "import json, inner, ns.y, ns.part.x; print(json.dumps([inner.__file__, ns.y.__file__, ns.part.x.__file__]))"
    )
    files = view.json(program, through=link)
    assert files == [str(view.site_packages / name) for name in ("sub/inner.py", "ns/y.py", "ns/part/x.py")]


@EVERY_PYTHON
def test_through_a_link_the_path_is_what_it_is_without(tmp_path: Path, python: Python) -> None:
    wheel = make_wheel("subs", files={"early/x.py": "", "late/y.py": "", "late/ns/z.py": ""})
    view = build_view(tmp_path / "view", [wheel], python)
    for name, lines in (("Early.pth", "early\n"), ("late.pth", "late\nearly\n"), ("zz.pth", f"{tmp_path}\n")):
        (view.site_packages / name).write_text(lines)
    link = tmp_path / "link"
    link.symlink_to(view.root)
    assert state(view, through=link)["path"] == state(view)["path"]
    program = "import json, ns; print(json.dumps(list(ns.__path__)))"
    assert view.json(program, through=link) == [str(view.site_packages / "late/ns")]


def test_local_code_keeps_its_place_before_the_environment(view: View, tmp_path: Path) -> None:
    local = tmp_path / "project"
    for folder in ("alpha", "single", "names"):
        (local / folder).mkdir(parents=True)
    (local / "single.py").write_text("")
    program = "import alpha, json, single; print(json.dumps([alpha.__file__, single.__file__]))"
    files = view.json(program, environ={"PYTHONPATH": str(local)})
    assert files == [str(view.site_packages / "alpha" / "__init__.py"), str(local / "single.py")]


def test_a_namespace_is_merged_with_local_and_late_portions(tmp_path: Path) -> None:
    view = build_view(tmp_path / "view", [make_wheel("acme-a", files={"acme/a.py": ""})], pythons()[0])
    for portion, module in (("local", "b"), ("late", "c")):
        (tmp_path / portion / "acme").mkdir(parents=True)
        (tmp_path / portion / "acme" / f"{module}.py").write_text("")
    program = f"import acme.a, acme.b, sys; sys.path.append({str(tmp_path / 'late')!r}); import acme.c; print(1)"
    assert view.json(program, environ={"PYTHONPATH": str(tmp_path / "local")}) == 1


def test_imports_from_many_threads_at_once_all_succeed(tmp_path: Path) -> None:
    files = {f"package_{n}/{name}.py": "" for n in range(20) for name in ("__init__", "x", "y")}
    view = build_view(tmp_path / "view", [make_wheel("many", files=files)], pythons()[-1])
    program = """
import importlib, json, threading
failures, together = [], threading.Barrier(8)
def load():
    together.wait()
    for n in range(20):
        for name in ("x", "y"):
            try:
                importlib.import_module(f"package_{n}.{name}")
            except BaseException as error:
                failures.append(repr(error))
threads = [threading.Thread(target=load) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps(failures))
"""
    assert view.json(program) == []


@EVERY_PYTHON
def test_a_subinterpreter_has_a_hook_of_its_own(tmp_path: Path, python: Python) -> None:
    view = build_view(tmp_path / "view", WHEELS, python)
    program = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
one = interpreters.create()
failed = interpreters.run_string(one, "import alpha.one; assert type(alpha.__loader__).__module__ == '_storectl_map'")
interpreters.destroy(one)
print(int(failed is None))
"""
    assert view.json(program) == 1


def test_children_of_every_kind_see_the_environment(view: View, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing\n"
        "def child(queue):\n    import alpha.one\n    queue.put(type(alpha.one.__loader__).__module__)\n"
        "if __name__ == '__main__':\n"
        "    for kind in ('fork', 'spawn', 'forkserver'):\n"
        "        context = multiprocessing.get_context(kind)\n"
        "        queue = context.Queue()\n"
        "        process = context.Process(target=child, args=(queue,))\n"
        "        process.start()\n        print(queue.get())\n        process.join()\n"
    )
    done = view.run(str(script))
    assert done.stdout.split() == ["_storectl_map"] * 3, done.stderr


def test_another_version_of_python_sent_to_the_view_has_it_plain(tmp_path: Path) -> None:
    if len(pythons()) == 1:
        pytest.skip("one version of Python is all there is")
    view = build_view(tmp_path / "view", WHEELS, pythons()[1])
    other = build_view(tmp_path / "other", [], pythons()[0], shim=False)
    program = f"import site; site.addsitedir({str(view.site_packages)!r}); import alpha.one, json; print(json.dumps(type(alpha.__loader__).__module__))"
    assert other.json(program) == "_frozen_importlib_external"


@pytest.mark.parametrize("name", ["geteuid", "getegid"])
def test_a_program_with_the_rights_of_another_user_starts_without_it(
    view: View, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shim = fresh_shim()
    shim.__file__ = str(view.site_packages / "_storectl.py")
    hooks = list(sys.path_hooks)
    monkeypatch.setattr(sys, "path_hooks", list(hooks))
    monkeypatch.setattr(os, name, lambda: getattr(os, name.replace("gete", "get"))() + 1)
    shim.start()
    assert sys.path_hooks == hooks


def test_hits_and_misses_ask_no_file_system(view: View) -> None:
    hook = hook_of(view.site_packages, STANDARD_HOOK)
    top, below = hook(str(view.site_packages)), hook(str(view.site_packages / "alpha"))
    assert top.find_spec("single") is not None
    shutil.rmtree(view.root)
    assert top.find_spec("sitecustomize") is None
    assert top.find_spec("alpha").origin == str(view.site_packages / "alpha" / "__init__.py")
    assert below.find_spec("alpha.two").origin == str(view.site_packages / "alpha" / "two.py")
    assert below.find_spec("alpha.three") is None


def test_a_finder_can_be_made_as_a_stock_one_is(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("")
    shim = fresh_shim()
    finder = shim.FileFinder(str(tmp_path), (importlib.machinery.SourceFileLoader, [".py"]))
    assert finder.find_spec("module").origin == str(tmp_path / "module.py")
    assert finder.find_spec("missing") is None


def test_folders_beside_the_view_are_left_to_the_hook_that_was_there(view: View) -> None:
    asked: list[object] = []
    hook = hook_of(view.site_packages, asked.append)
    beside = [
        f"{view.site_packages}-2",
        str(view.root),
        "",
        f"{view.site_packages}/nothing",
        f"{view.site_packages}/",
        b"x",
        None,
    ]
    for path in [*beside, str(view.site_packages)]:
        hook(path)
    assert asked == beside


def test_torn_bytecode_is_as_good_as_none(view: View) -> None:
    entry = view.root.with_name("view.store") / "0" / "alpha" / "__pycache__"
    entry.mkdir()
    magic = importlib.util.MAGIC_NUMBER + b"\x01\0\0\0" + bytes(8)
    for content in (b"", magic, magic + bytes(100), magic + b"\xe3\x00\x00"):
        (entry / f"one.{view.python.cache_tag}.pyc").write_bytes(content)
        assert view.json("import alpha.one; print(1)") == 1


def test_unchecked_bytecode_is_run_and_named_after_the_view(view: View) -> None:
    entry = view.root.with_name("view.store") / "0" / "alpha"
    code = compile("def f(): pass\nNAME = 'from bytecode'", "alpha/one.py", "exec")
    content = importlib.util.MAGIC_NUMBER + b"\x01\0\0\0" + b"12345678" + marshal.dumps(code)
    (entry / "__pycache__").mkdir()
    (entry / "__pycache__" / f"one.{view.python.cache_tag}.pyc").write_bytes(content)
    program = "import alpha.one, json; print(json.dumps([alpha.one.NAME, alpha.one.f.__code__.co_filename]))"
    assert view.json(program) == ["from bytecode", str(view.site_packages / "alpha" / "one.py")]
    always = view.run("--check-hash-based-pycs", "always", "-c", "import alpha.one; print(alpha.one.NAME)")
    assert "AttributeError" in always.stderr


def test_the_map_that_is_published_is_the_map_that_is_read(view: View) -> None:
    other = map_of(view, ["alpha/__init__.py", "alpha/one.py"])
    view.import_map.write_bytes(other)
    assert view.json("import importlib.util; print(int(importlib.util.find_spec('single') is None))") == 1
