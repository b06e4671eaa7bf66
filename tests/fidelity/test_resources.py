"""Files beside modules and below the prefix: rows 39 to 41 of docs/fidelity-cases.md."""

import pytest

from fidelity.asked import Asked


@pytest.mark.network
def test_real_packages_find_the_files_they_bring(real: Asked) -> None:
    program = """
import certifi, json, jsonschema_specifications, zoneinfo
zoneinfo.reset_tzpath(to=[])
zone = zoneinfo.ZoneInfo("Europe/Berlin")
print(json.dumps([certifi.where(), len(certifi.contents()), sorted(map(str, jsonschema_specifications.REGISTRY)), str(zone),
                  len(zoneinfo.available_timezones())]))
"""
    where, size, schemas, zone, zones = real.ask(program, "-W", "error")
    assert where == f"{real.site}/certifi/cacert.pem"
    assert size > 100_000
    assert "http://json-schema.org/draft-07/schema" in schemas
    assert (zone, zones > 400) == ("Europe/Berlin", True)


FILES = """
import json, importlib.resources as r, os, sys
def names(traversable):
    return sorted(child.name for child in traversable.iterdir() if child.name not in ("__pycache__", "__init__.pyc"))
def path_of(traversable):
    with r.as_file(traversable) as path:
        return [type(path).__name__, str(path), path.is_file(), path.is_dir()]
"""


@pytest.mark.network
def test_resources_of_real_packages_and_namespaces(real: Asked) -> None:
    program = f"""{FILES}
import google.api
found = [[repr(r.files(name)), names(r.files(name))] for name in ("certifi", "google", "google.api", "tzdata.zoneinfo", "google.protobuf")]
found.append([path_of(r.files("certifi") / "cacert.pem"), path_of(r.files("google.api") / "http.proto")])
if sys.version_info >= (3, 12):
    found.append(path_of(r.files("tzdata.zoneinfo") / "Europe"))
print(json.dumps(found))
"""
    found = real.ask(program)
    assert "MultiplexedPath" in found[1][0]
    assert found[5][0] == ["PosixPath", f"{real.site}/certifi/cacert.pem", True, False]


def test_resources_of_regular_split_nested_and_local_packages(made: Asked) -> None:
    program = f"""{FILES}
import pkgutil
print(json.dumps([
    [repr(r.files(name)), names(r.files(name))] for name in ("holder", "holder.data", "both", "acme", "acme.own", "compiled")] + [
    (r.files("holder") / "data" / "table.txt").read_text(), r.files("holder").joinpath("data/table.txt").read_bytes().decode(),
    (r.files("acme.holder") / "text.txt").read_text(), (r.files("acme.own") / "note.txt").read_text(),
    path_of(r.files("both") / "right.txt"), path_of(r.files("acme.holder") / "text.txt"), r.is_resource("both", "left.txt"),
    pkgutil.get_data("holder", "data/table.txt").decode(), pkgutil.get_data("both", "left.txt").decode(),
    pkgutil.get_data("acme.own", "note.txt").decode(),
]))
"""
    found = made.ask(program)
    assert found[2][1] == ["__init__.py", "deep", "left.txt", "right.txt"]
    assert found[6:10] == ["a table", "a table", "in a namespace", "a note of the project"]


@pytest.mark.network
def test_data_beside_a_module_is_found_by_its_file(real: Asked) -> None:
    program = """
import json, os, pkgutil, dateutil.tz, google.api.http_pb2 as h, tzdata, PIL
beside = [os.path.join(os.path.dirname(module.__file__), *names) for module, *names in
          [(h, "http.proto"), (tzdata, "zones"), (tzdata, "zoneinfo", "Europe", "Berlin"), (PIL, os.pardir, "pillow.libs")]]
print(json.dumps([[os.path.exists(path), os.path.isdir(path)] for path in beside] + [
    len(pkgutil.get_data("tzdata", "zoneinfo/Europe/Berlin")), len(pkgutil.get_data("certifi", "cacert.pem")),
    os.path.samefile(beside[3], os.path.join(os.path.dirname(os.path.dirname(PIL.__file__)), "pillow.libs"))]))
"""
    found = real.ask(program)
    assert [there for there, _ in found[:3]] == [True] * 3


@pytest.mark.network
def test_data_below_the_prefix_is_found_by_jupyter(real: Asked) -> None:
    program = """
import json, jupyter_core.paths as p, os, sys
place = os.path.join(sys.prefix, "share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager")
print(json.dumps([p.jupyter_path(), p.jupyter_config_path(), sorted(os.listdir(place)), p.ENV_JUPYTER_PATH]))
"""
    found = real.ask(program)
    assert "<root>/share/jupyter" in found[0]
    assert "package.json" in found[2]


def test_data_of_several_wheels_is_in_one_folder(made: Asked) -> None:
    program = """
import json, late, os, sys
print(json.dumps([sorted(os.listdir(sys.prefix + "/share/jupyter/kernels")), os.listdir(sys.prefix + "/etc/jupyter/held.d"),
                  late.PLACE, late.__file__]))
"""
    assert made.ask(program) == [["held", "two"], ["held.json"], "wheel", f"{made.site}/late.py"]
