"""Random programs: whatever the wheels, their overlaps and the order of imports, the answers are those of a plain venv.

``STORECTL_CASES`` is how many programs are made (60 without it). Each is asked with the shim and no daemon, and in one of the
other modes in turn.
"""

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uv import find_uv_bin

from fidelity.random_pair import MODES, Bench, Mode, WarmInterpreter, differences, toolchain
from support.environments import ask_interpreter, interpreters
from support.random_wheels import EXTENSION, Module, Program, Recipe, programs
from support.stores import written_store

CASES = int(os.environ.get("STORECTL_CASES", "60"))
INSTALLED = max(3, CASES // 100)

# A few random programs are large, which is nothing wrong with them.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("random").resolve()
    (folder / "plain").mkdir()
    python = interpreters()[0]
    with written_store(folder / "store") as written, WarmInterpreter(python) as warm:
        yield Bench(
            interpreter=ask_interpreter(python),
            tools=toolchain(python, folder),
            written=written,
            folder=folder / "plain",
            warm=warm,
        )


def different(bench: Bench, program: Program, *modes: Mode, forked: bool = False) -> str:
    """All that differs in these modes, "" where nothing does."""
    with bench.pair(program, forked=forked) as pair:
        expected = pair.expected()
        found = [f"{mode}: {line}" for mode in modes for line in differences(expected, pair.found(mode))]
    return "\n".join(found[:10])


@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(program=programs(), mode=st.sampled_from(MODES[1:]))
def test_a_program_gets_the_answers_of_a_plain_venv(bench: Bench, program: Program, mode: Mode) -> None:
    assert different(bench, program, "shim", mode, forked=True) == ""


@settings(max_examples=max(5, CASES // 40), deadline=None, suppress_health_check=list(HealthCheck))
@given(program=programs())
def test_it_gets_them_from_interpreters_of_its_own_too(bench: Bench, program: Program) -> None:
    assert different(bench, program, *MODES) == ""


@settings(max_examples=INSTALLED, deadline=None, suppress_health_check=list(HealthCheck))
@given(program=programs())
def test_the_plain_venv_is_what_pip_installs(bench: Bench, program: Program) -> None:
    pip = [sys.executable, "-m", "pip", "--isolated", "--quiet", "--disable-pip-version-check", "--python"]
    options = ["install", "--no-index", "--no-compile", "--no-cache-dir"]
    with bench.pair(program) as pair:
        assert pair.installed(lambda python: [*pip, str(python), *options]) == pair.unpacked()


@settings(max_examples=INSTALLED, deadline=None, suppress_health_check=list(HealthCheck))
@given(program=programs())
def test_the_plain_venv_is_what_uv_installs_where_the_order_does_not_matter(bench: Bench, program: Program) -> None:
    uv = [find_uv_bin(), "--no-config", "--offline", "--no-cache", "pip", "install", "--quiet", "--no-index"]
    with bench.pair(program) as pair:
        installed = pair.installed(lambda python: [*uv, "--link-mode", "copy", "--python", str(python)])
        unpacked = pair.unpacked()
        disputed = pair.disputed()
    assert installed.keys() == unpacked.keys()
    assert [path for path in unpacked if installed[path] != unpacked[path] and path not in disputed] == []


def one(files: dict[str, str], *, name: str = "one", beside: dict[str, str] | None = None) -> Program:
    """A program of one wheel; files by path to the name of their source."""
    contents = {path: Module(source=source) for path, source in files.items()}
    recipe = Recipe(name=name, version="1.0", files=contents, entry_points="", requires=(), data_folder="")
    return Program(
        recipes=(recipe,),
        beside_script={path: Module(source=source) for path, source in (beside or {}).items()},
        local={},
        orders=(tuple(sorted({path.partition("/")[0].partition(".")[0] for path in files})),),
        compiled=False,
    )


def test_a_difference_would_be_seen(bench: Bench) -> None:
    with bench.pair(one({"alpha.py": "value"})) as pair, bench.pair(one({"alpha.py": "again"})) as other:
        lines = list(differences(pair.expected(), other.found("shim")))
    assert any(line.startswith("order 0: 0 alpha:") for line in lines)


@pytest.mark.parametrize("source", ["is no syntax", "has a null", "has no coding", "is not utf-8"])
def test_what_is_no_python_is_told_without_a_word_of_the_shim(bench: Bench, source: str) -> None:
    program = one({"alpha/__init__.py": source, "beta.py": source, "gamma.pyc": source})
    assert different(bench, program, *MODES) == ""


def test_a_module_may_be_an_extension_as_a_package_too(bench: Bench) -> None:
    program = one({f"alpha/__init__{EXTENSION}": "empty", "beta.so": "empty", "alpha/deep.abi3.so": "empty"})
    with bench.pair(program) as pair:
        answer = pair.found("shim")["order 0"]["0 alpha"]
    if bench.tools.extension is not None:
        assert answer[:2] == [
            "module",
            "<module 'alpha' from '<site>/alpha/__init__" + bench.tools.extension_suffix + "'>",
        ]
    assert different(bench, program, *MODES) == ""
