"""Layers: a lower store is used by its files alone, and what becomes of programs when it changes, goes or hangs."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.layers_record import read_layers
from support.index import LoopbackIndex
from support.layers import started, write_config
from support.machine import Machine, new_machine
from support.project import lock_file_text, write_project
from support.stores import tree
from support.wheels import make_wheel

ALPHA = make_wheel(
    "alpha",
    files={"alpha/__init__.py": "from alpha.core import value\n", "alpha/core.py": "value = 42\n"},
    entry_points="[console_scripts]\nalpha-cli = alpha.core:main\n",
)
BETA = make_wheel(
    "beta", "2.0", files={"beta.py": "value = 'b'\n", "beta-2.0.data/scripts/tool": "#!python\nprint(7)\n"}
)
GAMMA = make_wheel("gamma", files={"gamma.py": "value = 'c'\n"})
SHOW = "import alpha, beta; print(alpha.value, beta.value, alpha.__file__)"


@pytest.fixture
def site() -> Iterator[Machine]:
    """Whoever keeps the layer: a machine of its own, so that nothing but the layer is shared."""
    with new_machine() as made:
        yield made


@pytest.fixture
def layer(site: Machine, index: LoopbackIndex) -> Path:
    """A store with alpha and beta and an environment of both; its daemon has ended."""
    folder = write_project(site.home / "project", index, [ALPHA, BETA])
    started(site.run)
    site.ok("warm", cwd=folder)
    site.ok("daemon", "stop")
    site.store.chmod(0o755)
    return site.store


def layered(machine: Machine, *layers: Path) -> None:
    write_config(machine.home / ".config" / "storectl", *layers)
    started(machine.run)


def project(machine: Machine, index: LoopbackIndex, *wheels: object) -> Path:
    return write_project(machine.home / "project", index, list(wheels))  # type: ignore[arg-type]


def entries(store: Path) -> list[str]:
    return sorted(path.name for path in (store / "store").iterdir())


def environments(store: Path) -> list[str]:
    return sorted(path.name for path in (store / "environments").iterdir() if not path.name.startswith("."))


def test_an_environment_of_a_layer_is_used_as_it_is(machine: Machine, index: LoopbackIndex, layer: Path) -> None:
    layered(machine, layer)
    folder = project(machine, index, ALPHA, BETA)
    before, fetched = tree(layer), index.file_requests
    shown = machine.ok("run", "-c", SHOW, cwd=folder)
    (environment,) = environments(layer)
    assert shown == f"42 b {layer}/environments/{environment}/{shown.partition(environment + '/')[2]}"
    assert index.file_requests == fetched
    assert (entries(machine.store), environments(machine.store)) == ([], [])
    for _ in range(2):
        assert machine.ok("run", "-c", SHOW, cwd=folder) == shown
    assert tree(layer) == before
    assert machine.ok("env", "path", cwd=folder).startswith(f"{layer}/environments/")


def test_a_view_of_own_and_lower_entries_is_published_in_the_own_store(
    machine: Machine, index: LoopbackIndex, layer: Path
) -> None:
    layered(machine, layer)
    folder = project(machine, index, ALPHA, BETA, GAMMA)
    before, fetched = tree(layer), index.file_requests
    code = "import alpha, beta, gamma, os, importlib.metadata as m; print(gamma.value, *sorted(d.name for d in m.distributions()))"
    assert machine.ok("run", "-c", code, cwd=folder) == "c alpha beta gamma\n"
    assert machine.ok("run", "tool", cwd=folder) == "7\n"
    assert index.file_requests == fetched + 1
    assert entries(machine.store) == ["gamma"]
    (environment,) = environments(machine.store)
    view = machine.store / "environments" / environment
    linked = {(entry.name, entry.root) for entry in read_layers(view)}
    assert linked == {("alpha", layer), ("beta", layer)}
    (modules,) = view.glob("lib/python*/site-packages")
    assert (modules / "alpha").readlink().is_relative_to(layer)
    assert (modules / "gamma.py").readlink().is_relative_to(machine.store)
    foreign = {(status.st_dev, status.st_ino) for status in map(os.lstat, layer.rglob("*"))}
    shared = [path for path in view.rglob("*") if (path.lstat().st_dev, path.lstat().st_ino) in foreign]
    assert not shared  # no hard link across stores
    assert tree(layer) == before
    assert machine.ok("store", "verify") != ""
    assert machine.run("store", "verify", "--repair").returncode == 0
    assert machine.ok("run", "-c", code, cwd=folder) == "c alpha beta gamma\n"
    assert machine.ok("store", "collect").startswith("nothing")


def test_a_layer_of_the_variable_counts_for_the_daemon_that_runs_already(
    machine: Machine, index: LoopbackIndex, layer: Path
) -> None:
    other = write_project(machine.home / "other", index, [GAMMA])
    machine.ok("warm", cwd=other)
    fetched = index.file_requests
    folder = project(machine, index, ALPHA, BETA)
    machine.ok("warm", cwd=folder, env={"STORECTL_LAYERS": str(layer)})
    assert index.file_requests == fetched
    assert entries(machine.store) == ["gamma"]


def take_out(layer: Path, name: str) -> None:
    """What a collect in the layer does to an entry, by hand."""
    layout = StoreLayout(layer)
    (entry,) = (layer / "store" / name).iterdir()
    for manifest in layout.meta.iterdir():
        if entry.name in manifest.name:
            manifest.unlink()
    for parent, _, _ in os.walk(entry):
        Path(parent).chmod(0o755)
    shutil.rmtree(entry)
    layout.generation.write_text("another\n")


def test_a_layer_that_was_collected_between_two_runs(machine: Machine, index: LoopbackIndex, layer: Path) -> None:
    layered(machine, layer)
    folder = project(machine, index, ALPHA, BETA, GAMMA)
    code = "import alpha, beta, gamma; print(alpha.value, beta.value, gamma.value)"
    assert machine.ok("run", "-c", code, cwd=folder) == "42 b c\n"
    take_out(layer, "alpha")
    done = machine.run("run", "-c", code, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "42 b c\n"), done.stderr
    assert entries(machine.store) == ["alpha", "gamma"]
    (environment,) = environments(machine.store)
    assert [entry.name for entry in read_layers(machine.store / "environments" / environment)] == ["beta"]
    assert machine.ok("run", "-c", code, cwd=folder) == "42 b c\n"


def test_an_environment_of_a_layer_whose_entry_was_collected(
    machine: Machine, index: LoopbackIndex, layer: Path
) -> None:
    layered(machine, layer)
    folder = project(machine, index, ALPHA, BETA)
    machine.ok("run", "-c", SHOW, cwd=folder)
    take_out(layer, "alpha")
    assert machine.ok("run", "-c", SHOW, cwd=folder).startswith("42 b ")
    assert entries(machine.store) == ["alpha"]


def test_a_generation_that_changed_without_a_loss_costs_one_look(
    machine: Machine, index: LoopbackIndex, layer: Path
) -> None:
    layered(machine, layer)
    folder = project(machine, index, ALPHA, BETA)
    shown, fetched = machine.ok("run", "-c", SHOW, cwd=folder), index.file_requests
    (layer / "GENERATION").write_text("new\n")
    assert machine.ok("run", "-c", SHOW, cwd=folder) == shown
    assert index.file_requests == fetched
    assert entries(machine.store) == []


def test_a_layer_that_is_gone(machine: Machine, index: LoopbackIndex, layer: Path) -> None:
    layered(machine, layer)
    folder = project(machine, index, ALPHA, BETA, GAMMA)
    code = "import alpha, beta, gamma; print('all')"
    machine.ok("run", "-c", code, cwd=folder)
    layer.rename(layer.with_name("elsewhere"))
    done = machine.run("run", "-c", code, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "all\n"), done.stderr
    assert f"E_LAYER: the layer {layer} is not used" in machine.run("warm", cwd=folder).stderr
    assert entries(machine.store) == ["alpha", "beta", "gamma"]


def test_without_network_and_layer_the_error_names_what_is_missing(
    machine: Machine, index: LoopbackIndex, layer: Path
) -> None:
    layered(machine, layer)
    folder = project(machine, index, ALPHA, BETA, GAMMA)
    machine.ok("run", "-c", "import alpha", cwd=folder)
    machine.ok("daemon", "stop")
    layer.rename(layer.with_name("elsewhere"))
    done = machine.run("run", "--offline", "-c", "import alpha", cwd=folder)
    assert done.returncode == 125
    assert "E_OFFLINE" in done.stderr
    assert "alpha" in done.stderr
    assert f"the layer {layer} is not used" in done.stderr
    assert "ImportError" not in done.stderr


def test_a_layer_that_others_can_write_is_never_used_and_the_program_is_right(
    machine: Machine, index: LoopbackIndex, layer: Path
) -> None:
    layered(machine, layer)
    layer.chmod(0o775)
    folder = project(machine, index, ALPHA, BETA)
    done = machine.run("warm", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("E_LAYER") == 1
    assert f"the layer {layer} is not used: others may write in {layer}" in done.stderr
    assert entries(machine.store) == ["alpha", "beta"]
    assert machine.ok("run", "-c", SHOW, cwd=folder).startswith("42 b ")


def test_a_changed_config_counts_at_the_next_warm(machine: Machine, index: LoopbackIndex, layer: Path) -> None:
    folder = project(machine, index, GAMMA)
    machine.ok("warm", cwd=folder)
    layered(machine, layer)
    (folder / "uv.lock").write_text(lock_file_text("uv.lock", index, [ALPHA, BETA, GAMMA]))
    machine.ok("warm", cwd=folder)
    assert entries(machine.store) == ["gamma"]
