"""Packages that several wheels, or a wheel and the project, write into: rows 15 to 24 of docs/fidelity-cases.md."""

from pathlib import Path

import pytest

from fidelity.asked import Asked

OWN = ("_storectl", "_virtualenv")
"""What storectl and uv add of their own."""
TELL = """
import importlib, json, pkgutil, sys
def tell(name):
    module = importlib.import_module(name)
    return [list(module.__path__), type(module.__path__).__name__, repr(module), getattr(module, "__file__", None),
            sorted([m.name, m.ispkg] for m in pkgutil.iter_modules(module.__path__)),
            sorted(m.name for m in pkgutil.walk_packages(module.__path__, name + ".", onerror=lambda name: None))]
"""


@pytest.mark.network
def test_namespaces_of_real_packages_and_nested_ones(real: Asked) -> None:
    names = ["google", "google.api", "jaraco", "opentelemetry", "opentelemetry.exporter", "opentelemetry.exporter.otlp"]
    program = f"""{TELL}
import google.api.http_pb2, google.protobuf, google.rpc.status_pb2, jaraco.context, jaraco.functools
import opentelemetry.exporter.otlp.proto.common, opentelemetry.instrumentation, opentelemetry.trace
print(json.dumps({{name: tell(name) for name in {names!r}}}))
"""
    found = real.ask(program)
    assert {kind for _, kind, *_ in found.values()} == {"_NamespacePath"}
    assert ["protobuf", True] in found["google"][4]
    assert {name for name, _ in found["jaraco"][4]} == {"context", "functools"}


def test_nested_namespaces_of_made_up_wheels(made: Asked) -> None:
    program = f"""{TELL}
import acme.cloud.queue, acme.cloud.store
print(json.dumps([tell("acme.cloud"), acme.cloud.queue.PLACE, acme.cloud.store.PLACE]))
"""
    (path, kind, _, file, children, _), *places = made.ask(program)
    assert (kind, file, places) == ("_NamespacePath", None, ["wheel", "wheel"])
    assert len(path) == 1
    assert children == [["queue", False], ["store", True]]


def test_a_namespace_that_is_partly_in_the_project_and_grows_late(made: Asked, tmp_path: Path) -> None:
    (tmp_path / "acme/late").mkdir(parents=True)
    (tmp_path / "acme/late/__init__.py").write_text("PLACE = 'late'\n")
    program = f"""{TELL}
import acme.own, acme.one
before = tell("acme")
sys.path.append({str(tmp_path)!r})
import acme.late
print(json.dumps([before, tell("acme"), [acme.own.PLACE, acme.one.PLACE, acme.late.PLACE]]))
"""
    before, after, places = made.ask(program)
    assert places == ["project", "wheel", "late"]
    assert [name for name, _ in before[4]] == ["one", "own", "two"]
    assert after[0] == [*before[0], str(tmp_path / "acme")]
    assert before[0][1:] == [str(made.project / "src/acme")]


def test_packages_that_extend_their_path(made: Asked, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/__init__.py").write_text("__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n")
    (tmp_path / "old/own.py").write_text("")
    program = f"{TELL}\nimport old.one, old.two\nprint(json.dumps(tell('old')))"
    assert [name for name, _ in made.ask(program)[4]] == ["one", "two"]
    path, *_, children, _ = made.ask(program, environ={"PYTHONPATH": str(tmp_path)})
    assert path[0] == str(tmp_path / "old")
    assert [name for name, _ in children] == ["one", "own", "two"]


@pytest.mark.network
def test_namespaces_that_pth_files_make(real: Asked, tmp_path: Path) -> None:
    (tmp_path / "zope/mine").mkdir(parents=True)
    (tmp_path / "zope/mine/__init__.py").write_text("PLACE = 'mine'\n")
    (tmp_path / "zope/__init__.py").write_text("__import__('pkg_resources').declare_namespace(__name__)\n")
    program = f"""{TELL}
import warnings; warnings.simplefilter("ignore")
before = "zope" in sys.modules
import zope.event, zope.interface, zope.interface._zope_interface_coptimizations
print(json.dumps([before, tell("zope")[:2], [name for name, _ in tell("zope")[4]], zope.interface.__file__]))
"""
    before, (path, _), children, _ = real.ask(program)
    assert before
    assert len(path) == 1
    assert {"event", "interface"} <= set(children)
    assert real.say("python", "-c", "import zope.mine", environ={"PYTHONPATH": str(tmp_path)}).code == 1


def test_a_regular_package_of_two_wheels_and_what_is_nested_in_it(made: Asked) -> None:
    program = f"""{TELL}
import both, both.deep.left, both.deep.right, importlib.resources as r, os
print(json.dumps([tell("both"), tell("both.deep"), sorted(set(os.listdir(both.__path__[0])) - {{"__pycache__"}}),
                  [(r.files("both") / name).read_text() for name in ("left.txt", "right.txt")]]))
"""
    both, deep, listed, texts = made.ask(program)
    assert len(both[0]) == len(deep[0]) == 1
    assert [name for name, _ in deep[4]] == ["left", "right"]
    assert {"__init__.py", "deep", "left.txt", "right.txt"} <= set(listed)
    assert texts == ["L", "R"]


def test_all_modules_of_the_environment_are_listed(made: Asked) -> None:
    program = f"""
import json, pkgutil
print(json.dumps(sorted([m.name, m.ispkg, type(m.module_finder).__name__] for m in pkgutil.iter_modules() if m.name not in {OWN!r})))
"""
    listed = {name: is_package for name, is_package, _ in made.ask(program)}
    assert {name: listed.get(name) for name in ("order", "single", "natively", "compiled", "alone", "acme")} == {
        "order": True, "single": False, "natively": True, "compiled": True, "alone": False, "acme": None,
    }  # fmt: skip
