"""What runs before a program, and flags and variables that change it: rows 33 to 38 of docs/fidelity-cases.md."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fidelity.asked import Asked

TELL = """
import json, site, sys
import acme.own, holder, order
if sys.flags.no_site:
    sys.exit("no site")
print(json.dumps({
    "noted": getattr(sys, "noted", None),
    "path": sys.path, "prefix": [sys.prefix, sys.exec_prefix, sys.executable, sys.base_prefix, sys.base_exec_prefix],
    "flags": str(sys.flags), "site": [site.PREFIXES, site.ENABLE_USER_SITE, site.getsitepackages()],
    "cached": [order.__cached__, order.__spec__.cached, order.__file__], "argv": [sys.argv, sys.orig_argv],
    "x": sorted(sys._xoptions), "warnings": sys.warnoptions, "prefix of bytecode": sys.pycache_prefix,
}))
"""
NOTED = ["Upper", "__editable__", "a-first", "a-second", "a-second, line 2", "before", "zz-last"]


def test_lines_of_pth_files_run_in_order_and_errors_stop_one_file(made: Asked) -> None:
    said = made.say("python", "-c", "import json, sys; print(json.dumps(sys.noted))")
    noted = [name for name in json.loads(said.out) if name not in {"hidden", "bom", "module"}]
    # A venv's site goes over its folder twice; so does that of an environment.
    assert noted == [*NOTED, *NOTED, "sitecustomize"]
    assert said.err.count("Error processing line 2 of") == 2
    assert "No module named 'no_such_module'" in said.err
    assert "storectl" not in said.err


def test_folders_in_pth_files_are_on_the_path_once_and_in_order(made: Asked) -> None:
    program = "import found_deeper, found_on_path, json, sys; print(json.dumps([sys.path, found_deeper.__file__, found_on_path.__file__]))"
    path, deeper, on_path = made.ask(program)
    site = made.site
    assert path[-4:] == [site, str(made.project / "src"), f"{site}/on_path", f"{site}/on_path/deeper"]
    assert [deeper, on_path] == [f"{site}/on_path/deeper/found_deeper.py", f"{site}/on_path/found_on_path.py"]


def test_a_process_started_through_a_link_sees_everything_once(made: Asked, tmp_path: Path) -> None:
    """Editors start programs through ``.venv``: what they see is what programs started directly see."""
    program = f"""{TELL}
import acme, found_deeper, importlib.metadata as m, startup_module
print(json.dumps([list(acme.__path__), sorted(d.name for d in m.distributions()), found_deeper.__file__, startup_module.__file__,
                  acme.own.__file__, holder.__file__, m.distribution("holder").locate_file("")], default=str))
"""
    (tmp_path / ".venv").symlink_to(made.environment)
    said = {}
    for root in (made.environment, tmp_path / ".venv"):
        done = subprocess.run(
            [root / "bin/python", "-c", program],
            env=made.machine.environ,
            cwd=tmp_path,
            capture_output=True,
            check=True,
        )
        said[root] = done.stdout.decode().replace(str(root / "bin"), str(made.environment / "bin"))
    assert said[tmp_path / ".venv"] == said[made.environment]


def test_start_files_are_beside_the_pth_files_they_replace(made: Asked) -> None:
    """From Python 3.15 on a ``.start`` file is run, and the import lines of the ``.pth`` file of its name are not."""
    for root in (made.venv, made.environment):
        (start,) = root.glob("lib/python*/site-packages/a-first.start")
        assert start.read_text() == "startup_module:start\n"
        assert start.with_suffix(".pth").is_file()


def test_sitecustomize_of_a_wheel_and_of_pythonpath_run(made: Asked, tmp_path: Path) -> None:
    agent = """
import os, sys
sys.__dict__.setdefault("noted", []).append("agent")
import holder  # an agent imports what it instruments
path = [entry for entry in sys.path if entry != os.path.dirname(__file__)]
del sys.modules["sitecustomize"]
sys.path, whole = path, sys.path
import sitecustomize
sys.path = whole
"""
    (tmp_path / "sitecustomize.py").write_text(agent)
    (tmp_path / "usercustomize.py").write_text("import sys; sys.noted.append('user')\n")
    program = "import json, sys; print(json.dumps(sys.noted[-3:]))"
    assert made.ask(program)[-1] == "sitecustomize"
    assert made.ask(program, environ={"PYTHONPATH": str(tmp_path)})[-2:] == ["agent", "sitecustomize"]


@pytest.mark.network
def test_an_agent_starts_a_program_with_its_own_sitecustomize(real: Asked) -> None:
    program = "import json, sys; print(json.dumps(sorted(n for n in sys.modules if n.startswith(('opentelemetry', 'sitecustomize')))))"
    said = real.say("opentelemetry-instrument", "python", "-c", program, environ={"OTEL_SDK_DISABLED": "true"})
    assert said.code == 0, said.err
    assert "opentelemetry.instrumentation.auto_instrumentation" in said.out


FLAGS = [
    ("-I",), ("-s",), ("-E",), ("-P",), ("-O",), ("-OO",), ("-B",), ("-u",), ("-q",), ("-b",), ("-Werror",), ("-X", "dev"),
    ("-X", "utf8"), ("-X", "faulthandler"), ("-X", "frozen_modules=off"), ("-X", "no_debug_ranges"), ("-X", "tracemalloc"),
    ("-W", "error", "-X", "warn_default_encoding"), ("--check-hash-based-pycs", "always"), ("--check-hash-based-pycs", "never"),
]  # fmt: skip


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_flags_do_what_they_do_in_a_venv(made: Asked, flags: tuple[str, ...]) -> None:
    found = made.ask(TELL, *flags)
    assert made.site in found["path"]


def test_without_site_the_folder_can_be_used_as_it_is(made: Asked) -> None:
    assert made.say("python", "-S", "-c", "import holder").code == 1
    program = "import json, sys; sys.path.append({!r}); import acme.one, both.deep.right, compiled, holder; print(json.dumps(holder.__file__))"
    assert made.ask(program.format(made.site), "-S") == f"{made.site}/holder/__init__.py"
    added = "import json, site, sys; site.addsitedir({!r}); import acme.own, holder; print(json.dumps([sys.noted, sys.path]))"
    noted, path = made.ask(added.format(made.site), "-S")
    assert "zz-last" in noted
    assert path.count(made.site) == 1


VARIABLES = [
    {"PYTHONSAFEPATH": "1"}, {"PYTHONOPTIMIZE": "2"}, {"PYTHONDEVMODE": "1"}, {"PYTHONUTF8": "1"}, {"PYTHONNOUSERSITE": "1"},
    {"PYTHONWARNINGS": "error"}, {"PYTHONHASHSEED": "0"}, {"PYTHONDONTWRITEBYTECODE": ""}, {"PYTHONVERBOSE": ""},
    {"PYTHONHOME": sys.base_prefix}, {"PYTHONPATH": os.pathsep.join(["/nowhere", "relative"])}, {"PYTHONPLATLIBDIR": "lib"},
]  # fmt: skip


@pytest.mark.parametrize(
    "variables", VARIABLES, ids=lambda variables: " ".join(f"{k}={v}" for k, v in variables.items())
)
def test_variables_do_what_they_do_in_a_venv(made: Asked, variables: dict[str, str]) -> None:
    assert made.site in made.ask(TELL, environ=variables)["path"]


def test_what_stops_a_venv_stops_an_environment_with_the_same_words(made: Asked) -> None:
    """A ``.pth`` file that is not ASCII, where the locale is."""
    assert made.say("python", "-c", "import holder", environ={"LC_ALL": "C", "PYTHONUTF8": "0"}).code in {0, 1}


def test_a_prefix_for_bytecode_is_written_to_and_read(made: Asked, tmp_path: Path) -> None:
    program = f"import json, order, os, single; print(json.dumps([order.__cached__.replace({str(tmp_path)!r}, ''), os.path.isfile(order.__cached__)]))"
    variables = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    for _ in range(2):
        cached, written = made.ask(program, environ=variables)
        assert written
        assert cached.startswith("<root>/lib/")


def test_import_times_name_the_same_modules_of_the_environment(made: Asked) -> None:
    """The columns before the last ``|`` are times."""
    lists = []
    for root in (made.venv, made.environment):
        said = made._run(
            root, "python", ("-X", "importtime", "-c", "import acme.one, both.deep.left, holder"), None, {}
        )
        names = [line.rpartition("|")[2].strip() for line in said.err.splitlines() if line.startswith("import time:")]
        lists.append([name for name in names if name.partition(".")[0] in {"acme", "both", "holder"}])
    assert lists[0] == lists[1]
    assert "both.deep.left" in lists[1]


@pytest.mark.parametrize("module", ["site", "sysconfig"])
def test_modules_that_describe_the_interpreter_say_the_same(made: Asked, module: str) -> None:
    assert made.say("python", "-m", module).code == 0
