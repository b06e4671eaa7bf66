"""Which module an import finds: rows 1 to 14 of docs/fidelity-cases.md."""

import json
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from fidelity.asked import Asked
from fidelity.made import extension_module

SPEC = """
import importlib, importlib.util, json, sys
def kind(loader):
    return None if loader is None else [k.__name__ for k in type(loader).__mro__ if "importlib" in k.__module__][0]
def spec_of(name):
    try:
        spec = importlib.util.find_spec(name)
    except Exception as error:
        return [type(error).__name__, str(error)]
    if spec is None:
        return None
    places = spec.submodule_search_locations
    return [spec.name, kind(spec.loader), spec.origin, spec.cached, spec.has_location, spec.parent,
            None if places is None else [type(places).__name__, list(places)]]
"""


@pytest.mark.network
def test_packages_whose_import_names_are_not_the_projects(real: Asked) -> None:
    program = """
import PIL, _yaml, attr, attrs, bs4, dateutil, importlib.metadata, json, yaml
names = importlib.metadata.packages_distributions()
print(json.dumps({m.__name__: [m.__file__, sorted(set(names[m.__name__]))] for m in (PIL, _yaml, attr, attrs, bs4, dateutil, yaml)}))
"""
    site = real.site
    assert real.ask(program) == {
        "PIL": [f"{site}/PIL/__init__.py", ["pillow"]],
        "_yaml": [f"{site}/_yaml/__init__.py", ["PyYAML"]],
        "attr": [f"{site}/attr/__init__.py", ["attrs"]],
        "attrs": [f"{site}/attrs/__init__.py", ["attrs"]],
        "bs4": [f"{site}/bs4/__init__.py", ["beautifulsoup4"]],
        "dateutil": [f"{site}/dateutil/__init__.py", ["python-dateutil"]],
        "yaml": [f"{site}/yaml/__init__.py", ["PyYAML"]],
    }


@pytest.mark.network
def test_modules_that_are_one_file_are_found_and_run_by_name(real: Asked) -> None:
    program = "import json, six, typing_extensions as t; print(json.dumps([six.__file__, t.__file__]))"
    assert real.ask(program) == [f"{real.site}/six.py", f"{real.site}/typing_extensions.py"]
    for module in ("six", "certifi"):
        assert real.say("python", "-m", module, "--help").err == ""


def test_a_module_run_by_name_knows_what_it_is(made: Asked) -> None:
    said = made.say("python", "-c", "import runpy; print(runpy.run_module('single')['__spec__'].origin)")
    assert said.out == f"{made.site}/single.py\n"
    assert made.say("python", "-m", "single").code == 0
    assert made.ask("import json, order.größe as m; print(json.dumps([m.X, m.__file__]))")[0] == 1


@pytest.mark.network
def test_extension_modules_at_the_top_and_abi3_ones_are_found(real: Asked) -> None:
    program = """
import json, sys, _cffi_backend, _ruamel_yaml, google._upb._message, pytokens, yaml._yaml
print(json.dumps(sorted([m.__name__, m.__file__, m.__spec__.origin, type(m.__loader__).__name__] for m in sys.modules.values()
    if "site-packages" in (getattr(m, "__file__", None) or "") and m.__file__.endswith(".so"))))
"""
    found = {name: (file, loader) for name, file, _, loader in real.ask(program)}
    assert {"_cffi_backend", "_ruamel_yaml", "google._upb._message", "yaml._yaml"} <= found.keys()
    assert found["google._upb._message"][0] == f"{real.site}/google/_upb/_message.abi3.so"
    assert any(name.endswith("__mypyc") for name in found)
    assert {loader for _, loader in found.values()} == {"ExtensionFileLoader"}


def test_of_several_files_for_one_name_the_suffix_decides(made: Asked) -> None:
    names = ["order.both", "order.last", "order.bare", "order.bare.deep", "order.data", "order.größe", *_NUMBERED]
    found = made.ask(f"{SPEC}\nprint(json.dumps({{name: spec_of(name) for name in {names!r}}}))")
    place = f"{made.site}/order"
    assert found["order.both"][2] == f"{place}/both/__init__.py"
    assert found["order.last"][2] == f"{place}/last.py"
    assert found["order.bare"][6] == ["_NamespacePath", [f"{place}/bare"]]
    kinds = [found[name][1] for name in _NUMBERED]
    assert kinds == ["ExtensionFileLoader"] * (len(kinds) - 2) + ["SourceFileLoader", "SourcelessFileLoader"]


_NUMBERED = [f"order.at{number}" for number in range(len(EXTENSION_SUFFIXES) + 2)]


@pytest.mark.network
def test_a_module_and_a_package_of_one_name_from_two_wheels(real: Asked) -> None:
    found = real.ask(f"{SPEC}\nimport multipart\nprint(json.dumps([multipart.__file__, multipart.__version__]))")
    # The package wins; it is a stand-in that looks for the module of that name and puts it in its place.
    assert found[0] == f"{real.site}/multipart.py"


def test_the_first_entry_of_the_path_wins_but_a_bare_folder_does_not(made: Asked, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "order").mkdir()
    (tmp_path / "order/__init__.py").write_text("PLACE = 'path'\n")
    program = "import json, order, redis, sys; print(json.dumps([order.PLACE, redis.PLACE]))"
    assert made.ask(program, environ={"PYTHONPATH": str(tmp_path)}) == ["path", "wheel"]


@pytest.mark.skipif(extension_module() is None, reason="this Python's extension modules are built in")
def test_a_package_whose_init_is_an_extension_module(made: Asked) -> None:
    program = "import json, natively._bisect as b; print(json.dumps([b.bisect_right([1, 2], 1), b.__file__, list(b.__path__), b.__package__]))"
    place = f"{made.site}/natively/_bisect"
    number, file, path, package = made.ask(program)
    assert (number, path, package) == (1, [place], "natively._bisect")
    assert file.startswith(f"{place}/__init__.")


def test_packages_and_modules_without_source(made: Asked) -> None:
    program = """
import alone, compiled, compiled.inner, importlib.resources as r, json, inspect
print(json.dumps([[m.PLACE, m.__file__, m.__cached__, type(m.__loader__).__name__, inspect.getsourcefile(m)]
                  for m in (alone, compiled, compiled.inner)]))
"""
    found = made.ask(program)
    assert [file for _, file, *_ in found] == [
        f"{made.site}/{name}.pyc" for name in ("alone", "compiled/__init__", "compiled/inner")
    ]
    assert {(place, loader) for place, _, _, loader, _ in found} == {("bytecode", "SourcelessFileLoader")}


@pytest.mark.network
def test_what_is_no_module_cannot_be_imported(real: Asked) -> None:
    program = f"""{SPEC}
def outcome(name):
    try:
        return repr(importlib.import_module(name))
    except ImportError as error:
        return [type(error).__name__, str(error), error.name, error.path]
names = ["pillow", "pillow.libs", "certifi-1.dist-info", "_cffi_backend.x", "certifi.cacert", "PIL.py", "certifi.cacert.pem", "Certifi"]
print(json.dumps([[spec_of(name), outcome(name)] for name in names]))
"""
    assert all(outcome[0] == "ModuleNotFoundError" for _, outcome in real.ask(program))


def test_names_that_are_no_identifiers(made: Asked) -> None:
    names = ["stray", "stray.libs", "stray-data", "stray-data.x", "holder.data", "holder-1"]
    found = made.ask(f"{SPEC}\nprint(json.dumps([spec_of(name) for name in {names!r}]))")
    assert found[0] is None
    assert found[1][0] == "ModuleNotFoundError"
    assert found[3][2] == f"{made.site}/stray-data/x.py"


PLACES = """
import colorsys, docker, enum, given, json, os, redis, sys
print(json.dumps([docker.PLACE, given.PLACE, redis.PLACE, hasattr(enum, "PLACE"), hasattr(colorsys, "PLACE"), sys.path]))
"""


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A folder with a module, a bare folder and a folder on PYTHONPATH, all named like wheels."""
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/Dockerfile").write_text("")
    (tmp_path / "redis.py").write_text("PLACE = 'script'\n")
    (tmp_path / "path").mkdir()
    (tmp_path / "path/given.py").write_text("PLACE = 'path'\n")
    (tmp_path / "main.py").write_text(PLACES)
    return tmp_path


@pytest.mark.parametrize("how", ["script", "module", "code", "isolated", "safe path"])
def test_local_code_and_the_standard_library_come_first_and_a_bare_folder_hides_nothing(
    made: Asked, local: Path, how: str
) -> None:
    arguments = {
        "script": [str(local / "main.py")],
        "module": ["-m", "main"],
        "code": ["-c", PLACES],
        "isolated": ["-I", str(local / "main.py")],
        "safe path": ["-P", str(local / "main.py")],
    }[how]
    said = made.say("python", *arguments, cwd=local, environ={"PYTHONPATH": str(local / "path")})
    assert said.code == 0, said.err
    first = "wheel" if how in {"isolated", "safe path"} else "script"
    given = "wheel" if how == "isolated" else "path"
    assert json.loads(said.out)[:5] == ["wheel", given, first, False, False]


STARTED = """
import __main__, json, os, signal, site, sys
import acme.own, redis
print(json.dumps([
    sys.path, sys.argv, sys.orig_argv[1:], sys.executable, [sys.prefix, sys.base_prefix, site.PREFIXES], str(sys.flags), __name__,
    getattr(__main__, "__file__", None), getattr(__main__.__spec__, "name", None), redis.__file__, os.getcwd(), sys.stdin.name,
    [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP)],
    sorted(set(os.listdir("/proc/self/fd")) - {"9", "200"}), os.environ["PATH"], sorted(set(os.environ) - {"STORECTL_SOCKET"}), os.environ["VIRTUAL_ENV"],
]))
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs a list of open files")
@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["started/main.py", "a b", "--", "-x"], ""), (["-m", "started", "z"], ""), (["started"], ""), (["-c", STARTED, "x"], ""),
        (["-"], STARTED), ([], STARTED),
    ],
    ids=["script", "module", "folder", "code", "dash", "standard input"],
)  # fmt: skip
def test_programs_start_with_storectl_run_as_with_the_python_of_a_venv(
    made: Asked, arguments: list[str], stdin: str
) -> None:
    folder = made.project / "started"
    folder.mkdir(exist_ok=True)
    for name, text in (("__init__", ""), ("__main__", STARTED), ("main", STARTED), ("redis", "")):
        (folder / f"{name}.py").write_text(text)
    said = made.run(*arguments, stdin=stdin)
    assert said.code == 0, said.err
    assert f"{made.site}/redis/__init__.py" in said.out or str(folder / "redis.py") in said.out


@pytest.mark.parametrize("regular", [True, False])
def test_a_project_has_its_own_tests_and_docs(made: Asked, tmp_path: Path, *, regular: bool) -> None:
    for name in ("tests", "docs", "examples"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text("PLACE = 'project'\n")
        if regular:
            (tmp_path / name / "__init__.py").write_text("")
    program = f"{SPEC}\nprint(json.dumps([spec_of(name) for name in ('tests', 'docs', 'examples', 'tests.mine', 'tests.helper')]))"
    tests, _, _, mine, helper = made.ask(program, cwd=tmp_path)
    assert (tests[2] == str(tmp_path / "tests/__init__.py")) is regular
    assert (mine is not None) is regular
    assert (helper is None) is regular


def test_packages_of_the_base_interpreter_and_of_the_user_are_hidden(made: Asked) -> None:
    user = made.machine.home / ".local/lib"
    program = f"{SPEC}\nimport site; print(json.dumps([spec_of('of_the_user'), spec_of('pip'), site.ENABLE_USER_SITE, site.getsitepackages()]))"
    for version in ("3.11", "3.12", "3.13", "3.14"):
        folder = user / f"python{version}/site-packages"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "of_the_user.py").write_text("")
    assert made.ask(program) == [None, None, False, [made.site]]
    assert made.ask(program, environ={"PYTHONUSERBASE": str(made.machine.home / ".local")})[0] is None


def test_specs_and_modules_say_the_same_of_themselves(made: Asked) -> None:
    program = f"""{SPEC}
import inspect, linecache, traceback
found = {{}}
for name in ("single", "order", "holder", "holder.data", "compiled", "acme", "acme.one", "old.one", "both.deep.left", "alone"):
    module = importlib.import_module(name)
    spec = module.__spec__
    importlib.invalidate_caches()
    again = importlib.reload(module)
    found[name] = [spec_of(name), getattr(module, "__file__", None), getattr(module, "__cached__", None), module.__package__,
                   again is module, again.__spec__ is spec, kind(module.__loader__), list(getattr(module, "__path__", [])),
                   inspect.getsourcefile(module) if getattr(module, "__file__", None) else None]
import startup_module
found["source"] = [inspect.getsource(startup_module), linecache.getlines(startup_module.__file__)]
loader = importlib.util.find_spec("single").loader
found["loader"] = [loader.name, loader.path, loader.get_filename("single"), loader.is_package("single"), loader.get_source("single"),
                   loader.get_code("single").co_filename, sorted(loader.path_stats(loader.path)), loader.get_data(loader.path).decode(),
                   isinstance(loader, importlib.machinery.SourceFileLoader), loader == importlib.util.find_spec("single").loader]
print(json.dumps(found))
"""
    found = made.ask(program)
    assert found["single"][0][:3] == ["single", "SourceFileLoader", f"{made.site}/single.py"]
    assert found["loader"][-2:] == [True, True]


def test_loaders_and_specs_compare_and_travel_as_the_standard_ones_do(made: Asked) -> None:
    program = """
import copy, importlib.machinery, importlib.util, json, order, pickle, sys
loader, stock = order.__loader__, importlib.machinery.SourceFileLoader("order", order.__file__)
made = importlib.util.spec_from_file_location("order", order.__file__, submodule_search_locations=list(order.__path__))
sent = pickle.loads(pickle.dumps(loader))
print(json.dumps([loader == stock, stock == loader, loader != stock, hash(loader) == hash(stock), made == order.__spec__,
                  loader == importlib.machinery.SourceFileLoader("order", "other"), loader == importlib.machinery.SourcelessFileLoader("order", order.__file__),
                  copy.copy(loader) == loader, copy.deepcopy(order.__spec__) == order.__spec__, sent == loader, [sent.name, sent.path],
                  type(sent).__module__, "_storectl" in sys.modules, len({loader, stock, sent})]))
"""
    equal = made.ask(program)
    assert equal[:5] == [True, True, False, True, True]
    assert equal[5:7] == [False, False]


def test_loaders_and_specs_are_printed_as_the_standard_ones_are(made: Asked) -> None:
    program = """
import json, order, re, single
print(json.dumps([re.sub("0x[0-9a-f]+", "ADDRESS", text) for text in
                  (repr(order.__loader__), repr(order.__spec__), str(single.__spec__), repr(single))]
                 + [hex(id(single.__loader__)) in repr(single.__loader__)]))
"""
    shown = made.ask(program)
    assert shown[0] == "<_frozen_importlib_external.SourceFileLoader object at ADDRESS>"
    assert shown[-1] is True


def test_a_watcher_of_source_files_sees_the_same_files(made: Asked) -> None:
    """What reloaders (Django's, IPython's, uvicorn's) do: all files of all modules, by their specs."""
    program = """
import json, sys
import acme.one, both.deep.left, compiled, holder, old.two, order.both, single
files = set()
for module in list(sys.modules.values()):
    spec = getattr(module, "__spec__", None)
    if spec is not None and spec.has_location and spec.name.partition(".")[0] not in ("_storectl", "_virtualenv"):
        files.add(spec.loader.archive if hasattr(spec.loader, "archive") else spec.origin)
print(json.dumps(sorted(files)))
"""
    files = made.ask(program)
    assert {f"{made.site}/{name}" for name in ("single.py", "acme/one.py", "old/two.py")} <= set(files)


@pytest.mark.network
def test_pytest_rewrites_the_assertions_of_installed_plugins(real: Asked, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("""
import sys
def test_loader(mocker):
    print("LOADER", type(sys.modules["pytest_mock.plugin"].__loader__).__name__)
def test_message(mocker):
    stub = mocker.stub()
    stub(1)
    stub.assert_called_once_with(2)
""")
    lines = ["--no-header", "-rN", "-q", "-q"]  # the others tell times
    said = real.say("pytest", "-p", "no:cacheprovider", "-s", *lines, "test_it.py", cwd=tmp_path)
    assert (said.code, said.err) == (1, "")
    assert "LOADER AssertionRewritingHook" in said.out
    assert "Expected: mock(2)" in said.out


def test_tools_that_ask_the_path_finder_itself(made: Asked) -> None:
    program = """
import importlib.machinery, json, os, pkgutil, sys
find = importlib.machinery.PathFinder.find_spec
site = [entry for entry in sys.path if entry.endswith("site-packages")]
specs = [find("order"), find("order", site), find("acme"), find("order.both", [site[0] + "/order"]), find("nothing", site)]
finder = pkgutil.get_importer(site[0])
specs.append(finder.find_spec("single"))
print(json.dumps([[spec.origin, spec.submodule_search_locations and list(spec.submodule_search_locations)] if spec else None
                  for spec in specs] + [type(finder).__name__, isinstance(finder, importlib.machinery.FileFinder), finder.path]))
"""
    found = made.ask(program)
    assert found[0] == found[1] == [f"{made.site}/order/__init__.py", [f"{made.site}/order"]]
    assert found[4] is None
    assert found[6:] == ["FileFinder", True, made.site]


def test_a_program_may_teach_the_interpreter_another_suffix(made: Asked) -> None:
    """As Hy does for its ``.hy``: in front of the standard suffixes, and seen by every finder that is made later."""
    program = """
import holder, importlib.machinery, json, sys
importlib.machinery.SOURCE_SUFFIXES.insert(0, ".odd")
sys.path_importer_cache.clear()
import acme.one, compiled, order.tongue, order.both, single
print(json.dumps([module.__file__ for module in (order.tongue, order.both, acme.one, compiled, single)]))
"""
    assert made.ask(program)[:2] == [f"{made.site}/order/tongue.odd", f"{made.site}/order/both/__init__.py"]


def test_a_tool_finds_the_standard_hook_alone(made: Asked) -> None:
    """By its qualified name, with its loaders in its closure (beartype), or by what it is printed as (Ansible)."""
    program = """
import importlib.machinery as machinery, json, sys
standard = machinery.FileFinder.path_hook().__qualname__
(hook,) = [hook for hook in sys.path_hooks if hook.__qualname__ == standard]
details = dict(zip(hook.__code__.co_freevars, hook.__closure__))["loader_details"].cell_contents
names = [[hook.__module__, hook.__name__, type(hook).__name__, repr(hook).partition(" at ")[0]] for hook in sys.path_hooks]
print(json.dumps([type(details).__name__, sum("FileFinder" in repr(hook) for hook in sys.path_hooks), names]))
"""
    assert made.ask(program)[1] == 1


def test_a_tool_puts_its_own_hook_before_the_standard_one(made: Asked) -> None:
    """As beartype does it: with the loaders of the standard hook behind its own, for packages of the environment too."""
    program = """
import importlib.machinery as machinery, json, sys
standard = machinery.FileFinder.path_hook().__qualname__
(place,) = [place for place, hook in enumerate(sys.path_hooks) if hook.__qualname__ == standard]
hook = sys.path_hooks[place]
details = dict(zip(hook.__code__.co_freevars, hook.__closure__))["loader_details"].cell_contents
seen = []
class Loader(machinery.SourceFileLoader):
    def get_code(self, name):
        seen.append(name)
        return super().get_code(name)
sys.path_hooks.insert(place, machinery.FileFinder.path_hook((Loader, [".py"]), *details))
sys.path_importer_cache.clear()
import acme.own, compiled, order.both, order.größe
modules = [(type(module.__loader__).__name__, module.__file__) for module in (acme.own, compiled, order.both, order.größe)]
print(json.dumps([modules, [name for name in seen if name.startswith("order")]]))
"""
    modules, seen = made.ask(program)
    assert modules[2:] == [["Loader", f"{made.site}/order/both/__init__.py"], ["Loader", f"{made.site}/order/größe.py"]]
    assert seen == ["order", "order.both", "order.größe"]


@pytest.mark.network
def test_imports_may_come_late(real: Asked, tmp_path: Path) -> None:
    program = f"""
import importlib.util, json, lazy_loader, os, sys
def lazily(name):
    spec = importlib.util.find_spec(name)
    loader = spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
missing = lazy_loader.load("no_such_module")
soup, image = lazily("bs4"), lazy_loader.load("PIL", suppress_warning=True)
before = [name in sys.modules for name in ("soupsieve", "PIL._version")]
os.chdir({str(tmp_path)!r})
sys.path.insert(0, {str(tmp_path)!r})
os.closerange(3, 64)
after = [soup.BeautifulSoup("<p>x", "html.parser").p.string, isinstance(image.__version__, str), "PIL._version" in sys.modules]
try:
    missing.x
except ImportError as error:
    after.append(type(error).__name__)
print(json.dumps([before, after]))
"""
    assert real.ask(program) == [[False, False], ["x", True, True, "ModuleNotFoundError"]]
