"""What is installed, and what it offers: rows 25 to 32 of docs/fidelity-cases.md."""

import json
import subprocess
from pathlib import Path

import pytest

from fidelity.asked import Asked

SPELLINGS = [
    "zope.interface",
    "ZOPE-Interface",
    "zope_interface",
    "Ruamel-YAML",
    "ruamel.yaml",
    "pyyaml",
    "PyYAML",
    "jaraco_functools",
]
OF_THE_INSTALLER = ("INSTALLER", "REQUESTED", "uv_build.json", "uv_cache.json", "direct_url.json", ".pth")
"""Files of a ``.dist-info`` folder that name the tool, and lead to local code: each tool has its own."""


@pytest.mark.network
def test_real_names_in_every_spelling(real: Asked) -> None:
    program = f"""
import importlib.metadata as m, json
print(json.dumps([[m.version(name), m.metadata(name)["Name"], len(m.files(name)) > 3, m.requires(name)] for name in {SPELLINGS!r}]))
"""
    names = [name for _, name, *_ in real.ask(program)]
    assert names == [*["zope.interface"] * 3, *["ruamel.yaml"] * 2, *["PyYAML"] * 2, "jaraco.functools"]


def test_a_made_up_name_in_every_spelling(made: Asked) -> None:
    program = """
import importlib.metadata as m, json
found = []
for name in ("Some.Name_x", "some-name-x", "SOME_NAME.X", "some__name--x", "somenamex", "holder-two", "holder_two", "nothing"):
    try:
        found.append([m.version(name), m.distribution(name).name])
    except m.PackageNotFoundError as error:
        found.append([type(error).__name__, str(error)])
print(json.dumps(found))
"""
    found = made.ask(program)
    assert found[:4] == [["2.5", "Some.Name_x"]] * 4
    assert [name for name, _ in found if name == "PackageNotFoundError"] == ["PackageNotFoundError"] * 2


ENTRY_POINTS = """
import importlib.metadata as m, json
print(json.dumps(sorted([p.group, p.name, p.value, p.dist.name, p.extras]
                        for group in m.entry_points().groups for p in m.entry_points(group=group))))
"""


@pytest.mark.network
def test_entry_points_of_real_plugins(real: Asked) -> None:
    found = {(group, name) for group, name, *_ in real.ask(ENTRY_POINTS)}
    assert {
        ("pytest11", "pytest_mock"),
        ("console_scripts", "pytest"),
        ("opentelemetry_propagator", "baggage"),
    } <= found


def test_entry_points_of_the_project_and_of_wheels(made: Asked) -> None:
    assert [row for row in made.ask(ENTRY_POINTS) if row[0] == "acme.plugins"] == [
        ["acme.plugins", "Some.Plugin", "some_name:PLACE [extra]", "Some.Name_x", ["extra"]],
        ["acme.plugins", "own", "acme.own.cli:main", "Acme.App", []],
    ]


@pytest.mark.network
def test_distributions_of_a_path_with_their_files(real: Asked, tmp_path: Path) -> None:
    program = f"""
import importlib.metadata as m, json, os, sys
site = [entry for entry in sys.path if entry.endswith("site-packages")]
own = {OF_THE_INSTALLER!r}
print(json.dumps([
    sorted([d.name, d.version, str(d.locate_file("")), sorted([str(f), f.hash and f.hash.value, f.size, os.path.isfile(f.locate())]
            for f in d.files if not str(f).endswith((*own, "RECORD")) and "bin/" not in str(f))] for d in m.distributions(path=site)),
    [d.name for d in m.distributions(path=[{str(tmp_path)!r}])], [d.name for d in m.distributions(name="pyyaml", path=site)],
    [d.name for d in m.distributions(name="pyyaml", path=[])],
]))
"""
    all_of_them, *restricted = real.ask(program)
    assert len(all_of_them) > 30
    assert {place for _, _, place, _ in all_of_them} == {real.site}
    assert restricted == [[], ["PyYAML"], []]


PACKAGES = """
import importlib.metadata as m, json
own = ("_storectl", "_virtualenv")
print(json.dumps({k: sorted(set(v)) for k, v in sorted(m.packages_distributions().items()) if k not in own}))
"""


@pytest.mark.network
def test_the_projects_that_real_packages_come_from(real: Asked) -> None:
    found = real.ask(PACKAGES)
    assert found["PIL"] == ["pillow"]
    assert found["google"] == ["googleapis-common-protos", "protobuf"]


def test_the_projects_that_made_up_packages_come_from(made: Asked) -> None:
    found = made.ask(PACKAGES)
    assert found["another"] == found["some_name"] == ["Some.Name_x"]
    assert {"acme-one", "acme-two"} <= set(found["acme"])


def test_the_project_itself_is_installed(made: Asked) -> None:
    program = """
import importlib.metadata as m, json, sys
d = m.distribution("acme-app")
origin = json.loads(d.read_text("direct_url.json"))
own = ("INSTALLER", "REQUESTED", "uv_build.json", "uv_cache.json", "direct_url.json", "RECORD", ".pth")
print(json.dumps([d.name, d.version, d.metadata["Summary"], len(d.requires), origin, sorted(map(str, d.entry_points)),
                  sorted(str(f) for f in d.files if not str(f).endswith(own)), d.metadata["Requires-Python"]], sort_keys=True))
"""
    name, version, summary, _, origin, points, files, _ = made.ask(program)
    assert (name, version, summary) == ("Acme.App", "3.1", "What the cases are run from")
    assert origin == {"url": made.project.as_uri(), "dir_info": {"editable": True}}
    assert len(points) == 2
    assert files == [
        "../../../bin/Acme-App",
        *(f"acme_app-3.1.dist-info/{file}" for file in ("METADATA", "WHEEL", "entry_points.txt")),
    ]
    assert made.say("Acme-App", "a b", "$c").out == "acme-app ['a b', '$c']\n"


@pytest.mark.network
def test_pkg_resources_finds_what_it_finds_in_a_venv(real: Asked) -> None:
    program = """
import json, warnings
warnings.simplefilter("ignore")
import pkg_resources as p
print(json.dumps([
    sorted(map(str, p.working_set)), [str(d) for d in p.require("zope.interface>=5", "ruamel_yaml")],
    sorted(map(str, p.iter_entry_points("pytest11"))), p.resource_filename("certifi", "cacert.pem"),
    len(p.resource_string("certifi", "cacert.pem")), p.get_distribution("jupyter-core").location,
    sorted(p.resource_listdir("tzdata", "zoneinfo"))[:5], p.resource_isdir("tzdata", "zoneinfo"),
    p.get_distribution("pytest").get_entry_map()["console_scripts"]["pytest"].load().__module__,
    p.load_entry_point("pytest", "console_scripts", "pytest").__name__, sorted(p.get_distribution("pytest-mock").requires().__str__()),
]))
"""
    found = real.ask(program)
    assert found[3] == f"{real.site}/certifi/cacert.pem"
    assert "pytest_mock = pytest_mock" in found[2]


@pytest.mark.network
def test_backports_of_importlib_metadata_see_the_same(real: Asked) -> None:
    program = """
import importlib.metadata, importlib_metadata, json, setuptools._vendor.importlib_metadata as vendored
print(json.dumps([[m.version("zope-interface"), sorted(d.metadata["Name"] for d in m.distributions()) == names,
                   sorted(map(str, m.entry_points(group="pytest11"))), str(m.distribution("six").locate_file("six.py"))]
                  for names in [sorted(d.metadata["Name"] for d in importlib.metadata.distributions())]
                  for m in (importlib_metadata, vendored)]))
"""
    for version, _, points, file in real.ask(program):
        assert version == "7.2"
        assert "pytest_mock" in str(points)
        assert file == f"{real.site}/six.py"


@pytest.mark.network
def test_plugins_remembered_in_the_home_folder_are_those_of_the_environment(real: Asked) -> None:
    program = """
import json, stevedore, stevedore._cache as cache
cache._c._disable_caching = False  # it remembers nothing for an interpreter below /tmp
print(json.dumps([sorted(stevedore.ExtensionManager("pytest11").names()), os.listdir(cache._c._dir)]))
"""
    program = f"import os\n{program}"
    smaller = Path(real.machine.json("warm", "--only-group", "smaller", "--json", cwd=real.project)["path"])
    names: dict[Path, list[str]] = {}
    for root in (real.environment, smaller, real.environment, smaller):
        done = subprocess.run(
            [root / "bin/python", "-c", program], env=real.machine.environ, capture_output=True, check=True
        )
        found, remembered = json.loads(done.stdout)
        assert names.setdefault(root, found) == found
    assert len(remembered) == 2
    assert "pytest_mock" in names[real.environment]
    assert names[smaller] == []
